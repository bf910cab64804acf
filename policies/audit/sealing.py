"""The next checkpoint of a trail: over what, after which one, signed by whom.

Nothing is signed after a checkpoint that this installation did not sign: one put in far ahead would keep us from ever
signing again, and whoever removed entries or their content must not have it signed by us.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from policies.audit.chain import timestamp
from policies.audit.checkpoints import Checkpoint, SignedCheckpoint, digest, sign_checkpoint
from policies.audit.merkle import root_of
from policies.audit.places import TrailPlace
from policies.audit.storage import Selecting, StoredCheckpoint, WritableTrail
from policies.errors import SignatureRefusedError, TrailUnavailableError
from policies.keys import Keys, key_id, read_public_keys


class NotOursError(TrailUnavailableError):
    """The trail is not what this installation signed, so nothing is signed after it."""


class Sealer:
    """Signs checkpoints over one trail, within the transactions of its writer."""

    def __init__(self, place: TrailPlace, keys: Keys) -> None:
        self._place = place
        self._keys = keys
        self._known: tuple[Ed25519PublicKey, ...] = ()
        self._signed = 0

    def sign(self, trail: WritableTrail, *, least: int = 0, next_key: str = "") -> SignedCheckpoint | None:
        """Add a checkpoint over what is not signed yet, if it is at least so many entries.

        Raises:
            NotOursError: The newest checkpoint is none of ours, or signs what is not there.
            SignerUnavailableError: Whoever holds the key cannot be asked, or refuses.
        """
        last = _last_entry(trail)
        if last - self._signed < least:  # Another process may have signed more, never less.
            return None
        newest = self.newest(trail)
        self._signed = _count(newest)
        if self._signed > last:
            what = f"lacks entries {last + 1} to {self._signed}, which were signed"
            raise self._not_ours(what)
        if last - self._signed < least:
            return None
        checkpoint = replace(self._after(trail, newest, last), next_key=next_key)
        return self._add(trail, newest, checkpoint)

    def sign_removal(self, trail: WritableTrail, ids: Sequence[int]) -> SignedCheckpoint:
        """Remove the bodies of entries, and add a checkpoint that says of which entries they were.

        Raises:
            NotOursError: As above, or bodies are gone that nobody removed, or the entries are not signed yet.
            SignerUnavailableError: Whoever holds the key cannot be asked, or refuses.
        """
        newest = self.require_untouched(trail)
        if newest is None or max(ids) > newest.checkpoint.count:
            what = "has entries to be removed that are not signed yet"
            raise self._not_ours(what)
        trail.remove_bodies(ids)
        removed, root = _removed(trail)
        checkpoint = self._after(trail, newest, _last_entry(trail))
        return self._add(trail, newest, replace(checkpoint, removed=removed, removed_root=root))

    def require_untouched(self, trail: Selecting) -> SignedCheckpoint | None:
        """The newest checkpoint, if the entries without a body are those that it says; None where there is none.

        Raises:
            NotOursError: It is none of ours, or bodies are gone that nobody removed.
        """
        newest = self.newest(trail)
        if newest and not _untouched(trail, newest.checkpoint):
            what = "lacks content of entries that nobody removed"
            raise self._not_ours(what)
        return newest

    def newest(self, trail: Selecting) -> SignedCheckpoint | None:
        """The newest checkpoint, None if there is none.

        Raises:
            NotOursError: It is not one that this installation signed, or hands over to a key that is not ours.
        """
        rows = trail.select("SELECT number, body, signature FROM checkpoints ORDER BY number DESC LIMIT 1")
        if not rows:
            return None
        stored = StoredCheckpoint(*rows[0])
        what = f"holds a checkpoint, number {stored.number}, that this installation did not sign"
        try:
            signed = SignedCheckpoint.from_parts(stored.body, stored.signature)
        except ValueError as error:
            raise self._not_ours(what) from error
        said = signed.checkpoint
        if (said.log, said.number) != (trail.log, stored.number) or not self._is_known(signed):
            raise self._not_ours(what)
        in_force = _key_after(said)
        signer = self._keys.signing
        # A signer that signs once may have signed a hand-over that was lost before it came here: it will say so.
        if in_force != self._keys.key_id() and not signer.refresh(in_force) and not signer.signs_once:
            what = f"is signed with the key {in_force}, and this installation has {self._keys.key_id()}"
            raise self._not_ours(what)
        return signed

    def _after(self, trail: Selecting, newest: SignedCheckpoint | None, last: int) -> Checkpoint:
        """The checkpoint after the newest one, over the entries up to the last."""
        before = newest.checkpoint if newest else None
        first = _count(newest) + 1
        query = "SELECT hash FROM entries WHERE id BETWEEN :first AND :last ORDER BY id"
        hashes = [hash_ for (hash_,) in trail.select(query, {"first": first, "last": last})]
        found = Checkpoint(
            log=trail.log,
            number=before.number + 1 if before else 1,
            first=first,
            count=last,
            root=root_of(hashes).hex(),
            at=timestamp(datetime.now(UTC)),
            previous=digest(newest.body, newest.signature) if newest else "",
            key=_key_after(before) if before else self._keys.key_id(),
        )
        return replace(found, removed=before.removed, removed_root=before.removed_root) if before else found

    def _add(self, trail: WritableTrail, newest: SignedCheckpoint | None, checkpoint: Checkpoint) -> SignedCheckpoint:
        try:
            signed = sign_checkpoint(checkpoint, self._keys.signing)
        except SignatureRefusedError as refused:
            # It signed one before that did not reach the trail. Another one in its place would be a second history.
            left = SignedCheckpoint.from_line(refused.last)
            said = left.checkpoint
            expected = self._after(trail, newest, said.count)
            removed = (checkpoint.removed, checkpoint.removed_root)
            expected = replace(expected, at=said.at, next_key=said.next_key, key=said.key)
            if replace(expected, removed=removed[0], removed_root=removed[1]) != said or not self._is_known(left):
                raise
            signed = left
        trail.add_checkpoint(StoredCheckpoint(signed.checkpoint.number, signed.body, signed.signature))
        return signed

    def _is_known(self, signed: SignedCheckpoint) -> bool:
        """Whether one of this installation's keys signed it; they are read again where none of the known did."""
        if any(signed.is_signed_by(key) for key in self._known):
            return True
        self._known = (*read_public_keys(self._keys.public_key_pem()), self._keys.signing.public_key())
        return any(signed.is_signed_by(key) for key in self._known)

    def _not_ours(self, what: str) -> NotOursError:
        return NotOursError(
            f"The audit trail {self._place} {what}, so its entries are no longer signed. Keep a copy of it and "
            "run `muniment audit verify`; then restore the trail from a backup, or move it away and run "
            "`muniment init --missing`."
        )


def _last_entry(trail: Selecting) -> int:
    [(last,)] = trail.select("SELECT coalesce(max(id), 0) FROM entries")
    return int(last)


def _count(newest: SignedCheckpoint | None) -> int:
    return newest.checkpoint.count if newest else 0


def _key_after(said: Checkpoint) -> str:
    """Which key signs the next checkpoint."""
    if not said.next_key:
        return said.key
    return key_id(Ed25519PublicKey.from_public_bytes(bytes.fromhex(said.next_key)))


def _untouched(trail: Selecting, said: Checkpoint) -> bool:
    """Whether the entries without a body are those that the newest checkpoint says."""
    return _removed(trail) == (said.removed, said.removed_root)


def _removed(trail: Selecting) -> tuple[int, str]:
    """How many entries have no body, and the root over their hashes."""
    hashes = [hash_ for (hash_,) in trail.select("SELECT hash FROM entries WHERE body IS NULL ORDER BY id")]
    return len(hashes), root_of(hashes).hex()
