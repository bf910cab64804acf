"""Models on servers in the settings: which are refused, and where they turn up."""

from pathlib import Path

import pytest

from gateway.app import create_app
from gateway.config import Home, ModelOptions, read_config
from gateway.doctor import destinations
from gateway.errors import ConfigurationError
from gateway.installation import create_home
from gateway.services import Services
from models.openai.engine import UpstreamEngine
from tests.fakes.upstream_server import odds_of, says, serving_beside
from tests.gateway.conftest import SETTINGS, TRAVEL_ANSWER, World, client_of, open_services, question, until_ready
from tests.gateway.gated_model import GatedModel

CLOUD = '[[models.upstreams]]\nname = "cloud"\nmodel = "vendor/large"\nurls = ["https://llm.example/v1"]\n'
NEAR = CLOUD.replace("cloud", "near").replace("https://llm.example", "http://127.0.0.1:8081") + "remote = false\n"
LOCAL = ModelOptions().generator


def settings(tmp_path: Path, text: str) -> ModelOptions:
    (tmp_path / "muniment.toml").write_text(text)
    return read_config(tmp_path / "muniment.toml").models


def test_everything_about_one_can_be_set(tmp_path: Path) -> None:
    more = (
        'api_key_file = "cloud-key"\nca_file = "ca.pem"\ncontext_tokens = 8192\nremote = true\nconnect_seconds = 1\n'
        "first_token_seconds = 2\nbetween_tokens_seconds = 3\ntotal_seconds = 4.5\nconnections = 5\n"
    )
    (upstream,) = settings(tmp_path, CLOUD + more).upstreams
    assert (upstream.id, upstream.model, upstream.total_seconds) == ("cloud", "vendor/large", 4.5)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (CLOUD + "remote = false\n", "another machine"),
        (NEAR.replace("127.0.0.1", "10.0.0.7").replace("http:", "https:"), "another machine"),
        (CLOUD.replace("https:", "http:"), "cannot be the address"),
        (CLOUD.replace("https://", "https://user:secret@"), "cannot be the address"),
        (CLOUD.replace("/v1", "/v1?key=1"), "cannot be the address"),
        (CLOUD.replace("/v1", "/v1/"), "cannot be the address"),
        (CLOUD.replace("https://llm.example", "ftp://llm.example"), "cannot be the address"),
        (CLOUD.replace("https://llm.example", "https://[::"), "no address"),
        (CLOUD.replace('["https://llm.example/v1"]', "[]"), "length >= 1"),
        (CLOUD.replace('/v1"]', '/v1", "https://llm.example/v1"]'), "twice"),
        (CLOUD.replace('"cloud"', '"muniment"'), "muniment twice"),
        (CLOUD + CLOUD, "cloud twice"),
        ('[models]\nalso = ["cloud"]\n' + CLOUD, "cloud twice"),
        (CLOUD.replace('"cloud"', '"../x"'), "name"),
        (CLOUD + "first_token_seconds = 0\n", "> 0"),
        (CLOUD + "api_key = 'k3y'\n", "api_key"),
        ('[models]\ngenerator = "cloud"\nfallback_local = true\n' + CLOUD, "model on this machine"),
    ],
)
def test_what_cannot_be_is_refused(text: str, wanted: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=wanted):
        settings(tmp_path, text)


def test_a_generator_on_servers_needs_no_language_model_here(tmp_path: Path) -> None:
    chosen = settings(tmp_path, f'[models]\ngenerator = "cloud"\n{CLOUD}')
    assert LOCAL not in chosen.in_use
    assert chosen.generators == ()
    assert settings(tmp_path, CLOUD).generators == (LOCAL,)


def services_of(tmp_path: Path, text: str) -> Services:
    home = Home(tmp_path / "home")
    create_home(home, by="tests")
    home.config_file.write_text(SETTINGS + text)
    return Services(home)


def test_all_models_are_served_and_the_stand_in_is_of_this_machine(tmp_path: Path) -> None:
    with services_of(tmp_path, f'[models]\ngenerator = "cloud"\nfallback_local = true\n{CLOUD}{NEAR}') as services:
        served = list(services.served)
        assert [(model.id, model.remote, model.sha256) for model in served] == [
            ("cloud", True, ""),
            ("near", False, ""),
        ]
        assert services.served.stand_in is served[1]
        assert isinstance(services.engine, UpstreamEngine)


def test_without_the_setting_nothing_stands_in(tmp_path: Path) -> None:
    with services_of(tmp_path, CLOUD) as services:
        assert [model.id for model in services.served] == [LOCAL, "cloud"]
        assert services.served.stand_in is None


def test_the_name_of_a_model_of_the_catalogue_is_refused(tmp_path: Path) -> None:
    with services_of(tmp_path, CLOUD.replace('"cloud"', f'"{LOCAL}"')) as services:
        with pytest.raises(ConfigurationError, match="another one"):
            _ = services.served


def test_where_it_connects_is_told(tmp_path: Path) -> None:
    settings(tmp_path, CLOUD)
    told = dict(destinations(read_config(tmp_path / "muniment.toml")))
    assert told["The model cloud"] == ["https://llm.example/v1"]


@pytest.mark.network
@pytest.mark.enable_socket
async def test_a_gateway_without_any_model_of_its_own_answers(world: World) -> None:
    """From the settings to an answer over HTTP; the fakes are the embedder's and the recogniser's alone."""
    with serving_beside(odds_of({"Yes": -0.01, "No": -5.0}, says(TRAVEL_ANSWER))) as server:
        near = NEAR.replace("127.0.0.1:8081", f"127.0.0.1:{server.port}")
        home = world.services.home
        home.config_file.write_text(f'{SETTINGS}[models]\ngenerator = "near"\n{near}')
        with open_services(home.folder, GatedModel()) as services:
            del services.engine
            async with client_of(create_app(services)) as client:
                await until_ready(client)
                asked = question("What is the daily allowance for travel in Norway?")
                response = await client.post("/v1/chat/completions", json=asked, headers=world.headers("bob"))
                body = response.json()
                ready = await client.get("/health/ready")
                metrics = (await client.get("/metrics", headers=world.headers("mona"))).text
    assert response.status_code == 200, body
    assert body["choices"][0]["message"]["content"].startswith("The daily allowance for travel in Norway is 480")
    receipt = body["muniment"]["receipt"]["receipt"]
    assert (receipt["model"], receipt["remote"]) == ("near", False)
    assert ready.status_code == 200
    assert f'muniment_upstream_asked{{model="near",server="{server.url}"}} 1.0' in metrics
    assert 'muniment_upstream_retries_total{model="near"} 0.0' in metrics
    assert len(server.asked) == 3, "an answer, and two questions about it"
