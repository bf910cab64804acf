"""Checkpoints: signed statements of how many entries there are, and what they are.

Each signs the entries since the one before it by the root of their Merkle tree, and names the one before by its digest,
so the newest signature vouches for all. A checkpoint of no entries says that there were none until then. Each also says
which entries have no content any more, and may name the key that signs all after it.

A chain alone does not notice that its tail was cut, or that all of it was replaced. A checkpoint that somebody else
keeps does: `sinks/copies.py` sends each to other places.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from policies.audit.chain import canonical
from policies.audit.merkle import EMPTY_ROOT
from policies.signing import Signer

OnCheckpoint = Callable[["SignedCheckpoint"], None]
"""Told of the newest checkpoint once it is durable, by the thread that writes, so it must not block.

That it cannot take it (`OSError`) is said in the trail's health; it is told again within a second.
"""

CHECKPOINT_PURPOSE = b"muniment-checkpoint-3\n"
"""Comes before what is signed, so that no other thing we sign can pass for a checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """At `at` (UTC) the trail `log` held `count` entries; those from `first` on have this `root` (see `merkle.py`).

    It is the checkpoint with this `number`, from 1; `first` is one more than the `count` of the one before. `root` is
    hexadecimal. `previous` is the digest of the signed checkpoint before it, empty for the first. `key` says which key
    signed. `removed` entries had no body any more; `removed_root` is the root over their hashes. `next_key` holds the
    32 bytes of the public key that signs all checkpoints after this one, in hexadecimal; empty where it stays the same.
    """

    log: str
    number: int
    first: int
    count: int
    root: str
    at: str
    previous: str
    key: str
    removed: int = 0
    removed_root: str = EMPTY_ROOT.hex()
    next_key: str = ""


_TYPES = {field.name: field.type for field in fields(Checkpoint)}
"""A number may be written as 1 or as 1.0, which compare as equal; the one form has no fractions."""


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with its Ed25519 signature."""

    checkpoint: Checkpoint
    signature: bytes

    @classmethod
    def from_parts(cls, body: str, signature: bytes) -> Self:
        """The checkpoint whose `body` and signature these are.

        Raises:
            ValueError: The body is no checkpoint, or is not written in its one form.
        """
        said = json.loads(body)
        if not isinstance(said, dict) or {name: type(value) for name, value in said.items()} != _TYPES:
            message = "not a checkpoint"
            raise ValueError(message)
        if canonical(said) != body:
            message = "not a checkpoint in its canonical form"
            raise ValueError(message)
        return cls(Checkpoint(**said), signature)

    @classmethod
    def from_line(cls, line: str) -> Self:
        """The checkpoint that `line` wrote.

        Raises:
            ValueError: The line is no checkpoint.
        """
        try:
            found: dict[str, Any] = json.loads(line)
            signature = base64.b64decode(found["signature"], validate=True)
            return cls.from_parts(canonical(found["checkpoint"]), signature)
        except (KeyError, TypeError) as error:
            message = f"not a signed checkpoint: {error!r}"
            raise ValueError(message) from error

    @property
    def body(self) -> str:
        """What is signed, after the purpose."""
        return canonical(asdict(self.checkpoint))

    def line(self) -> str:
        """Checkpoint and signature as one line of JSON."""
        signature = base64.b64encode(self.signature).decode()
        return canonical({"checkpoint": asdict(self.checkpoint), "signature": signature})

    def is_signed_by(self, key: Ed25519PublicKey) -> bool:
        """Whether the signature is this key's."""
        try:
            key.verify(self.signature, CHECKPOINT_PURPOSE + self.body.encode())
        except InvalidSignature:
            return False
        return True


def followed(keys: Sequence[Ed25519PublicKey], checkpoints: Iterable[SignedCheckpoint]) -> tuple[Ed25519PublicKey, ...]:
    """The keys, and those that they hand over to in these checkpoints; the last is the one in force after them."""
    found = tuple(keys)
    for signed in checkpoints:
        if signed.checkpoint.next_key and signed.is_signed_by(found[-1]):
            found = (*found, Ed25519PublicKey.from_public_bytes(bytes.fromhex(signed.checkpoint.next_key)))
    return found


def digest(body: str, signature: bytes) -> str:
    """What the next checkpoint calls `previous`: SHA-256 of body and signature, in hexadecimal."""
    return hashlib.sha256(body.encode() + signature).hexdigest()


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> SignedCheckpoint:
    """Sign with the key that it names.

    Raises:
        SignerUnavailableError: Whoever holds the key cannot be asked, or refuses.
    """
    unsigned = SignedCheckpoint(checkpoint, b"")
    signature = signer.sign(CHECKPOINT_PURPOSE + unsigned.body.encode(), checkpoint.key)
    return SignedCheckpoint(checkpoint, signature)


def last_exported(path: Path) -> SignedCheckpoint | None:
    """The last whole checkpoint in a file of lines, as copies are; a line cut off by a crash does not count.

    Raises:
        OSError: The file cannot be read.
    """
    for line in reversed(path.read_text(encoding="utf-8", errors="replace").splitlines()):
        try:
            return SignedCheckpoint.from_line(line)
        except ValueError:
            continue
    return None
