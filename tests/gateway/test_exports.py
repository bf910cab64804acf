"""While the service runs, entries go where the settings say, and operators see how far."""

import json
from pathlib import Path

import pytest

from gateway.app import create_app
from gateway.audit.places import export_states
from gateway.doctor import examine
from policies.audit.reader import EntryQuery, read_entries
from tests.gateway.conftest import SETTINGS, World, client_of, eventually, open_services
from tests.gateway.gated_model import GatedModel

EXPORT = """
[[audit.exports]]
name = "disk"
kind = "file"
format = "ocsf"
path = "{path}"
"""


def with_export(world: World, path: Path) -> World:
    """The same installation with a file that entries go to."""
    world.services.close()
    world.services.home.config_file.write_text(SETTINGS + EXPORT.format(path=path))
    return World(open_services(world.services.home.folder, GatedModel()), world.keys, world.model)


def sent(file: Path) -> list[int]:
    return [json.loads(line)["metadata"]["sequence"] for line in file.read_text().splitlines()]


async def test_every_entry_is_sent_while_the_service_runs(world: World, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    other = with_export(world, file)
    home, options = other.services.home, other.services.config.audit
    with other.services:
        async with client_of(create_app(other.services)) as client:

            async def up_to_date() -> bool:
                [state] = export_states(options, home)
                return state.behind == 0 and state.entry > 0

            await eventually(up_to_date)
            await client.get("/api/v1/audit", headers=other.headers("alice"))  # Refused, which is an entry.
            await eventually(up_to_date)
            measured = (await client.get("/metrics", headers=other.headers("mona"))).text
            assert 'muniment_export_behind{place="disk"} 0.0' in measured
            assert 'muniment_export_failing{place="disk"} 0.0' in measured
            [finding] = [check for check in examine(other.services) if check.name == "exports"]
            assert (finding.level, "disk has the entries up to" in finding.detail) == ("ok", True)
    numbers = sent(file)
    assert numbers == list(range(1, len(numbers) + 1))
    [newest] = read_entries(home.trail, EntryQuery(limit=1))
    assert (newest.kind, newest.event["sink"], newest.event["last"]) == ("export:sent", "disk", len(numbers))


async def test_a_place_that_refuses_is_told(world: World, tmp_path: Path) -> None:
    other = with_export(world, tmp_path / "gone" / "out.jsonl")
    with other.services:
        async with client_of(create_app(other.services)) as client:

            async def failing() -> bool:
                [state] = export_states(other.services.config.audit, other.services.home)
                return "cannot be written" in state.error and state.failing_since is not None

            await eventually(failing)
            measured = (await client.get("/metrics", headers=other.headers("mona"))).text
            assert 'muniment_export_failing{place="disk"} 1.0' in measured
            [finding] = [check for check in examine(other.services) if check.name == "exports"]
            assert (finding.level, "cannot be written" in finding.detail) == ("fail", True)


@pytest.mark.parametrize("twice", [False, True])
def test_nothing_is_sent_but_by_the_service(world: World, tmp_path: Path, *, twice: bool) -> None:
    file = tmp_path / "out.jsonl"
    other = with_export(world, file)
    with other.services as services:
        _ = services.trail
        if twice:
            _ = services.exporters
    assert not file.exists()
