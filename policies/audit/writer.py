"""One process's chain in the trail: entries are hashed in order and committed together, and now and then signed.

A commit that fails changes nothing here, so the chain goes on where the disk stands once it works again. What cannot be
explained (another file in the trail's place, acknowledged entries gone) is never written over: it stays an error.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from policies.audit.chain import entry_hash, genesis, new_id
from policies.audit.checkpoints import OnCheckpoint, SignedCheckpoint
from policies.audit.places import TrailPlace, open_to_write
from policies.audit.sealing import NotOursError, Sealer
from policies.audit.seen import SeenFile
from policies.audit.storage import NewEntry, ReplacedError, StorageError
from policies.errors import KeysUnusableError, SignerUnavailableError, TrailUnavailableError
from policies.keys import Keys

_MOST_UNSIGNED = 64
"""Entries that may stand without a signature; so many are signed with the commit that brings them."""


@dataclass(frozen=True, slots=True)
class EntryRef:
    """Where an entry stands: which trail, whose chain, its place in that chain (from 1), and its hash (hexadecimal)."""

    log: str
    writer: str
    seq: int
    hash: str


class _Head(NamedTuple):
    seq: int
    hash: bytes


class ChainWriter:
    """Appends to a trail. Not thread-safe: `Trail` gives it one thread."""

    def __init__(
        self,
        place: TrailPlace,
        keys: Keys,
        on_checkpoint: OnCheckpoint | None = None,
        seen: SeenFile | None = None,
    ) -> None:
        self._place = place
        self._keys = keys
        self._on_checkpoint = on_checkpoint or _nobody
        self._seen = seen
        self._storage = open_to_write(place)
        self._in_doubt = False
        self._to_tell: SignedCheckpoint | None = None
        self._sealer = Sealer(place, keys)
        try:
            self.log = self._storage.log
            if seen:
                seen.require_in(self._storage)
            self.writer = new_id()
            self._head = _Head(0, genesis(self.log, self.writer))
            self._storage.arrive(self.writer)
            self._tell_of_the_newest()
        except StorageError as error:
            self._storage.close()
            raise self._unavailable(error) from error
        except BaseException:
            self._storage.close()
            raise

    def append(self, bodies: Sequence[str]) -> list[EntryRef]:
        """Commit entries in one transaction, signed if they are many; they are on disk when this returns.

        Raises:
            TrailUnavailableError: None of them was acknowledged; trying again later may work.
        """
        together = not self._keys.signing.signs_once

        def add() -> tuple[_Head, list[NewEntry], SignedCheckpoint | None]:
            head, entries = self._chained(bodies)
            self._storage.add_entries(entries)
            return head, entries, self._signed_if_many() if together else None

        refs = self._commit(add)
        if not together:
            with contextlib.suppress(TrailUnavailableError):  # Told when sealing is due, as below.
                self._commit(lambda: (self._head, [], self._signed_if_many()))
        return refs

    def _signed_if_many(self) -> SignedCheckpoint | None:
        # What hinders is told when sealing is due; entries are durable all the same.
        with contextlib.suppress(NotOursError, SignerUnavailableError, KeysUnusableError):
            return self._sealer.sign(self._storage, least=_MOST_UNSIGNED)
        return None

    def require_untouched(self) -> None:
        """Refuse to go on where entries lack what they say and nobody removed it.

        Raises:
            TrailUnavailableError: That is so, or it cannot be found out.
        """
        try:
            self._sealer.require_untouched(self._storage)
        except StorageError as error:
            raise self._unavailable(error) from error

    def remove(self, ids: Sequence[int], still: Callable[[], bool] = lambda: True) -> None:
        """Take out what entries say, with a checkpoint that says of which. An entry has announced it before.

        Whether they may `still` go is asked once nobody else can write any more.

        Raises:
            TrailUnavailableError: Nothing was removed; or the newest checkpoint is not ours, so that nothing is signed.
        """

        def take_out() -> tuple[_Head, list[NewEntry], SignedCheckpoint | None]:
            if not still():
                message = "Some of these entries have to stay since a moment ago. Nothing was removed; try again."
                raise TrailUnavailableError(message)
            return self._head, [], self._sealer.sign_removal(self._storage, ids)

        self._commit(take_out)

    def hand_over(self, next_key: str) -> None:
        """Sign a checkpoint that names the public key (hexadecimal) of whoever signs from now on.

        Raises:
            TrailUnavailableError: It was not signed, or is not durable.
        """
        self._commit(lambda: (self._head, [], self._sealer.sign(self._storage, next_key=next_key)))

    def recover(self) -> None:
        """Find out whether entries can be written again.

        Raises:
            TrailUnavailableError: They cannot.
        """
        try:
            if self._in_doubt:
                self._reconnect()
            with self._storage.writing():
                self._in_doubt = False
        except StorageError as error:
            self._in_doubt = True
            raise self._unavailable(error) from error

    def seal(self, *, though_quiet: bool = False) -> bool:
        """Sign a checkpoint over all entries of all writers, and tell of it.

        Where the newest one covers them all, only if `though_quiet`.

        Raises:
            TrailUnavailableError: It was not written, or whoever is told could not take it; both are tried again the
                next time. Or the newest checkpoint is not one that we signed over entries that are there, and nothing
                is signed after it.
        """
        try:
            if self._in_doubt:
                self._reconnect()
            self._in_doubt = True
            with self._storage.writing():
                signed = self._sealer.sign(self._storage, least=0 if though_quiet else 1)
            self._in_doubt = False
        except StorageError as error:
            raise self._unavailable(error) from error
        self._to_tell = signed or self._to_tell
        self._tell()
        return signed is not None

    def _tell(self) -> None:
        """Tell of the newest checkpoint, if that was not done yet.

        Raises:
            TrailUnavailableError: Whoever is told could not take it.
        """
        if self._to_tell is None:
            return
        try:
            self._on_checkpoint(self._to_tell)
            if self._seen:
                self._seen.note(self._to_tell)
        except OSError as error:
            raise self._unavailable(error) from error
        self._to_tell = None

    def close(self, *, settled: bool = True) -> None:
        """Close the trail. Unless all is `settled`, the next process looks for questions without an end."""
        self._storage.leave(settled=settled)
        self._storage.close()

    def _commit(self, add: Callable[[], tuple[_Head, list[NewEntry], SignedCheckpoint | None]]) -> list[EntryRef]:
        """Run `add` in a transaction; it says where the chain then stands, what was added, and what was signed."""
        try:
            if self._in_doubt:
                self._reconnect()
            self._in_doubt = True
            with self._storage.writing():
                head, entries, signed = add()
            self._storage.require_same_place()
        except StorageError as error:
            raise self._unavailable(error) from error
        self._head, self._in_doubt = head, False
        self._to_tell = signed or self._to_tell
        return [EntryRef(self.log, self.writer, entry.seq, entry.hash.hex()) for entry in entries]

    def _chained(self, bodies: Sequence[str]) -> tuple[_Head, list[NewEntry]]:
        head, entries = self._head, []
        for body in bodies:
            entry = NewEntry(self.writer, head.seq + 1, head.hash, entry_hash(head.hash, body.encode()), body)
            entries.append(entry)
            head = _Head(entry.seq, entry.hash)
        return head, entries

    def _reconnect(self) -> None:
        """Find out where our chain stands after a failure; a commit that seemed to fail may have happened."""
        self._storage.reconnect()
        query = "SELECT seq, hash FROM entries WHERE writer = :writer ORDER BY seq DESC LIMIT 1"
        with self._storage.writing():  # After whatever a server may still be doing for the connection before.
            rows = self._storage.select(query, {"writer": self.writer})
        found = _Head(*rows[0]) if rows else _Head(0, genesis(self.log, self.writer))
        if found.seq < self._head.seq or (found.seq == self._head.seq and found.hash != self._head.hash):
            message = f"Entries are gone from the audit trail {self._place}. Run `muniment audit verify`, then restart."
            raise TrailUnavailableError(message)
        self._head = found

    def _tell_of_the_newest(self) -> None:
        """Tell of the checkpoint that is there: whoever is told was named later, or could not take it then."""
        with contextlib.suppress(TrailUnavailableError):  # What fails here fails again when sealing, and is said there.
            self._to_tell = self._sealer.newest(self._storage)
            self._tell()

    def _unavailable(self, error: Exception) -> TrailUnavailableError:
        if isinstance(error, ReplacedError):
            return TrailUnavailableError(
                f"The audit trail {self._place} was moved or replaced. Put it back, or restart to begin with what is "
                "there."
            )
        return TrailUnavailableError(
            f"The audit trail {self._place} did not take an entry: {error}. Nothing is answered until it does."
        )


def _nobody(_: SignedCheckpoint) -> None:
    """Nobody is told."""
