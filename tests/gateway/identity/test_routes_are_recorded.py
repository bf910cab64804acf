"""Whatever somebody does over HTTP is in the trail, or it is said here why not. A new route has to be thought about."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from msgspec import structs

from gateway.app import create_app
from gateway.identity.options import ScimOptions
from gateway.recording import Recorder
from policies.audit.reader import read_on
from policies.principals import PrincipalKind, Role
from tests.gateway.conftest import TRAVEL_ANSWER, World, eventually, question, until_ready
from tests.gateway.identity.conftest import PASSWORDS, Browser, browser_of
from tests.gateway.identity.test_scim import GROUP, USER, Client

SHOWS_NOTHING_OF_DOCUMENTS = "lists names and states that the caller may see anyway, and no document's text"
ABOUT_ITSELF = "says how the service is, or how it is spoken to"
OTHER_TESTS = "needs a provider: tests/gateway/identity/test_http_oidc.py"
UNRECORDED = {
    "GET /api/v1/conversations": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /api/v1/me/usage": "shows the caller what they used themselves",
    "GET /api/v1/sources": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /api/v1/sources/{source}": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /api/v1/sources/{source}/flags": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /api/v1/sources/{source}/labels": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /api/v1/sources/{source}/skipped": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /api/v1/users/{user}/sessions": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /auth/oidc/begin": OTHER_TESTS,
    "GET /auth/oidc/callback": OTHER_TESTS,
    "GET /auth/session": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /auth/sessions": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /health/live": ABOUT_ITSELF,
    "GET /health/ready": ABOUT_ITSELF,
    "GET /metrics": ABOUT_ITSELF,
    "GET /schema": ABOUT_ITSELF,
    "GET /schema/openapi.json": ABOUT_ITSELF,
    "GET /schema/{path}": ABOUT_ITSELF,
    "GET /scim/v2/Groups": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /scim/v2/Groups/{group_id}": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /scim/v2/ResourceTypes": ABOUT_ITSELF,
    "GET /scim/v2/ResourceTypes/{type_id}": ABOUT_ITSELF,
    "GET /scim/v2/Schemas": ABOUT_ITSELF,
    "GET /scim/v2/Schemas/{schema_id}": ABOUT_ITSELF,
    "GET /scim/v2/ServiceProviderConfig": ABOUT_ITSELF,
    "GET /scim/v2/Users": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /scim/v2/Users/{user_id}": SHOWS_NOTHING_OF_DOCUMENTS,
    "GET /scim/v2/{rest}": ABOUT_ITSELF,
    "GET /v1/models": ABOUT_ITSELF,
    "GET /v1/models/{name}": ABOUT_ITSELF,
    "POST /auth/oidc/back-channel-logout": OTHER_TESTS,
    "POST /scim/v2/.search": SHOWS_NOTHING_OF_DOCUMENTS,
    "POST /scim/v2/Groups/.search": SHOWS_NOTHING_OF_DOCUMENTS,
    "POST /scim/v2/Users/.search": SHOWS_NOTHING_OF_DOCUMENTS,
}
"""Why these leave no entry when they are allowed; refused, all leave `access:denied` where somebody is known."""


class Journey:
    """One request after the other to a running application, and the kinds of entries that each leaves."""

    def __init__(self, world: World, app: Litestar, client: httpx.AsyncClient, browser: Browser) -> None:
        self.world, self.app, self.client, self.browser = world, app, client, browser
        self._seen = self._last()
        self.left: dict[str, set[str]] = {}
        self.question = ""

    def _last(self) -> int:
        _, entries = read_on(self.world.services.home.trail, 0, 100_000)
        return entries[-1].id

    async def step(self, route: str, doing: Awaitable[Any], until: str = "") -> Any:
        """Do something, and note what it leaves; `until` is a kind of entry that comes later."""
        result = await doing

        def kinds() -> set[str]:
            _, entries = read_on(self.world.services.home.trail, self._seen, 100_000)
            return {entry.kind for entry in entries}

        async def there() -> bool:
            return until in kinds()

        if until:
            await eventually(there)
        self.left[route] = kinds()
        self._seen = self._last()
        return result

    async def sent(self, route: str, path: str, user: str, body: Any = None, until: str = "", status: int = 200) -> Any:
        method = route.partition(" ")[0]
        sending = self.client.request(method, path, headers=self.world.headers(user), json=body)
        response = await self.step(route, sending, until)
        assert response.status_code == status, response.text
        return response.json() if response.content else None


async def documents_and_policies(journey: Journey) -> None:
    kept = question("What is the daily allowance for travel in Norway?", muniment={"keep": True})
    answer = await journey.sent("POST /v1/chat/completions", "/v1/chat/completions", "bob", kept)
    journey.question = answer["muniment"]["receipt"]["receipt"]["request"]
    conversation = f"/api/v1/conversations/{answer['muniment']['conversation']}"
    await journey.sent("GET /api/v1/conversations/{conversation_id}", conversation, "bob")
    texts = {"model": "muniment", "input": ["one", "another"]}
    await journey.sent("POST /v1/embeddings", "/v1/embeddings", "bob", texts)
    await journey.sent("POST /api/v1/search", "/api/v1/search", "bob", {"query": "Norway"})
    asked = {"user": "bob", "document": "finance/budget.md"}
    await journey.sent("POST /api/v1/policy/explain", "/api/v1/policy/explain", "audra", asked)
    await journey.sent("GET /api/v1/policy/oversharing", "/api/v1/policy/oversharing", "audra")
    await journey.sent("GET /api/v1/usage", "/api/v1/usage", "olga")
    await investigations(journey)
    owners = {"groups": [], "users": ["olga"]}
    await journey.sent("PUT /api/v1/sources/{source}/owners", "/api/v1/sources/company/owners", "olga", owners)
    sync = "/api/v1/sources/company/sync"
    await journey.sent("POST /api/v1/sources/{source}/sync", sync, "olga", until="sync:finished", status=202)


async def investigations(journey: Journey) -> None:
    ours = "/api/v1/audit/investigations"
    wanted = {"reason": "Somebody complained about an answer."}
    begun = await journey.sent(f"POST {ours}", ours, "audra", wanted, status=201)
    await journey.sent(f"GET {ours}", ours, "audra")
    within = journey.world.headers("audra") | {"Muniment-Investigation": begun["id"]}
    for method, path, asked in (
        ("GET", "/api/v1/audit", {}),
        ("GET", "/api/v1/audit/shown", {"principal": "bob"}),
        ("GET", "/api/v1/audit/stale", {"document": "finance/budget.md"}),
        ("GET", "/api/v1/audit/timeline", {"principal": "bob"}),
        ("POST", "/api/v1/audit/candidates", {"value": "Norway"}),
    ):
        body: dict[str, Any] = {"params": asked} if method == "GET" else {"json": asked}
        sending = journey.client.request(method, path, headers=within, **body)
        response = await journey.step(f"{method} {path}", sending)
        assert response.status_code == 200, response.text
        assert journey.left[f"{method} {path}"] == {"trail:read"}
    await reveals(journey, within)
    await journey.sent(f"POST {ours}/{{investigation}}/close", f"{ours}/{begun['id']}/close", "audra")


async def reveals(journey: Journey, within: dict[str, str]) -> None:
    """What one auditor asks another approves or refuses, and the first one reads."""
    ours, asked = "/api/v1/audit/reveals", []
    wanted = {"request": journey.question, "reason": "Somebody complained about an answer."}
    for _ in range(2):
        response = await journey.step(f"POST {ours}", journey.client.post(ours, json=wanted, headers=within))
        assert response.status_code == 201, response.text
        asked.append(f"{ours}/{response.json()['id']}")
    for verb, one in zip(("approve", "refuse"), asked, strict=True):
        await journey.sent(f"POST {ours}/{{reveal}}/{verb}", f"{one}/{verb}", "aaron")
    await journey.sent(f"GET {ours}", ours, "aaron")
    text = f"{asked[0]}/text"
    response = await journey.step(f"GET {ours}/{{reveal}}/text", journey.client.get(text, headers=within))
    assert (response.status_code, journey.left[f"GET {ours}/{{reveal}}/text"]) == (200, {"reveal:opened"})


async def sessions(journey: Journey) -> None:
    browser = journey.browser
    await journey.step("POST /auth/sign-in", browser.sign_in("alice"))
    changed = {"old": PASSWORDS["alice"], "new": "correct unicorn battery staple 9"}
    response = await journey.step("POST /auth/password", browser.post("/auth/password", changed))
    assert response.status_code < 300, response.text
    browser.csrf = (await browser.get("/auth/session")).json().get("csrf_token", browser.csrf)
    await journey.step("POST /auth/sign-out", browser.post("/auth/sign-out", {}))
    for route, who, path in (
        ("DELETE /auth/sessions/{session_id}", "bob", "/auth/sessions/{id}"),
        ("DELETE /api/v1/users/{user}/sessions/{session_id}", "olga", "/api/v1/users/bob/sessions/{id}"),
        ("DELETE /api/v1/users/{user}/sessions", "olga", "/api/v1/users/bob/sessions"),
    ):
        begun = journey.world.services.sessions.begin(journey.world.services.users.principal("bob"), "password")
        assert begun
        async with browser_of(journey.app) as other:
            await other.sign_in("bob")
            id_ = (await other.get("/auth/sessions")).json()["sessions"][0]["id"]
            journey._seen = journey._last()
            if who == "bob":
                await journey.step(route, other.request("DELETE", path.format(id=id_)))
            else:
                await journey.sent(route, path.format(id=id_), who, status=204)


async def directory(journey: Journey) -> None:
    scim = Client(journey.app, journey.world.headers("okta"))
    async with scim.http:
        user = await journey.step("POST /scim/v2/Users", scim.user("carol"))
        group = await journey.step("POST /scim/v2/Groups", scim.group("travellers", user))
        leave = {"op": "replace", "path": "members", "value": []}
        await journey.step("PATCH /scim/v2/Groups/{group_id}", scim.patch(f"/Groups/{group}", leave))
        back = {"schemas": [GROUP], "displayName": "travellers", "members": [{"value": user}]}
        await journey.step("PUT /scim/v2/Groups/{group_id}", scim.send("PUT", f"/Groups/{group}", back))
        gone = {"op": "replace", "path": "active", "value": False}
        await journey.step("PATCH /scim/v2/Users/{user_id}", scim.patch(f"/Users/{user}", gone))
        again = {"schemas": [USER], "userName": "carol", "active": True}
        await journey.step("PUT /scim/v2/Users/{user_id}", scim.send("PUT", f"/Users/{user}", again))
        await journey.step("DELETE /scim/v2/Groups/{group_id}", scim.send("DELETE", f"/Groups/{group}", expect=204))
        await journey.step("DELETE /scim/v2/Users/{user_id}", scim.send("DELETE", f"/Users/{user}", expect=204))


JOURNEYS: tuple[Callable[[Journey], Awaitable[None]], ...] = (documents_and_policies, sessions, directory)


@pytest.fixture
def world(world: World) -> World:
    """With an identity provider that may send users."""
    services: Any = world.services
    services.config = structs.replace(services.config, scim=ScimOptions(enabled=True))
    services.users.add({"aaron": frozenset()}, frozenset({Role.AUDITOR}), "test")
    services.users.add({"okta": frozenset()}, frozenset({Role.PROVISIONER}), "test", PrincipalKind.SERVICE)
    return replace(
        world,
        keys={**world.keys, **{user: services.users.create_key(user, by="test")[1] for user in ("aaron", "okta")}},
    )


@pytest.fixture
async def journey(world: World, served: Litestar) -> AsyncIterator[Journey]:
    world.model.says(TRAVEL_ANSWER)
    transport = httpx.ASGITransport(served, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8400") as client:
        await until_ready(client)
        async with browser_of(served) as browser:
            yield Journey(world, served, client, browser)


def routes_of(app: Litestar) -> set[str]:
    methods = {(method, route.path_format) for route in app.routes for method in getattr(route, "methods", ())}
    return {f"{method} {path}" for method, path in methods if method != "OPTIONS"}


async def test_every_route_leaves_an_entry_or_says_why_not(journey: Journey) -> None:
    for travel in JOURNEYS:
        await travel(journey)
    assert not UNRECORDED.keys() & journey.left.keys()
    assert routes_of(journey.app) == UNRECORDED.keys() | journey.left.keys()
    assert [route for route, kinds in journey.left.items() if not kinds] == []
    assert journey.left["POST /v1/chat/completions"] >= {"question:asked", "passages:retrieved", "answer:given"}
    assert journey.left["POST /api/v1/sources/{source}/sync"] >= {"sync:started", "sync:finished"}


async def test_a_route_that_records_nothing_is_noticed(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a build in which reading a conversation is not recorded."""
    record = Recorder.record_now

    def forgetful(self: Recorder, event: Any) -> Any:
        return None if event.kind == "conversation:read" else record(self, event)

    monkeypatch.setattr(Recorder, "record_now", forgetful)
    await documents_and_policies(journey)
    assert [route for route, kinds in journey.left.items() if not kinds] == [
        "GET /api/v1/conversations/{conversation_id}"
    ]


@get("/unheard-of", sync_to_thread=False)
def unheard_of() -> str:
    return ""


def test_a_new_route_is_noticed(world: World) -> None:
    """Negative control: it stands in no table, so the two sets above differ."""
    app = create_app(world.services)
    app.register(unheard_of)
    assert routes_of(app) - routes_of(create_app(world.services)) == {"GET /unheard-of"}
    assert "GET /unheard-of" not in UNRECORDED
