"""Looking into the trail: entries by who, what, when and which request. Reading never disturbs a writer.

Who, kind, request and time have indexes. What an entry names (documents, labels, rules) has none, so it is looked for
in windows of entries: a page comes with where to go on, and takes a bounded time however long the trail is.
"""

import itertools
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from policies.audit.chain import canonical, timestamp
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


class Outcome(StrEnum):
    """How a question ended, as the entries that say so."""

    ANSWERED = "answered"
    DECLINED = "declined"
    DENIED = "denied"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class EntryQuery:
    """Which entries; everything given must hold. The newest `limit` of them are meant, or the oldest.

    `principal` finds what somebody did, what was done to them, and all entries of their requests; it is a name, or the
    token that stands for one. `since` and `until` are times with a zone; `until` itself is not included. `before`
    leaves out that entry and all newer ones, `after` that entry and all older ones. `hash` is hexadecimal, as receipts
    name the entry of a question. `document` (its id), `label` (its digest), `rule`, `entity_type` and `passage` (its
    digest) find entries that name them; `value_hmac` those that hold this keyed digest of a question, a query or an
    address. `outcome` finds the entries that say so, such as `answer:given`.
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
    outcome: Outcome | None = None
    after: int | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, and from where to go on: what to give as `before`, or as `after` when the oldest come first.

    There may be more behind a page that is not full: it was given back because its time was over.
    """

    entries: list[Entry]
    next: int | None


_WINDOW = 100_000
"""Entries looked through at a time: a tenth of a second to half of one."""
_REQUESTS_TOGETHER = 200
"""Requests looked up in one statement."""
_NO_END = 2**62
"""A number that no entry has."""

_CONDITIONS = {
    "after": "id > :after",
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
    "label": ("label", "labels", "labels_before"),
    "passage": ("passage", "passages"),
    "rule": ("rule", "policies"),
    "value_hmac": ("value_hmac", "question_hmac", "query_hmac", "address_hmac", "reason_hmac", "subject_hmac"),
}
"""Which fields of an event hold, by themselves or in a list, what other fields of a query ask for."""
_KEYS_OF = {"entity_type": ("redactions", "revealed")}
"""Which have it as a key."""
_OUTCOMES: Mapping[Outcome, tuple[str, str]] = {
    Outcome.ANSWERED: ("answer:given", '%"abstained":false%'),
    Outcome.DECLINED: ("answer:given", '%"abstained":true%'),
    Outcome.DENIED: ("access:denied", "%"),
    Outcome.FAILED: ("answer:failed", "%"),
    Outcome.UNKNOWN: ("answer:unknown", "%"),
}
"""The kind of the entries that say so, and what their bodies are like. Within a text quotes are escaped, so that none
looks like a field."""
_FLAGS = frozenset({"limit", "oldest_first", "outcome"})
"""What of a query is no value to compare with."""
_COLUMNS = "id, writer, seq, hash, body"


def read_entries(place: TrailPlace, query: EntryQuery, names: Names | None = None) -> list[Entry]:
    """Entries, newest first unless the query says otherwise, however long it takes.

    People are called by their names as far as `names` knows them, else by their tokens.

    Raises:
        TrailUnreadableError: The trail is missing or damaged.
    """
    with closing(open_to_read(place)) as trail:
        return _named(_select(place, trail, query, names), names)


