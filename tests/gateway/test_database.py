"""The database opens, migrates, and says what is wrong when it cannot."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlmodel import SQLModel

import gateway.chat.store
import gateway.identity.memberships
import gateway.identity.scim.store
import gateway.identity.store
import retrieval.tables
from gateway.database import _alembic, open_database
from gateway.errors import DatabaseUnusableError

TABLES = (
    gateway.identity.memberships,
    gateway.identity.scim.store,
    gateway.identity.store,
    gateway.chat.store,
    retrieval.tables,
)
"""Imported so that their classes are known."""


def test_the_migrated_tables_are_those_of_the_classes(tmp_path: Path) -> None:
    database = open_database(tmp_path / "muniment.db")
    with database.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
    database.dispose()


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    open_database(tmp_path / "muniment.db").dispose()
    assert (tmp_path / "muniment.db").stat().st_mode & 0o077 == 0


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    open_database(tmp_path / "muniment.db").dispose()
    open_database(tmp_path / "muniment.db").dispose()


def test_memberships_and_disabled_users_from_before_keep_their_meaning(tmp_path: Path) -> None:
    path = tmp_path / "muniment.db"
    path.touch()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        command.upgrade(_alembic(connection), "0003")
        connection.execute(text("INSERT INTO user (id, roles, active, created_at) VALUES ('a', 'employee', 1, '2026')"))
        connection.execute(text("INSERT INTO user (id, roles, active, created_at) VALUES ('b', 'employee', 0, '2026')"))
        connection.execute(text("INSERT INTO membership (user_id, \"group\") VALUES ('a', 'staff')"))
    engine.dispose()
    open_database(path).dispose()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute('SELECT user_id, "group", origin FROM membership').fetchall() == [
            ("a", "staff", "local")
        ]
        rows = connection.execute("SELECT id, kind, origin, active, disabled_by FROM user ORDER BY id").fetchall()
    assert rows == [("a", "user", "local", 1, ""), ("b", "user", "local", 0, "local")]


def test_a_damaged_file_is_said_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "muniment.db"
    path.write_bytes(b"this is no database" * 100)
    before = path.read_bytes()
    with pytest.raises(DatabaseUnusableError, match="Restore it from a backup"):
        open_database(path)
    assert path.read_bytes() == before


def test_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "muniment.db"
    open_database(path).dispose()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(DatabaseUnusableError, match="newer version"):
        open_database(path)


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DatabaseUnusableError, match="cannot be opened"):
        open_database(tmp_path / "data" / "muniment.db")
