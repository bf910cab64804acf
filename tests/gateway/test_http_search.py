"""Search, sources and the trail over HTTP."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from numpy.typing import NDArray

import gateway.reading
from gateway.app import create_app
from gateway.contexts import local_context
from gateway.reading import Reader
from policies.context import Purpose
from policies.labels import Label
from policies.personal_data import EntityType, Span
from tests.fakes.hash_embedder import HashEmbedder
from tests.gateway.conftest import SETTINGS, World, client_of, error_of, eventually, recorded, until_ready

PASSAGE_FIELDS = {"rank", "score", "document", "path", "title", "heading", "text", "start", "end"}


async def search(client: httpx.AsyncClient, world: World, user: str, query: str, **more: Any) -> list[dict[str, Any]]:
    body = {"query": query, **more}
    response = await client.post("/api/v1/search", json=body, headers=world.headers(user))
    assert response.status_code == 200, response.text
    assert set(response.json()) == {"passages", "took_ms"}
    passages: list[dict[str, Any]] = response.json()["passages"]
    return passages


async def test_a_search_gives_what_the_caller_may_read(client: httpx.AsyncClient, world: World) -> None:
    hers = await search(client, world, "alice", "Kestrel budget euros")
    his = await search(client, world, "bob", "Kestrel budget euros")
    assert hers[0]["path"] == "finance/budget.md"
    assert set(hers[0]) == PASSAGE_FIELDS
    assert {passage["path"] for passage in his} <= {"handbook/travel.md", "handbook/holidays.md"}
    assert "1400000" not in str(his)


async def test_the_number_of_passages_is_the_callers_to_say(client: httpx.AsyncClient, world: World) -> None:
    assert len(await search(client, world, "alice", "daily budget holiday", limit=1)) == 1
    assert len(await search(client, world, "alice", "daily budget holiday")) == 3


async def test_a_search_narrows_and_never_widens(client: httpx.AsyncClient, world: World) -> None:
    assert await search(client, world, "bob", "Kestrel budget", sources=["company"]) == await search(
        client, world, "bob", "Kestrel budget"
    )
    assert await search(client, world, "bob", "allowance", sources=["elsewhere"]) == []
    assert await search(client, world, "bob", "allowance", modified_before="2001-01-01T00:00:00Z") == []
    assert await search(client, world, "bob", "allowance", modified_after="2001-01-01T00:00:00+02:00") != []


async def test_a_search_is_recorded_before_anything_leaves(client: httpx.AsyncClient, world: World) -> None:
    await search(client, world, "bob", "allowance")
    (entry,) = recorded(world, "search:asked")
    assert (entry["principal"], entry["channel"]) == ("bob", "http")
    assert "allowance" not in str(entry)


class HeldEmbedder(HashEmbedder):
    """Keeps searches from going on, once it is told to hold them, until it is told to let go."""

    def __init__(self) -> None:
        self.held = 0
        self._go_on = threading.Event()
        self._go_on.set()
        self._counting = threading.Lock()

    def holds(self) -> None:
        self.held = 0
        self._go_on.clear()

    def embed_query(self, text: str) -> NDArray[Any]:
        with self._counting:
            self.held += 1
        assert self._go_on.wait(60)
        return super().embed_query(text)

    def lets_go(self) -> None:
        self._go_on.set()


@contextmanager
def held_searches(world: World) -> Iterator[HeldEmbedder]:
    embedder = HeldEmbedder()
    services: Any = world.services
    services.embedder = embedder
    try:
        yield embedder
    finally:
        embedder.lets_go()


@pytest.mark.parametrize(
    ("limits", "users"),
    [
        ("searches_each = 2", ["bob"] * 3),
        ("searches_at_once = 2", ["bob", "alice", "alice"]),
    ],
)
async def test_each_person_and_all_together_have_a_bounded_number_of_searches_at_once(
    world: World, limits: str, users: list[str]
) -> None:
    world.services.home.config_file.write_text(f"{SETTINGS}[server]\n{limits}\n")
    with held_searches(world) as embedder:
        async with client_of(create_app(world.services)) as client:
            await until_ready(client)
            embedder.holds()
            first = [asyncio.create_task(search_plainly(client, world, user)) for user in users[:2]]
            await eventually(lambda: are_held(embedder, 2))
            refused = await search_plainly(client, world, users[2])
            embedder.lets_go()
            assert [answer.status_code for answer in await asyncio.gather(*first)] == [200, 200]
            assert refused.status_code == 429
            assert error_of(refused)["code"] == "too_many_requests"
            assert refused.headers["retry-after"]
            assert (await search_plainly(client, world, users[2])).status_code == 200


async def search_plainly(client: httpx.AsyncClient, world: World, user: str) -> httpx.Response:
    return await client.post("/api/v1/search", json={"query": "allowance"}, headers=world.headers(user))


async def are_held(embedder: HeldEmbedder, count: int) -> bool:
    return embedder.held == count


async def test_masking_holds_up_nobody_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is done in the thread of the search, not in that of the event loop, which serves everybody."""
    threads: set[threading.Thread] = set()
    mask = gateway.reading.mask

    def noting(*given: Any) -> str:
        threads.add(threading.current_thread())
        return mask(*given)

    monkeypatch.setattr(gateway.reading, "mask", noting)
    bob = world.services.users.principal("bob")
    found = await world.services.searches.search(bob, "allowance", 5, local_context(Purpose.SEARCH))
    assert found.passages
    assert threads
    assert threading.current_thread() not in threads


