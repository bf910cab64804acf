"""T13: while the trail does not take entries, no word of an answer leaves; when it does again, all goes on by itself.

Faults of its storage are made in both databases, the real thing wherever that can be made: servers that stop and crash,
locks, files that are moved, rights that are revoked. What only a disk can do is done in its place, at the connection.
"""

import asyncio
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from gateway.config import Home
from gateway.errors import ConfigurationError
from gateway.recording import Recorder
from gateway.services import Services
from policies.audit.chain import new_id
from policies.audit.database import FileWriter
from policies.audit.places import PostgresPlace, TrailPlace
from policies.audit.postgres_tables import statements
from policies.audit.store import EntryRef, Trail
from policies.audit.verifier import verify
from policies.errors import KeysUnusableError
from tests.gateway.conftest import (
    SETTINGS,
    TRAVEL_ANSWER,
    World,
    client_of,
    error_of,
    opened_world,
    question,
    until_ready,
)
from tests.policies.trails import administrating, made_in
from tests.postgres import Server

TRAVEL = "What is the daily allowance for travel in Norway?"
DEADLINE_SECONDS = 2.0
RECOVERY_SECONDS = 120.0
Faulty = Iterator[None]


@dataclass(frozen=True)
class Site:
    """A running installation, and what its trail is in."""

    client: httpx.AsyncClient
    world: World
    place: TrailPlace
    server: Server | None

    @property
    def trail(self) -> Trail:
        return self.world.services.trail

    @property
    def storage(self) -> Any:
        return self.trail._writer._storage

    async def ask(self, *, stream: bool) -> httpx.Response:
        body = question(TRAVEL, stream=stream)
        return await self.client.post("/v1/chat/completions", json=body, headers=self.world.headers("bob"))

    async def search(self) -> httpx.Response:
        body = {"query": TRAVEL, "limit": 3}
        return await self.client.post("/api/v1/search", json=body, headers=self.world.headers("bob"))


# Faults of a file.


@contextmanager
def executing(site: Site, before: Callable[[str, Any], None]) -> Faulty:
    """Something comes before each statement of the connection, and of those that follow it until it is over."""
    connect = FileWriter.reconnect

    def put_between(storage: Any) -> None:
        real = storage._connection

        def execute(statement: str, *values: object) -> object:
            before(statement, real)
            return real.execute(statement, *values)

        def executemany(statement: str, *values: object) -> object:
            before(statement, real)
            return real.executemany(statement, *values)

        storage._connection = SimpleNamespace(
            execute=execute, executemany=executemany, close=real.close, in_transaction=True, real=real
        )

    def reconnect(storage: FileWriter) -> None:
        connect(storage)
        put_between(storage)

    put_between(site.storage)
    FileWriter.reconnect = reconnect  # type: ignore[method-assign]
    try:
        yield
    finally:
        FileWriter.reconnect = connect  # type: ignore[method-assign]
        if real := getattr(site.storage._connection, "real", None):
            site.storage._connection = real


@contextmanager
def refusing(site: Site, message: str, code: int, at: str) -> Faulty:
    def before(statement: str, _: Any) -> None:
        if statement.startswith(at):
            error = sqlite3.OperationalError(message)
            error.sqlite_errorcode = code
            raise error

    with executing(site, before):
        yield


def full_disk(site: Site) -> Any:
    return refusing(site, "database or disk is full", sqlite3.SQLITE_FULL, "INSERT")


def io_error(site: Site) -> Any:
    return refusing(site, "disk I/O error", sqlite3.SQLITE_IOERR, "COMMIT")


@contextmanager
def waiting(site: Site, seconds: float) -> Faulty:
    """Commits take so long, or until the fault is over."""
    over = threading.Event()

    def before(statement: str, _: Any) -> None:
        if statement == "COMMIT":
            over.wait(seconds)

    with executing(site, before):
        try:
            yield
        finally:
            over.set()


def hung_disk(site: Site) -> Any:
    return waiting(site, RECOVERY_SECONDS)


def slow_disk(site: Site) -> Any:
    """Each commit takes longer than anybody waits."""
    return waiting(site, DEADLINE_SECONDS * 1.5)


