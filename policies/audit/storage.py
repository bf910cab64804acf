"""What a trail's storage does, whichever database it is: `database.py` is SQLite's. `places.py` says where a trail is.

Everything that reads or writes a trail goes through these few methods and the SQL that both databases share: the
tables `log`, `entries` and `checkpoints`, plain conditions and `:name` for values. Whatever a database reports reaches
the callers as `StorageError`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

Values = Mapping[str, str | int | bytes]
"""What stands for the `:name`s of a query."""


class StorageError(Exception):
    """A database refused, failed or holds something else than a trail; its text says what, without a full stop.

    `lacks_room` says that its disk is full or fails, which ends without anything being restored.
    """

    def __init__(self, message: str, *, lacks_room: bool = False) -> None:
        super().__init__(message)
        self.lacks_room = lacks_room


class ReplacedError(StorageError):
    """What stands in the trail's place is not what was opened: it was moved, replaced, or set up anew."""


class NewEntry(NamedTuple):
    """A row of `entries` to be added; its id follows the last one's."""

    writer: str
    seq: int
    previous: bytes
    hash: bytes
    body: str


class StoredEntry(NamedTuple):
    """A row of `entries` as verification reads it; `body` is None where it was removed."""

    id: int
    writer: bytes
    seq: int
    previous: bytes
    hash: bytes
    body: bytes | None


class StoredCheckpoint(NamedTuple):
    """A row of `checkpoints`."""

    number: int
    body: str
    signature: bytes


class Selecting(Protocol):
    """An open trail, which can be asked."""

    log: str
    """The trail's id, which all its hashes stand on."""

    def select(self, query: str, values: Values = ...) -> list[tuple[Any, ...]]:
        """The rows of a query.

        Raises:
            StorageError: They cannot be read.
        """

    def close(self) -> None:
        """Let go of it."""


class ReadableTrail(Selecting, Protocol):
    """A trail opened to read. While it is open it shows one state, whatever is written beside."""

    def entries(self) -> Iterator[StoredEntry]:
        """All entries in their order, a few at a time.

        Raises:
            StorageError: They cannot be read on.
        """

    def is_as_made(self) -> bool:
        """Whether tables, computed columns, indexes and triggers are those that we make."""

    def holds(self, field: str, what: str, *, as_key: bool = False) -> str:
        """The condition that an event's field is the value `:what`, is a list with it, or has it as a key."""


class WritableTrail(Selecting, Protocol):
    """A trail opened to write, by one thread."""

    def writing(self) -> AbstractContextManager[None]:
        """A transaction. No other process is in one; what was done is durable when it ends without an error.

        Raises:
            StorageError: It was not done, or it is in doubt whether it was.
        """

    def add_entries(self, entries: Sequence[NewEntry]) -> None:
        """Add rows behind the last one, within a transaction."""

    def add_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        """Add a row, within a transaction."""

    def remove_bodies(self, ids: Sequence[int]) -> None:
        """Take what these entries say out of them, within a transaction; their hashes stay."""

    def require_same_place(self) -> None:
        """Refuse to go on when what was opened is not what stands in its place now.

        Raises:
            ReplacedError: It was moved or replaced.
        """

    def reconnect(self) -> None:
        """Open the same trail again after a failure.

        Raises:
            ReplacedError: It was moved or replaced.
            StorageError: It cannot be opened.
        """

    def arrive(self, writer: str) -> None:
        """Be known as a running writer, until `leave` is called or the process ends however it does."""

    def leave(self, *, settled: bool) -> None:
        """Be gone; with nothing left to look after if `settled`."""

    def gone(self) -> AbstractContextManager[list[str]]:
        """The writers whose processes are gone; they are forgotten when the block ends without an error."""
