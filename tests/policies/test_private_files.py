"""Private files are old or new, never half; and nobody but their owner reads them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from policies.errors import SecretUnusableError
from policies.private_files import read_secret, replace_private, write_private


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "index.bin"
    replace_private(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_takes_nobody_s_place(tmp_path: Path) -> None:
    write_private(tmp_path / "key", b"first")
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "key", b"second")
    assert (tmp_path / "key").read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [tmp_path / "key"]


@pytest.mark.parametrize("write", [write_private, replace_private])
def test_only_the_owner_may_read(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    write(tmp_path / "key", b"x")
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("held", [b"", b"\n", b"two\nlines", b"\xff", b"tab\there"])
def test_a_secret_is_one_line_of_text(held: bytes, tmp_path: Path) -> None:
    replace_private(tmp_path / "secret", held)
    with pytest.raises(SecretUnusableError, match="password"):
        read_secret(tmp_path / "secret", "password")


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    replace_private(tmp_path / "secret", b"s3cret\n")
    assert read_secret(tmp_path / "secret", "password") == "s3cret"
    (tmp_path / "secret").chmod(0o640)
    with pytest.raises(SecretUnusableError, match="chmod 600"):
        read_secret(tmp_path / "secret", "password")