async def test_one_decision_is_asked_for_about_all_passages(world: World) -> None:
    services, context = world.services, local_context(Purpose.SEARCH)
    bob = services.users.principal("bob")
    found = services.retriever.search("allowance", services.retriever.access(bob, context), 1).passages[0]
    labels = [found.label, *(Label.for_groups("everyone", f"team{number}") for number in range(20)), Label.private()]
    card = Span(0, 4, EntityType.CREDIT_CARD, 1.0, "test")
    name = Span(5, 9, EntityType.PERSON, 1.0, "test")
    passages = [replace(found, text="1234 Anna", spans=(card, name), label=label) for label in labels]
    asked: list[Any] = []

    class Counting:
        def decide_reveals(self, *given: Any) -> Any:
            asked.append(given)
            return services.authorizer.decide_reveals(*given)

    policy: Any = Counting()
    reader = Reader.of(passages, policy, bob, context)
    shown = {reader.shown(passage) for passage in passages}
    assert shown == {"[card number hidden] Anna", "[card number hidden] [name hidden]"}
    assert reader.shown(passages[-1]) == "[card number hidden] [name hidden]", "revealing takes reading"
    assert len(asked) == 1
    other = replace(passages[0], label=Label.for_groups("everyone", "unasked"))
    assert reader.shown(other) == "[card number hidden] [name hidden]", "what was not decided on is hidden"


async def test_operators_see_the_sources(client: httpx.AsyncClient, world: World) -> None:
    response = await client.get("/api/v1/sources", headers=world.headers("olga"))
    (source,) = response.json()["sources"]
    assert (source["name"], source["type"], source["documents"], source["skipped"]) == ("company", "folder", 3, 0)
    assert source["synced_at"].endswith("Z")


async def test_auditors_read_the_trail_and_are_recorded_themselves(client: httpx.AsyncClient, world: World) -> None:
    await search(client, world, "bob", "allowance")
    await search(client, world, "alice", "budget")
    response = await client.get("/api/v1/audit", params={"principal": "bob"}, headers=world.investigating())
    entries = response.json()["entries"]
    asked = next(entry for entry in entries if entry["kind"] == "search:asked")
    assert asked["event"]["principal"] == "bob"
    assert set(asked) == {"entry", "at", "kind", "event", "writer", "seq", "hash"}
    assert [entry["entry"] for entry in entries] == sorted((entry["entry"] for entry in entries), reverse=True)
    assert "alice" not in response.text
    (read,) = recorded(world, "trail:read")
    assert (read["by"], read["operation"], read["entries"]) == ("audra", "list", len(entries))
    assert (read["user"], read["filters"]) == ("bob", [])


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"kind": "search:asked"}, 1),
        ({"kind": "search:given"}, 0),
        ({"kind": "search:asked", "since": "2001-01-01T00:00:00Z", "until": "2001-01-02T00:00:00+01:00"}, 0),
        ({"kind": "search:asked", "since": "2001-01-01T00:00:00Z"}, 1),
        ({"limit": "1"}, 1),
        ({"request": "r0"}, 0),
    ],
    ids=str,
)
async def test_the_trail_is_filtered(
    client: httpx.AsyncClient, world: World, params: dict[str, str], found: int
) -> None:
    await search(client, world, "bob", "allowance")
    response = await client.get("/api/v1/audit", params=params, headers=world.investigating())
    assert len(response.json()["entries"]) == found


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "0"},
        {"limit": "5000"},
        {"limit": "x"},
        {"since": "yesterday"},
        {"since": "2026-01-01T00:00:00"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"until": "9999-12-31T23:59:59-10:00"},
        {"kind": "Ada Brandt asked"},
        {"label": "finance"},
        {"outcome": "well"},
        {"before": "0"},
        {"before": "9" * 30},
        {"after": "-1"},
        {"rule": "what, not how"},
        {"type": "Ada"},
        {"principal": "no user's name"},
    ],
)
async def test_filters_that_make_no_sense_are_refused(
    client: httpx.AsyncClient, world: World, params: dict[str, str]
) -> None:
    response = await client.get("/api/v1/audit", params=params, headers=world.investigating())
    assert (response.status_code, error_of(response)["code"]) == (400, "bad_request")


async def test_one_id_names_a_request_in_the_response_and_in_the_trail(client: httpx.AsyncClient, world: World) -> None:
    response = await client.post("/api/v1/search", json={"query": "allowance"}, headers=world.headers("bob"))
    (entry,) = recorded(world, "search:asked")
    assert entry["request"] == response.headers["x-request-id"]
