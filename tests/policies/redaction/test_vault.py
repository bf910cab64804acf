"""Sealed records open for their subject, conversation and installation alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from policies.errors import VaultUnreadableError
from policies.keys import Keys, create_keys
from policies.redaction.vault import Place, seal, unseal

HERE = Place("alice", "c1", "vault")
DATA = b'{"entries": ["Ada Lovelace"]}'


def test_what_is_sealed_opens(keys: Keys) -> None:
    assert unseal(keys, HERE, seal(keys, HERE, DATA)) == DATA
    assert unseal(keys, HERE, seal(keys, HERE, b"")) == b""


def test_the_record_shows_nothing_and_is_never_the_same(keys: Keys) -> None:
    first, second = seal(keys, HERE, DATA), seal(keys, HERE, DATA)
    assert first != second
    assert b"Lovelace" not in first


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(HERE, conversation="c2"),
        replace(HERE, subject="bob"),
        replace(HERE, record="0"),
        Place("alice/c1", "vault", ""),
        Place("", "alice", "c1/vault"),
        Place('alice", "c1', "vault", ""),
    ],
    ids=str,
)
def test_another_place_does_not_open_it(keys: Keys, elsewhere: Place) -> None:
    with pytest.raises(VaultUnreadableError, match=f"conversation {elsewhere.conversation} "):
        unseal(keys, elsewhere, seal(keys, HERE, DATA))


def test_another_installation_does_not_open_it(keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(VaultUnreadableError):
        unseal(create_keys(tmp_path / "keys"), HERE, seal(keys, HERE, DATA))


def test_no_byte_can_be_altered(keys: Keys) -> None:
    sealed = seal(keys, HERE, DATA)
    for at in range(len(sealed)):
        altered = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(VaultUnreadableError):
            unseal(keys, HERE, altered)


@pytest.mark.parametrize("cut", [0, 1, 12, 28])
def test_a_cut_record_does_not_open(keys: Keys, cut: int) -> None:
    with pytest.raises(VaultUnreadableError):
        unseal(keys, HERE, seal(keys, HERE, DATA)[:cut])
