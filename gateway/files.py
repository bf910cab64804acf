"""Files that must be whole or not there: room looked for before, brought to disk after, and named at the end."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gateway.errors import BackupError, ConflictError, GatewayError
from policies.private_files import sync_folder

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What a file system without hard links answers."""


def require_room(folder: Path, wanted: int, what: str) -> None:
    """Refuse to begin what would fill a disk.

    Raises:
        BackupError: There is too little room.
    """
    free = shutil.disk_usage(folder).free
    if free < wanted:
        message = f"{what} needs {wanted / 1e6:.1f} MB in {folder}, and {free / 1e6:.1f} MB are free. Free some space."
        raise BackupError(message)


def sync_file(path: Path) -> None:
    """Bring to disk what was written to a file by somebody who did not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def made_private(path: Path) -> Iterator[BinaryIO]:
    """A file that is new and its owner's alone, on disk when the block ends."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w+b") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


@contextmanager
def named_when_whole(file: Path, what: str, refused: type[GatewayError]) -> Iterator[BinaryIO]:
    """A file that gets its name when the block ends without an error, and of which nothing is left otherwise.

    Raises:
        refused: It cannot be written.
        ConflictError: Something of that name is there; it is never replaced.
    """
    require_free(file)
    hidden = file.with_name(f".{file.name[:200]}.{secrets.token_hex(8)}.part")
    try:
        with made_private(hidden) as out:
            yield out
        _name(hidden, file)
        sync_folder(file.absolute().parent)
    except OSError as error:
        message = f"{what} could not be written to {file}: {error.strerror or error}. Nothing was kept."
        raise refused(message) from error
    finally:
        with suppress(OSError):  # Where nothing can be removed, such as on a read-only disk, nothing was made.
            hidden.unlink()


@contextmanager
def folder_when_whole(folder: Path, what: str, refused: type[GatewayError]) -> Iterator[Path]:
    """A folder, its owner's alone, that gets its name when the block ends; nothing of it is left otherwise.

    Raises:
        refused: It cannot be written.
        ConflictError: Something of that name is there.
    """
    require_free(folder)
    hidden = folder.with_name(f".{folder.name[:200]}.{secrets.token_hex(8)}.part")
    try:
        hidden.mkdir(mode=0o700)
        yield hidden
        for path in hidden.iterdir():
            path.chmod(0o600)
            sync_file(path)
        hidden.rename(folder)
        sync_folder(folder.absolute().parent)
    except OSError as error:
        message = f"{what} could not be written to {folder}: {error.strerror or error}. Nothing was kept."
        raise refused(message) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def require_free(file: Path) -> None:
    """Refuse a name that something has.

    Raises:
        ConflictError: Something has it.
    """
    if file.exists() or file.is_symlink():
        message = f"{file} exists, and is never replaced. Choose another name."
        raise ConflictError(message)


def _name(hidden: Path, file: Path) -> None:
    """Give a file its name. A link refuses one that something has, where renaming would replace it."""
    try:
        os.link(hidden, file)
    except FileExistsError:
        require_free(file)
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        require_free(file)
        hidden.rename(file)
