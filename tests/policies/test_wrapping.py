"""Wrapped keys open with what wrapped them, for what they are about, and say which master key that was."""

from pathlib import Path

import pytest

from policies.errors import VaultUnreadableError
from policies.keys import Keys, create_keys, open_keys, retire_masters, rotate_master
from policies.wrapping import new_key, open_with, rewrap, seal_with, unwrap, wrap, wrapped_by

ABOUT = "key of subject p1"


def test_what_is_wrapped_opens_and_names_its_master(keys: Keys) -> None:
    key = new_key()
    wrapped = wrap(keys, ABOUT, key)
    assert unwrap(keys, ABOUT, wrapped) == key
    assert wrapped_by(wrapped) == keys.master_id
    assert keys.master not in wrapped
    assert key not in wrapped
    assert keys.master_id not in keys.master.hex()


def test_another_master_has_another_id_and_does_not_open_it(keys: Keys, tmp_path: Path) -> None:
    other = create_keys(tmp_path / "keys")
    assert other.master_id != keys.master_id
    with pytest.raises(VaultUnreadableError, match=ABOUT):
        unwrap(other, ABOUT, wrap(keys, ABOUT, new_key()))


def test_it_opens_only_for_what_it_is_about(keys: Keys) -> None:
    key = new_key()
    with pytest.raises(VaultUnreadableError):
        unwrap(keys, "key of subject p2", wrap(keys, ABOUT, key))
    with pytest.raises(VaultUnreadableError):
        open_with(key, "name of subject p2", seal_with(key, "name of subject p1", b"ada"))
    with pytest.raises(VaultUnreadableError):
        open_with(new_key(), ABOUT, seal_with(key, ABOUT, b"ada"))


def test_no_byte_can_be_altered_or_left_out(keys: Keys) -> None:
    key = new_key()
    wrapped, sealed = wrap(keys, ABOUT, key), seal_with(key, ABOUT, b"ada")
    for at in range(len(wrapped)):
        with pytest.raises(VaultUnreadableError):
            unwrap(keys, ABOUT, wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :])
        with pytest.raises(VaultUnreadableError):
            unwrap(keys, ABOUT, wrapped[:at])
    for at in range(len(sealed)):
        with pytest.raises(VaultUnreadableError):
            open_with(key, ABOUT, sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])
        with pytest.raises(VaultUnreadableError):
            open_with(key, ABOUT, sealed[:at])


def test_what_an_earlier_master_wrapped_opens_and_is_wrapped_anew(tmp_path: Path) -> None:
    before = create_keys(tmp_path / "keys")
    key = new_key()
    wrapped = wrap(before, ABOUT, key)
    rotate_master(tmp_path / "keys")
    now = open_keys(tmp_path / "keys")
    assert unwrap(now, ABOUT, wrapped) == key
    again = rewrap(now, ABOUT, wrapped)
    assert wrapped_by(again) == now.master_id != wrapped_by(wrapped)
    assert rewrap(now, ABOUT, again) == again
    retire_masters(tmp_path / "keys", [before.master_id])
    alone = open_keys(tmp_path / "keys")
    assert unwrap(alone, ABOUT, again) == key
    with pytest.raises(VaultUnreadableError):
        unwrap(alone, ABOUT, wrapped)


def test_after_a_rotation_new_and_old_are_read_and_the_new_master_wraps(tmp_path: Path) -> None:
    """By the process that was running, too."""
    folder = tmp_path / "keys"
    running = create_keys(folder)
    before = wrap(running, ABOUT, b"one")
    assert wrapped_by(before) == running.master_id
    new = rotate_master(folder)
    after = wrap(running, ABOUT, b"two")
    assert wrapped_by(after) == new
    for keys in (running, open_keys(folder)):
        assert (unwrap(keys, ABOUT, before), unwrap(keys, ABOUT, after)) == (b"one", b"two")
    assert open_keys(folder).lasting("x") == running.lasting("x"), "identifiers stay"
    assert open_keys(folder).derive("x") != running.derive("x")
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in folder.iterdir())
    retire_masters(folder, [running.master_id])
    with pytest.raises(VaultUnreadableError):
        unwrap(open_keys(folder), ABOUT, before)
    assert unwrap(open_keys(folder), ABOUT, after) == b"two"
