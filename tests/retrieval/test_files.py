"""A lock is held by one."""

from pathlib import Path

import pytest

from retrieval.errors import SyncBusyError
from retrieval.files import exclusive


def test_a_second_holder_is_told_to_wait(tmp_path: Path) -> None:
    with exclusive(tmp_path / "a.lock", "source a"), pytest.raises(SyncBusyError, match="source a"):
        with exclusive(tmp_path / "a.lock", "source a"):
            pytest.fail("two holders")
    with exclusive(tmp_path / "a.lock", "source a"):
        pass
