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
    `hash` is hexadecimal, as receipts name the entry of a question.
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


def read_entries(path: Path, query: EntryQuery) -> list[Entry]:
    """Entries, newest first.

    Raises:
        TrailUnreadableError: The file is missing or damaged.
    """
    conditions, values = _conditions(query)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    select = f"SELECT id, writer, seq, hash, body FROM entries {where} ORDER BY id DESC LIMIT ?"  # noqa: S608 - ours
    with closing(open_to_read(path)) as connection:
        try:
            return [_entry(*row) for row in connection.execute(select, (*values, query.limit))]
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


def _conditions(query: EntryQuery) -> tuple[list[str], list[str | int]]:
    conditions: list[str] = []
    values: list[str | int] = []
    if query.id is not None:
        conditions.append("id = ?")
        values.append(query.id)
    if query.before is not None:
        conditions.append("id < ?")
        values.append(query.before)
    if query.hash is not None:
        conditions.append("hex(hash) = ?")
        values.append(query.hash.upper())
    if query.principal is not None:
        requests = "SELECT request FROM entries WHERE actor = ? AND request IS NOT NULL"
        conditions.append(f"(actor = ? OR subject = ? OR request IN ({requests}))")
        values += [query.principal] * 3
    if query.kind is not None:
        conditions.append("kind = ?")
        values.append(query.kind)
    if query.request is not None:
        conditions.append("request = ?")
        values.append(query.request)
    if query.since is not None:
        conditions.append("at >= ?")
        values.append(timestamp(query.since))
    if query.until is not None:
        conditions.append("at < ?")
        values.append(timestamp(query.until))
    return conditions, values


def _entry(id_: int, writer: str, seq: int, hash_: bytes, body: str) -> Entry:
    fields = json.loads(body)
    return Entry(id_, writer, seq, hash_.hex(), datetime.fromisoformat(fields["at"]), fields["kind"], fields["event"])
