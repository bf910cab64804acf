"""Where a trail is, and how it is opened there.

psycopg takes a third of a second to load, so it is loaded when a trail in PostgreSQL is opened first.
"""

from dataclasses import dataclass, field
from pathlib import Path

from policies.audit.database import FileReader, FileWriter
from policies.audit.storage import ReadableTrail, StorageError, WritableTrail
from policies.errors import TrailUnavailableError, TrailUnreadableError


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """A schema of a PostgreSQL database, and who connects to it.

    `host` is a name, an address, or the folder of a Unix socket. Over a network the server's certificate must be for
    that name and signed by one of the `certificates` (a file; empty: the system's). Nothing is waited for longer than
    `seconds`. Whoever removes what entries say connects `as_owner`; anybody else must not be able to.
    """

    host: str
    database: str
    user: str
    password: str = field(default="", repr=False)
    port: int = 5432
    schema: str = "muniment_audit"
    certificates: str = ""
    seconds: float = 5.0
    as_owner: bool = False

    def __str__(self) -> str:
        """What may be shown and logged."""
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.database} ({self.schema})"


TrailPlace = Path | PostgresPlace
"""A SQLite file, or a schema of a PostgreSQL database."""


def open_to_write(place: TrailPlace) -> WritableTrail:
    """Open a trail to write, by one thread at a time; a file is made where there is none.

    Raises:
        TrailUnavailableError: It cannot be opened or written, or is no trail.
    """
    try:
        return _writer(place)
    except StorageError as error:
        message = f"The audit trail {place} cannot be written: {error}. Nothing is answered until it can."
        raise TrailUnavailableError(message) from error


def open_to_read(place: TrailPlace) -> ReadableTrail:
    """Open a trail to read, beside whoever writes.

    Raises:
        TrailUnreadableError: It is missing, damaged, or no trail.
    """
    try:
        return _reader(place)
    except StorageError as error:
        raise unreadable(place, error) from error


def prepare(place: PostgresPlace, owner: str, writer: str) -> None:
    """Make roles, schema and tables for a trail, as somebody who may.

    Raises:
        TrailUnavailableError: They cannot be made; then none of them is.
    """
    from policies.audit import postgres  # noqa: PLC0415 - it loads psycopg

    try:
        postgres.prepare(place, owner, writer)
    except StorageError as error:
        message = f"The audit trail {place} cannot be made: {error}. Nothing was changed."
        raise TrailUnavailableError(message) from error


def unreadable(place: TrailPlace, error: Exception) -> TrailUnreadableError:
    """What to say when a trail cannot be read."""
    told = f"The audit trail {place} cannot be read: "
    if not isinstance(place, Path):
        return TrailUnreadableError(f"{told}{error}. Mend that, or restore it.")
    if isinstance(error, StorageError) and error.lacks_room:
        return TrailUnreadableError(
            f"{told}its disk is full or fails, and SQLite needs a little room even to read. Free some space, then try "
            "again; nothing needs to be restored."
        )
    return TrailUnreadableError(f"{told}{error}. Name the right file, or restore it.")


def _writer(place: TrailPlace) -> WritableTrail:
    if isinstance(place, Path):
        return FileWriter(place)
    from policies.audit.postgres import PostgresWriter  # noqa: PLC0415 - it loads psycopg

    return PostgresWriter(place)


def _reader(place: TrailPlace) -> ReadableTrail:
    if isinstance(place, Path):
        return FileReader(place)
    from policies.audit.postgres import PostgresReader  # noqa: PLC0415 - it loads psycopg

    return PostgresReader(place)
