"""A receipt proves what an answer stood on, to whoever holds it and the public key."""

import json
from dataclasses import replace
from typing import Any

import pytest

from policies.audit.checkpoints import Checkpoint, SignedCheckpoint, sign_checkpoint
from policies.audit.receipts import (
    Receipt,
    ReceiptEntry,
    Sampling,
    SignedReceipt,
    opaque_revision,
    receipt_digest,
    revision_key,
    sign_receipt,
    verify_receipt,
)
from policies.errors import KeysUnusableError
from policies.keys import Keys

RECEIPT = Receipt(
    request="r1",
    principal="ada",
    subject="ada",
    at="2026-11-24T09:05:07.000123Z",
    policy_revision="1" * 64,
    revision="8" * 64,
    decisions_sha256="2" * 64,
    passages=("3" * 64, "4" * 64),
    redactions={"PERSON": 2},
    model="small",
    model_sha256="5" * 64,
    sampling=Sampling(temperature="0.0", top_p="1.0", seed=0, max_tokens=160),
    output_sha256="6" * 64,
    intent=ReceiptEntry(log="a" * 16, hash="7" * 64),
)


@pytest.fixture(scope="module")
def signed(keys: Keys) -> SignedReceipt:
    return sign_receipt(RECEIPT, keys)


def sent(signed: SignedReceipt) -> dict[str, Any]:
    """The receipt as a client has it, after a journey as JSON."""
    received = json.loads(json.dumps(signed.to_dict(), indent=3))
    assert isinstance(received, dict)
    return received


def altered(value: object) -> list[Any]:
    """The value, changed in one place, for each place there is."""
    if isinstance(value, dict):
        changed = [value | {key: other} for key, inner in value.items() for other in altered(inner)]
        return [*changed, *({k: v for k, v in value.items() if k != key} for key in value), value | {"more": 1}]
    if isinstance(value, list):
        return [value[::-1], value[:-1], [*value, *value]]
    return [f"{value}x"] if isinstance(value, str) else [value + 1] if isinstance(value, int) else []


def test_a_receipt_verifies_after_a_journey(signed: SignedReceipt, keys: Keys) -> None:
    assert verify_receipt(sent(signed), keys.public_key_pem())
    assert signed.key == keys.key_id()


def test_the_digest_is_that_of_the_receipt_however_it_was_sent(signed: SignedReceipt) -> None:
    received = sent(signed)
    assert receipt_digest(received) == receipt_digest(signed.to_dict())
    assert receipt_digest(dict(reversed(received.items()))) == receipt_digest(received)
    assert receipt_digest(received | {"key": ""}) != receipt_digest(received)


def test_a_receipt_says_everything_it_was_made_from(signed: SignedReceipt) -> None:
    received = sent(signed)["receipt"]
    assert received["intent"] == {"log": "a" * 16, "hash": "7" * 64}
    assert received["sampling"] == {"temperature": "0.0", "top_p": "1.0", "seed": 0, "max_tokens": 160}
    assert set(received) == set(Receipt.__dataclass_fields__)


def test_no_change_goes_unnoticed(signed: SignedReceipt, keys: Keys) -> None:
    received = sent(signed)
    changed = [received | {"receipt": other} for other in altered(received["receipt"])]
    assert len(changed) > 30
    assert [other for other in changed if verify_receipt(other, keys.public_key_pem())] == []


def test_another_key_does_not_verify(signed: SignedReceipt, other_keys: Keys) -> None:
    assert not verify_receipt(sent(signed), other_keys.public_key_pem())
    assert not verify_receipt(sent(signed) | {"key": other_keys.key_id()}, other_keys.public_key_pem())


def test_a_forged_receipt_does_not_verify(keys: Keys, other_keys: Keys) -> None:
    forged = sign_receipt(replace(RECEIPT, principal="bob"), other_keys).to_dict()
    assert not verify_receipt(forged, keys.public_key_pem())
    assert not verify_receipt(forged | {"key": keys.key_id()}, keys.public_key_pem())


@pytest.mark.parametrize(
    "nonsense",
    [{}, {"receipt": {}}, {"receipt": None, "signature": "", "key": ""}, {"receipt": {}, "signature": "§", "key": "x"}],
)
def test_what_is_no_receipt_does_not_verify(nonsense: dict[str, Any], keys: Keys) -> None:
    assert not verify_receipt(nonsense, keys.public_key_pem())


def test_a_key_that_is_none_is_an_error_and_not_a_forgery(signed: SignedReceipt) -> None:
    with pytest.raises(KeysUnusableError):
        verify_receipt(sent(signed), "no key")


def test_no_signature_serves_two_purposes(keys: Keys) -> None:
    """A checkpoint's signature over the very bytes of a receipt does not make it one, nor the reverse."""
    receipt = sign_receipt(RECEIPT, keys)
    checkpoint = sign_checkpoint(Checkpoint("a" * 16, 1, 1, 3, "0" * 64, RECEIPT.at, "", keys.key_id()), keys.signing)
    body = json.loads(checkpoint.body)
    stolen = SignedReceipt(body, "", keys.key_id()).to_dict() | {
        "signature": json.loads(checkpoint.line())["signature"]
    }
    assert not verify_receipt(stolen, keys.public_key_pem())
    assert checkpoint.is_signed_by(keys.signing.public_key())
    signed_as_receipt = keys.signing.sign(b"muniment-receipt-1\n" + checkpoint.body.encode())
    assert not SignedCheckpoint(checkpoint.checkpoint, signed_as_receipt).is_signed_by(keys.signing.public_key())
    assert verify_receipt(receipt.to_dict(), keys.public_key_pem())


def test_a_revision_tells_nothing_without_the_key(keys: Keys, other_keys: Keys) -> None:
    key = revision_key(keys)
    revisions = [opaque_revision(key, request, epoch) for request in ("r1", "r2") for epoch in (7, 8)]
    assert len(set(revisions)) == 4, "not even that the state is the same as another receipt's"
    assert opaque_revision(revision_key(keys), "r1", 7) == revisions[0]
    assert opaque_revision(revision_key(other_keys), "r1", 7) != revisions[0]