def read_page(
    place: TrailPlace,
    query: EntryQuery,
    names: Names | None = None,
    within_seconds: float = float("inf"),
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Page:
    """As many entries as the query asks for, or those that are found in time, with where to go on.

    People are called as by `read_entries`. `on_progress` is told how many entries were looked through, and of how many.

    Raises:
        TrailUnreadableError: The trail is missing or damaged.
    """
    until = time.monotonic() + within_seconds
    with closing(open_to_read(place)) as trail:
        try:
            newest = trail.select("SELECT coalesce(max(id), 0) FROM entries")[0][0]
        except StorageError as error:
            raise unreadable(place, error) from error
        first, last = (query.after or 0) + 1, min(newest, (query.before or _NO_END) - 1)
        found: list[Entry] = []
        for low, high in _windows(first, last, _WINDOW if _scans(query) else _NO_END, oldest_first=query.oldest_first):
            here = replace(query, after=low - 1, before=high + 1, limit=query.limit + 1 - len(found))
            found += _select(place, trail, here, names)
            if len(found) > query.limit:
                return Page(_named(found[:-1], names), found[-2].id)
            done = high - first + 1 if query.oldest_first else last - low + 1
            on_progress(done, last - first + 1)
            if time.monotonic() > until and done < last - first + 1:
                return Page(_named(found, names), high if query.oldest_first else low)
    return Page(_named(found, names), None)


def _windows(first: int, last: int, size: int, *, oldest_first: bool) -> Iterator[tuple[int, int]]:
    """Numbers of entries from `first` to `last`, so many at a time, in the order in which they are looked through."""
    if oldest_first:
        yield from ((low, min(low + size - 1, last)) for low in range(first, last + 1, size))
    else:
        yield from ((max(high - size + 1, first), high) for high in range(last, first - 1, -size))


def _scans(query: EntryQuery) -> bool:
    """Whether entries have to be looked through: something is asked for that has no index."""
    return any(getattr(query, name) is not None for name in (*_HELD_IN, *_KEYS_OF, "hash"))


def _select(place: TrailPlace, trail: ReadableTrail, query: EntryQuery, names: Names | None) -> list[Entry]:
    given = {field.name: getattr(query, field.name) for field in fields(query) if field.name not in _FLAGS}
    values = {name: _value(name, value) for name, value in given.items() if value is not None}
    conditions = ["body IS NOT NULL", *itertools.chain.from_iterable(_conditions(trail, name) for name in values)]
    if query.outcome is not None:
        conditions.append("kind = :outcome AND body LIKE :outcome_body")
        values["outcome"], values["outcome_body"] = _OUTCOMES[query.outcome]
    if query.principal is not None:  # Entries of before there were tokens hold names, so both are looked for.
        values["token"] = (names.find(query.principal) if names else None) or query.principal
    likely = {f"likely_{name}": _likely(values[name]) for name in values if name in _HELD_IN or name in _KEYS_OF}
    order = "" if query.oldest_first else "DESC"
    where = " AND ".join(conditions)
    select = f"SELECT {_COLUMNS} FROM entries WHERE {where} ORDER BY id {order} LIMIT :limit"  # noqa: S608 - ours
    try:
        return [_entry(*row) for row in trail.select(select, values | likely | {"limit": query.limit})]
    except (StorageError, ValueError, KeyError) as error:
        raise unreadable(place, error) from error


def entries_of(place: TrailPlace, requests: Collection[str], names: Names | None = None) -> list[Entry]:
    """All entries of some requests, oldest first. People are called as by `read_entries`.

    Raises:
        TrailUnreadableError: The trail is missing or damaged.
    """
    found: list[Entry] = []
    wanted = sorted(requests)
    with closing(open_to_read(place)) as trail:
        for start in range(0, len(wanted), _REQUESTS_TOGETHER):
            values = {f"r{number}": name for number, name in enumerate(wanted[start : start + _REQUESTS_TOGETHER])}
            listed = ", ".join(f":{name}" for name in values)
            query = f"SELECT {_COLUMNS} FROM entries WHERE request IN ({listed}) AND body IS NOT NULL ORDER BY id"  # noqa: S608 - ours
            try:
                found += [_entry(*row) for row in trail.select(query, values)]
            except (StorageError, ValueError, KeyError) as error:
                raise unreadable(place, error) from error
    return _named(sorted(found, key=lambda entry: entry.id), names)


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


def _conditions(trail: ReadableTrail, name: str) -> list[str]:
    """What a field of a query means in SQL.

    Whether the text stands in the body at all is found out first: parsing every body would take ten times as long.
    """
    if name in _CONDITIONS:
        return [_CONDITIONS[name]]
    held = [trail.holds(field, name) for field in _HELD_IN.get(name, ())]
    keys = [trail.holds(field, name, as_key=True) for field in _KEYS_OF.get(name, ())]
    return [f"body LIKE :likely_{name} ESCAPE '!'", f"({' OR '.join(held + keys)})"]


def _likely(value: str | int | bytes) -> str:
    """A pattern of the bodies that hold a text."""
    written = canonical(str(value))
    for sign in "!%_":
        written = written.replace(sign, f"!{sign}")
    return f"%{written}%"


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
