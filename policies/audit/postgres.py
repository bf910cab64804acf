"""A trail in a schema of a PostgreSQL database. The only door to psycopg.

The connection goes to the addresses that the configured host was found at (`policies/egress.py`), encrypted and with
the certificate checked unless the server is on this machine; nothing is taken from the environment. Nothing is waited
for longer than the place allows, a server that does not answer at all included.

All that write hold one lock while they are in a transaction, so that numbers follow each other as commits do. Each
transaction begins by asking whether the server keeps what it acknowledges, and whether this is still the same trail.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg import IsolationLevel
from psycopg.types.string import ByteaBinaryLoader

from policies import egress
from policies.audit.chain import new_id
from policies.audit.places import PostgresPlace
from policies.audit.postgres_tables import DEFINITION, DISAGREEING, MADE, digest, statements
from policies.audit.storage import NewEntry, ReplacedError, StorageError, StoredCheckpoint, StoredEntry, Values
from policies.errors import EgressRefusedError

_Connection = psycopg.Connection[tuple[Any, ...]]
_LOST_AFTER = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3"}
"""When a peer counts as gone: in seconds, seconds, and tries."""
_READ_SECONDS = 300.0
"""How long one look into a trail may take; searching for what entries name reads all of them."""
_TOGETHER = 5000
"""Entries fetched at a time."""
_NAMED = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")
_NOWHERE = "/dev/null/none"
"""A file that cannot be: else a password is looked for in the home of whoever runs this."""
_DURABLE = {"fsync": ("on",), "full_page_writes": ("on",), "synchronous_commit": ("on", "remote_apply")}
_ADVICE = {
    "28000": "it does not let this user in",
    "28P01": "its password is not the one that the server knows",
    "3D000": "there is no such database",
    "3F000": "there is no trail in it: run `muniment audit prepare`",
    "42501": "the role lacks a right that `muniment audit prepare` gives",
    "42P01": "there is no trail in it: run `muniment audit prepare`",
    "53100": "the server's disk is full",
    "55P03": "another process holds its lock",
    "42710": "a trail was prepared in it already",
    "42P06": "a trail was prepared in it already",
    "57014": "the server took too long",
    "25006": "the server takes no changes",
}
"""What to say for states that SQL names by codes, where the server's own words would not help."""


