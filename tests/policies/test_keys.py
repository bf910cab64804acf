import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from policies.errors import KeysUnusableError
from policies.keys import Keys, create_keys, key_id, open_keys, read_public_keys


def test_keys_open_as_they_were_created(tmp_path: Path) -> None:
    created = create_keys(tmp_path / "keys")
    opened = open_keys(tmp_path / "keys")
    assert opened.master == created.master
    assert opened.public_key_pem() == created.public_key_pem()


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    create_keys(tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "keys").iterdir()} == {0o600}


def test_existing_keys_are_never_overwritten(tmp_path: Path) -> None:
    before = create_keys(tmp_path / "keys")
    with pytest.raises(KeysUnusableError, match="Nothing was overwritten"):
        create_keys(tmp_path / "keys")
    assert open_keys(tmp_path / "keys").master == before.master


@pytest.mark.parametrize("name", ["master.key", "signing.pem"])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, name: str) -> None:
    create_keys(tmp_path / "keys")
    (tmp_path / "keys" / name).chmod(0o640)
    with pytest.raises(KeysUnusableError, match="chmod 600"):
        open_keys(tmp_path / "keys")


@pytest.mark.parametrize("name", ["master.key", "signing.pem"])
@pytest.mark.parametrize("content", [b"", b"short", os.urandom(64)], ids=["empty", "short", "noise"])
def test_a_damaged_key_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    create_keys(tmp_path / "keys")
    (tmp_path / "keys" / name).write_bytes(content)
    with pytest.raises(KeysUnusableError, match="damaged"):
        open_keys(tmp_path / "keys")


def test_a_missing_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeysUnusableError, match="muniment init"):
        open_keys(tmp_path / "keys")


def test_each_purpose_has_its_own_key(keys: Keys, other_keys: Keys) -> None:
    assert keys.derive("one") == keys.derive("one")
    assert len({keys.derive("one"), keys.derive("two"), other_keys.derive("one"), keys.master}) == 4
    assert len(keys.derive("one", 64)) == 64


def test_keys_do_not_show_themselves(keys: Keys) -> None:
    shown = f"{keys} {keys!r} {[keys]}"
    assert keys.master.hex() not in shown
    assert repr(keys.master) not in shown


def test_the_public_key_names_the_private_one(keys: Keys, other_keys: Keys) -> None:
    assert key_id(*read_public_keys(keys.public_key_pem())) == keys.key_id()
    assert keys.key_id() != other_keys.key_id()


def test_a_key_of_another_kind_verifies_nothing() -> None:
    public = generate_private_key(SECP256R1()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = public.public_bytes(serialization.Encoding.PEM, form).decode()
    for text in (pem, "", "no key"):
        with pytest.raises(KeysUnusableError):
            read_public_keys(text)


def test_a_folder_in_which_others_can_replace_keys_is_refused(tmp_path: Path) -> None:
    create_keys(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o777)
    with pytest.raises(KeysUnusableError, match="chmod 700"):
        open_keys(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o755)
    open_keys(tmp_path / "keys")
