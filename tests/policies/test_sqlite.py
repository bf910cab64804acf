"""Opening a SQLite file beside others that open it."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from policies.sqlite import is_busy, write_ahead

OPENERS = 6
ROUNDS = 60


def refused(file: Path, set_mode: Callable[[sqlite3.Connection], object]) -> list[sqlite3.OperationalError]:
    """The errors of as many as open a new file at once, each on its own connection."""
    together, errors = threading.Barrier(OPENERS), []

    def open_file() -> None:
        with closing(sqlite3.connect(file, timeout=5, isolation_level=None)) as connection:
            together.wait()
            try:
                set_mode(connection)
            except sqlite3.OperationalError as error:
                errors.append(error)

    threads = [threading.Thread(target=open_file) for _ in range(OPENERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_all_that_open_a_new_file_at_once_succeed(tmp_path: Path) -> None:
    for number in range(ROUNDS):
        file = tmp_path / f"{number}.db"
        assert not refused(file, lambda connection: write_ahead(connection, 5.0))
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_without_trying_again_some_are_refused(tmp_path: Path) -> None:
    """The negative control: SQLite's own time-out does not help."""
    for number in range(ROUNDS * 20):
        errors = refused(tmp_path / f"{number}.db", lambda connection: connection.execute("PRAGMA journal_mode = WAL"))
        if errors:
            assert all(map(is_busy, errors))
            return
    pytest.fail("No race was met, so the test above shows nothing.")


def test_a_file_that_stays_locked_is_refused_in_the_end(tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as holder,
        closing(sqlite3.connect(tmp_path / "a.db", timeout=0)) as other,
    ):
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            write_ahead(other, 0.05)
