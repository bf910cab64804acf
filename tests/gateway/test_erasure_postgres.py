"""T16 where the trail is in PostgreSQL: nothing of the erased is in the server's files, and the trail verifies."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from policies.audit.copying import copy_trail
from policies.audit.people import hidden
from policies.audit.places import PostgresPlace
from policies.audit.verifier import verify
from tests.gateway.conftest import SETTINGS, World, opened_world
from tests.gateway.erasing import Traces, live_here
from tests.gateway.test_erasure import ALONE, BY
from tests.policies.trails import made_in
from tests.postgres import Server


@pytest.fixture
def place(postgres: Server) -> Iterator[PostgresPlace]:
    with made_in(postgres) as made:
        yield made


@pytest.fixture
def world(built_home: tuple[Path, dict[str, str]], tmp_path: Path, place: PostgresPlace) -> Iterator[World]:
    with opened_world(built_home, tmp_path) as world:
        address = f"postgresql://{place.user}@{place.host.replace('/', '%2F')}/{place.database}"
        settings = f'database = "{address}"\ndatabase_schema = "{place.schema}"\n'
        world.services.home.config_file.write_text(SETTINGS + settings)
        world.services.home.trail_seen.unlink(missing_ok=True)
        yield world


def erase(world: World, seed: int) -> Traces:
    name, traces = live_here(world.services, Random(seed))
    world.services.erasures.erase_user(name, BY)
    return traces


def left_in(server: Server, traces: Traces) -> dict[str, set[str]]:
    """What the server's files hold of somebody, its log of changes included, once all of it is written."""
    with closing(server.connect()) as connection:
        connection.execute("CHECKPOINT")
    return traces.left_in(server.data)


def test_nothing_is_left_of_a_user(world: World, place: PostgresPlace, postgres: Server, tmp_path: Path) -> None:
    for seed in range(2):
        traces = erase(world, seed)
        assert traces.left_in(world.services.home.folder) == {}
        assert left_in(postgres, traces) == {}
    services = world.services
    services.trail.close()
    report = verify(place, services.keys.public_key_pem())
    assert (report.ok, report.entries > 0) == (True, True)
    copied = tmp_path / "copy.db"
    copy_trail(place, copied)
    problems, _ = ALONE["check_trail"](copied, ALONE["read_keys"](services.keys.public_file), [])
    assert problems == []


def test_a_name_in_the_server_is_noticed(world: World, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""
    monkeypatch.setattr("policies.audit.store.hidden", lambda event, _names: hidden(event, None))
    assert "name" in left_in(postgres, erase(world, 99)), "and not one that the other test looks for"
