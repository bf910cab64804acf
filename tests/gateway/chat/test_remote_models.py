"""A model on another machine is sent what policy lets go there, pseudonymised, and nothing else; the trail says which.

The model is a real client over HTTP; what leaves is looked for in the bytes that its server received.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

import gateway.chat.service
from gateway.app import create_app
from gateway.chat.prompt import ABSTENTION, KEPT_HERE
from gateway.chat.sending import Sendable
from gateway.chat.store import Message
from gateway.models.served import ServedModel, ServedModels
from models.openai.engine import UpstreamEngine
from models.openai.options import Upstream
from policies.audit.events import Event, PassagesSent
from policies.audit.receipts import verify_receipt
from policies.audit.store import EntryRef
from policies.authorizer import Authorizer
from policies.bundles import Bundle
from policies.errors import TrailUnavailableError
from policies.labels import Classification, Label
from retrieval.retriever import FoundPassage
from tests.fakes.patterns import PatternRedactor
from tests.fakes.sources import ListConnector, page
from tests.fakes.upstream_server import UpstreamServer, odds_of, says, serving
from tests.gateway.chat.test_service import add_source
from tests.gateway.conftest import World, client_of, question, recorded, until_ready

pytestmark = [pytest.mark.network, pytest.mark.enable_socket]

PATH = "/v1/chat/completions"
RULE = """
@id("up-to-internal-may-go")
permit (principal in Role::"employee", action == Action::"models:send-remote", resource)
when { [Classification::"public", Classification::"internal"].contains(resource.classification) };
"""
CARD = "4111 1111 1111 1111"
OPEN_TEXT = (
    f"# Osprey ferry\n\nThe Osprey ferry leaves at 7:40. Ada Brandt (ada.brandt@harbour.example) pays with {CARD}."
)
CLOSED_TEXT = "# Osprey merger\n\nThe Osprey ferry merger with Heronsgate closes in March for 77 million kroner."
CANARY = re.compile(rb"heronsgate|77 million", re.IGNORECASE)
PERSONAL = re.compile(rb"ada\.brandt|4111|Brandt", re.IGNORECASE)
FERRY = "The Osprey ferry leaves at 7:40."
ASKED = "When does the Osprey ferry leave, and what of the merger?"
YES, NO = {"Yes": -0.01, "No": -5.0}, {"Yes": -5.0, "No": -0.01}


@pytest.fixture
def world_with_labels(world: World) -> World:
    """A page that may be sent, and a confidential one about the same words."""
    add_source(world, "extra")
    pages = [
        page("ferry", OPEN_TEXT, Label.for_groups("finance")),
        page("merger", CLOSED_TEXT, Label(frozenset({"finance"}), classification=Classification.CONFIDENTIAL)),
    ]
    world.services.ingestion.sync("extra", ListConnector(*pages))
    return world


@contextlib.asynccontextmanager
async def cloud(
    world: World, *, rule: str = RULE, fallback_local: bool = False, finds_it: bool = True
) -> AsyncIterator[tuple[UpstreamServer, httpx.AsyncClient]]:
    """The installation with a remote model beside its own, and the server of that."""
    if rule:
        world.services.bundles.load(Bundle.of({"send.cedar": rule}), by="test")
    async with serving(odds_of(YES if finds_it else NO, says(FERRY))) as (server,):
        engine = UpstreamEngine(Upstream("cloud", "vendor/large", (server.url,), context_tokens=8192), Path())
        remote = ServedModel("cloud", "", engine, remote=True)
        default = world.services.served.default
        world.services.served = ServedModels(default, [remote], fallback_local=fallback_local)
        async with client_of(create_app(world.services)) as client:
            await until_ready(client)
            await engine.start()
            yield server, client


async def ask(client: httpx.AsyncClient, world: World, text: str = ASKED, **more: Any) -> dict[str, Any]:
    asked = {**question(text, **more), "model": more.pop("model", "cloud")}
    response = await client.post(PATH, json=asked, headers=world.headers("alice"))
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def sent(server: UpstreamServer) -> bytes:
    return b"\n".join(asked.raw for asked in server.asked)


async def test_only_what_may_go_goes_and_the_trail_says_so(world_with_labels: World) -> None:
    world = world_with_labels
    async with cloud(world) as (server, client):
        body = await ask(client, world)
    assert body["choices"][0]["message"]["content"].startswith("The Osprey ferry leaves at 7:40")
    assert b"Osprey" in sent(server)
    assert not CANARY.search(sent(server))
    assert not PERSONAL.search(sent(server))
    assert "⟦PERSON_1⟧" in "".join(message["content"] for message in server.asked[0].body["messages"])
    proof = body["muniment"]
    assert proof["kept_here"] == 1
    receipt = proof["receipt"]["receipt"]
    assert (body["model"], receipt["model"], receipt["model_sha256"], receipt["remote"]) == ("cloud", "cloud", "", True)
    assert verify_receipt(proof["receipt"], world.services.keys.public_key_pem())
    [event] = recorded(world, "passages:sent")
    assert (event["model"], event["request"]) == ("cloud", receipt["request"])
    assert list(event["passages"]) == receipt["passages"]
    assert list(event["policies"]) == ["up-to-internal-may-go"]
    assert list(event["kept_decisions"]) == ["denied confidential-stays-here"]
    assert not set(event["kept"]) & set(receipt["passages"])


def sends_everything(found: Sequence[FoundPassage], authorizer: Any, principal: Any, context: Any) -> Sendable:
    decisions = authorizer.now().decide_labels(principal, {n: p.label for n, p in enumerate(found)}, context)
    return Sendable(tuple(found), (), {p.label: decisions[n] for n, p in enumerate(found)}, "")


async def test_a_build_that_does_not_ask_is_noticed(world_with_labels: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without the filter the canary stands in what left."""
    monkeypatch.setattr(gateway.chat.service, "sendable", sends_everything)
    async with cloud(world_with_labels) as (server, client):
        await ask(client, world_with_labels)
    assert CANARY.search(sent(server))


