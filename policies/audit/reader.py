"""Looking into the trail: entries by who, what, when and which request. Reading never disturbs a writer."""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from policies.audit.chain import timestamp
from policies.audit.people import Names, shown
from policies.audit.places import TrailPlace, open_to_read, unreadable
from policies.audit.storage import ReadableTrail, StorageError


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it stands in the trail: `id` counts all entries, `seq` those of its writer; `at` is in UTC."""

    id: int
    writer: str
    seq: int
    hash: str
    at: datetime
    kind: str
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EntryQuery:
    """Which entries; everything given must hold. The newest `limit` of them are meant.

    `principal` finds what somebody did, what was done to them, and all entries of their requests; it is a name, or the
    token that stands for one. `since` and `until`
    are times with a zone; `until` itself is not included. `before` leaves out that entry and all newer ones.
    `hash` is hexadecimal, as receipts name the entry of a question. `document` (its id), `label` (its digest), `rule`,
    `entity_type` and `passage` (its digest) find entries that name them; `value_hmac` those that hold this keyed digest
    of a question or query. These read every entry that the others leave.
    """

    principal: str | None = None
    kind: str | None = None
    request: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100
    id: int | None = None
    before: int | None = None
    hash: str | None = None
    document: str | None = None
    label: str | None = None
    rule: str | None = None
    entity_type: str | None = None
    passage: str | None = None
    value_hmac: str | None = None


_CONDITIONS = {
    "before": "id < :before",
    "hash": "hash = :hash",
    "id": "id = :id",
    "kind": "kind = :kind",
    "principal": """(actor IN (:principal, :token) OR subject IN (:principal, :token)
        OR request IN (SELECT request FROM entries WHERE actor IN (:principal, :token) AND request IS NOT NULL))""",
    "request": "request = :request",
    "since": "at >= :since",
    "until": "at < :until",
}
"""What fields of a query mean in SQL."""
_HELD_IN = {
    "document": ("document", "documents", "cited"),
    "label": ("label", "labels"),
    "passage": ("passage", "passages"),
    "rule": ("rule", "policies"),
    "value_hmac": ("value_hmac", "question_hmac", "query_hmac"),
}
"""Which fields of an event hold, by themselves or in a list, what other fields of a query ask for."""
_KEYS_OF = {"entity_type": ("redactions", "revealed")}
"""Which have it as a key."""
_COLUMNS = "id, writer, seq, hash, body"


def read_entries(place: TrailPlace, query: EntryQuery, names: Names | None = None) -> list[Entry]:
    """Entries, newest first; people are called by their names as far as `names` knows them, else by their tokens.

    Raises:
        TrailUnreadableError: The trail is missing or damaged.
    """
    given = {field.name: getattr(query, field.name) for field in fields(query) if field.name != "limit"}
    values = {name: _value(name, value) for name, value in given.items() if value is not None}
    also: dict[str, str] = {}
    if query.principal is not None:  # Entries of before there were tokens hold names, so both are looked for.
        also["token"] = (names.find(query.principal) if names else None) or query.principal
    with closing(open_to_read(place)) as trail:
        where = " AND ".join(["body IS NOT NULL", *(_condition(trail, name) for name in values)])
        select = f"SELECT {_COLUMNS} FROM entries WHERE {where} ORDER BY id DESC LIMIT :limit"  # noqa: S608 - ours
        try:
            rows = trail.select(select, values | also | {"limit": query.limit})
            return _named([_entry(*row) for row in rows], names)
        except (StorageError, ValueError, KeyError) as error:
            raise unreadable(place, error) from error


def read_on(place: TrailPlace, after: int, limit: int, names: Names | None = None) -> tuple[str, list[Entry]]:
    """The trail's id, and its entries from the one after number `after` on, oldest first, at most `limit`.

    People are called as by `read_entries`.

    Raises:
        TrailUnreadableError: The trail is missing or damaged.
    """
    query = f"SELECT {_COLUMNS} FROM entries WHERE id > :after AND body IS NOT NULL ORDER BY id LIMIT :limit"  # noqa: S608 - ours
    with closing(open_to_read(place)) as trail:
        try:
            found = [_entry(*row) for row in trail.select(query, {"after": after, "limit": limit})]
            return trail.log, _named(found, names)
        except (StorageError, ValueError, KeyError) as error:
            raise unreadable(place, error) from error


def _condition(trail: ReadableTrail, name: str) -> str:
    """What a field of a query means in SQL."""
    if name in _CONDITIONS:
        return _CONDITIONS[name]
    held = [trail.holds(field, name) for field in _HELD_IN.get(name, ())]
    keys = [trail.holds(field, name, as_key=True) for field in _KEYS_OF.get(name, ())]
    return f"({' OR '.join(held + keys)})"


def _value(name: str, value: datetime | str | int) -> str | int | bytes:
    if isinstance(value, datetime):
        return timestamp(value)
    return _hash(str(value)) if name == "hash" else value


def _hash(text: str) -> bytes:
    """A hash from its hexadecimal digits; what is none is no entry's."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _entry(id_: int, writer: str, seq: int, hash_: bytes, body: str) -> Entry:
    fields = json.loads(body)
    return Entry(id_, writer, seq, hash_.hex(), datetime.fromisoformat(fields["at"]), fields["kind"], fields["event"])


def _named(entries: list[Entry], names: Names | None) -> list[Entry]:
    events = shown([(entry.kind, entry.event) for entry in entries], names)
    return [replace(entry, event=event) for entry, event in zip(entries, events, strict=True)]