@contextmanager
def locked_file(site: Site) -> Faulty:
    assert isinstance(site.place, Path)
    site.storage._connection.execute("PRAGMA busy_timeout = 50")
    blocker = sqlite3.connect(site.place, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()


@contextmanager
def moved_file(site: Site) -> Faulty:
    """The whole folder, as a volume that is unmounted."""
    assert isinstance(site.place, Path)
    elsewhere = site.place.with_name("elsewhere")
    elsewhere.mkdir()
    files = [path for path in site.place.parent.iterdir() if path.name.startswith(site.place.name) and path.is_file()]
    for path in files:
        path.rename(elsewhere / path.name)
    try:
        yield
    finally:
        for path in files:
            path.unlink(missing_ok=True)
            (elsewhere / path.name).rename(path)
        elsewhere.rmdir()


@contextmanager
def replaced_file(site: Site) -> Faulty:
    assert isinstance(site.place, Path)
    with moved_file(site):
        FileWriter(site.place).close()
        try:
            yield
        finally:
            for path in list(site.place.parent.glob(f"{site.place.name}*")):
                if path.is_file():
                    path.unlink()


@contextmanager
def read_only_file(site: Site) -> Faulty:
    real = site.storage._connection
    with executing(site, lambda statement, real: real.execute("PRAGMA query_only = ON") and None):
        yield
    real.close()


@contextmanager
def closed_connection(site: Site) -> Faulty:
    """Again and again, as soon as there is one."""
    with executing(site, lambda _, real: real.close()):
        yield


@contextmanager
def corrupted_page(site: Site) -> Faulty:
    """The file's first page is noise for whoever opens it."""
    assert isinstance(site.place, Path)
    site.storage._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    site.storage._connection.close()
    with site.place.open("r+b") as file:
        sound = file.read(4096)
        file.seek(0)
        file.write(os.urandom(4096))
    try:
        yield
    finally:
        with site.place.open("r+b") as file:
            file.write(sound)


@contextmanager
def revoked_permission(site: Site) -> Faulty:
    """The folder takes no files of this user's any more: as an immutable one does, root's too."""
    connect = FileWriter.reconnect

    def refused(_: FileWriter) -> None:
        raise PermissionError(13, "Permission denied")

    def reconnect(storage: FileWriter) -> None:
        from policies.audit import database  # noqa: PLC0415 - its own translation is used

        with database._told():
            refused(storage)

    FileWriter.reconnect = reconnect  # type: ignore[method-assign]
    site.storage._connection.close()
    try:
        yield
    finally:
        FileWriter.reconnect = connect  # type: ignore[method-assign]


@contextmanager
def removed_file(site: Site) -> Faulty:
    """The file alone, by its name; it is linked again afterwards."""
    assert isinstance(site.place, Path)
    kept = site.place.with_name("kept")
    os.link(site.place, kept)
    site.place.unlink()
    try:
        yield
    finally:
        kept.rename(site.place)


FILE_FAULTS = [
    full_disk,
    io_error,
    hung_disk,
    slow_disk,
    locked_file,
    moved_file,
    replaced_file,
    read_only_file,
    closed_connection,
    corrupted_page,
    revoked_permission,
    removed_file,
]


# Faults of a server.


def altering(statement: str, back: str) -> Callable[[Site], Any]:
    @contextmanager
    def fault(site: Site) -> Faulty:
        schema = site.place.schema  # type: ignore[union-attr]
        with administrating(site.place) as administrator:
            administrator.execute(statement.format(schema=schema))
        try:
            yield
        finally:
            with administrating(replace(site.place, schema="public")) as administrator:  # type: ignore[type-var]
                administrator.execute(back.format(schema=schema))

    return fault


def raising(code: str) -> Callable[[Site], Any]:
    """Whatever the server says when it is asked to insert."""
    return altering(
        f"""CREATE FUNCTION {{schema}}.fail() RETURNS trigger LANGUAGE plpgsql
        AS $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END$$;
        CREATE TRIGGER fail BEFORE INSERT ON {{schema}}.entries FOR EACH ROW EXECUTE FUNCTION {{schema}}.fail();
        ALTER TABLE {{schema}}.entries ENABLE ALWAYS TRIGGER fail""",
        "DROP TRIGGER fail ON {schema}.entries; DROP FUNCTION {schema}.fail()",
    )


@contextmanager
def setting(site: Site, name: str, value: str) -> Faulty:
    def alter(statement: str) -> None:
        with administrating(site.place) as administrator:
            administrator.execute(statement)
            administrator.execute("SELECT pg_reload_conf(), pg_sleep(0.3)")

    alter(f"ALTER SYSTEM SET {name} = {value}")
    try:
        yield
    finally:
        alter(f"ALTER SYSTEM RESET {name}")


@contextmanager
def stopped_server(site: Site) -> Faulty:
    """It is there, takes what is sent, and never answers."""
    assert site.server
    site.server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        site.server.signal(signal.SIGCONT)


@contextmanager
def crashed_server(site: Site) -> Faulty:
    assert site.server
    site.server.crash()
    try:
        yield
    finally:
        site.server.start()


@contextmanager
def swallowed_packets(site: Site) -> Faulty:
    """Something in between goes on taking what is sent, and gives nothing back."""
    assert isinstance(site.storage._place, PostgresPlace)
    folder = Path(site.storage._place.host)
    real, hidden = folder / ".s.PGSQL.5432", folder / ".s.hidden"
    real.rename(hidden)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(real))
    real.chmod(0o777)
    listener.listen(50)
    site.storage._connection.close()
    try:
        yield
    finally:
        real.unlink()
        listener.close()
        hidden.rename(real)


