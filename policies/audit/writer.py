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

from policies.audit.chain import EMPTY_ROOT, entry_hash, genesis, new_id, next_root, timestamp
from policies.audit.checkpoints import Checkpoint, SignedCheckpoint, append_to, digest, last_exported, sign_checkpoint
from policies.audit.database import open_to_write, read_log_id, writing
from policies.errors import TrailUnavailableError
from policies.keys import Keys


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


class _Rooted(NamedTuple):
    entries: int
    root: bytes


class _Stored(NamedTuple):
    entries: int
    body: str
    signature: bytes


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
            self._rooted = self._last_sealed()
            self._make_up_for_a_missing_copy()
        except (sqlite3.Error, OSError) as error:
            self._connection.close()
            raise self._unavailable(error) from error

    def append(self, bodies: Sequence[str]) -> list[EntryRef]:
        """Commit entries in one transaction; they are on disk when this returns.

        Raises:
            TrailUnavailableError: None of them was acknowledged; trying again later may work.
        """
        try:
            if self._in_doubt:
                self._reconnect()
            self._in_doubt = True
            head, rows = self._chained(bodies)
            with writing(self._connection):
                self._connection.executemany(
                    "INSERT INTO entries (writer, seq, previous, hash, body) VALUES (?, ?, ?, ?, ?)", rows
                )
            # Whoever moved the file away while it was open would otherwise have us write where nobody looks.
            if _identity(self._path) != self._file:
                raise self._replaced()
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error
        self._head, self._in_doubt = head, False
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

    def seal(self) -> bool:
        """Sign a checkpoint over all entries of all writers, unless the newest one covers them; copy it if configured.

        Raises:
            TrailUnavailableError: It was not written, or not copied; both are tried again the next time. Or the newest
                checkpoint is not one that we signed over entries that are there, and nothing is signed after it.
        """
        try:
            if self._in_doubt:
                self._reconnect()
            self._in_doubt = True
            with writing(self._connection):
                signed = self._new_checkpoint()
            self._in_doubt = False
            self._to_copy = signed or self._to_copy
            self._copy()
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error
        return signed is not None

    def close(self) -> None:
        """Close the file."""
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

    def _last_sealed(self) -> _Rooted:
        """Where the newest checkpoint leaves off; without one of ours, the roots begin at the first entry."""
        newest = self._newest()
        ours = self._ours(newest) if newest else None
        return _Rooted(ours.checkpoint.count, bytes.fromhex(ours.checkpoint.root)) if ours else _Rooted(0, EMPTY_ROOT)

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
        if kept and (kept.checkpoint.log != self.log or kept.checkpoint.count >= ours.checkpoint.count):
            return
        self._to_copy = ours
        with contextlib.suppress(OSError):
            self._copy()  # What fails here fails again when sealing, and is told there.

    def _copy(self) -> None:
        if self._to_copy and self._checkpoint_file:
            append_to(self._checkpoint_file, self._to_copy)
        self._to_copy = None

    def _new_checkpoint(self) -> SignedCheckpoint | None:
        newest = self._newest()
        if newest:
            self._vouch_for(newest)
        count, root = self._rooted
        query = "SELECT id, hash FROM entries WHERE id > ? ORDER BY id"
        for id_, hash_ in self._connection.execute(query, (count,)):
            count, root = id_, next_root(root, hash_)
        self._rooted = _Rooted(count, root)
        if count <= (newest.entries if newest else 0):
            return None
        previous = digest(newest.body, newest.signature) if newest else ""
        now = timestamp(datetime.now(UTC))
        signed = sign_checkpoint(
            Checkpoint(self.log, count, root.hex(), now, previous, self._keys.key_id()), self._keys
        )
        self._connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?)", (count, signed.body, signed.signature))
        return signed

    def _newest(self) -> _Stored | None:
        query = "SELECT count, body, signature FROM checkpoints ORDER BY count DESC LIMIT 1"
        row = self._connection.execute(query).fetchone()
        return _Stored(*row) if row else None

    def _ours(self, stored: _Stored) -> SignedCheckpoint | None:
        """The checkpoint of a row, if it is one of this trail that this installation signed."""
        try:
            signed = SignedCheckpoint.from_parts(stored.body, stored.signature)
        except ValueError:
            return None
        same = (signed.checkpoint.log, signed.checkpoint.count) == (self.log, stored.entries)
        return signed if same and signed.is_signed_by(self._keys.signing.public_key()) else None

    def _vouch_for(self, newest: _Stored) -> None:
        """Refuse to go on from a checkpoint that is not ours: one put in far ahead would keep us from ever signing."""
        (last,) = self._connection.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()
        if self._ours(newest) is None:
            what = f"holds a checkpoint at entry {newest.entries} that this installation did not sign"
        elif newest.entries > last:
            what = f"lacks entries {last + 1} to {newest.entries}, which were signed"
        else:
            return
        message = (
            f"The audit trail {self._path} {what}, so its entries are no longer signed. Keep a copy of the file and "
            "run `muniment audit verify`; then restore the trail from a backup, or move it away and run "
            "`muniment init --missing`."
        )
        raise TrailUnavailableError(message)

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