class _Bounded(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up on a server that does not answer, which would be waited for for ever otherwise."""

    seconds = 0.0

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        return super().wait(gen, interval, timeout=self.seconds if timeout is None else timeout)


class PostgresReader:
    """A schema opened to read: one state of it."""

    def __init__(self, place: PostgresPlace) -> None:
        self._place = place
        with _told():
            self._connection = _connect(place, _READ_SECONDS)
            try:
                self._connection.read_only = True
                self._connection.isolation_level = IsolationLevel.REPEATABLE_READ
                self._connection.autocommit = False
                self.log = _log_id(self._connection)
            except BaseException:
                self._connection.close()
                raise

    def select(self, query: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return _select(self._connection, query, values)

    def entries(self) -> Iterator[StoredEntry]:
        """All entries in their order."""
        with _told(), self._connection.cursor("entries", binary=True) as cursor:
            cursor.itersize = _TOGETHER
            cursor.adapters.register_loader("text", ByteaBinaryLoader)
            cursor.execute("SELECT id, writer, seq, previous, hash, body FROM entries ORDER BY id")
            yield from cursor  # Plain rows, as in a file.

    def is_as_made(self) -> bool:
        """Whether tables, computed columns, indexes, triggers and functions are those that we make."""
        lines = self.select(DEFINITION, {"schema": self._place.schema})
        return digest(line for (line,) in lines) == MADE and not self.select(DISAGREEING)

    def holds(self, field: str, what: str, *, as_key: bool = False) -> str:
        """The condition that an event's field is the value `:what`, is a list with it, or has it as a key."""
        said = f"spoken(body) -> 'event' -> '{field}'"
        return f"({said} ? :{what} AND (jsonb_typeof({said}) = 'object') = {as_key})"

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


class PostgresWriter:
    """A schema opened to write, by a role that can add and nothing else."""

    def __init__(self, place: PostgresPlace) -> None:
        self._place = place
        self._writer = ""
        self._identity: object = None
        self.log = ""
        with _told():
            self._connection = self._opened()

    def select(self, query: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return _select(self._connection, query, values)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction, with the lock of all writers."""
        with _told():
            try:
                self._begin()
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def add_entries(self, entries: Sequence[NewEntry]) -> None:
        """Add rows behind the last one."""
        columns = [list(column) for column in zip(*entries, strict=True)] or [[]] * len(NewEntry._fields)
        with _told():
            self._connection.execute(
                """INSERT INTO entries (id, writer, seq, previous, hash, body)
                SELECT (SELECT coalesce(max(id), 0) FROM entries) + place, writer, seq, previous, hash, body
                FROM unnest(%s::text[], %s::bigint[], %s::bytea[], %s::bytea[], %s::text[])
                    WITH ORDINALITY AS added (writer, seq, previous, hash, body, place)""",
                columns,
            )

    def add_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        """Add a row."""
        with _told():
            self._connection.execute("INSERT INTO checkpoints VALUES (%s, %s, %s)", checkpoint)

    def remove_bodies(self, ids: Sequence[int]) -> None:
        """Take what these entries say out of them."""
        with _told():
            self._connection.execute("UPDATE entries SET body = NULL WHERE id = ANY(%s)", [list(ids)])

    def require_same_place(self) -> None:
        """Nothing more to ask: each transaction began with it, and its connection leads where it led then."""

    def reconnect(self) -> None:
        """Connect to the same schema again."""
        with _told():
            self._connection.close()
            self._connection = self._opened()
            if self._writer:
                self._hold(self._writer)

    def arrive(self, writer: str) -> None:
        """Be known as a running writer: by a lock that goes with the connection."""
        with _told():
            self._hold(writer)
            self._connection.execute("INSERT INTO writers VALUES (%s, false)", [writer])
        self._writer = writer

    def leave(self, *, settled: bool) -> None:
        """Be gone."""
        if settled and self._writer:
            with suppress(psycopg.Error):  # Then the next process finds that nothing was left.
                self._connection.execute("INSERT INTO writers VALUES (%s, true)", [self._writer])
        self._writer = ""

    @contextmanager
    def gone(self) -> Iterator[list[str]]:
        """The writers whose processes are gone."""
        query = "SELECT writer FROM writers WHERE NOT settled EXCEPT SELECT writer FROM writers WHERE settled"
        with _told():
            left = [str(writer) for (writer,) in self._connection.execute(query)]
            found = [writer for writer in left if self._can_be_held(writer)]
            yield found
            for writer in found:
                self._connection.execute("INSERT INTO writers VALUES (%s, true) ON CONFLICT DO NOTHING", [writer])

    def close(self) -> None:
        """Let go of the connection, and with it of all locks."""
        self._connection.close()

    def _opened(self) -> _Connection:
        connection = _connect(self._place, self._place.seconds, to_write=True)
        try:
            if self._identity is None:
                self.log, self._identity = _log_id(connection), _identity(connection)
            self._require_same(connection)
            _require_durable(connection)
            if not self._place.as_owner:
                _require_few_rights(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self) -> None:
        self._connection.execute(f"BEGIN; SELECT pg_advisory_xact_lock({_key(self.log)})")
        _require_durable(self._connection)
        self._require_same(self._connection)

    def _require_same(self, connection: _Connection) -> None:
        if (_log_id(connection), _identity(connection)) != (self.log, self._identity):
            message = "it was replaced"
            raise ReplacedError(message)

    def _roll_back(self) -> None:
        """After a failure; a connection that cannot do even that is of no use any more."""
        try:
            self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self._connection.close()

    def _hold(self, writer: str) -> None:
        self._connection.execute("SELECT pg_advisory_lock(%s)", [_key(writer)])

    def _can_be_held(self, writer: str) -> bool:
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", [_key(writer)]).fetchone()
        return row == (True,)


def prepare(place: PostgresPlace, owner: str, writer: str) -> None:
    """Make roles, schema and tables for a trail, or nothing."""
    with _told(), _connect(place, place.seconds, to_write=True) as connection:
        _require_durable(connection)
        if connection.execute("SELECT current_setting('server_encoding')").fetchone() != ("UTF8",):
            message = "the database's encoding is not UTF8"
            raise StorageError(message)
        with connection.transaction():
            for statement in statements(new_id(), place.schema, owner, writer):
                connection.execute(statement)


def _connect(place: PostgresPlace, seconds: float, *, to_write: bool = False) -> _Connection:
    addresses = [] if place.host.startswith("/") else egress.addresses_of(place.host, place.port)
    near = all(ip_address(address).is_loopback for address in addresses)
    milliseconds = round(seconds * 1000)
    options = {
        "search_path": f"pg_catalog,{place.schema},pg_temp",
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": 2 * milliseconds,
        "synchronous_commit": "on",
        "client_encoding": "UTF8",
        **{f"tcp_{name}": value for name, value in _LOST_AFTER.items()},
    }
    connection = _Bounded.connect(
        host=",".join([place.host] * max(1, len(addresses))),
        hostaddr=",".join(addresses),
        port=place.port,
        dbname=place.database,
        user=place.user,
        password=place.password,
        passfile=_NOWHERE,
        sslmode="prefer" if near else "verify-full",
        sslrootcert=place.certificates or ("" if near else "system"),
        gssencmode="disable",
        target_session_attrs="read-write" if to_write else "any",
        connect_timeout=max(2, round(place.seconds)),
        tcp_user_timeout=milliseconds,
        options=" ".join(f"-c {name}={value}" for name, value in options.items()),
        application_name="muniment",
        autocommit=True,
        keepalives_idle=_LOST_AFTER["keepalives_idle"],
        keepalives_interval=_LOST_AFTER["keepalives_interval"],
        keepalives_count=_LOST_AFTER["keepalives_count"],
    )
    connection.seconds = seconds + 1.0  # The server says better than we what took too long.
    return connection


@contextmanager
def _told() -> Iterator[None]:
    """Say what PostgreSQL and the network report in our words."""
    try:
        yield
    except psycopg.Error as error:
        lacks_room = error.sqlstate == "53100"
        raise StorageError(_ADVICE.get(error.sqlstate or "", _first_line(error)), lacks_room=lacks_room) from error
    except (OSError, EgressRefusedError) as error:
        raise StorageError(str(error).rstrip(".")) from error


def _first_line(error: psycopg.Error) -> str:
    said = error.diag.message_primary or str(error)
    if "timeout expired" in said:
        return "the server does not answer"
    return said.strip().partition("\n")[0].rstrip(".") or type(error).__name__


def _select(connection: _Connection, query: str, values: Values | None) -> list[tuple[Any, ...]]:
    given = {name: _text(value) if isinstance(value, str) else value for name, value in (values or {}).items()}
    with _told():
        return connection.execute(_NAMED.sub(r"%(\1)s", query.replace("%", "%%")), given, binary=True).fetchall()


def _text(value: str) -> str:
    """A text as `postgres_tables.py` makes those that PostgreSQL has no place for."""
    whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "\ufffd")


def _log_id(connection: _Connection) -> str:
    rows = connection.execute("SELECT id FROM log").fetchall()
    if len(rows) != 1:
        message = "it has no log id"
        raise StorageError(message)
    return str(rows[0][0])


def _identity(connection: _Connection) -> object:
    """What is another once the tables were made anew, as from a dump."""
    return connection.execute("SELECT 'entries'::regclass::oid, 'checkpoints'::regclass::oid").fetchone()


def _require_durable(connection: _Connection) -> None:
    """Refuse a server that forgets what it acknowledged when its machine fails."""
    columns = ", ".join(f"current_setting('{name}')" for name in _DURABLE)
    said = connection.execute(f"SELECT {columns}").fetchone()
    for (name, good), value in zip(_DURABLE.items(), said or (), strict=True):
        if value not in good:
            message = f"the server runs with {name} = {value} and may lose what it acknowledges"
            raise StorageError(message)


def _require_few_rights(connection: _Connection) -> None:
    """Refuse a role that could change what it has written."""
    query = """SELECT bool_or(has_table_privilege(oid, 'DELETE, TRUNCATE, TRIGGER')
            OR has_any_column_privilege(oid, 'UPDATE') OR pg_has_role(relowner, 'MEMBER'))
        FROM pg_class WHERE oid IN (
            'log'::regclass, 'entries'::regclass, 'checkpoints'::regclass, 'writers'::regclass)"""
    if connection.execute(query).fetchone() != (False,):
        message = "its role may change entries; connect as the one that `muniment audit prepare` made to write"
        raise StorageError(message)


def _key(id_: str) -> int:
    """The lock of a trail or a writer: its id, which has 64 bits as locks have."""
    return int.from_bytes(bytes.fromhex(id_), signed=True)
