"""Keys and policies that the tests of this folder share."""

from pathlib import Path

import pytest

from policies.authorizer import Authorizer
from policies.keys import Keys, create_keys


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return create_keys(tmp_path_factory.mktemp("installation") / "keys")


@pytest.fixture(scope="session")
def other_keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return create_keys(tmp_path_factory.mktemp("elsewhere") / "keys")


@pytest.fixture(scope="session")
def authorizer() -> Authorizer:
    return Authorizer.load()


@pytest.fixture
def trail_file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "audit.db"
