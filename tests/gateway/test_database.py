"""The database opens, migrates, and says what is wrong when it cannot."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

import gateway.chat.store
import gateway.identity.memberships
import gateway.identity.scim.store
import gateway.identity.store
import retrieval.tables
from gateway.database import open_database
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
