"""A folder to read, and a way to be an account without special rights."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from shutil import rmtree

import pytest

_NOBODY = 65534


@pytest.fixture
def root() -> Iterator[Path]:
    """An empty folder that accounts other than the one running the tests may enter too."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    rmtree(folder, ignore_errors=True)


@contextmanager
def _without_rights() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def without_rights() -> Callable[[], AbstractContextManager[None]]:
    """Act as an account to which file permissions apply; as root they would all be ignored."""
    return _without_rights
