"""What is asked of the trail: what a question may look like, and how the record of it names what was asked.

The trail holds no text that people make up, so what does not look like a kind, an id or a digest is refused here.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from gateway.errors import BadRequestError
from gateway.identity.names import require_user_id
from policies.audit.chain import timestamp
from policies.audit.people import is_token
from policies.audit.reader import EntryQuery

MOST_ID = 2**62
"""The largest number that an entry may have."""
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_DIGEST = re.compile("[0-9a-f]{64}")
_SHAPES: Mapping[str, tuple[re.Pattern[str], str]] = {
    "document": (_ID, "A document is named by its id or its path"),
    "entity_type": (re.compile("[A-Z][A-Z0-9_]{0,63}"), "Types of personal data are written as PERSON or CREDIT_CARD"),
    "hash": (_DIGEST, "Hashes have 64 hexadecimal digits"),
    "kind": (
        re.compile("[a-z-]{1,40}:[a-z-]{1,40}"),
        "Kinds are written as answer:given; docs/reference.md lists them",
    ),
    "label": (_DIGEST, "Labels are named by their digest, 64 hexadecimal digits"),
    "passage": (_DIGEST, "Passages are named by their digest, 64 hexadecimal digits"),
    "request": (_ID, "Requests are named as in receipts and errors"),
    "rule": (re.compile(r"[A-Za-z0-9.:_-]{1,128}"), "Rules are named by their @id; `muniment policy list` shows them"),
}
"""What each filter looks like, and what to say of one that does not."""


def require_shapes(query: EntryQuery) -> EntryQuery:
    """The query, when each of its filters is written as such things are.

    Raises:
        BadRequestError: One is not.
    """
    if query.principal is not None and not is_token(query.principal):  # Whoever was erased is asked for by token.
        require_user_id(query.principal)
    for name, (shape, meant) in _SHAPES.items():
        value = getattr(query, name)
        if value is not None and not shape.fullmatch(value):
            message = f"The filter `{_spelt(name)}` is not written as it must be. {meant}."
            raise BadRequestError(message)
    return query


def asked_for(query: EntryQuery) -> tuple[tuple[str, ...], str]:
    """What `trail:read` says of a query: each filter as `name=value`, and by itself the person it is about."""
    names = (*_SHAPES, "after", "before", "id", "outcome", "since", "until", "value_hmac")
    given = {name: getattr(query, name) for name in sorted(names)}
    filters = tuple(f"{_spelt(name)}={_written(value)}" for name, value in given.items() if value is not None)
    return filters, query.principal or ""


def _written(value: object) -> str:
    return timestamp(value) if isinstance(value, datetime) else str(value)


def _spelt(name: str) -> str:
    return "type" if name == "entity_type" else name
