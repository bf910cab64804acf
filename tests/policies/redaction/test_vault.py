"""Sealed records open for their conversation and installation alone."""

from pathlib import Path

import pytest

from policies.errors import VaultUnreadableError
from policies.keys import Keys, create_keys
from policies.redaction.vault import seal, unseal

DATA = b'{"entries": ["Ada Lovelace"]}'


def test_what_is_sealed_opens(keys: Keys) -> None:
    assert unseal(keys, "c1", seal(keys, "c1", DATA)) == DATA
    assert unseal(keys, "c1", seal(keys, "c1", b"")) == b""


def test_the_record_shows_nothing_and_is_never_the_same(keys: Keys) -> None:
    first, second = seal(keys, "c1", DATA), seal(keys, "c1", DATA)
    assert first != second
    assert b"Lovelace" not in first


def test_another_conversation_does_not_open_it(keys: Keys) -> None:
    with pytest.raises(VaultUnreadableError, match="c2"):
        unseal(keys, "c2", seal(keys, "c1", DATA))


def test_another_installation_does_not_open_it(keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(VaultUnreadableError):
        unseal(create_keys(tmp_path / "keys"), "c1", seal(keys, "c1", DATA))


def test_no_byte_can_be_altered(keys: Keys) -> None:
    sealed = seal(keys, "c1", DATA)
    for at in range(len(sealed)):
        altered = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(VaultUnreadableError):
            unseal(keys, "c1", altered)


@pytest.mark.parametrize("cut", [0, 1, 12, 28])
def test_a_cut_record_does_not_open(keys: Keys, cut: int) -> None:
    with pytest.raises(VaultUnreadableError):
        unseal(keys, "c1", seal(keys, "c1", DATA)[:cut])
