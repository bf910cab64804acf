"""Where a trail is, and how it is opened there."""

from pathlib import Path

from policies.audit.database import FileReader, FileWriter
from policies.audit.storage import ReadableTrail, StorageError, WritableTrail
from policies.errors import TrailUnavailableError, TrailUnreadableError

TrailPlace = Path
"""A SQLite file."""


def open_to_write(place: TrailPlace) -> WritableTrail:
    """Open a trail to write, by one thread at a time; it is made where there is none.

    Raises:
        TrailUnavailableError: It cannot be opened or written, or is no trail.
    """
    try:
        return FileWriter(place)
    except StorageError as error:
        message = f"The audit trail {place} cannot be written: {error}. Nothing is answered until it can."
        raise TrailUnavailableError(message) from error


def open_to_read(place: TrailPlace) -> ReadableTrail:
    """Open a trail to read, beside whoever writes.

    Raises:
        TrailUnreadableError: It is missing, damaged, or no trail.
    """
    try:
        return FileReader(place)
    except StorageError as error:
        raise unreadable(place, error) from error


def unreadable(place: TrailPlace, error: Exception) -> TrailUnreadableError:
    """What to say when a trail cannot be read."""
    if isinstance(error, StorageError) and error.lacks_room:
        message = (
            f"The audit trail {place} cannot be read: its disk is full or fails, and SQLite needs a little room even "
            "to read. Free some space, then try again; nothing needs to be restored."
        )
        return TrailUnreadableError(message)
    return TrailUnreadableError(f"The audit trail {place} cannot be read: {error}. Name the right file, or restore it.")
