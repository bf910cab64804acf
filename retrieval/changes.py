"""What has changed in the database since one last looked, in one cheap statement.

Whoever remembers something that stands in the database (who holds a key, which policies are in force, what labels there
are) looks here first, with each request: so a change counts at the next one, whichever process made it. A session of
SQLAlchemy's costs a hundred times as much as this statement on a connection of its own.

`change_mark` has a column for each kind of thing. Triggers give it another random value with every change to the tables
it stands for (migration 0011), so that none can be forgotten, and databases that went different ways never look alike.
"""

import sqlite3
import threading
from typing import Any, NamedTuple

from sqlalchemy import Engine
from sqlmodel import Field, SQLModel

from retrieval.labels import CorpusState

_QUERY = """SELECT (SELECT schema_version FROM pragma_schema_version), identity, policies, sources,
    coalesce((SELECT epoch FROM corpus WHERE id = 1), 0), coalesce((SELECT stamp FROM corpus WHERE id = 1), '')
    FROM change_mark"""


class ChangeMarkRow(SQLModel, table=True):
    """One row of random values; written by triggers alone."""

    __tablename__ = "change_mark"
    id: int = Field(default=1, primary_key=True)
    identity: str
    policies: str
    sources: str


class Marks(NamedTuple):
    """What stands for the state of each kind of thing; where a mark is the same, so are they.

    `schema` grows when tables change, `identity` stands for users, keys, groups and directories, `policies` for loaded
    bundles, `sources` for the settings and runs of sources, `corpus` for everything that can be found.
    """

    schema: int
    identity: str
    policies: str
    sources: str
    corpus: CorpusState


class Changes:
    """Looks at the marks of a database. Safe across threads."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._connection: Any = None

    def marks(self) -> Marks:
        """The marks as of now.

        Raises:
            DatabaseUnusableError: The database cannot be read.
        """
        return self.glance() or self._ask()

    def glance(self) -> Marks | None:
        """The marks as of now, if they can be had at once; may be called where nothing may be waited for."""
        with self._lock:
            try:
                connection = self._connection or self._connect()
                self._connection = connection
                return _read(connection.execute(_QUERY).fetchone())
            except (sqlite3.Error, OSError):
                self._close()
                return None

    def close(self) -> None:
        """Let the connection go."""
        with self._lock:
            self._close()

    def _ask(self) -> Marks:
        """The way everything else is asked, which waits where it must and says what is wrong."""
        with self._database.connect() as connection:
            return _read(connection.exec_driver_sql(_QUERY).one())

    def _connect(self) -> Any:
        borrowed = self._database.raw_connection()
        connection: Any = borrowed.driver_connection
        borrowed.detach()  # It is kept; the pool gets another in its place.
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _read(row: Any) -> Marks:
    schema, identity, policies, sources, epoch, stamp = row
    return Marks(schema, identity, policies, sources, CorpusState(epoch, stamp))
