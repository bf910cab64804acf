"""Proofs that single entries are in the trail, which whoever holds a receipt can check without the trail.

A proof is an entry, its path to the root that a checkpoint signs, and the checkpoint. `evidence` gathers all that
concerns one receipt; `deploy/verify_trail.py` checks it with nothing but a public key and Python's standard library.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from policies.audit.chain import entry_hash
from policies.audit.checkpoints import SignedCheckpoint, followed
from policies.audit.events import AnswerGiven, PassagesRetrieved, QuestionAsked
from policies.audit.merkle import path_of, root_from
from policies.audit.places import TrailPlace, open_to_read, unreadable
from policies.audit.receipts import is_signed_by_any, receipt_digest
from policies.audit.storage import Selecting, StorageError
from policies.errors import TrailUnreadableError
from policies.keys import read_public_keys

_SAME = {"same": '%"next_key":""%'}
"""What the checkpoints are like that do not hand over to another key."""


@dataclass(frozen=True, slots=True)
class Proof:
    """An entry of the trail, with what shows that a checkpoint signs it.

    `id` is its number in the trail, `previous` the hash it is chained to, `path` what leads from it to the signed root
    (hashes in hexadecimal).
    """

    id: int
    writer: str
    seq: int
    previous: str
    body: str
    path: tuple[str, ...]
    checkpoint: SignedCheckpoint

    @property
    def kind(self) -> str:
        """The kind of its event."""
        return str(json.loads(self.body)["kind"])

    @property
    def event(self) -> Mapping[str, Any]:
        """What its event says."""
        event: Mapping[str, Any] = json.loads(self.body)["event"]
        return event

    @property
    def hash(self) -> str:
        """The entry's hash, in hexadecimal."""
        return entry_hash(bytes.fromhex(self.previous), self.body.encode()).hex()

    def holds(self, keys: Iterable[Ed25519PublicKey]) -> bool:
        """Whether a checkpoint with the signature of one of these keys signs the entry."""
        said = self.checkpoint.checkpoint
        path = [bytes.fromhex(hash_) for hash_ in self.path]
        root = root_from(bytes.fromhex(self.hash), self.id - said.first, said.count - said.first + 1, path)
        signed = any(self.checkpoint.is_signed_by(key) for key in keys)
        return signed and root is not None and root.hex() == said.root

    def to_dict(self) -> dict[str, Any]:
        """As `deploy/verify_trail.py` reads it."""
        return {
            "body": self.body,
            "checkpoint": json.loads(self.checkpoint.line()),
            "id": self.id,
            "path": list(self.path),
            "previous": self.previous,
            "seq": self.seq,
            "writer": self.writer,
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the trail says of one receipt: `problems` in words, empty when everything holds; the proved entries.

    `handovers` are the checkpoints that hand over to another signing key: whoever has an earlier one can follow.
    """

    receipt: Mapping[str, Any]
    proofs: tuple[Proof, ...]
    problems: tuple[str, ...]
    handovers: tuple[SignedCheckpoint, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As `deploy/verify_trail.py` reads it."""
        return {
            "entries": [proof.to_dict() for proof in self.proofs],
            "keys": [json.loads(signed.line()) for signed in self.handovers],
            "receipt": self.receipt,
        }


def evidence(place: TrailPlace, receipt: Mapping[str, Any], public_key_pem: str, answer: str | None = None) -> Evidence:
    """Hold a receipt, and if given the text of its answer, to the trail.

    Raises:
        KeysUnusableError: The key is none.
        TrailUnreadableError: The trail cannot be read.
    """
    handovers = _handovers(place)
    keys = followed(read_public_keys(public_key_pem), handovers)
    if not is_signed_by_any(receipt, keys):
        problem = "The receipt was not signed with this key or one that it hands over to, or was altered since."
        return Evidence(receipt, (), (problem,))
    said = receipt["receipt"]
    proofs, unsigned = _proofs(place, said["request"])
    problems = [f"Entry {id_} is not signed yet. Try again in a second." for id_ in unsigned]
    problems += [f"Entry {proof.id} is not what was signed." for proof in proofs if not proof.holds(keys)]
    if answer is not None and hashlib.sha256(answer.encode()).hexdigest() != said["output_sha256"]:
        problems.append("The answer's text is not the one that the receipt is for.")
    problems += _disagreements(receipt, proofs)
    return Evidence(receipt, proofs, tuple(problems), handovers)


def _disagreements(receipt: Mapping[str, Any], proofs: tuple[Proof, ...]) -> list[str]:
    """Where the receipt and the entries of its request say different things."""
    said = receipt["receipt"]
    asked, found, given = (
        next((proof for proof in proofs if proof.kind == kind), None)
        for kind in (QuestionAsked.kind, PassagesRetrieved.kind, AnswerGiven.kind)
    )
    if asked is None or found is None or given is None:
        missing = "The trail does not hold the question, what was found for it and its answer: entries are missing"
        return [f"{missing}, or were removed when their time was over."]
    agreements = {
        "the question's entry": asked.hash == said["intent"]["hash"],
        "the trail": asked.checkpoint.checkpoint.log == said["intent"]["log"],
        "who asked": asked.event["principal"] == said.get("subject", said["principal"]),  # Older ones hold the name.
        "the model": asked.event["model"] == said["model"],
        "the policies": found.event["policy_revision"] == said["policy_revision"],
        "the decisions": found.event["decisions_sha256"] == said["decisions_sha256"],
        "the passages": set(said["passages"]) <= set(found.event["passages"]),
        "what was redacted": given.event["redactions"] == said["redactions"],
        "the answer": given.event["output_sha256"] == said["output_sha256"],
        "the receipt itself": given.event["receipt_sha256"] == receipt_digest(receipt),
    }
    return [f"Trail and receipt do not agree on {what}." for what, agree in agreements.items() if not agree]


def _handovers(place: TrailPlace) -> tuple[SignedCheckpoint, ...]:
    """The checkpoints that hand over to another signing key, in their order."""
    with closing(open_to_read(place)) as trail:
        try:
            rows = trail.select(
                "SELECT body, signature FROM checkpoints WHERE body NOT LIKE :same ORDER BY number", _SAME
            )
            return tuple(SignedCheckpoint.from_parts(*row) for row in rows)
        except (StorageError, ValueError) as error:
            raise unreadable(place, error) from error


class _Row(NamedTuple):
    id: int
    writer: str
    seq: int
    previous: bytes
    body: str


def _proofs(place: TrailPlace, request: str) -> tuple[tuple[Proof, ...], list[int]]:
    """The proved entries of a request in their order, and the numbers of those that no checkpoint signs yet."""
    proofs, unsigned = [], []
    query = """SELECT id, writer, seq, previous, body FROM entries
        WHERE request = :request AND body IS NOT NULL ORDER BY id"""
    with closing(open_to_read(place)) as trail:
        try:
            for row in [_Row(*row) for row in trail.select(query, {"request": request})]:
                checkpoint = _checkpoint_over(trail, row.id)
                if checkpoint is None:
                    unsigned.append(row.id)
                else:
                    proofs.append(_proof(trail, row, checkpoint))
        except (StorageError, ValueError, TypeError, IndexError) as error:
            raise unreadable(place, error) from error
    return tuple(proofs), unsigned


def _proof(trail: Selecting, row: _Row, checkpoint: SignedCheckpoint) -> Proof:
    said = checkpoint.checkpoint
    query = "SELECT hash FROM entries WHERE id BETWEEN :first AND :last ORDER BY id"
    hashes = [hash_ for (hash_,) in trail.select(query, {"first": said.first, "last": said.count})]
    path = tuple(hash_.hex() for hash_ in path_of(hashes, row.id - said.first))
    return Proof(row.id, row.writer, row.seq, row.previous.hex(), row.body, path, checkpoint)


def _checkpoint_over(trail: Selecting, id_: int) -> SignedCheckpoint | None:
    """The checkpoint that signs an entry. Numbers and counts grow together, so halving finds it."""
    [(last,)] = trail.select("SELECT coalesce(max(number), 0) FROM checkpoints")
    low, high = 1, last + 1
    while low < high:
        middle = (low + high) // 2
        count = _checkpoint(trail, middle).checkpoint.count
        low, high = (middle + 1, high) if count < id_ else (low, middle)
    return _checkpoint(trail, low) if low <= last else None


def _checkpoint(trail: Selecting, number: int) -> SignedCheckpoint:
    found = trail.select("SELECT body, signature FROM checkpoints WHERE number = :number", {"number": number})
    if not found:
        message = "checkpoints are missing; run `muniment audit verify`"
        raise TrailUnreadableError(message)
    return SignedCheckpoint.from_parts(*found[0])
