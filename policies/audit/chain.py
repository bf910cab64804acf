r"""How entries are written down and chained, so that a change anywhere shows.

Each writing process has a chain of its own; the order in which all of them committed is what checkpoints sign:

    genesis of a writer    SHA-256("muniment-trail-3" || 0x0A || log id || 0x0A || writer id)
    hash of an entry       SHA-256(hash of the same writer's entry before it, or its genesis || body)

A body is JSON in ASCII, with keys sorted, no spaces, other characters escaped as `\uXXXX`, and no fractions, so that
there is one way to write each entry. Log and writer ids are random, so an entry of one chain is none of another's.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from policies.audit.events import Event
from policies.audit.people import Names, hidden

_GENESIS = b"muniment-trail-3\n"
_ID_BYTES = 8


def new_id() -> str:
    """A name for a log or a writer: 16 hexadecimal digits, random."""
    return secrets.token_hex(_ID_BYTES)


def genesis(log: str, writer: str) -> bytes:
    """What a writer's first entry is chained to."""
    return hashlib.sha256(_GENESIS + f"{log}\n{writer}".encode()).digest()


def entry_hash(previous: bytes, body: bytes) -> bytes:
    """The hash of an entry; `previous` is always 32 bytes, so where the body begins is never in doubt."""
    return hashlib.sha256(previous + body).digest()


def canonical(value: object) -> str:
    """JSON in the one form that is hashed and signed.

    Raises:
        TypeError: The value holds something that is not text, a whole number, a boolean, or a collection of these.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def encode(event: Event, at: datetime, names: Names | None = None) -> str:
    """An event as the body of an entry: when it was recorded, its kind, its fields, with people's tokens.

    Raises:
        TrailUnavailableError: The tokens cannot be had.
    """
    return body_of(event.kind, hidden(event, names), at)


def body_of(kind: str, said: Mapping[str, Any], at: datetime) -> str:
    """The body of an entry that says this."""
    return canonical({"at": timestamp(at), "event": said, "kind": kind})


def timestamp(at: datetime) -> str:
    """A time in UTC to the microsecond, always of the same length, so that its text sorts as time does."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
