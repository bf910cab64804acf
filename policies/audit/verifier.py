"""Is the trail what was written? Needs the trail, the public key, and for its end the last checkpoint kept elsewhere.

Every entry is hashed again and must follow the one before it in its writer's chain; the entries between two checkpoints
must be those that the later one signed. What came after the newest checkpoint is held together by its chains alone.
Entries without a body keep their hashes, and must be exactly those that the newest checkpoint signs as removed. Where a
checkpoint hands over to another key, that one must have signed what comes after.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, chain
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from policies.audit.chain import genesis
from policies.audit.checkpoints import Checkpoint, SignedCheckpoint, digest, followed
from policies.audit.events import TrailReduced
from policies.audit.merkle import EMPTY_ROOT, root_of
from policies.audit.places import TrailPlace, open_to_read
from policies.audit.ranges import ends_of, ids_of, ranges_of
from policies.audit.storage import ReadableTrail, StorageError
from policies.keys import read_public_keys

_MOST_FINDINGS = 100
"""Findings told; one is enough to distrust the trail, and a replaced file would give one for each entry."""


class FindingKind(StrEnum):
    """What is wrong with a trail."""

    ALTERED = "altered"
    """An entry's content is not what was hashed."""
    BAD_SIGNATURE = "bad-signature"
    """A checkpoint was not signed with this key, or was altered since."""
    CHECKPOINTS_ALTERED = "checkpoints-altered"
    """A checkpoint was removed, inserted or altered."""
    CUT = "cut"
    """Entries that a checkpoint counted are missing from the end."""
    DAMAGED = "damaged"
    """The trail cannot be read to its end."""
    DEFINITION_ALTERED = "definition-altered"
    """The trail's tables are not those we make; something may be hidden, or may have been changed."""
    MISPLACED = "misplaced"
    """An entry does not follow the one before it in its writer's chain: altered, moved, or put in."""
    MISSING = "missing"
    """Entries are gone from the middle."""
    NOT_REMOVED = "not-removed"
    """The entries without content are not those from which it was removed by whoever holds the signing key."""
    OTHER_TRAIL = "other-trail"
    """A checkpoint speaks of another trail: this one stands where that one should."""
    REWRITTEN = "rewritten"
    """Entries hang together, and are not those that were signed."""
    UNKNOWN_WRITER = "unknown-writer"
    """A chain does not begin as chains of this trail do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with entries `first` to `last` (their ids), or with the trail as a whole (both 0)."""

    kind: FindingKind
    first: int
    last: int
    detail: str


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What a verification found.

    `entries` were checked, of which `sealed` are vouched for by a signature; the rest came after the newest checkpoint.
    At most 100 findings are listed. From `removed` of the entries the content was removed, since their time was over.
    """

    log: str
    entries: int
    sealed: int
    checkpoints: int
    writers: int
    removed: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify(
    place: TrailPlace, public_key_pem: str, last_checkpoint: SignedCheckpoint | None = None
) -> VerificationReport:
    """Check a whole trail, also beside a running writer.

    `public_key_pem` holds the key that an auditor was given, or several keys of an installation, the oldest first;
    those that they hand over to are followed. Without `last_checkpoint`, one that was kept where the trail's keeper
    could not change it, a trail that was cut or rolled back to an earlier state of the whole file looks intact.

    Raises:
        KeysUnusableError: The key is none.
        TrailUnreadableError: There is none, or it is no trail.
    """
    keys = read_public_keys(public_key_pem)
    with closing(open_to_read(place)) as trail:
        verification = _Verification(trail.log, keys)
        verification.run(trail, last_checkpoint)
        return verification.report()


class _Place(NamedTuple):
    id: int
    writer: bytes
    seq: int
    previous: bytes


class _Verification:
    """One run: what has been checked so far, and what was found."""

    def __init__(self, log: str, keys: tuple[Ed25519PublicKey, ...]) -> None:
        self._log = log
        self._keys = keys
        self._entries = 0
        self._last_id = 0
        self._expected: dict[bytes, tuple[int, bytes]] = {}
        self._bare: list[tuple[int, bytes]] = []
        self._checkpoints: list[Checkpoint] = []
        self._needed_from: list[int] = []
        self._reached = 0
        self._segment: list[bytes] = []
        self._segment_first = 1
        self._findings: list[Finding] = []
        self._found_before_checkpoint = 0

    def run(self, trail: ReadableTrail, kept: SignedCheckpoint | None) -> None:
        try:
            self._check_definition(trail)
            self._gather_checkpoints(trail, kept)
            self._check_entries(trail)
            self._check_end()
            self._check_removed(trail)
        except (StorageError, TypeError, ValueError) as error:
            where = self._entries + 1
            self._find(FindingKind.DAMAGED, where, where, f"The trail cannot be read on from here: {error}.")

    def report(self) -> VerificationReport:
        return VerificationReport(
            log=self._log,
            entries=self._entries,
            sealed=min(self._last_id, self._checkpoints[-1].count) if self._checkpoints else 0,
            checkpoints=len(self._checkpoints),
            writers=len(self._expected),
            removed=len(self._bare),
            findings=tuple(self._findings[:_MOST_FINDINGS]),
        )

    def _find(self, kind: FindingKind, first: int, last: int, detail: str) -> None:
        if len(self._findings) <= _MOST_FINDINGS:
            self._findings.append(Finding(kind, first, last, detail))

    def _check_definition(self, trail: ReadableTrail) -> None:
        """A changed trigger, index or computed column could hide entries from those who search, or let them change."""
        if not trail.is_as_made():
            self._find(FindingKind.DEFINITION_ALTERED, 0, 0, "The trail's tables, indexes or triggers were changed.")

    def _gather_checkpoints(self, trail: ReadableTrail, kept: SignedCheckpoint | None) -> None:
        """The checkpoints that entries are held to: those whose signature is good, and the one kept elsewhere."""
        rows = trail.select("SELECT number, body, signature FROM checkpoints ORDER BY number")
        stored, unbroken = self._read_checkpoints(rows)
        # Each names the digest of the one before, so the newest signature vouches for an unbroken line of them.
        in_force = followed(self._keys, stored[:-1])[-1:]
        self._keys = followed(self._keys, stored)
        vouched = unbroken and bool(stored) and stored[-1].is_signed_by(*in_force)
        good = [
            signed
            for signed in stored
            if vouched or self._is_signed(signed, in_force if signed is stored[-1] else self._keys)
        ]
        if kept is not None and kept not in stored and self._is_of_this_trail(kept):
            self._is_signed(kept, self._keys)
            good.append(kept)  # Whoever kept it trusts it: what is cut is told by it, even where its key is not known.
            said = kept.checkpoint
            detail = (
                f"Checkpoint {said.number}, at entry {said.count}, was kept elsewhere and is gone from the trail, "
                "so the entries up to it need not be those that were signed."
            )
            self._find(FindingKind.CHECKPOINTS_ALTERED, 1, said.count, detail)
        self._checkpoints = sorted((signed.checkpoint for signed in good), key=lambda said: (said.count, said.number))
        firsts = (said.first for said in reversed(self._checkpoints))
        self._needed_from = list(accumulate(firsts, min))[::-1]

    def _read_checkpoints(self, rows: Iterable[tuple[int, str, bytes]]) -> tuple[list[SignedCheckpoint], bool]:
        """The stored checkpoints of this trail, and whether they are an unbroken line from the first on."""
        found: list[SignedCheckpoint] = []
        previous, follows, unbroken = "", (1, 1), True
        for number, body, signature in rows:
            try:
                signed = SignedCheckpoint.from_parts(body, signature)
            except ValueError:
                signed = None
            said = signed.checkpoint if signed else None
            if said is None or (number, said.number, said.first, said.previous) != (follows[0], *follows, previous):
                unbroken = False
                at = said.count if said else 0
                detail = f"Checkpoint {number}, at entry {at or 'unknown'}, does not follow the one before it."
                self._find(FindingKind.CHECKPOINTS_ALTERED, at, at, detail)
            if signed is not None and self._is_of_this_trail(signed):
                found.append(signed)
            previous = digest(body, signature)
            follows = (number + 1, said.count + 1 if said else follows[1])
        return found, unbroken

    def _is_signed(self, signed: SignedCheckpoint, keys: Iterable[Ed25519PublicKey]) -> bool:
        good = any(signed.is_signed_by(key) for key in keys)
        if not good:
            count = signed.checkpoint.count
            detail = f"The checkpoint at entry {count} was not signed with the key in force, or was altered."
            self._find(FindingKind.BAD_SIGNATURE, count, count, detail)
        return good

    def _is_of_this_trail(self, signed: SignedCheckpoint) -> bool:
        same = signed.checkpoint.log == self._log
        if not same:
            detail = f"A checkpoint is of trail {signed.checkpoint.log}, and this is trail {self._log}."
            self._find(FindingKind.OTHER_TRAIL, 0, 0, detail)
        return same

    def _check_entries(self, trail: ReadableTrail) -> None:
        # A verification spends its time in this loop: the usual is checked here, the rest is told apart in `_explain`.
        self._found_before_checkpoint = len(self._findings)
        sha256, expected, last_id, segment = hashlib.sha256, self._expected, 0, self._segment
        self._compare(0)  # With checkpoints of no entries, before the first.
        due = self._next_checkpoint()
        for id_, writer, seq, previous, hash_, body in trail.entries():
            if body is None:
                self._bare.append((id_, hash_))
            intact = body is None or sha256(previous + body).digest() == hash_
            if not intact or expected.get(writer) != (seq, previous) or id_ != last_id + 1:
                self._explain(_Place(id_, writer, seq, previous), last_id, intact=intact)
                due = self._next_checkpoint()
            expected[writer] = (seq + 1, hash_)
            segment.append(hash_)
            last_id = id_
            if id_ == due:
                self._compare(id_)
                due = self._next_checkpoint()
            self._entries += 1
        self._last_id = last_id

    def _next_checkpoint(self) -> int:
        """The count of the next checkpoint to compare with, -1 when there is none."""
        return self._checkpoints[self._reached].count if self._reached < len(self._checkpoints) else -1

    def _explain(self, at: _Place, last_id: int, *, intact: bool) -> None:
        """Tell what is wrong with an entry, if anything."""
        name = at.writer.decode()
        expected = self._expected.get(at.writer) or (1, genesis(self._log, name))
        if at.id <= last_id:
            self._find(FindingKind.MISPLACED, at.id, at.id, f"Entry {at.id} stands before the first.")
        elif at.id != last_id + 1:
            detail = f"Entries {last_id + 1} to {at.id - 1} are gone."
            self._find(FindingKind.MISSING, last_id + 1, at.id - 1, detail)
        if expected != (at.seq, at.previous):
            known = at.writer in self._expected
            kind = FindingKind.MISPLACED if known else FindingKind.UNKNOWN_WRITER
            detail = f"Entry {at.id} is number {at.seq} of writer {name} and does not follow number {expected[0] - 1}."
            self._find(kind, at.id, at.id, detail)
        if not intact:
            detail = f"Entry {at.id} (number {at.seq} of writer {name}) is not what was hashed."
            self._find(FindingKind.ALTERED, at.id, at.id, detail)
        if at.id != last_id + 1:  # What is not all there cannot be compared: the checkpoint over it begins too early.
            self._segment.clear()
            self._segment_first = at.id
        while 0 <= self._next_checkpoint() < at.id:
            self._pass_checkpoint()

    def _compare(self, id_: int) -> None:
        """Hold the entries up to this one to the checkpoints that end here."""
        while self._next_checkpoint() == id_:
            already_told = len(self._findings) > self._found_before_checkpoint
            said = self._checkpoints[self._reached]
            hashes = self._segment[max(0, said.first - self._segment_first) :]
            whole = said.first >= self._segment_first and len(hashes) == said.count - said.first + 1
            if not (whole and root_of(hashes).hex() == said.root) and not already_told:
                detail = f"Entries {said.first} to {id_} are not, or not in the order, that was signed."
                self._find(FindingKind.REWRITTEN, said.first, id_, detail)
            self._pass_checkpoint()

    def _pass_checkpoint(self) -> None:
        self._found_before_checkpoint = len(self._findings)
        self._reached += 1
        # Hashes that no checkpoint to come needs are let go. Where some checkpoint is missing, more are kept.
        needed = self._needed_from[self._reached] if self._reached < len(self._needed_from) else self._last_needed()
        if needed > self._segment_first:
            del self._segment[: needed - self._segment_first]
            self._segment_first = needed

    def _last_needed(self) -> int:
        return self._segment_first + len(self._segment)

    def _check_end(self) -> None:
        signed = self._checkpoints[-1].count if self._checkpoints else 0
        if signed > self._last_id:
            detail = f"Entries {self._last_id + 1} to {signed} were signed and are missing from the end."
            self._find(FindingKind.CUT, self._last_id + 1, signed, detail)

    def _check_removed(self, trail: ReadableTrail) -> None:
        """Hold the entries without a body to what the newest checkpoint signs of them."""
        newest = self._checkpoints[-1] if self._checkpoints else None
        signed = (newest.removed, newest.removed_root) if newest else (0, EMPTY_ROOT.hex())
        if signed == (len(self._bare), root_of([hash_ for _, hash_ in self._bare]).hex()):
            return
        # The signed entries about removals are not what counts; they tell which entries are concerned.
        query = "SELECT body FROM entries WHERE kind = :kind AND id <= :signed"
        rows = trail.select(query, {"kind": TrailReduced.kind, "signed": newest.count if newest else 0})
        told = [json.loads(body)["event"]["entries"] for (body,) in rows]
        bare = {id_ for id_, _ in self._bare}
        wrong = bare.symmetric_difference(ids_of(chain.from_iterable(told), self._last_id))
        for text in ranges_of(wrong or bare) or ("0",):
            first, last = ends_of(text)
            detail = (
                f"Content is missing from entries {first} to {last}, or is there again: "
                f"{len(self._bare)} entries are without, and the newest checkpoint signs {signed[0]} as removed."
            )
            self._find(FindingKind.NOT_REMOVED, first, last, detail)
