"""Walking a folder without ever leaving it, and opening its files without ever being tricked into another.

Every step goes through the descriptor of the folder above and follows no link, so a file or folder that is swapped
for a link in between is refused, not read.
"""

import errno
import os
import stat
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connectors.errors import SourceUnavailableError

_MAX_DEPTH = 100
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Non-blocking, for a pipe put in a file's place would otherwise hold the run up for ever.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# The clock that stamps files ticks every 1 to 10 ms. A file stamped within the present tick could change again under
# the same stamp, and that change would never be seen.
_CLOCK_TICK_NS = 20_000_000

_LINK = "It is a link; links are not followed, what they point to is read where it stands."
_NOT_A_FILE = "It is not a regular file but a pipe, a socket or a device."
_BAD_NAME = "Its name holds control characters or is not valid UTF-8; rename it."
_TOO_DEEP = f"It lies more than {_MAX_DEPTH} folders deep."
_VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})


class Refused(Exception):  # noqa: N818 - an outcome that ends as a Skip, not an error of the run
    """A file is there but is not read; the text says why."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file as it was met; `folder` is an open descriptor only until the walk goes on."""

    path: str
    status: os.stat_result
    folder: int
    name: str


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that is there but is not read, with a sentence why; `is_folder` when it hides all that lies below."""

    path: str
    reason: str
    is_folder: bool = False


def walk(root: Path) -> Iterator[File | Obstacle]:
    """Everything below `root` in the order of names, hidden files and folders left out.

    Raises:
        SourceUnavailableError: The root is gone or cannot be listed, or a folder below fails to answer.
    """
    try:
        # The operator named the root, so it alone may be reached through a link.
        descriptor = os.open(root, _OPEN_FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        message = f"The folder {root} cannot be opened: {error.strerror}. Mount or restore it, then sync again."
        raise SourceUnavailableError(message) from error
    with _closing(descriptor):
        try:
            yield from _below(descriptor, "", 1)
        except OSError as error:
            message = f"A folder in {root} does not answer: {error.strerror}. Sync again once it does."
            raise SourceUnavailableError(message) from error


def read_file(file: File, max_bytes: int) -> bytes | None:
    """The bytes of a file; None when it is gone by now.

    Raises:
        Refused: It may not be opened, is no regular file any more, or is larger than `max_bytes`.
    """
    try:
        with _closing(os.open(file.name, _OPEN_FILE, dir_fd=file.folder)) as descriptor:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Refused(_NOT_A_FILE)
            if status.st_size > max_bytes:
                raise Refused(_too_large(max_bytes))
            if 0 <= time.time_ns() - status.st_ctime_ns < _CLOCK_TICK_NS:
                time.sleep(_CLOCK_TICK_NS / 1e9)
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                content = stream.read(max_bytes + 1)
    except OSError as error:
        if error.errno in _VANISHED:
            return None
        raise Refused(_reason(error)) from error
    if len(content) > max_bytes:
        raise Refused(_too_large(max_bytes))
    return content


def _too_large(max_bytes: int) -> str:
    return f"It is larger than the {max_bytes:,} bytes that the setting max_bytes allows."


def _below(folder: int, prefix: str, depth: int) -> Iterator[File | Obstacle]:
    for name in sorted(os.listdir(folder)):
        if name.startswith("."):
            continue
        path = prefix + _printable(name)
        if path != prefix + name:
            yield Obstacle(path, _BAD_NAME)
            continue
        try:
            status = _status(folder, name)
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _inside(folder, name, path, depth)
        elif stat.S_ISREG(status.st_mode):
            yield File(path, status, folder, name)
        else:
            yield Obstacle(path, _LINK if stat.S_ISLNK(status.st_mode) else _NOT_A_FILE)


def _status(folder: int, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def _inside(folder: int, name: str, path: str, depth: int) -> Iterator[File | Obstacle]:
    if depth > _MAX_DEPTH:
        yield Obstacle(path, _TOO_DEEP, is_folder=True)
        return
    try:
        descriptor = os.open(name, _OPEN_FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in _VANISHED:
            return
        if error.errno not in {errno.EACCES, errno.EPERM, errno.ELOOP}:
            raise
        yield Obstacle(path, _reason(error), is_folder=True)
        return
    with _closing(descriptor):
        yield from _below(descriptor, f"{path}/", depth + 1)


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return _LINK
    if isinstance(error, PermissionError):
        return "It may not be opened; give the account that runs Muniment the right to read it."
    return f"It cannot be read: {error.strerror}."


def _printable(name: str) -> str:
    """The name itself unless it could not be stored or would break a line; then a spelling that can be shown."""
    if all(unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"} for character in name):
        return name
    return os.fsencode(name).decode(errors="backslashreplace").encode("unicode_escape").decode("ascii")


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
