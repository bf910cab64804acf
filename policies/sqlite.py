"""What every SQLite file of ours needs: write-ahead mode, and telling a lock and a full disk from damage."""

import sqlite3
import time

_PAUSE_SECONDS = 0.01


def write_ahead(connection: sqlite3.Connection, wait_seconds: float) -> None:
    """Put the connection's file into write-ahead mode, waiting for other processes that are opening it.

    SQLite's own waiting does not cover this: two that change the mode of a new file at once would wait for each other,
    so one of them is refused immediately.

    Raises:
        sqlite3.OperationalError: The file was still locked after `wait_seconds`, or cannot be written.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def is_busy(error: object) -> bool:
    """Whether the error is a lock that was not given up in time."""
    return _kind(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def lacks_room(error: object) -> bool:
    """Whether SQLite met a disk that is full or fails."""
    return _kind(error) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


def _kind(error: object) -> int | None:
    """The low byte of SQLite's extended result code, which is the kind of error; https://www.sqlite.org/rescode.html."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
