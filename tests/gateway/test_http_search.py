"""Search, sources and the trail over HTTP."""

from typing import Any

import httpx
import pytest

from tests.gateway.conftest import World, error_of, recorded

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


async def test_operators_see_the_sources(client: httpx.AsyncClient, world: World) -> None:
    response = await client.get("/api/v1/sources", headers=world.headers("olga"))
    (source,) = response.json()["sources"]
    assert (source["name"], source["type"], source["documents"], source["skipped"]) == ("company", "folder", 3, 0)
    assert source["synced_at"].endswith("Z")


async def test_auditors_read_the_trail_and_are_recorded_themselves(client: httpx.AsyncClient, world: World) -> None:
    await search(client, world, "bob", "allowance")
    await search(client, world, "alice", "budget")
    response = await client.get("/api/v1/audit", params={"principal": "bob"}, headers=world.headers("audra"))
    entries = response.json()["entries"]
    asked = next(entry for entry in entries if entry["kind"] == "search:asked")
    assert asked["event"]["principal"] == "bob"
    assert set(asked) == {"entry", "at", "kind", "event", "writer", "seq", "hash"}
    assert [entry["entry"] for entry in entries] == sorted((entry["entry"] for entry in entries), reverse=True)
    assert "alice" not in response.text
    (read,) = recorded(world, "trail:read")
    assert (read["by"], read["operation"], read["entries"]) == ("audra", "list", len(entries))


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
    response = await client.get("/api/v1/audit", params=params, headers=world.headers("audra"))
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
    ],
)
async def test_filters_that_make_no_sense_are_refused(
    client: httpx.AsyncClient, world: World, params: dict[str, str]
) -> None:
    response = await client.get("/api/v1/audit", params=params, headers=world.headers("audra"))
    assert (response.status_code, error_of(response)["code"]) == (400, "bad_request")


async def test_one_id_names_a_request_in_the_response_and_in_the_trail(client: httpx.AsyncClient, world: World) -> None:
    response = await client.post("/api/v1/search", json={"query": "allowance"}, headers=world.headers("bob"))
    (entry,) = recorded(world, "search:asked")
    assert entry["request"] == response.headers["x-request-id"]
