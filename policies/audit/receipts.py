"""Receipts: what an answer stood on, signed. Whoever holds one can prove it, and can hold the trail to it."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from policies.audit.chain import canonical
from policies.keys import Keys, key_id, read_public_keys

RECEIPT_PURPOSE = b"muniment-receipt-1\n"
"""Comes before what is signed, so that no other thing we sign can pass for a receipt."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the model's words were chosen. Fractions are kept as text, which every language spells alike."""

    temperature: str
    top_p: str
    seed: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class ReceiptEntry:
    """An entry of the trail, named by which trail it is in and its hash: its number would count what others did."""

    log: str
    hash: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an answer stood on.

    Attributes:
        request: The request's name, as in the trail.
        principal: Who asked.
        subject: Who asked, as the trail's entries name them: a token, which stays when the name is erased.
        at: When it was answered, in UTC, ISO 8601.
        policy_revision: Which policies decided.
        revision: Which state of documents and access was searched: `opaque_revision` of its epoch.
        decisions_sha256: Digest of the decisions that let passages through.
        passages: SHA-256 of each passage the answer was made from, in their order.
        redactions: How much personal data was replaced, by type.
        model: Which model answered.
        model_sha256: Digest of the model's file; empty for a model on servers, which nobody here sees.
        versions: The digests of all models at work, by what they are for: the generator, the embedder, the recognisers.
        sampling: How its words were chosen.
        output_sha256: SHA-256 of the answer's text in UTF-8.
        intent: The trail's entry that says that the question was asked.
        remote: Whether the model is on another machine.
    """

    request: str
    principal: str
    subject: str
    at: str
    policy_revision: str
    revision: str
    decisions_sha256: str
    passages: tuple[str, ...]
    redactions: Mapping[str, int]
    model: str
    model_sha256: str
    sampling: Sampling
    output_sha256: str
    intent: ReceiptEntry
    remote: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt as plain data, with its Ed25519 signature in base64 and the name of the key."""

    receipt: dict[str, Any]
    signature: str
    key: str

    def to_dict(self) -> dict[str, Any]:
        """What clients are given, and `verify_receipt` takes."""
        return {"receipt": self.receipt, "signature": self.signature, "key": self.key}


def revision_key(keys: Keys) -> bytes:
    """The key of `opaque_revision`."""
    return keys.lasting("receipt-revision")


def opaque_revision(key: bytes, request: str, epoch: int) -> str:
    """An epoch as a receipt names it: HMAC-SHA256 (RFC 2104) with the installation's key, in hexadecimal.

    The epoch counts changes that the asker may know nothing of, and even that two receipts name the same one would tell
    of them; so the request's name goes in. With the key and the epoch, which the trail tells in `passages:retrieved`,
    an auditor computes it again.
    """
    return hmac.digest(key, f"{request}\0{epoch}".encode(), hashlib.sha256).hex()


def sign_receipt(receipt: Receipt, keys: Keys) -> SignedReceipt:
    """Sign with the installation's key.

    Raises:
        SignerUnavailableError: Whoever holds the key cannot be asked, or refuses.
    """
    fields = asdict(receipt) | {"passages": list(receipt.passages), "redactions": dict(receipt.redactions)}
    fields["versions"] = dict(receipt.versions)
    key = keys.key_id()
    signature = keys.signing.sign(_signed_part(fields), key)
    return SignedReceipt(fields, base64.b64encode(signature).decode(), key)


def verify_receipt(signed: Mapping[str, Any], public_key_pem: str) -> bool:
    """Whether this receipt was signed by this key and not altered since; anything that is no receipt is not.

    Raises:
        KeysUnusableError: The key is none.
    """
    return is_signed_by_any(signed, read_public_keys(public_key_pem))


def is_signed_by_any(signed: Mapping[str, Any], keys: Iterable[Ed25519PublicKey]) -> bool:
    """Whether this receipt was signed by the one of these keys that it names, and not altered since."""
    try:
        key = next(key for key in keys if key_id(key) == signed["key"])
        signature = base64.b64decode(signed["signature"], validate=True)
        key.verify(signature, _signed_part(signed["receipt"]))
    except (InvalidSignature, KeyError, TypeError, ValueError, StopIteration):
        return False
    return True


def receipt_digest(signed: Mapping[str, Any]) -> str:
    """What the trail keeps of a receipt: SHA-256 of its canonical form, whatever form it is sent in."""
    return hashlib.sha256(canonical(signed).encode()).hexdigest()


def _signed_part(fields: Mapping[str, Any]) -> bytes:
    return RECEIPT_PURPOSE + canonical(fields).encode()
