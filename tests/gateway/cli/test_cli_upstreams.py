"""Models on servers at the command line: listed, looked at, put to use, asked."""

import json
from collections.abc import Iterator

import pytest

from gateway.config import Home, ModelOptions, load_config
from tests.fakes.upstream_server import UpstreamServer, odds_of, says, serving_beside
from tests.gateway.cli.commands import Commands
from tests.gateway.conftest import TRAVEL_ANSWER

pytestmark = [pytest.mark.network, pytest.mark.enable_socket]

LOCAL = ModelOptions().generator
NEAR = '[[models.upstreams]]\nname = "near"\nmodel = "large"\nurls = ["{}"]\nremote = false\n'


@pytest.fixture
def upstream(commands: Commands) -> Iterator[UpstreamServer]:
    """A server of this machine that the settings name."""
    with serving_beside(odds_of({"Yes": -0.01, "No": -5.0}, says(TRAVEL_ANSWER))) as server:
        near = NEAR.format(server.url)
        file = Home(commands.home).config_file
        file.write_text(file.read_text() + near)
        yield server


def test_it_is_listed(commands: Commands, upstream: UpstreamServer) -> None:
    listed = {model["id"]: model for model in json.loads(commands("models", "list", "--json").stdout)}
    assert (listed["near"]["remote"], listed["near"]["urls"]) == (False, [upstream.url])
    assert listed[LOCAL]["urls"] == []
    assert "server here" in commands("models", "list").output


def test_the_doctor_calls_it(commands: Commands, upstream: UpstreamServer) -> None:
    def found() -> list[tuple[str, str]]:
        checks = json.loads(commands("doctor", "--json").stdout)
        return [(check["level"], check["detail"]) for check in checks if check["name"] == "upstreams"]

    assert found() == [("ok", "near (on this machine) answers on 1 servers")]
    assert upstream.asked == [], "no question is asked"
    upstream.answers_probes = False
    [(level, detail)] = found()
    assert level == "fail"
    assert "near cannot be reached" in detail


def test_it_is_put_to_use(commands: Commands, upstream: UpstreamServer) -> None:
    commands("models", "use", "near")
    assert load_config(Home(commands.home)).models.generator == "near"
