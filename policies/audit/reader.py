"""Looking into the trail: entries by who, what, when and which request. Reading never disturbs a writer."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from policies.audit.chain import timestamp
from policies.audit.database import open_to_read, read_log_id, unreadable


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

    `principal` finds what somebody did, what was done to them, and all entries of their requests. `since` and `until`
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


def _named_in(what: str, *fields: str, column: str = "value") -> str:
    """The condition that one of an event's fields holds something: a text by itself, a list with it, or as a key."""
    one = (f"EXISTS (SELECT 1 FROM json_each(body, '$.event.{field}') WHERE {column} = :{what})" for field in fields)  # noqa: S608 - ours
    return f"({' OR '.join(one)})"


_CONDITIONS = {
    "before": "id < :before",
    "document": _named_in("document", "document", "documents", "cited"),
    "entity_type": _named_in("entity_type", "redactions", "revealed", column="key"),
    "hash": "hex(hash) = upper(:hash)",
    "id": "id = :id",
    "kind": "kind = :kind",
    "label": _named_in("label", "label", "labels"),
    "passage": _named_in("passage", "passages"),
    "principal": """(actor = :principal OR subject = :principal
        OR request IN (SELECT request FROM entries WHERE actor = :principal AND request IS NOT NULL))""",
    "request": "request = :request",
    "rule": _named_in("rule", "policies"),
    "since": "at >= :since",
    "until": "at < :until",
    "value_hmac": _named_in("value_hmac", "question_hmac", "query_hmac"),
}
"""What each field of a query means in SQL."""


def read_entries(path: Path, query: EntryQuery) -> list[Entry]:
    """Entries, newest first.

    Raises:
        TrailUnreadableError: The file is missing or damaged.
    """
    given = {name: getattr(query, name) for name in _CONDITIONS if getattr(query, name) is not None}
    where = " AND ".join(_CONDITIONS[name] for name in given) or "true"
    select = f"SELECT id, writer, seq, hash, body FROM entries WHERE {where} ORDER BY id DESC LIMIT :limit"  # noqa: S608 - ours
    values = {name: timestamp(value) if isinstance(value, datetime) else value for name, value in given.items()}
    with closing(open_to_read(path)) as connection:
        try:
            return [_entry(*row) for row in connection.execute(select, values | {"limit": query.limit})]
        except (sqlite3.Error, ValueError, KeyError) as error:
            raise unreadable(path, error) from error


def read_on(path: Path, after: int, limit: int) -> tuple[str, list[Entry]]:
    """The trail's id, and its entries from the one after number `after` on, oldest first, at most `limit`.

    Raises:
        TrailUnreadableError: The file is missing or damaged.
    """
    query = "SELECT id, writer, seq, hash, body FROM entries WHERE id > ? ORDER BY id LIMIT ?"
    with closing(open_to_read(path)) as connection:
        try:
            found = [_entry(*row) for row in connection.execute(query, (after, limit))]
            return read_log_id(connection), found
        except (sqlite3.Error, ValueError, KeyError) as error:
            raise unreadable(path, error) from error


def _entry(id_: int, writer: str, seq: int, hash_: bytes, body: str) -> Entry:
    fields = json.loads(body)
    return Entry(id_, writer, seq, hash_.hex(), datetime.fromisoformat(fields["at"]), fields["kind"], fields["event"])
