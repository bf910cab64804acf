"""The database: one SQLite file in write-ahead mode, brought to the current schema when it is opened.

The audit trail has a file of its own (`policies/audit/store.py`).
"""

import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import DatabaseError

from gateway.errors import DatabaseBusyError, DatabaseUnusableError
from policies.sqlite import is_busy, lacks_room, write_ahead

_BUSY_SECONDS = 15.0
"""How long a writer waits for another process's transaction; the longest of ours is one checkpoint of an ingestion."""


_FIRST_TO_OVERWRITE = "0009"
"""The revision since which every connection overwrites what it deletes."""


def open_database(path: Path) -> Engine:
    """Open the database, creating or migrating it as needed.

    Raises:
        DatabaseBusyError: Another process is writing to it; trying again later works.
        DatabaseUnusableError: It cannot be read or written, is damaged, or belongs to a newer version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        engine = create_engine(
            f"sqlite:///{path}",
            connect_args={"timeout": _BUSY_SECONDS},
            hide_parameters=True,  # Errors and logs quote them otherwise, and they hold texts of documents.
        )
        event.listen(engine, "connect", _prepare_connection)
        event.listen(engine, "begin", _begin)
        _overwrite_free_pages(engine)
        _migrate(engine, path)
        # Before the transaction: a read within it would fix what it sees, and a write after that may not wait its turn.
        event.listen(engine, "begin", _SchemaGuard(path), insert=True)
        # Only now: what is wrong at opening is told better below, and what comes later comes in the midst of work.
        event.listen(engine, "handle_error", partial(_refuse, path))
    except OSError as error:
        message = f"The database {path} cannot be opened: {error.strerror}. Check the folder's owner and free space."
        raise DatabaseUnusableError(message) from error
    except (DatabaseError, sqlite3.Error) as error:
        if is_busy(getattr(error, "orig", error)):
            raise _busy(path) from error
        if lacks_room(getattr(error, "orig", error)):
            raise _no_room(path) from error
        message = (
            f"The database {path} cannot be used ({getattr(error, 'orig', error)}). Nothing was changed. "
            "Restore it from a backup, or move it away and sync again."
        )
        raise DatabaseUnusableError(message) from error
    return engine


def _prepare_connection(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy says BEGIN itself, so that reads of one session see one state.
    write_ahead(connection, _BUSY_SECONDS)
    # What is deleted is overwritten, so that erasing somebody leaves nothing of them in free pages.
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _refuse(path: Path, context: ExceptionContext) -> None:
    """Damage, a full disk or a lock that is not given up, met while working; a broken rule of a table is a defect."""
    error = context.original_exception
    if is_busy(error):
        raise _busy(path) from error
    if lacks_room(error):
        raise _no_room(path) from error
    if type(error) in {sqlite3.DatabaseError, sqlite3.OperationalError}:
        message = (
            f"The database {path} cannot be used ({error}). What was not finished was undone. Run `muniment doctor`."
        )
        raise DatabaseUnusableError(message) from error


def _no_room(path: Path) -> DatabaseUnusableError:
    return DatabaseUnusableError(
        f"The database {path} cannot be written: its disk is full or fails. What was not finished was undone, and "
        "nothing needs to be restored. Free some space, then try again."
    )


def _busy(path: Path) -> DatabaseBusyError:
    return DatabaseBusyError(
        f"Another process is writing to the database {path}. Nothing was changed; try again later."
    )


def _begin(connection: Any) -> None:
    writes = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class _SchemaGuard:
    """Refuses to work on once another version has migrated the database, and this one no longer knows its tables.

    SQLite counts changes of the schema in the file's header; only when that number is new is the revision looked up.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._head = ScriptDirectory.from_config(_alembic()).get_current_head()
        self._seen: int | None = None

    def __call__(self, connection: Connection) -> None:
        changes = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
        if changes == self._seen:
            return
        if connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() != self._head:
            message = (
                f"The database {self._path} was migrated by another version of Muniment while this one was running. "
                "Nothing was changed; stop this process and start that version."
            )
            raise DatabaseUnusableError(message)
        self._seen = changes


def _alembic(connection: Any = None) -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _overwrite_free_pages(engine: Engine) -> None:
    """Write the whole file anew where it is of a version that left in free pages what was deleted."""
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current < _FIRST_TO_OVERWRITE:
        with engine.connect() as connection:
            raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
            raw.execute("VACUUM")


def knows_revision(revision: str) -> bool:
    """Whether a database of this revision can be opened, and brought to the current one where that is needed."""
    script = ScriptDirectory.from_config(_alembic())
    return revision in {known.revision for known in script.walk_revisions()}


def _migrate(engine: Engine, path: Path) -> None:
    script = ScriptDirectory.from_config(_alembic())
    with engine.execution_options(writing=True).begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        if current == script.get_current_head():
            return
        if current is not None and not knows_revision(current):
            message = f"The database {path} was written by a newer version of Muniment. Install that version or newer."
            raise DatabaseUnusableError(message)
        command.upgrade(_alembic(connection), "head")