async def test_a_build_that_replaces_nothing_is_noticed(world_with_labels: World) -> None:
    """Negative control: with values left as they are, they stand in what left."""

    class Blind(PatternRedactor):
        def find_many(self, texts: Sequence[str]) -> Any:
            return [() for _ in texts]

    services: Any = world_with_labels.services
    services.redactor = Blind()
    async with cloud(world_with_labels) as (server, client):
        await ask(client, world_with_labels, f"{ASKED} I am 5555 4444 3333 2222.")
    assert b"5555 4444" in sent(server)


async def test_what_the_asker_types_goes_pseudonymised(world_with_labels: World) -> None:
    async with cloud(world_with_labels) as (server, client):
        await ask(client, world_with_labels, f"{ASKED} I am Ada Brandt, 5555 4444 3333 2222.")
    assert not PERSONAL.search(sent(server))
    assert b"5555 4444" not in sent(server)


async def test_nothing_goes_anywhere_unless_a_site_permits_it(world_with_labels: World) -> None:
    async with cloud(world_with_labels, rule="") as (server, client):
        body = await ask(client, world_with_labels)
        assert server.asked == []
    assert body["choices"][0]["message"]["content"] == KEPT_HERE
    assert body["muniment"]["abstained"]
    assert body["muniment"]["kept_here"] >= 1
    [event] = recorded(world_with_labels, "passages:sent")
    assert (list(event["passages"]), set(event["kept_decisions"])) == ([], {"denied", "denied confidential-stays-here"})


async def test_who_may_read_nothing_is_told_what_everybody_is(world_with_labels: World) -> None:
    """Bob may read neither page: that one of them must stay here is not for him to know."""
    world = world_with_labels
    async with cloud(world, finds_it=False) as (server, client):
        asked = {**question("What of the Heronsgate merger?"), "model": "cloud"}
        body = (await client.post(PATH, json=asked, headers=world.headers("bob"))).json()
    assert body["choices"][0]["message"]["content"] == ABSTENTION
    assert body["muniment"]["kept_here"] == 0
    assert not re.search(rb"kroner for|77 million", sent(server))


async def test_a_local_model_hears_everything_and_nothing_is_recorded_as_sent(world_with_labels: World) -> None:
    world = world_with_labels
    world.model.says(FERRY)
    async with cloud(world) as (server, client):
        body = await ask(client, world, model="muniment")
        assert server.asked == []
    assert body["muniment"]["kept_here"] == 0
    assert body["muniment"]["receipt"]["receipt"]["remote"] is False
    assert recorded(world, "passages:sent") == []


