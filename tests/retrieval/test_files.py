"""Files are old or new, never half; a lock is held by one."""

from pathlib import Path

import pytest

from retrieval.errors import SyncBusyError
from retrieval.files import exclusive, write_atomically


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "index.bin"
    write_atomically(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    write_atomically(tmp_path / "index.bin", b"x")
    assert (tmp_path / "index.bin").stat().st_mode & 0o077 == 0


def test_a_second_holder_is_told_to_wait(tmp_path: Path) -> None:
    with exclusive(tmp_path / "a.lock", "source a"), pytest.raises(SyncBusyError, match="source a"):
        with exclusive(tmp_path / "a.lock", "source a"):
            pytest.fail("two holders")
    with exclusive(tmp_path / "a.lock", "source a"):
        pass
