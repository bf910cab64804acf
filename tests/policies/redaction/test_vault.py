"""Sealed records open for their subject, conversation and key alone."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from policies.errors import VaultUnreadableError
from policies.keys import Keys, create_keys
from policies.redaction.vault import Place, is_of_before, seal, unseal, unseal_before
from policies.wrapping import new_key

HERE = Place("p0123456789abcdef", "c1", "vault")
BEFORE = replace(HERE, subject="alice")
DATA = b'{"entries": ["Ada Lovelace"]}'
KEY = bytes(range(32))


def sealed_before(keys: Keys, place: Place, data: bytes) -> bytes:
    """As the version before conversations had keys sealed it."""
    nonce = os.urandom(12)
    key = keys.derive(place.encoded().decode())
    return b"\x02" + nonce + AESGCM(key).encrypt(nonce, data, b"\x02" + place.encoded())


def test_what_is_sealed_opens() -> None:
    assert unseal(KEY, HERE, seal(KEY, HERE, DATA)) == DATA
    assert unseal(KEY, HERE, seal(KEY, HERE, b"")) == b""


def test_the_record_shows_nothing_and_is_never_the_same() -> None:
    first, second = seal(KEY, HERE, DATA), seal(KEY, HERE, DATA)
    assert first != second
    assert b"Lovelace" not in first


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(HERE, conversation="c2"),
        replace(HERE, subject="p0123456789abcdee"),
        replace(HERE, record="0"),
        Place("p0123456789abcdef/c1", "vault", ""),
        Place("", "p0123456789abcdef", "c1/vault"),
        Place('p0123456789abcdef", "c1', "vault", ""),
    ],
    ids=str,
)
def test_another_place_does_not_open_it(elsewhere: Place) -> None:
    with pytest.raises(VaultUnreadableError, match=f"conversation {elsewhere.conversation} "):
        unseal(KEY, elsewhere, seal(KEY, HERE, DATA))


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(VaultUnreadableError):
        unseal(new_key(), HERE, seal(KEY, HERE, DATA))


def test_no_byte_can_be_altered() -> None:
    sealed = seal(KEY, HERE, DATA)
    for at in range(len(sealed)):
        altered = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(VaultUnreadableError):
            unseal(KEY, HERE, altered)


@pytest.mark.parametrize("cut", [0, 1, 12, 28])
def test_a_cut_record_does_not_open(cut: int) -> None:
    with pytest.raises(VaultUnreadableError):
        unseal(KEY, HERE, seal(KEY, HERE, DATA)[:cut])


def test_a_record_of_before_opens_for_its_installation_and_place_alone(keys: Keys, tmp_path: Path) -> None:
    sealed = sealed_before(keys, BEFORE, DATA)
    assert is_of_before(sealed)
    assert not is_of_before(seal(KEY, HERE, DATA))
    assert unseal_before(keys, BEFORE, sealed) == DATA
    for other_keys, place in ((keys, HERE), (create_keys(tmp_path / "keys"), BEFORE)):
        with pytest.raises(VaultUnreadableError):
            unseal_before(other_keys, place, sealed)
    with pytest.raises(VaultUnreadableError):
        unseal_before(keys, HERE, seal(KEY, HERE, DATA))
    with pytest.raises(VaultUnreadableError):
        unseal(KEY, BEFORE, sealed)
