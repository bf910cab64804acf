"""The trail's own SQLite file: its tables, and how it is opened to write and to read.

Rows are only ever added. The triggers stop accidents, not an attacker with write access to the file: that is what the
hashes and checkpoints are for. What entries are searched by is computed from their bodies, so it cannot disagree.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from policies.audit.chain import new_id
from policies.errors import TrailUnavailableError, TrailUnreadableError
from policies.sqlite import lacks_room, write_ahead

_LOCK_WAIT_SECONDS = 5.0
"""How long to wait for another writing process; each holds the lock for one commit."""


def _frozen(table: str) -> list[str]:
    """Triggers that refuse to change or remove what a table holds."""
    return [
        f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb.upper()} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END"
        for verb in ("update", "delete")
    ]


TABLES: tuple[str, ...] = (
    """CREATE TABLE log (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id TEXT NOT NULL
) STRICT""",
    """CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    previous BLOB NOT NULL UNIQUE,
    hash BLOB NOT NULL,
    body TEXT NOT NULL,
    at TEXT AS (json_extract(body, '$.at')),
    kind TEXT AS (json_extract(body, '$.kind')),
    request TEXT AS (json_extract(body, '$.event.request')),
    actor TEXT AS (coalesce(json_extract(body, '$.event.principal'), json_extract(body, '$.event.by'))),
    subject TEXT AS (json_extract(body, '$.event.user')),
    UNIQUE (writer, seq)
) STRICT""",
    """CREATE TABLE checkpoints (
    number INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    signature BLOB NOT NULL
) STRICT""",
    "CREATE INDEX entries_at ON entries (at)",
    "CREATE INDEX entries_kind ON entries (kind)",
    "CREATE INDEX entries_request ON entries (request)",
    "CREATE INDEX entries_actor ON entries (actor)",
    "CREATE INDEX entries_subject ON entries (subject) WHERE subject IS NOT NULL",
    *_frozen("log"),
    *_frozen("entries"),
    *_frozen("checkpoints"),
)
"""Everything the file consists of; the verifier compares it, since a changed definition could hide entries."""


def open_to_write(path: Path, *, create: bool = True) -> sqlite3.Connection:
    """A connection that commits durably, for one thread at a time; makes the file and its tables when there are none.

    Raises:
        TrailUnavailableError: The file cannot be opened or written, or is no trail.
    """
    try:
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = _connect(path, "mode=rw")
        try:
            _make_durable(connection)
            if create:
                _make_tables(connection)
                _sync_folder(path.parent)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        message = f"The audit trail {path} cannot be written: {error}. Nothing is answered until it can."
        raise TrailUnavailableError(message) from error
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, usable beside writers and on read-only media.

    Raises:
        TrailUnreadableError: The file is missing, damaged, or no trail.
    """
    try:
        try:
            return _connect_to_read(path, "mode=ro")
        except sqlite3.OperationalError:
            # A file in write-ahead mode needs a place for its lock file, which read-only media lack. Where nobody can
            # be writing, it can be read without.
            if path.with_name(f"{path.name}-wal").exists():
                raise
            return _connect_to_read(path, "mode=ro&immutable=1")
    except (sqlite3.Error, OSError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> TrailUnreadableError:
    """What to say when the file cannot be read."""
    if lacks_room(error):
        message = (
            f"The audit trail {path} cannot be read: its disk is full or fails, and SQLite needs a little room even to "
            "read. Free some space, then try again; nothing needs to be restored."
        )
        return TrailUnreadableError(message)
    return TrailUnreadableError(f"The audit trail {path} cannot be read: {error}. Name the right file, or restore it.")


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction, which holds the file's write lock from its beginning."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def read_log_id(connection: sqlite3.Connection) -> str:
    """The id of the trail, which all its hashes stand on."""
    row = connection.execute("SELECT id FROM log").fetchone()
    if row is None:
        message = "it has no log id"
        raise sqlite3.DatabaseError(message)
    return str(row[0])


def _connect_to_read(path: Path, mode: str) -> sqlite3.Connection:
    connection = _connect(path, mode)
    try:
        read_log_id(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{mode}"
    return sqlite3.connect(uri, uri=True, timeout=_LOCK_WAIT_SECONDS, isolation_level=None, check_same_thread=False)


def _make_durable(connection: sqlite3.Connection) -> None:
    write_ahead(connection, _LOCK_WAIT_SECONDS)
    for pragma in ("synchronous = FULL", "fullfsync = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _make_tables(connection: sqlite3.Connection) -> None:
    with writing(connection):
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            for statement in TABLES:
                connection.execute(statement)
            connection.execute("INSERT INTO log VALUES (1, ?)", (new_id(),))


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable, not only its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
