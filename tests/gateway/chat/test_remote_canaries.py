"""T9 for models on another machine, with the real recogniser: of fifty planted values none is in what they are sent."""

from collections.abc import Sequence

import httpx
import pytest

from policies.personal_data import EntityType
from policies.redaction.placeholders import Pseudonyms
from tests.gateway.canaries import CANARIES, SENTENCES, found_in, spread
from tests.gateway.chat.test_remote_models import PATH, cloud, sent
from tests.gateway.conftest import World, question
from tests.gateway.test_canaries import planted, redactor, scratch

__all__ = ["planted", "redactor", "scratch"]
pytestmark = [pytest.mark.models, pytest.mark.network, pytest.mark.enable_socket]


async def ask_about(world: World, client: httpx.AsyncClient, canaries: Sequence[tuple[EntityType, str]]) -> None:
    """Questions about the planted documents, with planted values in them and in what was said before."""
    for kind, value in canaries:
        said = SENTENCES[kind].format(value)
        turns = [{"role": "user", "content": said}, {"role": "assistant", "content": said}]
        asked = {"role": "user", "content": f"{said} What of the Kestrel budget?"}
        body = question("", messages=[*turns, asked]) | {"model": "cloud"}
        response = await client.post(PATH, json=body, headers=world.headers("bob"))
        assert response.status_code == 200, response.text


async def test_no_planted_value_leaves(planted: World) -> None:
    async with cloud(planted) as (server, client):
        await ask_about(planted, client, CANARIES)
    assert len(server.asked) == 3 * len(CANARIES)
    assert b"Kestrel" in sent(server)
    assert "\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}".encode() in sent(server)
    assert found_in(sent(server)) == set()


async def test_a_build_that_replaces_nothing_is_noticed(planted: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""

    def unchanged(_: Pseudonyms, text: str, *__: object) -> str:
        return text

    monkeypatch.setattr(Pseudonyms, "replace", unchanged)
    async with cloud(planted) as (server, client):
        await ask_about(planted, client, spread(5, 0))
    assert len(found_in(sent(server))) >= 5
