"""The whole path with the real models: a question over HTTP, a cited answer from what its asker may read."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from gateway.app import create_app
from gateway.config import Home
from gateway.services import Services
from policies.audit.receipts import verify_receipt
from tests.gateway.conftest import build_home, client_of, eventually, question

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]
GENERATOR = "qwen2.5-coder-0.5b-instruct-q4_k_m"
ASKED = "What is the Kestrel budget for 2027?"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, model_path: Callable[[str], Path]) -> tuple[Path, dict[str, str]]:
    for artefact_id in (GENERATOR, "all-minilm-l6-v2", "en-core-web-sm-3.8.0"):
        model_path(artefact_id)
    settings = f'[models]\ngenerator = "{GENERATOR}"\ncontext_tokens = 2048\n'
    return build_home(tmp_path_factory.mktemp("real"), settings, lambda home: Services(Home(home)))


@pytest.fixture(scope="module")
def services(built: tuple[Path, dict[str, str]]) -> Iterator[Services]:
    with Services(Home(built[0])) as services:
        yield services


@pytest.fixture(scope="module")
def keys(built: tuple[Path, dict[str, str]]) -> Mapping[str, str]:
    return built[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(create_app(services)) as client:

        async def ready() -> bool:
            return (await client.get("/health/ready")).status_code == 200

        await eventually(ready, seconds=60)
        yield client


async def test_two_people_ask_and_get_what_each_may_read(
    client: httpx.AsyncClient, services: Services, keys: Mapping[str, str]
) -> None:
    answers = {}
    for user in ("alice", "bob"):
        headers = {"Authorization": f"Bearer {keys[user]}"}
        response = await client.post("/v1/chat/completions", json=question(ASKED), headers=headers, timeout=120)
        assert response.status_code == 200, response.text
        answers[user] = response.json()
    hers, his = answers["alice"], answers["bob"]
    assert "1400000" in hers["choices"][0]["message"]["content"]
    assert "finance/budget.md" in [citation["path"] for citation in hers["muniment"]["citations"]]
    assert hers["usage"]["completion_tokens"] > 0
    assert "1400000" not in str(his)
    assert "finance/" not in str(his)
    for answer in (hers, his):
        assert verify_receipt(answer["muniment"]["receipt"], services.keys.public_key_pem())
    # What bob may read of the travel policy was put before the model; its name and address were not.
    assert his["muniment"]["redactions"]["PERSON"] >= 1
    assert his["muniment"]["redactions"]["EMAIL_ADDRESS"] >= 1
