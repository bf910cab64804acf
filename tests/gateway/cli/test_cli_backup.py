"""`backup` and `restore` as operators meet them."""

from pathlib import Path

import pytest

from gateway.backup import passphrase
from tests.gateway.cli.commands import Commands


@pytest.fixture(autouse=True)
def quick_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Argon2id costs is no matter of these tests."""
    monkeypatch.setattr(passphrase, "_PASSES", 1)
    monkeypatch.setattr(passphrase, "_MEMORY_KIB", 64)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.write_text("several words in a row\n")
    file.chmod(0o600)
    return file


def another(commands: Commands, folder: Path) -> Commands:
    """The same commands on another home."""
    other = Commands(folder, commands.model)
    other.home = folder
    return other


def test_a_home_is_backed_up_and_restored(commands: Commands, tmp_path: Path, words: Path) -> None:
    file, new = str(tmp_path / "b"), tmp_path / "new"
    made = commands.json("backup", file, "--passphrase-file", str(words))
    assert made["with_keys"]
    elsewhere = another(commands, tmp_path / "nowhere")
    restored = elsewhere.json("restore", file, "--into", str(new), "--no-ledger", "--passphrase-file", str(words))
    assert restored["ok"]
    assert restored["id"] == made["id"]
    again = another(commands, new)
    assert again.json("search", "Kestrel budget", "--as", "alice")["passages"]
    assert [one["backup"] for one in again.recorded("backup:restored")] == [made["id"]]
    assert "Nothing was altered" in again.succeed("audit", "verify")


def test_the_passphrase_is_asked_for_where_no_file_is_named(commands: Commands, tmp_path: Path) -> None:
    words = "several words in a row\n"
    commands.succeed("backup", str(tmp_path / "b"), stdin=words * 2)
    different = commands("backup", str(tmp_path / "c"), stdin=words + "several words in a roe\n")
    assert different.exit_code != 0
    assert not (tmp_path / "c").exists()
    commands.succeed("restore", str(tmp_path / "b"), "--into", str(tmp_path / "new"), "--no-ledger", stdin=words)


def test_a_passphrase_that_others_can_read_is_refused(commands: Commands, tmp_path: Path, words: Path) -> None:
    words.chmod(0o644)
    assert "chmod 600" in commands.fail("backup", str(tmp_path / "b"), "--passphrase-file", str(words), exit_code=2)
    words.chmod(0o600)
    words.write_text("\n")
    assert "no passphrase" in commands.fail("backup", str(tmp_path / "b"), "--passphrase-file", str(words), exit_code=2)
    assert not (tmp_path / "b").exists()


def test_a_restore_without_a_word_on_erasures_is_refused(commands: Commands, tmp_path: Path) -> None:
    file, new = str(tmp_path / "b"), str(tmp_path / "new")
    commands.succeed("backup", file, "--without-keys")
    said = commands.fail("restore", file, "--into", new, exit_code=2)
    assert "--ledger" in said
    assert "--no-ledger" in said
    both = commands.fail("restore", file, "--into", new, "--no-ledger", "--ledger", file, exit_code=2)
    assert "either" in both
    assert not (tmp_path / "new").exists()


def test_what_is_wrong_is_said_in_a_sentence(commands: Commands, tmp_path: Path, words: Path) -> None:
    file, new = tmp_path / "b", str(tmp_path / "new")
    commands.succeed("backup", str(file), "--without-keys")
    assert "exists" in commands.fail("backup", str(file), "--without-keys", exit_code=6)
    commands.fail("backup", str(tmp_path / "c"), "--without-keys", "--passphrase-file", str(words), exit_code=2)
    commands.fail("backup", str(tmp_path / "no" / "folder" / "c"), "--without-keys", exit_code=13)
    keys = str(commands.home / "keys")
    (tmp_path / "text").write_text("no backup")
    for options, code in (
        ((str(tmp_path / "nothing"), "--into", new, "--keys", keys), 13),
        ((str(tmp_path / "text"), "--into", new, "--keys", keys), 13),
        ((str(file), "--into", new), 13),
        ((str(file), "--into", str(commands.home), "--keys", keys), 6),
        ((str(file), "--into", str(tmp_path / "text"), "--keys", keys), 13),
        ((str(file), "--into", new, "--keys", str(tmp_path)), 10),
        ((str(file), "--into", new, "--keys", keys, "--checkpoint", str(tmp_path / "text")), 2),
    ):
        assert commands.fail("restore", *options, "--no-ledger", exit_code=code)
    assert not Path(new).exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