@contextmanager
def terminated_backends(site: Site) -> Faulty:
    """Again and again, and before anything is asked."""
    over, none_left = threading.Event(), threading.Event()
    ours = "FROM pg_stat_activity WHERE application_name = 'muniment'"

    def terminate() -> None:
        with administrating(site.place) as administrator:
            while not over.is_set():
                if not administrator.execute(f"SELECT pg_terminate_backend(pid) {ours}").fetchall():
                    none_left.set()
                over.wait(0.001)

    with altering("ALTER ROLE muniment_audit_writer NOLOGIN", "ALTER ROLE muniment_audit_writer LOGIN")(site):
        running = threading.Thread(target=terminate)
        running.start()
        try:
            assert none_left.wait(RECOVERY_SECONDS)
            yield
        finally:
            over.set()
            running.join()


@contextmanager
def held_lock(site: Site) -> Faulty:
    key = int.from_bytes(bytes.fromhex(site.storage.log), signed=True)
    with administrating(site.place) as administrator:
        administrator.execute(f"SELECT pg_advisory_lock({key})")
        yield


@contextmanager
def replaced_schema(site: Site) -> Faulty:
    schema = site.place.schema  # type: ignore[union-attr]
    with administrating(site.place) as administrator:
        administrator.execute(f"ALTER SCHEMA {schema} RENAME TO {schema}_away")
        for statement in statements(new_id(), schema):
            administrator.execute(statement)
        try:
            yield
        finally:
            administrator.execute(f"SET client_min_messages = warning; DROP SCHEMA {schema} CASCADE")
            administrator.execute(f"ALTER SCHEMA {schema}_away RENAME TO {schema}")


SERVER_FAULTS: list[Callable[[Site], Any]] = [
    stopped_server,
    crashed_server,
    swallowed_packets,
    terminated_backends,
    held_lock,
    replaced_schema,
    altering("ALTER SCHEMA {schema} RENAME TO {schema}_away", "ALTER SCHEMA {schema}_away RENAME TO {schema}"),
    altering(
        "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM muniment_audit_writer; "
        "REVOKE INSERT (id, writer, seq, previous, hash, body) ON {schema}.entries FROM muniment_audit_writer",
        "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO muniment_audit_writer; "
        "GRANT INSERT (id, writer, seq, previous, hash, body) ON {schema}.entries TO muniment_audit_writer; "
        "GRANT INSERT ON {schema}.checkpoints, {schema}.writers TO muniment_audit_writer",
    ),
    lambda site: setting(site, "default_transaction_read_only", "on"),
    lambda site: setting(site, "fsync", "off"),
    raising("53100"),
    raising("58030"),
    raising("XX001"),
    altering(
        """CREATE FUNCTION {schema}.wait() RETURNS trigger LANGUAGE plpgsql
        AS $$BEGIN PERFORM pg_sleep(60); RETURN NULL; END$$;
        CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON {schema}.entries DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION {schema}.wait();
        ALTER TABLE {schema}.entries ENABLE ALWAYS TRIGGER wait""",
        "DROP TRIGGER wait ON {schema}.entries; DROP FUNCTION {schema}.wait()",
    ),
]
SERVER_NAMES = [
    "stopped server",
    "crashed server",
    "swallowed packets",
    "terminated backends",
    "held lock",
    "replaced schema",
    "removed schema",
    "revoked rights",
    "read-only server",
    "server without fsync",
    "full disk",
    "I/O error",
    "corrupted page",
    "slow commit",
]
FAULTS = [
    *(pytest.param("sqlite", fault, id=f"file-{fault.__name__}") for fault in FILE_FAULTS),
    *(
        pytest.param("postgres", fault, id=f"server-{name.replace(' ', '_')}")
        for name, fault in zip(SERVER_NAMES, SERVER_FAULTS, strict=True)
    ),
]


@pytest.fixture
def server(request: pytest.FixtureRequest, store: str) -> Server | None:
    found: Server | None = request.getfixturevalue("postgres") if store == "postgres" else None
    return found


