"""What is remembered of the database is looked up again with the next request after it changed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from gateway.database import open_database
from gateway.errors import NotAuthenticatedError
from gateway.identity.keys import ApiKeys
from retrieval.changes import Changes
from tests.gateway.conftest import World

MARKED = import_module("gateway.migrations.versions.0011_change_marks").MARKED
ROWS = {
    "api_key": "(id, user_id, secret_sha256, created_at, scopes) VALUES ('k', 'u', '', '', '')",
    "directory": "(origin, tried_at, problem) VALUES ('ldap', '', '')",
    "group_nesting": "VALUES ('a', 'b', 'local')",
    "membership": "VALUES ('u', 'a', 'local')",
    "policy_bundle": "(revision, files, shipped, schema_text, 'by', loaded_at) VALUES ('', '', '', '', '', '')",
    "source": """(name, type, settings, access_file, added_at, max_acl_age_seconds, read_with, failure)
        VALUES ('s', 'folder', '', '', '', 0, '', '')""",
    "user": "(id, roles, active, created_at) VALUES ('w', 'employee', 1, '')",
}
USER = "INSERT INTO user (id, roles, active, created_at) VALUES ('u', 'employee', 1, '')"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "muniment.db")
    yield engine
    engine.dispose()


def write(database: Engine, statement: str) -> None:
    with database.execution_options(writing=True).begin() as connection:
        assert connection.execute(text(statement)).rowcount > 0


@pytest.mark.parametrize(("mark", "table"), [(mark, table) for mark, tables in MARKED.items() for table in tables])
def test_every_change_to_a_table_changes_its_mark_and_no_other(database: Engine, mark: str, table: str) -> None:
    write(database, USER)
    changes = Changes(database)
    columns = MARKED[mark][table] or tuple(columns_of(database, table))
    updates = [f'UPDATE "{table}" SET "{column}" = "{column}"' for column in columns]
    seen = [changes.marks()]
    for statement in (f'INSERT INTO "{table}" {ROWS[table]}', *updates, f'DELETE FROM "{table}"'):
        write(database, statement)
        seen.append(changes.marks())
        assert getattr(seen[-1], mark) != getattr(seen[-2], mark), statement
        assert seen[-1]._replace(**{mark: ""}) == seen[-2]._replace(**{mark: ""}), statement
    changes.close()


def columns_of(database: Engine, table: str) -> list[str]:
    with database.connect() as connection:
        return [row[1] for row in connection.exec_driver_sql(f'PRAGMA table_info("{table}")')]


def test_that_a_key_was_used_changes_nothing(database: Engine) -> None:
    write(database, USER)
    write(database, f"INSERT INTO api_key {ROWS['api_key']}")
    changes = Changes(database)
    before = changes.marks()
    write(database, "UPDATE api_key SET last_used_at = '2026-12-01'")
    assert changes.marks() == before
    changes.close()


def test_a_database_that_is_not_to_be_had_is_no_answer(tmp_path: Path, database: Engine) -> None:
    changes = Changes(database)
    assert changes.glance() is not None
    with closing(sqlite3.connect(tmp_path / "muniment.db", isolation_level=None)) as other:
        other.execute("DROP TABLE change_mark")
        assert changes.glance() is None
    changes.close()


def keys_of(world: World) -> ApiKeys:
    services = world.services
    return ApiKeys(services.database, services.last_use, services.freshness, changes=services.changes)


@pytest.mark.parametrize("told", [True, False], ids=["told", "control: untold"])
def test_a_remembered_key_ends_with_what_it_stands_on(world: World, *, told: bool) -> None:
    keys, key = keys_of(world), world.keys["bob"]
    assert keys.recognise(key) is None
    holder = keys.authenticate(key)
    assert keys.recognise(key) == holder
    if not told:
        write(world.services.database, "UPDATE change_mark SET identity = identity")
        with world.services.database.execution_options(writing=True).begin() as connection:
            connection.execute(text("DROP TRIGGER api_key_marks_update"))
            schema = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
            connection.exec_driver_sql(f"PRAGMA schema_version = {schema}")
        keys.authenticate(key)
    world.services.users.revoke_key(holder.key_id, by="test")
    if told:
        assert keys.recognise(key) is None
        with pytest.raises(NotAuthenticatedError):
            keys.authenticate(key)
    else:
        assert keys.recognise(key) == holder, "without the trigger nobody would notice"


def test_a_wrong_secret_is_no_remembered_key(world: World) -> None:
    keys, key = keys_of(world), world.keys["bob"]
    keys.authenticate(key)
    wrong = f"{key[:-4]}AAAA"
    assert keys.recognise(wrong) is None, "or the time would tell that there is such a key"
    with pytest.raises(NotAuthenticatedError):
        keys.authenticate(wrong)
