"""Moving the trail to PostgreSQL by commands, and going on with one that was restored from an earlier day."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from gateway.config import AuditOptions, Home
from gateway.errors import ConfigurationError
from gateway.trail_place import postgres_place, trail_place
from policies.audit.chain import new_id
from tests.gateway.cli.commands import Commands
from tests.policies.trails import administrating
from tests.postgres import Server


@pytest.fixture
def schema(postgres: Server) -> Iterator[str]:
    """A name for a schema that is not there yet, and goes afterwards."""
    name = f"moved_{new_id()}"
    yield name
    with closing(postgres.connect()) as administrator:
        administrator.execute("SET client_min_messages = warning")
        administrator.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


def configure(commands: Commands, server: Server, schema: str, user: str = "muniment_audit_writer") -> None:
    host = str(server.folder).replace("/", "%2F")
    (commands.home / "muniment.toml").write_text(
        f'[audit]\ndatabase = "postgresql://{user}@{host}/postgres"\ndatabase_schema = "{schema}"\n'
    )


def test_a_trail_moves_to_postgres(commands: Commands, postgres: Server, schema: str) -> None:
    before = len(commands.json("audit", "list", "-n", "1000")["entries"])
    configure(commands, postgres, schema)
    assert "muniment audit prepare" in commands.fail("search", "holiday", "--as", "alice", exit_code=7)
    with closing(postgres.connect()) as dba:
        dba.execute(commands.succeed("audit", "prepare"))
    assert "go-on" in commands.fail("search", "holiday", "--as", "alice", exit_code=7)
    assert "goes on as it is" in commands.succeed("audit", "go-on")
    assert "nothing was changed" in commands.succeed("audit", "go-on")
    assert commands.json("search", "holiday", "--as", "alice")["passages"]
    [loss] = commands.recorded("trail:loss-accepted")
    assert loss["entries"] >= before
    assert len(commands.recorded("search:asked")) == 1
    assert commands.json("audit", "verify")["ok"]
    assert "entries" in commands.succeed("audit", "copy", str(commands.home / "copy.db"))
    assert commands.json("audit", "verify", "--trail", str(commands.home / "copy.db"))["ok"]
    found = {check["name"]: check for check in commands.json("doctor") if check["name"] in ("trail", "network")}
    assert found["trail"]["level"] in ("ok", "warn"), found


def test_a_trail_is_prepared_as_somebody_who_may(commands: Commands, postgres: Server, schema: str) -> None:
    configure(commands, postgres, schema)
    address = f"postgresql://root@{str(postgres.folder).replace('/', '%2F')}/postgres"
    assert schema in commands.succeed("audit", "prepare", "--as", address)
    assert "already" in commands.fail("audit", "prepare", "--as", address, exit_code=7)
    assert "no name for a role" in commands.fail("audit", "prepare", "--writer", "x; DROP ROLE y", exit_code=2)


def test_a_role_that_could_change_the_trail_is_not_served(commands: Commands, postgres: Server, schema: str) -> None:
    configure(commands, postgres, schema, user="root")
    with closing(postgres.connect()) as dba:
        dba.execute(commands.succeed("audit", "prepare"))
    assert "may change entries" in commands.fail("search", "holiday", "--as", "alice", exit_code=7)


def test_a_trail_of_an_earlier_day_is_refused_and_can_be_gone_on_with(commands: Commands) -> None:
    trail = commands.home / "data" / "audit.db"
    with administrating(trail) as administrator:
        [(entries, checkpoints)] = administrator.execute(
            "SELECT (SELECT max(id) FROM entries), (SELECT max(number) FROM checkpoints)"
        ).fetchall()
    commands.succeed("search", "holiday", "--as", "alice")
    with administrating(trail) as administrator:
        administrator.execute(f"DELETE FROM entries WHERE id > {entries}")
        administrator.execute(f"DELETE FROM checkpoints WHERE number > {checkpoints}")
    said = commands.fail("search", "holiday", "--as", "alice", exit_code=7)
    assert f"entries {entries + 1} to" in said
    assert "go-on" in said
    commands.succeed("audit", "go-on")
    [loss] = commands.recorded("trail:loss-accepted")
    assert loss["entries"] > entries
    commands.succeed("search", "holiday", "--as", "alice")
    assert commands.json("audit", "verify")["ok"]


@pytest.mark.parametrize(
    ("address", "host", "port", "database", "user"),
    [
        ("postgresql://w@db.example/audit", "db.example", 5432, "audit", "w"),
        ("postgresql://w@db.example:6000/audit", "db.example", 6000, "audit", "w"),
        ("postgresql://w@%2FRun%2FPg/audit", "/Run/Pg", 5432, "audit", "w"),
        ("postgresql://w@[2001:db8::1]:6000/audit", "2001:db8::1", 6000, "audit", "w"),
        ("postgresql://a%40b@db.example/a%2Fb", "db.example", 5432, "a/b", "a@b"),
    ],
)
def test_addresses_name_host_database_and_user(address: str, host: str, port: int, database: str, user: str) -> None:
    place = postgres_place(address, AuditOptions(), "")
    assert (place.host, place.port, place.database, place.user) == (host, port, database, user)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://w:secret@db.example/audit",
        "postgresql://db.example/audit",
        "postgresql://w@db.example",
        "postgresql://w@db.example/audit?host=elsewhere",
        "postgresql://w@one,two/audit/more",
        "mysql://w@db.example/audit",
        "host=db.example user=w",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigurationError, match="not of the form") as refused:
        trail_place(Home(tmp_path), AuditOptions(database=address))
    assert "secret" not in str(refused.value)


def test_where_one_statement_fails_nothing_is_made(commands: Commands, postgres: Server, schema: str) -> None:
    """The printed statements are one transaction."""
    configure(commands, postgres, schema)
    sql = commands.succeed("audit", "prepare")
    with closing(postgres.connect()) as dba:
        with pytest.raises(psycopg.Error):
            dba.execute(sql.replace("COMMIT;", "SELECT 1/0; COMMIT;"))
        dba.execute("ROLLBACK")
        assert dba.execute(f"SELECT to_regnamespace('{schema}')").fetchone() == (None,)
