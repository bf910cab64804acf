"""Whole trails, made row by row from the specification: with several writers, removed content and rotated keys.

Fast, since nothing waits for a disk: ten thousand of them are made in a few minutes.
"""

import base64
import json
import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.audit.chain import encode, entry_hash, genesis, timestamp
from policies.audit.checkpoints import CHECKPOINT_PURPOSE, Checkpoint, SignedCheckpoint, digest
from policies.audit.database import TABLES
from policies.audit.events import QuestionAsked, SearchAsked, TrailReduced
from policies.audit.merkle import root_of
from policies.audit.ranges import ranges_of
from policies.signing import key_id

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """An entry of a trail that is being made."""

    writer: str
    seq: int
    previous: bytes
    hash: bytes
    body: str | None


class Making:
    """A trail in memory, to which entries, checkpoints, removals and rotations are added."""

    def __init__(self, rng: random.Random, keys: list[Ed25519PrivateKey]) -> None:
        self.rng = rng
        self.log = f"{rng.getrandbits(64):016x}"
        self.entries: list[Row] = []
        self.signed: list[SignedCheckpoint] = []
        self.heads: dict[str, tuple[int, bytes]] = {}
        self.removed: list[int] = []
        self._keys = list(keys)
        self._at = BEGIN

    @property
    def key(self) -> Ed25519PrivateKey:
        """The key that signs now."""
        return self._keys[0]

    def add(self, body: str, writer: str) -> None:
        """Add an entry."""
        seq, previous = self.heads.get(writer, (0, genesis(self.log, writer)))
        hash_ = entry_hash(previous, body.encode())
        self.entries.append(Row(writer, seq + 1, previous, hash_, body))
        self.heads[writer] = seq + 1, hash_

    def some_entries(self, writers: list[str], most: int) -> None:
        """Add a few entries of any of the writers."""
        for _ in range(self.rng.randint(1, most)):
            self._at += timedelta(seconds=self.rng.random())
            self.add(some_body(self.rng, self._at), self.rng.choice(writers))

    def sign(self, next_key: str = "") -> None:
        """Add a checkpoint over what is not signed yet."""
        before = self.signed[-1] if self.signed else None
        first = before.checkpoint.count + 1 if before else 1
        bare = [self.entries[id_ - 1].hash for id_ in self.removed]
        checkpoint = Checkpoint(
            log=self.log,
            number=len(self.signed) + 1,
            first=first,
            count=len(self.entries),
            root=root_of([row.hash for row in self.entries[first - 1 :]]).hex(),
            at=timestamp(self._at),
            previous=digest(before.body, before.signature) if before else "",
            key=key_id(self.key.public_key()),
            removed=len(bare),
            removed_root=root_of(bare).hex(),
            next_key=next_key,
        )
        self.signed.append(signed_with(self.key, checkpoint))

    def rotate(self) -> None:
        """Hand over to the next key, which signs at once."""
        self.sign(self._keys[1].public_key().public_bytes_raw().hex())
        del self._keys[0]
        self.sign()

    def remove(self) -> None:
        """Remove the content of some of the signed entries."""
        signed = self.signed[-1].checkpoint.count if self.signed else 0
        left = [id_ for id_ in range(1, signed + 1) if (body := self.entries[id_ - 1].body) and "trail:" not in body]
        chosen = sorted(id_ for id_ in left if self.rng.random() < 0.5)
        if not chosen:
            return
        self.add(encode(TrailReduced("muniment", len(chosen), ranges_of(chosen), {}), self._at), self.entries[0].writer)
        for id_ in chosen:
            self.entries[id_ - 1] = replace(self.entries[id_ - 1], body=None)
        self.removed = sorted([*self.removed, *chosen])
        self.sign()

    def store(self, file: Path) -> None:
        """Write a file of it."""
        file.unlink(missing_ok=True)
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("BEGIN")
            for statement in TABLES:
                connection.execute(statement)
            connection.execute("INSERT INTO log VALUES (1, ?)", (self.log,))
            connection.executemany(
                "INSERT INTO entries (writer, seq, previous, hash, body) VALUES (?, ?, ?, ?, ?)",
                [(row.writer, row.seq, row.previous, row.hash, row.body) for row in self.entries],
            )
            rows = [(signed.checkpoint.number, signed.body, signed.signature) for signed in self.signed]
            connection.executemany("INSERT INTO checkpoints VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")


def some_trail(
    rng: random.Random, keys: list[Ed25519PrivateKey], groups: int, earlier: Path | None = None, *, removed: bool = True
) -> Making:
    """A trail of some processes, signed now and then; content was removed now and then, and every key has signed.

    As it was halfway is written to the file `earlier`.
    """
    made = Making(rng, keys)
    writers = [f"{rng.getrandbits(64):016x}" for _ in range(rng.randint(1, 4))]
    rotations = sorted(rng.randrange(groups) for _ in keys[1:])
    for number in range(groups):
        made.some_entries(writers, 6)
        if rng.random() < 0.4:
            made.sign()
        if rng.random() < 0.1:
            made.sign()  # Over no entries, as after a quiet hour.
        if removed and rng.random() < 0.1:
            made.remove()
        if earlier and number == groups // 2:
            made.sign()
            made.store(earlier)
        for _ in range(rotations.count(number)):
            made.rotate()
    made.sign()
    return made


def some_body(rng: random.Random, at: datetime) -> str:
    """The body of an entry that a question or a search leaves."""
    number = rng.getrandbits(40)
    if rng.random() < 0.5:
        return encode(QuestionAsked(f"r{number}", f"user-{number % 7}", "test", "0" * 64, "m", "1" * 64), at)
    return encode(SearchAsked(f"s{number}", f"user-{number % 7}é\n", "test", "0" * 64, "1" * 64), at)


def signed_with(key: Ed25519PrivateKey, checkpoint: Checkpoint) -> SignedCheckpoint:
    """A checkpoint with a signature."""
    unsigned = SignedCheckpoint(checkpoint, b"")
    return SignedCheckpoint(checkpoint, key.sign(CHECKPOINT_PURPOSE + unsigned.body.encode()))


def as_read(signed: SignedCheckpoint) -> tuple[dict[str, Any], bytes]:
    """A checkpoint as the verifier that stands alone has it."""
    line = json.loads(signed.line())
    return line["checkpoint"], base64.b64decode(line["signature"])