async def test_a_model_of_this_machine_stands_in(world_with_labels: World) -> None:
    """Hybrid: what may not go is answered here, what may goes."""
    world = world_with_labels
    world.model.says("The Osprey ferry merger with Heronsgate closes in March for 77 million kroner.")
    async with cloud(world, fallback_local=True) as (server, client):
        body = await ask(client, world)
        assert server.asked == []
        assert "Heronsgate" in body["choices"][0]["message"]["content"]
        local = world.services.served.default.id
        receipt = body["muniment"]["receipt"]["receipt"]
        assert (body["model"], receipt["model"], receipt["remote"]) == (local, local, False)
        [event] = recorded(world, "passages:sent")
        assert (event["model"], event["stand_in"], list(event["passages"])) == ("cloud", local, [])
        assert body["muniment"]["kept_here"] == 0
        open_ = await ask(client, world, "What is the daily allowance for travel in Norway?")
        assert open_["model"] == "cloud"
        assert server.asked
        assert not CANARY.search(sent(server))


HISTORY = [
    {"role": "user", "content": "What about the Osprey ferry?"},
    {"role": "assistant", "content": "The merger with Heronsgate closes for 77 million kroner. [1]"},
    {"role": "user", "content": "When does it leave?"},
]


async def converse(world: World) -> bytes:
    """A conversation that begins with a model of this machine and goes on with a remote one, kept and sent along."""
    world.model.says("The Osprey ferry merger with Heronsgate closes in March for 77 million kroner.")
    async with cloud(world) as (server, client):
        first = await ask(client, world, model="muniment", muniment={"keep": True})
        assert "Heronsgate" in first["choices"][0]["message"]["content"]
        id_ = first["muniment"]["conversation"]
        await ask(client, world, "When does the Osprey ferry leave?", muniment={"conversation": id_})
        await ask(client, world, "", messages=HISTORY)
        return sent(server)


async def test_earlier_answers_do_not_go_along(world_with_labels: World) -> None:
    left = await converse(world_with_labels)
    assert not CANARY.search(left)
    assert b"and what of the merger?" in left, "the asker's own words do"
    assert b"What about the Osprey ferry?" in left


async def test_a_build_that_sends_them_along_is_noticed(
    world_with_labels: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""

    def all_of(messages: Sequence[Message]) -> list[Message]:
        return list(messages)

    monkeypatch.setattr(gateway.chat.service, "sendable_history", all_of)
    assert CANARY.search(await converse(world_with_labels))


async def test_nothing_is_sent_before_it_is_recorded(world_with_labels: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with_labels
    recorder, real = world.services.recorder, world.services.recorder.record

    async def failing(event: Event) -> EntryRef:
        if isinstance(event, PassagesSent):
            message = "The trail is full."
            raise TrailUnavailableError(message)
        return await real(event)

    monkeypatch.setattr(recorder, "record", failing)
    async with cloud(world) as (server, client):
        asked = {**question(ASKED), "model": "cloud"}
        response = await client.post(PATH, json=asked, headers=world.headers("alice"))
        assert response.status_code == 503
        assert server.asked == []


async def test_a_decision_that_fails_keeps_it_here(world_with_labels: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with_labels
    real = Authorizer._ask

    def broken(self: Authorizer, principal: Any, asked: Sequence[Any], *more: Any) -> Any:
        if any(item.action == "models:send-remote" for item in asked):
            raise RuntimeError
        return real(self, principal, asked, *more)

    monkeypatch.setattr(Authorizer, "_ask", broken)
    async with cloud(world) as (server, client):
        body = await ask(client, world)
        assert server.asked == []
    assert body["choices"][0]["message"]["content"] == KEPT_HERE
    [event] = recorded(world, "passages:sent")
    assert set(event["kept_decisions"]) == {"denied error"}


async def test_nobody_is_named_to_it(world_with_labels: World) -> None:
    async with cloud(world_with_labels) as (server, client):
        await ask(client, world_with_labels)
    assert server.asked
    assert b"alice" not in sent(server)
    assert not any("alice" in str(asked.headers) for asked in server.asked)
