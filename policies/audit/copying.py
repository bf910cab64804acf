"""A trail as one SQLite file of the format of `docs/audit-format.md`, wherever it is kept: what auditors take."""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from policies.audit.database import TABLES
from policies.audit.places import TrailPlace, open_to_read, unreadable
from policies.audit.storage import ReadableTrail, StorageError
from policies.errors import TrailUnwritableError
from policies.private_files import sync_folder


def copy_trail(place: TrailPlace, to: Path) -> int:
    """Write one state of a trail, beside whoever writes to it, row by row; returns how many entries there are.

    The file is whole or not there, its owner alone can read it, and nothing is overwritten.

    Raises:
        TrailUnreadableError: The trail cannot be read.
        TrailUnwritableError: There is such a file, or it cannot be written.
    """
    with closing(open_to_read(place)) as trail, _made(to) as made:
        try:
            with closing(sqlite3.connect(made, isolation_level=None)) as file:
                _fill(file, trail)
                [(entries,)] = file.execute("SELECT count(*) FROM entries").fetchall()
        except StorageError as error:
            raise unreadable(place, error) from error
        return int(entries)


def _fill(file: sqlite3.Connection, trail: ReadableTrail) -> None:
    file.execute("PRAGMA synchronous = FULL")
    file.execute("BEGIN")
    for statement in TABLES:
        file.execute(statement)
    file.execute("INSERT INTO log VALUES (1, ?)", (trail.log,))
    checkpoints = trail.select("SELECT number, body, signature FROM checkpoints ORDER BY number")
    file.executemany("INSERT INTO checkpoints VALUES (?, ?, ?)", checkpoints)
    insert = "INSERT INTO entries (id, writer, seq, previous, hash, body) VALUES (?, ?, ?, ?, ?, ?)"
    file.executemany(insert, _rows(trail))
    file.execute("COMMIT")


def _rows(trail: ReadableTrail) -> Iterator[tuple[int, str, int, bytes, bytes, str | None]]:
    for id_, writer, seq, previous, hash_, body in trail.entries():
        yield id_, writer.decode(), seq, previous, hash_, None if body is None else body.decode()


@contextmanager
def _made(to: Path) -> Iterator[Path]:
    """An empty file beside `to`, which gets its name when the block has ended without an error."""
    made = to.with_name(f".{to.name}.{secrets.token_hex(4)}")
    try:
        try:
            os.close(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            yield made
            os.link(made, to)
            sync_folder(to.parent)
        finally:
            made.unlink(missing_ok=True)
            made.with_name(f"{made.name}-journal").unlink(missing_ok=True)
    except FileExistsError as error:
        message = f"{to} is there already and was not overwritten. Name another file."
        raise TrailUnwritableError(message) from error
    except (OSError, sqlite3.Error) as error:
        message = f"The trail cannot be copied to {to}: {error}. Nothing was left there."
        raise TrailUnwritableError(message) from error
