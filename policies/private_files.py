"""Files that only their owner may read, such as keys; written whole or not at all, and on disk when it is said."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policies.errors import KeysUnusableError, SecretUnusableError


def write_private(path: Path, content: bytes) -> None:
    """Write a new file, durably and never in part; one that is there is not overwritten.

    Raises:
        OSError: It cannot be written, or is there.
    """
    with _written_beside(path, content) as made:
        os.link(made, path)


def replace_private(path: Path, content: bytes) -> None:
    """Write a file in the place of another, durably: at any moment there is the one or the other.

    Raises:
        OSError: It cannot be written; the other stays.
    """
    with _written_beside(path, content) as made:
        made.replace(path)


@contextmanager
def _written_beside(path: Path, content: bytes) -> Iterator[Path]:
    made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield made
    finally:
        made.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_private(path: Path) -> bytes:
    """What a key's file holds.

    Raises:
        KeysUnusableError: It is missing, cannot be read, or others can read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if mode & 0o077:
                message = f"{path} can be read by others (mode {mode & 0o777:o}). Run: chmod 600 {path}"
                raise KeysUnusableError(message)
            return file.read()
    except OSError as error:
        message = f"The key {path} cannot be read: {error.strerror}. Restore it, or run `muniment init` for a new home."
        raise KeysUnusableError(message) from error


def read_secret(path: Path, what: str) -> str:
    """The one line of a file that somebody put here, such as a password; `what` names it in errors.

    Raises:
        SecretUnusableError: It cannot be read, is not one line of text, or others can read it.
    """
    try:
        if path.stat().st_mode & 0o077:
            message = f"{path} can be read by others. Run: chmod 600 {path}"
            raise SecretUnusableError(message)
        secret = path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        message = f"The {what} {path} cannot be read. Put it there, or name another file."
        raise SecretUnusableError(message) from error
    if not secret or not secret.isprintable():
        message = f"The {what} {path} is empty or more than one line. Put it there and nothing else."
        raise SecretUnusableError(message)
    return secret


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, not only the content of its files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
