"""A trail in a SQLite file of its own: its tables, and how it is opened to write and to read.

Rows are only ever added, and what an entry says can only be taken out. The triggers stop accidents, not an attacker
with write access to the file: that is what the hashes and checkpoints are for. What entries are searched by is computed
from their bodies, so it cannot disagree.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from policies.audit.chain import new_id
from policies.audit.presence import Presence, gone
from policies.audit.storage import NewEntry, ReplacedError, StorageError, StoredCheckpoint, StoredEntry, Values
from policies.private_files import sync_folder
from policies.sqlite import lacks_room, write_ahead

_LOCK_WAIT_SECONDS = 5.0
"""How long to wait for another writing process; each holds the lock for one commit."""


def _refusal(table: str, verb: str, unless: str = "") -> str:
    """A trigger that refuses to change or remove what a table holds."""
    exception = f" WHEN NOT ({unless})" if unless else ""
    return (
        f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb.upper()} ON {table}{exception} "
        f"BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END"
    )


_KEPT = ("id", "writer", "seq", "previous", "hash")
"""What an entry keeps when what it says is removed."""

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
    body TEXT,
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
    *(_refusal(table, verb) for table in ("log", "checkpoints") for verb in ("update", "delete")),
    _refusal("entries", "delete"),
    _refusal("entries", "update", " AND ".join(["new.body IS NULL", *(f"new.{kept} = old.{kept}" for kept in _KEPT)])),
)
"""Everything the file consists of; the verifier compares it, since a changed definition could hide entries."""


class FileReader:
    """A file opened to read; also on read-only media."""

    def __init__(self, path: Path) -> None:
        with _told():
            try:
                self._open(path, "mode=ro")
            except sqlite3.OperationalError:
                # A file in write-ahead mode needs a place for its lock file, which read-only media lack. Where nobody
                # can be writing, it can be read without.
                if path.with_name(f"{path.name}-wal").exists():
                    raise
                self._open(path, "mode=ro&immutable=1")

    def select(self, query: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with _told():
            return self._connection.execute(query, values or {}).fetchall()

    def entries(self) -> Iterator[StoredEntry]:
        """All entries in their order."""
        self._connection.text_factory = bytes
        with _told():
            # Plain rows, in the order of the fields: making a tuple of them again would cost a third of a verification.
            yield from self._connection.execute("SELECT id, writer, seq, previous, hash, body FROM entries ORDER BY id")

    def is_as_made(self) -> bool:
        """Whether tables, computed columns, indexes and triggers are those that we make."""
        statements = self.select("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
        return {statement for (statement,) in statements} == set(TABLES)

    def holds(self, field: str, what: str, *, as_key: bool = False) -> str:
        """The condition that an event's field is the value `:what`, is a list with it, or has it as a key."""
        column = "key" if as_key else "value"
        return f"EXISTS (SELECT 1 FROM json_each(body, '$.event.{field}') WHERE {column} = :{what})"  # noqa: S608 - ours

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _open(self, path: Path, mode: str) -> None:
        self._connection = _connect(path, mode)
        try:
            self._connection.execute("BEGIN")  # One state of the file, from the first look on.
            self.log = _log_id(self._connection)
        except BaseException:
            self._connection.close()
            raise


class FileWriter:
    """A file opened to write, which commits durably; made with its tables when there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._presence: Presence | None = None
        with _told():
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_file(path)
            self._connection = _connect_to_write(path)
            try:
                _make_tables(self._connection)
                sync_folder(path.parent)
                self._file = _identity(path)
                self.log = _log_id(self._connection)
            except BaseException:
                self._connection.close()
                raise

    def select(self, query: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with _told():
            return self._connection.execute(query, values or {}).fetchall()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction, which holds the file's write lock from its beginning."""
        with _told(), _transaction(self._connection):
            yield

    def add_entries(self, entries: Sequence[NewEntry]) -> None:
        """Add rows behind the last one."""
        with _told():
            self._connection.executemany(
                "INSERT INTO entries (writer, seq, previous, hash, body) VALUES (?, ?, ?, ?, ?)", entries
            )

    def add_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        """Add a row."""
        with _told():
            self._connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?)", checkpoint)

    def remove_bodies(self, ids: Sequence[int]) -> None:
        """Take what these entries say out of them."""
        with _told():
            self._connection.executemany("UPDATE entries SET body = NULL WHERE id = ?", [(id_,) for id_ in ids])

    def require_same_place(self) -> None:
        """Whoever moved the file away while it was open would otherwise have us write where nobody looks."""
        with _told():
            if _identity(self._path) != self._file:
                message = "it was moved or replaced"
                raise ReplacedError(message)

    def reconnect(self) -> None:
        """Open the same file again."""
        with _told():
            self._connection.close()
            self._connection = _connect_to_write(self._path)
            self.require_same_place()
            if _log_id(self._connection) != self.log:
                message = "it was replaced"
                raise ReplacedError(message)

    def arrive(self, writer: str) -> None:
        """Be known as a running writer."""
        with _told():
            self._presence = Presence(self._path, writer)

    def leave(self, *, settled: bool) -> None:
        """Be gone."""
        if self._presence:
            self._presence.end(settled=settled)

    @contextmanager
    def gone(self) -> Iterator[list[str]]:
        """The writers whose processes are gone."""
        with _told(), gone(self._path) as writers:
            yield writers

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


@contextmanager
def _told() -> Iterator[None]:
    """Say what SQLite and the system report in our words."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageError(str(error), lacks_room=lacks_room(error)) from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _log_id(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT id FROM log").fetchone()
    if row is None:
        message = "it has no log id"
        raise sqlite3.DatabaseError(message)
    return str(row[0])


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{mode}"
    return sqlite3.connect(uri, uri=True, timeout=_LOCK_WAIT_SECONDS, isolation_level=None, check_same_thread=False)


def _connect_to_write(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "mode=rw")
    try:
        write_ahead(connection, _LOCK_WAIT_SECONDS)
        for pragma in ("synchronous = FULL", "fullfsync = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_file(path: Path) -> None:
    """Make an empty file, for us alone, where there is none.

    One that is there is not even opened: closing any descriptor of a file gives up all locks of this process on it,
    and then other processes take those for gone that still write, and remove what these wrote last.
    https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _make_tables(connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            for statement in TABLES:
                connection.execute(statement)
            connection.execute("INSERT INTO log VALUES (1, ?)", (new_id(),))


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
