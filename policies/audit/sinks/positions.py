"""How far a place has been sent to, durably: one small file each, beside the data, with a lock for who sends.

What is kept is a place in the trail and the hash of what stands there, so that a trail that was replaced or rolled back
is noticed instead of sent as if nothing had happened.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from policies.errors import PositionUnreadableError
from policies.private_files import replace_private


class Trouble(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Since when (UTC) nothing could be sent, and why."""

    since: str
    detail: str


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a place has: everything of the trail `log` up to number `at`, whose hash is `hash`.

    Numbers count entries, or checkpoints; 0 is before the first. A delivery that is under way ends with `sending`, so
    that it can be made again as it was. `told` is how far the trail itself says so.
    """

    log: str = ""
    at: int = 0
    hash: str = ""
    sending: int = 0
    told: int = 0
    sent: str = ""
    trouble: Trouble | None = None


class PositionFile:
    """The position of one place."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._path = folder / f"{name}.json"
        self._lock = folder / f"{name}.lock"
        self._restart = folder / f"{name}.restart"

    def read(self) -> Position:
        """What was written last; the beginning where nothing was.

        Raises:
            PositionUnreadableError: The file is damaged, or cannot be read.
        """
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Position)
        except FileNotFoundError:
            return Position()
        except (OSError, msgspec.MsgspecError) as error:
            raise _unusable(self._path, error) from error

    def write(self, position: Position) -> None:
        """Put another in its place; after a crash there is the one or the other.

        Raises:
            PositionUnreadableError: It cannot be written.
        """
        try:
            self._make_folder()
            replace_private(self._path, msgspec.json.encode(position))
        except OSError as error:
            raise _unusable(self._path, error) from error

    @property
    def restart_asked(self) -> int | None:
        """After which entry somebody asked sending to begin again; none where nobody did.

        Raises:
            PositionUnreadableError: The request cannot be read.
        """
        try:
            return int(self._restart.read_text(encoding="ascii"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _unusable(self._restart, error) from error

    def ask_restart(self, after: int) -> None:
        """Have whichever process sends, now or later, begin again behind an entry.

        Raises:
            PositionUnreadableError: That cannot be written down.
        """
        try:
            self._make_folder()
            self._restart.write_text(str(after), encoding="ascii")
        except OSError as error:
            raise _unusable(self._restart, error) from error

    def forget_restart(self) -> None:
        """It was done."""
        self._restart.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Whether this process is the one that sends, as long as the block runs. The lock goes with the process.

        Raises:
            PositionUnreadableError: The lock cannot be had for another reason than that somebody has it.
        """
        try:
            self._make_folder()
            file = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(self._lock, error) from error
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(file)

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _unusable(path: Path, error: Exception) -> PositionUnreadableError:
    return PositionUnreadableError(
        f"How far was sent is kept in {path}, which cannot be used: {error}. Mend the disk, or restore the file; "
        "without it, sending begins again."
    )
