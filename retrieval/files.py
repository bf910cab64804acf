"""Locks between processes, which go with whoever holds them."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.errors import SyncBusyError


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file while working; the lock goes with the process, however it ends.

    Raises:
        SyncBusyError: Somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"Another run is working on {what}. Wait until it has ended, then try again."
            raise SyncBusyError(message) from error
        yield
