"""Checkpoints are copied as the settings say, and answers wait for a copy where they must."""

from pathlib import Path

import httpx
import pytest

from gateway.app import create_app
from gateway.config import Home, read_config
from gateway.doctor import examine
from gateway.errors import ConfigurationError
from gateway.settings_file import settings_template
from policies.audit.checkpoints import last_exported
from policies.audit.events import SearchAsked, UserUnlocked
from policies.errors import CopyOverdueError
from tests.gateway.conftest import SETTINGS, World, client_of, eventually, open_services, until_ready
from tests.gateway.gated_model import GatedModel

PLACES = """
require_copy_seconds = {seconds}

[[audit.copies]]
name = "kept"
kind = "file"
path = "{path}"
"""


def reopened(world: World, settings: str) -> World:
    """The same installation with other settings."""
    world.services.close()
    world.services.home.config_file.write_text(SETTINGS + settings)
    return World(open_services(world.services.home.folder, GatedModel()), world.keys, world.model)


async def search(client: httpx.AsyncClient, world: World) -> httpx.Response:
    return await client.post("/api/v1/search", json={"query": "Norway"}, headers=world.headers("alice"))


async def test_nothing_is_answered_without_a_copy_and_again_with_one(world: World, tmp_path: Path) -> None:
    gone = tmp_path / "volume"
    other = reopened(world, PLACES.format(seconds=0.001, path=gone / "kept.jsonl"))
    with other.services:
        async with client_of(create_app(other.services)) as client:

            async def loaded() -> bool:
                return (await search(client, other)).json()["error"]["code"] != "not_ready"

            await eventually(loaded)
            refused = await search(client, other)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "checkpoint_copy_overdue")
            assert str(gone) not in refused.text
            with pytest.raises(CopyOverdueError):
                other.services.recorder.record_now(SearchAsked("r1", "alice", "test", "0" * 64, "1" * 64))
            other.services.recorder.record_now(UserUnlocked("olga", "alice"))  # Administration goes on.
            probe = await client.get("/health/ready", headers=other.headers("mona"))
            [trail] = [part for part in probe.json()["parts"] if part["name"] == "audit trail"]
            assert (probe.status_code, trail["ready"]) == (503, False)
            assert "cannot be written" in trail["detail"]
            measured = (await client.get("/metrics", headers=other.headers("mona"))).text
            assert 'muniment_checkpoint_copy_failing{place="kept"} 1.0' in measured
            [finding] = [check for check in examine(other.services) if check.name == "copies"]
            assert (finding.level, "lacks a checkpoint" in finding.detail) == ("fail", True)
    gone.mkdir()
    other = reopened(other, PLACES.format(seconds=30, path=gone / "kept.jsonl"))
    with other.services:
        async with client_of(create_app(other.services)) as client:
            await until_ready(client)
            assert (await search(client, other)).status_code == 200
            [finding] = [check for check in examine(other.services) if check.name == "copies"]
            assert finding.level == "ok"
    assert last_exported(gone / "kept.jsonl")


def test_the_file_of_checkpoints_is_a_place_like_any_other(world: World, tmp_path: Path) -> None:
    other = reopened(
        world, f'checkpoint_file = "{tmp_path / "first.jsonl"}"\n' + PLACES.format(seconds=0, path="x.jsonl")
    )
    with other.services:
        other.services.recorder.record_now(UserUnlocked("olga", "alice"))
    first, second = last_exported(tmp_path / "first.jsonl"), last_exported(other.services.home.folder / "x.jsonl")
    assert first == second
    assert first


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("[audit]\nrequire_copy_seconds = 5\n", "needs a place"),
        ('[[audit.copies]]\nname = "a"\nkind = "file"\npath = "x"\n' * 2, "twice"),
        (
            '[audit]\ncheckpoint_file = "x"\n[[audit.copies]]\nname = "checkpoint-file"\nkind = "file"\npath = "y"\n',
            "twice",
        ),
        ('[[audit.copies]]\nname = "../x"\nkind = "file"\npath = "x"\n', "name"),
        ('[[audit.copies]]\nname = "a"\nkind = "carrier-pigeon"\n', "carrier-pigeon"),
        ('[[audit.copies]]\nname = "a"\nkind = "file"\npath = "x"\nhost = "y"\n', "host"),
        ('[[audit.copies]]\nname = "a"\nkind = "http"\nurl = "ftp://x/"\n', "url"),
        ('[[audit.copies]]\nname = "a"\nkind = "http"\nurl = "https://user:password@x/"\n', "url"),
        ('[[audit.copies]]\nname = "a"\nkind = "syslog"\nhost = "x"\nport = 0\n', "port"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path: Path, settings: str, said: str) -> None:
    file = tmp_path / "muniment.toml"
    file.write_text(settings)
    with pytest.raises(ConfigurationError, match=said):
        read_config(file)


def test_the_template_is_valid_with_a_place_added(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.config_file.write_text(settings_template() + '\n[[audit.copies]]\nname = "a"\nkind = "file"\npath = "x"\n')
    assert [sink.name for sink in read_config(home.config_file).audit.copies] == ["a"]
