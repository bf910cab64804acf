"""The database opens, migrates, and says what is wrong when it cannot."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlmodel import Session, SQLModel, select

import gateway.audit.store
import gateway.chat.store
import gateway.database
import gateway.holds
import gateway.identity.memberships
import gateway.identity.scim.store
import gateway.identity.store
import gateway.models.history
import gateway.subjects
import gateway.usage.store
import retrieval.embeddings
import retrieval.labels
import retrieval.tables
from gateway.database import _alembic, open_database
from gateway.errors import DatabaseBusyError, DatabaseUnusableError
from policies.labels import Label
from retrieval.sessions import writing

TABLES = (
    gateway.audit.store,
    gateway.identity.memberships,
    gateway.identity.scim.store,
    gateway.identity.store,
    gateway.chat.store,
    gateway.holds,
    gateway.models.history,
    gateway.subjects,
    gateway.usage.store,
    retrieval.embeddings,
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


def test_writing_takes_its_turn_before_anything_is_looked_at(tmp_path: Path) -> None:
    """What is asked first in such a block, of the ledger or the trail, must not change before the block ends."""
    database = open_database(tmp_path / "muniment.db")

    def is_locked() -> bool:
        with closing(sqlite3.connect(tmp_path / "muniment.db", timeout=0)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                return "locked" in str(error)
            return False

    with writing(database):
        assert is_locked()
    assert not is_locked()
    with Session(database.execution_options(writing=True)):
        assert not is_locked(), "negative control: a session alone begins with its first statement"
    database.dispose()


def test_a_damaged_file_is_said_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "muniment.db"
    path.write_bytes(b"this is no database" * 100)
    before = path.read_bytes()
    with pytest.raises(DatabaseUnusableError, match="Restore it from a backup"):
        open_database(path)
    assert path.read_bytes() == before


def test_a_lock_at_opening_means_later_and_not_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "muniment.db"
    open_database(path).dispose()
    monkeypatch.setattr(gateway.database, "_BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusyError, match="try again later"):
            open_database(path)
        other.execute("ROLLBACK")
    open_database(path).dispose()


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


def test_documents_of_the_first_version_keep_their_readers(tmp_path: Path) -> None:
    """Labels get their source's name, and passages their document's label; the index is made anew."""
    path = tmp_path / "muniment.db"
    path.touch()
    engine = create_engine(f"sqlite:///{path}")
    old = {
        "allow_groups": ["everyone"],
        "allow_users": [],
        "classification": "internal",
        "deny_groups": [],
        "deny_users": [],
    }
    with engine.begin() as connection:
        command.upgrade(_alembic(connection), "0001")
        for statement in (
            "INSERT INTO corpus VALUES (1, 7, 'stamp')",
            f"INSERT INTO label VALUES (1, 'digest', '{json.dumps(old)}')",
            *(
                f"INSERT INTO document VALUES ('{source}', '{source}', 'x', 'x', '', '[]', '', '', '', NULL, 1, '', 7, 0)"  # noqa: E501
                for source in ("hr", "it")
            ),
            "INSERT INTO passage VALUES (1, 'hr', 0, '', '[]', 'text', '[]', 0, 4, NULL, x'00')",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    database = open_database(path)
    with Session(database) as session:
        labels = retrieval.labels.all_labels(session)
        of_document = {row.id: labels[row.label_id] for row in session.exec(select(retrieval.tables.DocumentRow)).all()}
        passage = session.get_one(retrieval.tables.PassageRow, 1)
        everyone = Label.for_groups("everyone")
        assert of_document == {source: replace(everyone, source=source) for source in ("hr", "it")}
        assert labels[passage.label_id] == of_document["hr"]
        assert len(labels) == len(of_document)
        assert retrieval.labels.corpus_state(session).epoch > 7
    database.dispose()


def test_passages_of_before_flags_have_none_and_nothing_is_released(tmp_path: Path) -> None:
    path = tmp_path / "muniment.db"
    path.touch()
    engine = create_engine(f"sqlite:///{path}")
    document = dict.fromkeys(("title", "url", "author", "media_type", "content_digest"), "")
    document |= {"id": "d", "source": "hr", "external_id": "x", "path": "x", "path_spans": "[]", "title_spans": "[]"}
    passage = {"document_id": "d", "ordinal": 0, "label_id": 1, "parts": "", "heading": "", "heading_spans": "[]"}
    rows: dict[str, dict[str, object]] = {
        "corpus": {"id": 1, "epoch": 7, "stamp": "stamp"},
        "label": {"id": 1, "digest": "digest", "canonical": "{}"},
        "document": document | {"label_id": 1, "epoch": 7, "deleted": 0},
        "passage": passage | {"text": "text", "spans": "[]", "start": 0, "end": 4, "vector": b"x"},
    }
    with engine.begin() as connection:
        command.upgrade(_alembic(connection), "0007")
        for table, row in rows.items():
            names, places = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
            connection.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(row.values()))
    engine.dispose()
    database = open_database(path)
    with Session(database) as session:
        assert session.exec(select(retrieval.tables.PassageRow.flags)).all() == [""]
        assert session.exec(select(retrieval.tables.PassageRow.released)).all() == [False]
        assert retrieval.labels.corpus_state(session).epoch == 7
    database.dispose()


def test_a_full_disk_is_not_called_damage(tmp_path: Path) -> None:
    """Whoever moved a sound database away for want of room would lose users and keys."""
    database = open_database(tmp_path / "muniment.db")

    def fill() -> None:
        with database.begin() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            for row in ((str(number), "x" * 4096) for number in range(1000)):
                connection.exec_driver_sql("INSERT INTO label (digest, canonical) VALUES (?, ?)", row)

    with pytest.raises(DatabaseUnusableError, match=r"full.*nothing needs to be restored"):
        fill()
    database.dispose()


def test_a_database_migrated_beneath_a_running_process_is_refused(tmp_path: Path) -> None:
    """What the older version would read of the newer one's tables may mean something else."""
    path = tmp_path / "muniment.db"
    database = open_database(path)
    with Session(database) as session:
        assert session.exec(select(retrieval.tables.SourceRow)).all() == []
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("ALTER TABLE source ADD COLUMN importance INTEGER")
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.commit()
    for _ in range(2):
        with Session(database) as session, pytest.raises(DatabaseUnusableError, match="start that version"):
            session.exec(select(retrieval.tables.SourceRow)).all()
    database.dispose()


def test_a_change_of_the_file_that_is_no_migration_is_passed_over(tmp_path: Path) -> None:
    database = open_database(tmp_path / "muniment.db")
    with Session(database) as session:
        session.exec(select(retrieval.tables.SourceRow)).all()
    with closing(sqlite3.connect(tmp_path / "muniment.db")) as other:
        other.execute("CREATE INDEX made_by_somebody ON source (type)")
        other.commit()
    with Session(database) as session:
        assert session.exec(select(retrieval.tables.SourceRow)).all() == []
    database.dispose()
