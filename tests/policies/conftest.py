"""Keys and policies that the tests of this folder share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.audit.places import TrailPlace
from policies.authorizer import Authorizer
from policies.keys import Keys, create_keys
from tests.policies.trails import made_in


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


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TrailPlace]:
    """Where a trail is to be: in a file that is not there yet, and in PostgreSQL."""
    if request.param == "sqlite":
        yield tmp_path / "data" / "audit.db"
        return
    with made_in(request.getfixturevalue("postgres")) as schema:
        yield schema