@pytest.fixture
async def site(built_home: tuple[Path, dict[str, str]], tmp_path: Path, server: Server | None) -> AsyncIterator[Site]:
    settings = SETTINGS.replace("60", str(DEADLINE_SECONDS))
    with ExitStack() as stack:
        place: TrailPlace | None = None
        if server:
            place = stack.enter_context(made_in(server))
            host = place.host.replace("/", "%2F")
            settings += f'database = "postgresql://{place.user}@{host}/{place.database}"\n'
            settings += f'database_schema = "{place.schema}"\n'
        world = stack.enter_context(opened_world(built_home, tmp_path))
        home = world.services.home
        home.config_file.write_text(settings)
        home.trail_seen.unlink(missing_ok=True)
        world.model.says(TRAVEL_ANSWER)
        async with client_of(create_app(world.services)) as client:
            await until_ready(client)
            yield Site(client, world, place or home.trail, server)


async def suppressed(site: Site, round_: int) -> None:
    """Everything that would show text, while the trail takes no entries."""
    responses = [await site.ask(stream=bool(round_ % 2))]
    if round_ % 5 == 0:
        responses += [await site.search(), await site.ask(stream=not round_ % 2)]
    for response in responses:
        assert "kroner" not in response.text, response.text
        assert (response.status_code, error_of(response)["code"]) == (503, "trail_unavailable"), response.text


async def answered_again(site: Site) -> None:
    """Without anybody's help."""
    until = time.monotonic() + RECOVERY_SECONDS
    while (response := await site.ask(stream=False)).status_code != 200:
        assert response.status_code == 503, response.text
        assert time.monotonic() < until, response.text
        await asyncio.sleep(0.05)
    assert "480 kroner" in response.text


def announced(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of entries, once each time it changes."""
    return [message.split()[0] for message in caplog.messages if message.startswith("audit_entries")]


@pytest.mark.parametrize(("store", "fault"), FAULTS)
@pytest.mark.parametrize("rounds", [1, pytest.param(100, marks=[pytest.mark.deep, pytest.mark.timeout(3600)])])
async def test_while_the_trail_takes_nothing_no_word_leaves(
    site: Site, fault: Callable[[Site], Any], rounds: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="policies.audit.store")
    for round_ in range(rounds):
        await answered_again(site)
        caplog.clear()
        generations = len(site.world.model.generations)
        with fault(site):
            await suppressed(site, round_)
            until = time.monotonic() + RECOVERY_SECONDS
            while site.trail.health.ready:
                assert time.monotonic() < until or fault is slow_disk
                await asyncio.sleep(0.02)
            assert len(site.world.model.generations) == generations, "the model was not asked"
            # A disk that is slow takes entries in the end, so it is said again.
            assert announced(caplog)[:1] == ["audit_entries_refused"]
            assert len(announced(caplog)) == 1 or fault is slow_disk, caplog.messages
        await answered_again(site)
        # A busy machine may miss a deadline by itself, and says so; each time it says that it is well again, too.
        told = announced(caplog)
        assert told == ["audit_entries_refused", "audit_entries_accepted"] * (len(told) // 2), caplog.messages
    site.trail.close()
    report = verify(site.place, site.world.services.keys.public_key_pem())
    assert report.ok, report.findings


@pytest.mark.parametrize(("store", "fault"), [("sqlite", locked_file), ("postgres", held_lock)])
async def test_who_does_not_wait_for_the_trail_is_noticed(
    site: Site, fault: Callable[[Site], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: an answer that leaves before its entries are durable."""

    async def hasty(*_: object) -> EntryRef:
        return EntryRef("0" * 16, "0" * 16, 1, "0" * 64)

    await answered_again(site)
    monkeypatch.setattr(Recorder, "durable", hasty)
    with fault(site), pytest.raises(AssertionError, match="480 kroner"):
        await suppressed(site, 0)


@pytest.mark.parametrize("store", ["sqlite"])
async def test_without_its_keys_nothing_is_opened(site: Site, tmp_path: Path) -> None:
    for name in ("master.key", "signing.pem"):
        path = site.world.services.home.keys / name
        for break_it in (lambda path: path.chmod(0o644), lambda path: path.write_bytes(b"noise"), Path.unlink):
            sound = path.read_bytes()
            break_it(path)
            with Services(Home(site.world.services.home.folder)) as services, pytest.raises(KeysUnusableError):
                _ = services.trail
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(sound)


@pytest.mark.parametrize("store", ["sqlite"])
@pytest.mark.parametrize("content", [None, ("secret", 0o644), ("", 0o600)])
async def test_without_its_password_nothing_is_opened(site: Site, content: tuple[str, int] | None) -> None:
    home = site.world.services.home
    home.config_file.write_text(
        '[audit]\ndatabase = "postgresql://writer@localhost/audit"\ndatabase_password_file = "trail-password"\n'
    )
    if content:
        path = home.keys / "trail-password"
        path.write_text(content[0])
        path.chmod(content[1])
    with Services(Home(home.folder)) as services, pytest.raises(ConfigurationError, match="trail-password"):
        _ = services.trail
