"""One process's chain in the trail: entries are hashed in order and committed together, and now and then signed.

A commit that fails changes nothing here, so the chain goes on where the disk stands once it works again. What cannot be
explained (another file in the trail's place, acknowledged entries gone) is never written over: it stays an error.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from policies.audit.chain import entry_hash, genesis, new_id, timestamp
from policies.audit.checkpoints import Checkpoint, SignedCheckpoint, append_to, digest, last_exported, sign_checkpoint
from policies.audit.database import open_to_write, read_log_id, writing
from policies.audit.merkle import root_of
from policies.audit.presence import Presence
from policies.errors import TrailUnavailableError
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


class _Stored(NamedTuple):
    number: int
    body: str
    signature: bytes


class _NotOursError(TrailUnavailableError):
    """The newest checkpoint is none that this installation signed over entries that are there."""


class ChainWriter:
    """Appends to a trail. Not thread-safe: `Trail` gives it one thread."""

    def __init__(self, path: Path, keys: Keys, checkpoint_file: Path | None = None) -> None:
        self._path = path
        self._keys = keys
        self._checkpoint_file = checkpoint_file
        self._connection = open_to_write(path)
        self._in_doubt = False
        self._to_copy: SignedCheckpoint | None = None
        try:
            self._file = _identity(path)
            self.log = read_log_id(self._connection)
            self.writer = new_id()
            self._head = _Head(0, genesis(self.log, self.writer))
            self._presence = Presence(path, self.writer)
            self._signed_entries = 0
            self._make_up_for_a_missing_copy()
        except (sqlite3.Error, OSError) as error:
            self._connection.close()
            raise self._unavailable(error) from error

    def append(self, bodies: Sequence[str]) -> list[EntryRef]:
        """Commit entries in one transaction, signed if they are many; they are on disk when this returns.

        Raises:
            TrailUnavailableError: None of them was acknowledged; trying again later may work.
        """
        try:
            if self._in_doubt:
                self._reconnect()
            self._in_doubt = True
            head, rows = self._chained(bodies)
            signed: SignedCheckpoint | None = None
            with writing(self._connection):
                self._connection.executemany(
                    "INSERT INTO entries (writer, seq, previous, hash, body) VALUES (?, ?, ?, ?, ?)", rows
                )
                with contextlib.suppress(_NotOursError):  # Told when sealing is due; entries are durable all the same.
                    signed = self._new_checkpoint(_MOST_UNSIGNED)
            # Whoever moved the file away while it was open would otherwise have us write where nobody looks.
            if _identity(self._path) != self._file:
                raise self._replaced()
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error
        self._head, self._in_doubt = head, False
        self._to_copy = signed or self._to_copy
        return [EntryRef(self.log, self.writer, seq, hash_.hex()) for _, seq, _, hash_, _ in rows]

    def recover(self) -> None:
        """Find out whether entries can be written again.

        Raises:
            TrailUnavailableError: They cannot.
        """
        try:
            if self._in_doubt:
                self._reconnect()
            with writing(self._connection):
                self._in_doubt = False
        except (sqlite3.Error, OSError) as error:
            self._in_doubt = True
            raise self._unavailable(error) from error

    def seal(self, *, though_quiet: bool = False) -> bool:
        """Sign a checkpoint over all entries of all writers, and copy it if configured.

        Where the newest one covers them all, only if `though_quiet`.

        Raises:
            TrailUnavailableError: It was not written, or not copied; both are tried again the next time. Or the newest
                checkpoint is not one that we signed over entries that are there, and nothing is signed after it.
        """
        try:
            if self._in_doubt:
                self._reconnect()
            self._in_doubt = True
            with writing(self._connection):
                signed = self._new_checkpoint(0 if though_quiet else 1)
            self._in_doubt = False
            self._to_copy = signed or self._to_copy
            self._copy()
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error
        return signed is not None

    def close(self, *, settled: bool = True) -> None:
        """Close the file. Unless all is `settled`, the next process looks for questions without an end."""
        self._presence.end(settled=settled)
        self._connection.close()

    def _chained(self, bodies: Sequence[str]) -> tuple[_Head, list[tuple[str, int, bytes, bytes, str]]]:
        head, rows = self._head, []
        for body in bodies:
            hash_ = entry_hash(head.hash, body.encode())
            rows.append((self.writer, head.seq + 1, head.hash, hash_, body))
            head = _Head(head.seq + 1, hash_)
        return head, rows

    def _reconnect(self) -> None:
        """Find out where our chain stands after a failure; a commit that seemed to fail may have happened."""
        self._connection.close()
        self._connection = open_to_write(self._path, create=False)
        if _identity(self._path) != self._file or read_log_id(self._connection) != self.log:
            raise self._replaced()
        query = "SELECT seq, hash FROM entries WHERE writer = ? ORDER BY seq DESC LIMIT 1"
        row = self._connection.execute(query, (self.writer,)).fetchone()
        found = _Head(*row) if row else _Head(0, genesis(self.log, self.writer))
        if found.seq < self._head.seq or (found.seq == self._head.seq and found.hash != self._head.hash):
            message = f"Entries are gone from the audit trail {self._path}. Run `muniment audit verify`, then restart."
            raise TrailUnavailableError(message)
        self._head = found

    def _make_up_for_a_missing_copy(self) -> None:
        """Copy the newest checkpoint where the file lacks it: it was named later, or could not be written then.

        A file that speaks of more entries, or of another trail, is left as it is: that is what it is kept for.
        """
        newest = self._newest()
        ours = self._ours(newest) if newest else None
        if ours is None or self._checkpoint_file is None:
            return
        try:
            kept = last_exported(self._checkpoint_file)
        except FileNotFoundError:
            kept = None
        except OSError:
            return  # A file that can only be written to; the next checkpoint is copied all the same.
        if kept and (kept.checkpoint.log != self.log or kept.checkpoint.number >= ours.checkpoint.number):
            return
        self._to_copy = ours
        with contextlib.suppress(OSError):
            self._copy()  # What fails here fails again when sealing, and is told there.

    def _copy(self) -> None:
        if self._to_copy and self._checkpoint_file:
            append_to(self._checkpoint_file, self._to_copy)
        self._to_copy = None

    def _new_checkpoint(self, least: int) -> SignedCheckpoint | None:
        """Sign what is not signed yet, within the transaction at hand, if it is at least so many entries."""
        (last,) = self._connection.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()
        if last - self._signed_entries < least:  # Another process may have signed more, never less.
            return None
        newest = self._newest()
        signed_entries = self._vouch_for(newest, last) if newest else 0
        self._signed_entries = signed_entries
        if last - signed_entries < least:
            return None
        query = "SELECT hash FROM entries WHERE id > ? ORDER BY id"
        hashes = [hash_ for (hash_,) in self._connection.execute(query, (signed_entries,))]
        checkpoint = Checkpoint(
            log=self.log,
            number=newest.number + 1 if newest else 1,
            first=signed_entries + 1,
            count=last,
            root=root_of(hashes).hex(),
            at=timestamp(datetime.now(UTC)),
            previous=digest(newest.body, newest.signature) if newest else "",
            key=self._keys.key_id(),
        )
        signed = sign_checkpoint(checkpoint, self._keys)
        values = (checkpoint.number, signed.body, signed.signature)
        self._connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?)", values)
        return signed

    def _newest(self) -> _Stored | None:
        query = "SELECT number, body, signature FROM checkpoints ORDER BY number DESC LIMIT 1"
        row = self._connection.execute(query).fetchone()
        return _Stored(*row) if row else None

    def _ours(self, stored: _Stored) -> SignedCheckpoint | None:
        """The checkpoint of a row, if it is one of this trail that this installation signed."""
        try:
            signed = SignedCheckpoint.from_parts(stored.body, stored.signature)
        except ValueError:
            return None
        same = (signed.checkpoint.log, signed.checkpoint.number) == (self.log, stored.number)
        return signed if same and signed.is_signed_by(self._keys.signing.public_key()) else None

    def _vouch_for(self, newest: _Stored, last: int) -> int:
        """How many entries the newest checkpoint signs; `last` is the number of the last entry.

        Refuses to go on from a checkpoint that is not ours: one put in far ahead would keep us from ever signing.
        """
        ours = self._ours(newest)
        if ours is None:
            what = f"holds a checkpoint, number {newest.number}, that this installation did not sign"
        elif ours.checkpoint.count > last:
            what = f"lacks entries {last + 1} to {ours.checkpoint.count}, which were signed"
        else:
            return ours.checkpoint.count
        message = (
            f"The audit trail {self._path} {what}, so its entries are no longer signed. Keep a copy of the file and "
            "run `muniment audit verify`; then restore the trail from a backup, or move it away and run "
            "`muniment init --missing`."
        )
        raise _NotOursError(message)

    def _replaced(self) -> TrailUnavailableError:
        return TrailUnavailableError(
            f"The audit trail {self._path} was moved or replaced. Put it back, or restart to begin with what is there."
        )

    def _unavailable(self, error: Exception) -> TrailUnavailableError:
        return TrailUnavailableError(
            f"The audit trail {self._path} did not take an entry: {error}. Nothing is answered until it does."
        )


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
