"""Trails in both kinds of database, as whoever administers the database sees them."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import psycopg

from policies.audit.chain import new_id
from policies.audit.checkpoints import OnCheckpoint, SignedCheckpoint
from policies.audit.places import PostgresPlace, TrailPlace
from policies.audit.postgres_tables import OWNER, WRITER, statements
from tests.postgres import Server

AS_SQLITE_HAS = (
    "CREATE OR REPLACE FUNCTION public.hex(bytea) RETURNS text LANGUAGE sql AS $$SELECT upper(encode($1, 'hex'))$$",
    """CREATE OR REPLACE FUNCTION public.json_extract(body text, path text) RETURNS jsonb
    LANGUAGE sql AS $$SELECT body::jsonb #> string_to_array(substr(path, 3), '.')$$""",
)
"""What statements of tests use that PostgreSQL has no name for."""


def kept_in(file: Path) -> OnCheckpoint:
    """Keeps every checkpoint that is told of, a line each."""

    def keep(signed: SignedCheckpoint) -> None:
        with file.open("a", encoding="ascii") as lines:
            lines.write(signed.line() + "\n")

    return keep


class Statements(Protocol):
    """A connection of either kind, as far as tests use it."""

    def execute(self, statement: Any, /) -> Any: ...


@contextmanager
def made_in(server: Server) -> Iterator[PostgresPlace]:
    """A trail in a schema of its own, which goes afterwards."""
    schema = f"trail_{new_id()}"
    with closing(server.connect()) as administrator:
        for statement in (*statements(new_id(), schema), *AS_SQLITE_HAS):
            administrator.execute(statement)
    yield PostgresPlace(str(server.folder), "postgres", WRITER, schema=schema)
    with closing(server.connect()) as administrator:
        administrator.execute("SET client_min_messages = warning")
        administrator.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def owner_of(place: TrailPlace) -> TrailPlace:
    """The same trail, as whoever may remove what entries say."""
    if isinstance(place, Path):
        return place
    return PostgresPlace(place.host, place.database, OWNER, schema=place.schema, as_owner=True)


@contextmanager
def owning(place: TrailPlace) -> Iterator[Statements]:
    """Whoever owns the trail: triggers do hold them up."""
    if isinstance(place, PostgresPlace):
        with psycopg.connect(host=place.host, dbname=place.database, user=OWNER, autocommit=True) as connection:
            connection.execute(f"SET search_path = {place.schema}")
            yield connection
        return
    with closing(sqlite3.connect(place, isolation_level=None)) as file:
        yield file


@contextmanager
def administrating(place: TrailPlace) -> Iterator[Statements]:
    """Whoever holds the database: triggers do not hold them up."""
    if isinstance(place, PostgresPlace):
        with psycopg.connect(host=place.host, dbname=place.database, user="root", autocommit=True) as connection:
            connection.execute(f"SET search_path = {place.schema}, public")
            connection.execute("SET session_replication_role = replica")
            yield connection
        return
    with closing(sqlite3.connect(place, isolation_level=None)) as file:
        triggers = file.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            file.execute(f"DROP TRIGGER {name}")
        yield file
        for _, sql in triggers:
            file.execute(sql)


def rows(place: TrailPlace, query: str) -> list[tuple[Any, ...]]:
    """What an administrator's query gives."""
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as file:
            return file.execute(query).fetchall()
    with administrating(place) as connection:
        found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
        return found


def told(place: TrailPlace) -> str:
    """A place, as `trail_process.py` reads it."""
    return str(place) if isinstance(place, Path) else json.dumps(asdict(place))
