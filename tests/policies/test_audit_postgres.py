"""A trail in PostgreSQL: its roles, what its server must promise, where its connection goes, and what shows."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from policies import egress
from policies.audit import postgres as ours
from policies.audit.chain import encode, new_id
from policies.audit.events import SearchAsked
from policies.audit.places import PostgresPlace, open_to_read, open_to_write, prepare
from policies.audit.postgres_tables import DEFINITION, MADE, OWNER, WRITER, digest, statements
from policies.audit.reader import EntryQuery, read_entries
from policies.audit.store import Trail
from policies.audit.verifier import FindingKind, verify
from policies.audit.writer import ChainWriter
from policies.errors import TrailUnavailableError, TrailUnreadableError
from policies.keys import Keys
from tests.policies.trails import administrating, made_in, owner_of, owning, rows
from tests.postgres import Server

WAIT_SECONDS = 20.0


def asked(principal: str = "ada", request: str = "r1") -> SearchAsked:
    return SearchAsked(request, principal, "test", "0" * 64, "1" * 64)


@pytest.fixture
def schema(postgres: Server) -> Iterator[PostgresPlace]:
    with made_in(postgres) as place:
        yield place


@pytest.fixture
def written(schema: PostgresPlace, keys: Keys) -> PostgresPlace:
    chain = ChainWriter(schema, keys)
    for number in range(4):
        chain.append([encode(asked(f"user-{number}"), datetime.now(UTC))])
        chain.seal()
    chain.close()
    return schema


# Who may do what.

CHANGES = [
    "UPDATE entries SET body = '{}'",
    "UPDATE entries SET body = NULL WHERE id = 1",
    "UPDATE checkpoints SET signature = ''",
    "UPDATE log SET id = 'x'",
    "DELETE FROM entries",
    "DELETE FROM checkpoints",
    "DELETE FROM writers",
    "TRUNCATE entries",
    "DROP TABLE entries",
    "ALTER TABLE entries DISABLE TRIGGER ALL",
    "ALTER TABLE entries ADD COLUMN more text",
    "CREATE INDEX ON entries (body)",
    "DROP TRIGGER no_update ON entries",
    "CREATE OR REPLACE FUNCTION spoken(body text) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'",
    "CREATE TABLE more (id int)",
    "INSERT INTO log VALUES (2, 'x')",
    "INSERT INTO entries (id, writer, seq, previous, hash, body, at) VALUES (9, 'x', 1, '', '', '{}', 'never')",
    "COPY entries TO PROGRAM 'true'",
    "SET session_replication_role = replica",
    f"SET ROLE {OWNER}",
]


@pytest.mark.parametrize("statement", CHANGES)
def test_who_writes_can_only_add(written: PostgresPlace, statement: str) -> None:
    before = rows(written, "SELECT id, body FROM entries ORDER BY id")
    with psycopg.connect(host=written.host, dbname=written.database, user=WRITER, autocommit=True) as connection:
        connection.execute(f"SET search_path = {written.schema}")
        with pytest.raises(psycopg.Error, match=r"denied|must be owner|generated|permission"):
            connection.execute(statement)
    assert rows(written, "SELECT id, body FROM entries ORDER BY id") == before


@pytest.mark.parametrize("statement", ["DELETE FROM entries", "TRUNCATE entries", "UPDATE log SET id = 'x'"])
def test_the_owner_is_held_up_by_triggers(written: PostgresPlace, statement: str) -> None:
    with owning(written) as connection, pytest.raises(psycopg.errors.RaiseException, match="only grows"):
        connection.execute(statement)


def may_update(place: PostgresPlace) -> PostgresPlace:
    with administrating(place) as administrator:
        administrator.execute(f"GRANT UPDATE (body) ON entries TO {WRITER}")
    return place


def as_owner(place: PostgresPlace) -> PostgresPlace:
    return replace(place, user=OWNER)


def as_superuser(place: PostgresPlace) -> PostgresPlace:
    return replace(place, user="root")


@pytest.mark.parametrize("rights", [may_update, as_owner, as_superuser])
def test_a_role_that_could_change_entries_is_refused(
    schema: PostgresPlace, keys: Keys, rights: Callable[[PostgresPlace], PostgresPlace]
) -> None:
    with pytest.raises(TrailUnavailableError, match="its role may change entries"):
        Trail.open(rights(schema), keys)


# What the server must promise.


def altered(place: PostgresPlace, setting: str, value: str) -> Callable[[], None]:
    """A setting of the running server, and how it is put back."""

    def alter(statement: str) -> None:
        with administrating(place) as administrator:
            administrator.execute(statement)
            administrator.execute("SELECT pg_reload_conf()")
            administrator.execute("SELECT pg_sleep(0.2)")

    alter(f"ALTER SYSTEM SET {setting} = {value}")
    return lambda: alter(f"ALTER SYSTEM RESET {setting}")


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_may_forget_is_refused(schema: PostgresPlace, keys: Keys, setting: str) -> None:
    """At opening, and within the transaction when it is changed later."""
    chain = ChainWriter(schema, keys)
    put_back = altered(schema, setting, "off")
    try:
        with pytest.raises(TrailUnavailableError, match=f"{setting} = off and may lose"):
            chain.append([encode(asked(), datetime.now(UTC))])
        with pytest.raises(TrailUnavailableError, match=f"{setting} = off and may lose"):
            Trail.open(schema, keys)
    finally:
        put_back()
    assert [entry.seq for entry in chain.append([encode(asked(), datetime.now(UTC))])] == [1]
    chain.close()


def test_who_asks_for_haste_does_not_get_it(schema: PostgresPlace, keys: Keys) -> None:
    """Defaults of roles and databases do not make commits that are not waited for."""
    with administrating(schema) as administrator:
        administrator.execute(f"ALTER ROLE {WRITER} SET synchronous_commit = off")
    try:
        chain = ChainWriter(schema, keys)
        [(said,)] = chain._storage.select("SELECT current_setting('synchronous_commit')")
        assert said == "on"
        chain._storage._connection.execute("SET synchronous_commit = off")  # type: ignore[attr-defined]
        with pytest.raises(TrailUnavailableError, match="synchronous_commit = off"):
            chain.append([encode(asked(), datetime.now(UTC))])
        chain.close()
    finally:
        with administrating(schema) as administrator:
            administrator.execute(f"ALTER ROLE {WRITER} RESET synchronous_commit")


# Where its connection goes.


def test_a_password_is_never_shown(schema: PostgresPlace) -> None:
    place = replace(schema, password="hunter2-secret")
    assert "hunter2-secret" not in f"{place} {place!r}"
    with pytest.raises(TrailUnavailableError) as refused:
        open_to_write(replace(place, database="none"))
    assert "hunter2-secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "addresses", "mode"),
    [
        ("db.example", ["192.0.2.7", "192.0.2.8"], "verify-full"),
        ("db.example", ["127.0.0.1", "192.0.2.8"], "verify-full"),
        ("localhost", ["127.0.0.1", "::1"], "prefer"),
        ("/run/postgresql", [], "prefer"),
    ],
)
def test_a_connection_goes_to_the_addresses_that_were_looked_at(
    monkeypatch: pytest.MonkeyPatch, host: str, addresses: list[str], mode: str
) -> None:
    asked_for: list[dict[str, object]] = []

    def connect(**named: object) -> object:
        asked_for.append(named)
        message = "connection refused"
        raise psycopg.OperationalError(message)

    monkeypatch.setattr(egress, "addresses_of", lambda *_: addresses)
    monkeypatch.setattr(ours._Bounded, "connect", connect)
    monkeypatch.setenv("PGHOSTADDR", "203.0.113.1")
    with pytest.raises(TrailUnavailableError, match="connection refused"):
        open_to_write(PostgresPlace(host, "db", "writer", certificates="ca.pem"))
    [named] = asked_for
    assert named["hostaddr"] == ",".join(addresses)
    assert named["host"] == ",".join([host] * max(1, len(addresses)))
    assert (named["sslmode"], named["sslrootcert"]) == (mode, "ca.pem")
    assert (named["gssencmode"], named["passfile"]) == ("disable", "/dev/null/none")


@pytest.mark.parametrize("host", ["instance-data", "metadata.google.internal"])
def test_a_host_that_nothing_connects_to_is_refused(host: str) -> None:
    with pytest.raises(TrailUnavailableError, match="nothing connects to"):
        open_to_write(PostgresPlace(host, "db", "writer"))


# What shows.


def test_what_is_made_is_known(schema: PostgresPlace) -> None:
    with closing(open_to_read(schema)) as trail:
        lines = [line for (line,) in trail.select(DEFINITION, {"schema": schema.schema})]
        assert digest(lines) == MADE, "\n".join(sorted(lines))
        assert trail.is_as_made()


REDEFINITIONS = [
    "DROP TRIGGER no_update ON entries",
    "ALTER TABLE entries DISABLE TRIGGER no_delete",
    "DROP INDEX entries_actor",
    "ALTER TABLE entries ADD COLUMN more text",
    "ALTER TABLE entries SET UNLOGGED",
    "CREATE TABLE more (id int)",
    "CREATE RULE hide AS ON INSERT TO checkpoints DO INSTEAD NOTHING",
    "ALTER TABLE entries ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE entries RENAME TO kept; CREATE VIEW entries AS SELECT * FROM kept WHERE id > 1",
    "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
    "CREATE OR REPLACE FUNCTION spoken(body text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT NULL::jsonb'",
]


@pytest.mark.parametrize("statement", REDEFINITIONS)
def test_a_changed_definition_is_found(written: PostgresPlace, keys: Keys, statement: str) -> None:
    assert verify(written, keys.public_key_pem()).ok
    with administrating(written) as administrator:
        administrator.execute(statement)
    try:
        found = {finding.kind for finding in verify(written, keys.public_key_pem()).findings}
    except TrailUnreadableError:
        return  # Row level security keeps the writer from reading anything.
    assert FindingKind.DEFINITION_ALTERED in found


def test_an_entry_that_is_searched_by_something_else_is_found(schema: PostgresPlace, keys: Keys) -> None:
    """Somebody changes what columns are computed by for a while, and puts it back."""
    with administrating(schema) as administrator:
        [(source,)] = administrator.execute(
            "SELECT prosrc FROM pg_proc WHERE proname = 'spoken' AND pronamespace = current_schema()::regnamespace"
        )
        define = "CREATE OR REPLACE FUNCTION spoken(body text) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS"
        administrator.execute(f"{define} $$SELECT '{{}}'::jsonb$$")
        with Trail.open(schema, keys) as trail:
            trail.record(asked(), WAIT_SECONDS)
        administrator.execute(f"{define} $${source}$$")
    assert read_entries(schema, EntryQuery(principal="ada")) == []
    assert {found.kind for found in verify(schema, keys.public_key_pem()).findings} == {FindingKind.DEFINITION_ALTERED}


TAMPERINGS: list[tuple[str, FindingKind, int]] = [
    ("UPDATE entries SET body = replace(body, 'user-', 'User-') WHERE id = 2", FindingKind.ALTERED, 2),
    ("UPDATE entries SET body = NULL WHERE id = 2", FindingKind.NOT_REMOVED, 2),
    ("DELETE FROM entries WHERE id = 2", FindingKind.MISSING, 2),
    ("DELETE FROM entries WHERE id >= 3", FindingKind.CUT, 3),
    ("UPDATE entries SET seq = seq + 100 WHERE id = 2", FindingKind.MISPLACED, 2),
    ("UPDATE entries SET writer = 'eeeeeeeeeeeeeeee'", FindingKind.UNKNOWN_WRITER, 1),
    ("UPDATE log SET id = '0000000000000000'", FindingKind.OTHER_TRAIL, 0),
    ("UPDATE checkpoints SET signature = '\\x00' WHERE number = 4", FindingKind.BAD_SIGNATURE, 4),
    ("DELETE FROM checkpoints WHERE number = 2", FindingKind.CHECKPOINTS_ALTERED, 0),
]


@pytest.mark.parametrize(("statement", "kind", "entry"), TAMPERINGS)
def test_a_tampering_is_found_and_located(
    written: PostgresPlace, keys: Keys, statement: str, kind: FindingKind, entry: int
) -> None:
    with administrating(written) as administrator:
        administrator.execute(statement)
    found = verify(written, keys.public_key_pem()).findings
    assert any(one.kind == kind and (not entry or one.first <= entry <= one.last) for one in found), found


ODD = ["a\0b", "a\ud800b", "\udc00", "a\\u0000", "\\ud83d\ude00", "\U0001f600", "\ud83d\ude00", "\\\\ud800", '"', "é\n"]


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_postgres_has_no_place_for_is_recorded_and_found(
    schema: PostgresPlace, keys: Keys, name: str
) -> None:
    with Trail.open(schema, keys) as trail:
        trail.record(asked(name), WAIT_SECONDS)
        trail.record(asked("somebody-else", "r2"), WAIT_SECONDS)
    [entry] = read_entries(schema, EntryQuery(principal=name))
    assert entry.event["principal"].encode("utf-16", "surrogatepass") == name.encode("utf-16", "surrogatepass")
    assert verify(schema, keys.public_key_pem()).ok


# Preparing.


def test_a_trail_is_prepared_once(postgres: Server, keys: Keys) -> None:
    schema = f"trail_{new_id()}"
    administrator = PostgresPlace(str(postgres.folder), "postgres", "root", schema=schema)
    prepare(administrator, OWNER, WRITER)
    place = replace(administrator, user=WRITER)
    with Trail.open(place, keys) as trail:
        trail.record(asked(), WAIT_SECONDS)
    with pytest.raises(TrailUnavailableError, match="prepared in it already"):
        prepare(administrator, OWNER, WRITER)
    assert len(read_entries(place, EntryQuery())) == 1
    with closing(postgres.connect()) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.mark.parametrize("name", ["x; DROP TABLE y", "", "Ab", "a-b", "1a", "a" * 64])
def test_names_are_letters_digits_and_underscores(name: str) -> None:
    for given in (("log", name), ("log", "s", name), ("log", "s", "o", name)):
        with pytest.raises(ValueError, match="no name for a role"):
            statements(*given)


def test_without_a_trail_it_is_said_what_to_do(schema: PostgresPlace, keys: Keys) -> None:
    with pytest.raises(TrailUnavailableError, match="muniment audit prepare"):
        Trail.open(replace(schema, schema="nothing_here"), keys)
    with pytest.raises(TrailUnreadableError, match="muniment audit prepare"):
        read_entries(replace(schema, schema="nothing_here"), EntryQuery())


def test_the_owner_can_be_named_to_remove(written: PostgresPlace, keys: Keys) -> None:
    ChainWriter(owner_of(written), keys).close()
