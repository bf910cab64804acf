"""People in the trail: entries hold a random token for each, and whoever keeps the names can forget one.

Which fields hold names is said by their types (`events.Person`, `events.Owners`). What a token stands for is kept by
the gateway, in a table apart from the trail: once its row is gone nobody can say whose entries these were, and no entry
was changed.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Protocol, get_args, get_type_hints

from policies.audit.events import Event, Owners, Person

_TOKEN = re.compile("p[0-9a-f]{16}")
_OF_A_USER = "user:"
NOBODY_KNOWN = "?"
"""What stands for a name that is nobody's begins with this, which no user's name does: it is written as it is."""


class Names(Protocol):
    """Who stands behind the tokens of a trail. Safe across threads."""

    def tokens(self, names: Collection[str]) -> Mapping[str, str]:
        """The token of each name; those who have none yet are given one, together.

        Raises:
            TrailUnavailableError: The tokens cannot be read or written, so nothing that names these can be recorded.
        """

    def find(self, name: str) -> str | None:
        """The token of a name; none where nobody has that name."""

    def names(self, tokens: Collection[str]) -> Mapping[str, str]:
        """The names of these tokens, without those that are not known, or not any more."""


def is_token(text: str) -> bool:
    """Whether a text looks like a token: `p` and 16 hexadecimal digits."""
    return _TOKEN.fullmatch(text) is not None


def hidden(event: Event, names: Names | None) -> dict[str, Any]:
    """The fields of an event, with tokens in the place of names; a token that stands there already stays.

    Raises:
        TrailUnavailableError: The tokens cannot be had.
    """
    said = {field.name: getattr(event, field.name) for field in fields(event)}
    if names is None:
        return said
    people = {name for name in _people(event.kind, said) if name and not is_token(name) and name[0] != NOBODY_KNOWN}
    return _replaced(event.kind, said, names.tokens(people)) if people else said


def shown(entries: Collection[tuple[str, Mapping[str, Any]]], names: Names | None) -> list[Mapping[str, Any]]:
    """The events of entries, each given with its kind, with the names of those who are known put back."""
    if names is None:
        return [said for _, said in entries]
    tokens = {one for kind, said in entries for one in _people(kind, said) if is_token(one)}
    known = names.names(tokens) if tokens else {}
    return [_replaced(kind, said, known) if known else said for kind, said in entries]


def people_of(kind: str, said: Mapping[str, Any]) -> frozenset[str]:
    """The names, or tokens, that the event of an entry holds."""
    return frozenset(_people(kind, said))


def _people(kind: str, said: Mapping[str, Any]) -> Iterator[str]:
    """Every name, or token, that an event's fields hold."""
    person, owners = fields_of(kind)
    yield from (str(said[field]) for field in person if field in said)
    for field in owners:
        yield from (owner.removeprefix(_OF_A_USER) for owner in said.get(field, ()) if owner.startswith(_OF_A_USER))


def _replaced(kind: str, said: Mapping[str, Any], by: Mapping[str, str]) -> dict[str, Any]:
    person, owners = fields_of(kind)
    changed = dict(said)
    for field in person & said.keys():
        changed[field] = by.get(said[field], said[field])
    for field in owners & said.keys():
        changed[field] = [_owner(owner, by) for owner in said[field]]
    return changed


def _owner(owner: str, by: Mapping[str, str]) -> str:
    if not owner.startswith(_OF_A_USER):
        return owner
    name = owner.removeprefix(_OF_A_USER)
    return _OF_A_USER + by.get(name, name)


@cache
def fields_of(kind: str) -> tuple[frozenset[str], frozenset[str]]:
    """The fields of a kind of event that hold somebody's name, and those that hold owners.

    Fields of the same name mean the same, so a kind that this version does not know is read like all others.
    """
    events = [event for event in get_args(Event) if event.kind == kind]
    hints = [get_type_hints(event, include_extras=True) for event in events or get_args(Event)]
    person = {name for types in hints for name, type_ in types.items() if type_ == Person}
    owners = {name for types in hints for name, type_ in types.items() if type_ == Owners} if events else set()
    return frozenset(person), frozenset(owners)
