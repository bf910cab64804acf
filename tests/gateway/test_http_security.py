"""What stands before every route: hosts, keys, the guard, and the headers browsers heed."""

import asyncio
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute

from gateway.app import create_app
from gateway.config import ServerOptions
from gateway.security import DATA_POLICY, PAGE_POLICY, Refusals, RequireAction, allowed_hosts, host_name
from policies.actions import Action
from policies.decisions import Decision
from policies.errors import TrailUnavailableError
from tests.gateway.conftest import SETTINGS, World, client_of, error_of, question, recorded, until_ready

OPEN = {
    "/auth/oidc/back-channel-logout",
    "/auth/oidc/begin",
    "/auth/oidc/callback",
    "/auth/sign-in",
    "/auth/sign-out",
    "/health/live",
    "/health/ready",
}
OWN = {"/auth/password", "/auth/session", "/auth/sessions"}
"""What every user may do about themselves."""


@get("/nameless", sync_to_thread=False)
def nameless() -> str:
    return "served"


@get("/misnamed", opt={"action": "chat:ask"}, sync_to_thread=False)
def misnamed() -> str:
    return "served"


def operations(app: Litestar) -> list[tuple[str, str, Any]]:
    """Every method, path and handler, those that answer OPTIONS by themselves aside."""
    return [
        (method, route.path, handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    ]


def test_every_route_names_an_action(app: Litestar) -> None:
    unnamed = [
        (method, path) for method, path, handler in operations(app) if not isinstance(handler.opt.get("action"), Action)
    ]
    assert unnamed == []
    assert len(operations(app)) > 10


AUDIT = {
    "/api/v1/audit",
    *(f"/api/v1/audit/{name}" for name in ("candidates", "investigations", "reveals", "shown", "stale", "timeline")),
}
SCIM = {
    f"/scim/v2/{name}"
    for name in (
        ".search",
        "Groups",
        "Groups/.search",
        "ResourceTypes",
        "Schemas",
        "ServiceProviderConfig",
        "Users",
        "Users/.search",
    )
}


@pytest.mark.parametrize("handler", [nameless, misnamed])
async def test_a_route_without_an_action_is_denied_to_everyone(world: World, handler: Any) -> None:
    app = create_app(world.services)
    app.register(handler)
    async with client_of(app) as client:
        for user in world.keys:
            response = await client.get(handler.fn.__name__, headers=world.headers(user))
            assert (response.status_code, error_of(response)["code"]) == (403, "not_allowed")
        assert (await client.get(handler.fn.__name__)).status_code == 401
    assert len(recorded(world, "access:denied")) == len(world.keys) + 1


async def test_without_the_guard_such_a_route_is_served(world: World) -> None:
    """Negative control of the test above."""
    app = create_app(world.services)
    app.guards.clear()
    app.register(nameless)
    async with client_of(app) as client:
        assert (await client.get("/nameless")).text == "served"


LIKE_ABSENT = "/api/v1/policy/explain"
"""Whoever may not ask this gets what nobody's document gives."""


async def test_an_anonymous_caller_reaches_nothing_but_the_probes(app: Litestar) -> None:
    async with client_of(app) as client:
        await until_ready(client)
        reached = {
            path
            for method, path, _ in operations(app)
            if (await client.request(method, path, json={})).status_code != 401
        }
    assert reached == OPEN


@pytest.mark.parametrize(
    ("user", "allowed"),
    [
        (
            "bob",
            {
                "/api/v1/conversations",
                "/api/v1/me/usage",
                "/api/v1/search",
                "/schema",
                "/v1/chat/completions",
                "/v1/embeddings",
                "/v1/models",
            },
        ),
        ("audra", {*AUDIT, "/api/v1/policy/explain", "/api/v1/policy/oversharing"}),
        ("mona", {"/metrics"}),
        (
            "olga",
            {
                "/api/v1/policy/explain",
                "/api/v1/policy/oversharing",
                "/api/v1/sources",
                "/api/v1/usage",
                "/metrics",
                "/schema",
                "/v1/models",
                *SCIM,
            },
        ),
    ],
)
async def test_each_role_reaches_what_is_its_own(app: Litestar, world: World, user: str, allowed: set[str]) -> None:
    async with client_of(app) as client:
        await until_ready(client)
        reached = {
            path
            for method, path, _ in operations(app)
            if "{" not in path
            and (await client.request(method, path, json={}, headers=world.investigating(user))).status_code
            != (404 if path == LIKE_ABSENT else 403)
        }
    assert reached - {"/schema/openapi.json"} == allowed | OPEN | OWN


async def test_a_failing_policy_engine_closes(world: World, app: Litestar, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Decision:
        message = "the engine broke"
        raise RuntimeError(message)

    async with client_of(app) as client:
        assert (await client.get("/v1/models", headers=world.headers("bob"))).status_code == 200
        monkeypatch.setattr(type(world.services.authorizer), "decide", fail)
        response = await client.get("/v1/models", headers=world.headers("bob"))
    assert (response.status_code, error_of(response)["code"]) == (500, "internal_error")


async def test_every_key_that_is_not_valid_is_refused_alike_and_recorded(world: World, app: Litestar) -> None:
    services, bob = world.services, world.keys["bob"]
    revoked_id, revoked = services.users.create_key("bob", by="test")
    services.users.revoke_key(revoked_id, by="test")
    disabled = services.users.create_key("mona", by="test")[1]
    services.users.disable("mona", by="test")
    presented = {
        "unknown": [b"Bearer nonsense", b"Bearer ", b"Basic Ym9iOmJvYg==", b"Bearer " + b"x" * 5000, b"\xff\xfe"],
        "wrong": [f"Bearer {bob[:-3]}xyz".encode()],
        "revoked": [f"Bearer {revoked}".encode()],
        "disabled": [f"Bearer {disabled}".encode()],
    }
    answers = set()
    async with client_of(app) as client:
        for headers in presented.values():
            for header in headers:
                response = await client.get("/v1/models", headers=[(b"authorization", header)])
                error = error_of(response)
                answers.add(
                    (response.status_code, error["code"], error["message"], response.headers["www-authenticate"])
                )
    assert len(answers) == 1
    assert next(iter(answers))[:2] == (401, "not_authenticated")
    reasons = [entry["reason"] for entry in recorded(world, "sign-in:failed")]
    assert reasons == [reason for reason, headers in presented.items() for _ in headers]


async def test_a_doubled_key_is_refused(world: World, app: Litestar) -> None:
    valid = world.headers("bob")["Authorization"].encode()
    async with client_of(app) as client:
        response = await client.get("/v1/models", headers=[(b"authorization", valid), (b"authorization", valid)])
        assert response.status_code == 401
        assert (await client.get("/v1/models", headers=[(b"authorization", valid)])).status_code == 200


async def test_refusals_of_unknown_callers_do_not_fill_the_trail(world: World, app: Litestar) -> None:
    async with client_of(app) as client:
        for _ in range(40):
            assert (await client.get("/v1/models", headers={"Authorization": "Bearer nonsense"})).status_code == 401
            assert (await client.get("/v1/models")).status_code == 401
        text = (await client.get("/metrics", headers=world.headers("mona"))).text
    entries = recorded(world, "sign-in:failed") + recorded(world, "access:denied")
    assert 20 <= len(entries) < 30
    assert "muniment_sign_ins_failed_total 40.0" in text
    assert "muniment_access_denied_total 40.0" in text


def test_the_bound_on_recorded_refusals_fills_again_with_time() -> None:
    now = [0.0]
    refusals = Refusals(clock=lambda: now[0])
    assert [refusals.recorded() for _ in range(25)].count(True) == 20
    now[0] = 3.0
    assert [refusals.recorded() for _ in range(25)].count(True) == 3
    now[0] = 10_000.0
    assert [refusals.recorded() for _ in range(25)].count(True) == 20


async def test_a_refusal_that_cannot_be_recorded_is_still_a_refusal(
    world: World, app: Litestar, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        message = "the disk is full"
        raise TrailUnavailableError(message)

    monkeypatch.setattr(world.services.recorder, "record", fail)
    async with client_of(app) as client:
        response = await client.get("/metrics", headers=world.headers("bob"))
    assert (response.status_code, error_of(response)["code"]) == (503, "trail_unavailable")


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "elsewhere.example")],
        [("Host", "localhost.elsewhere.example")],
        [("Host", "localhost@elsewhere.example")],
        [("Host", "")],
        [("Host", "elsewhere.example"), ("X-Forwarded-Host", "localhost")],
        [("Host", "elsewhere.example"), ("Forwarded", "host=localhost")],
    ],
    ids=str,
)
async def test_another_host_name_is_refused_whatever_a_proxy_is_said_to_say(
    world: World, app: Litestar, headers: list[tuple[str, str]]
) -> None:
    async with client_of(app) as client:
        response = await client.get("/v1/models", headers=[*headers, *world.headers("bob").items()])
    assert (response.status_code, error_of(response)["code"]) == (400, "bad_request")


async def test_requests_without_a_host_or_with_two_are_refused(world: World, app: Litestar) -> None:
    for hosts in ([], [(b"host", b"localhost"), (b"host", b"localhost")]):
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            await asyncio.sleep(0)
            sent.append(message)

        scope: Any = {
            "type": "http",
            "method": "GET",
            "path": "/v1/models",
            "raw_path": b"/v1/models",
            "query_string": b"",
            "headers": [*hosts, (b"authorization", world.headers("bob")["Authorization"].encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8400),
            "scheme": "http",
        }
        await app(scope, no_body, send)
        assert sent[0]["status"] == 400


async def no_body() -> Any:
    await asyncio.sleep(0)
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_configured_host_names_are_answered_to(world: World) -> None:
    world.services.home.config_file.write_text(SETTINGS + '[server]\nnames = ["Muniment.Harbour.example"]\n')
    async with client_of(create_app(world.services)) as client:
        for host in ("muniment.harbour.example", "MUNIMENT.harbour.example:443", "localhost:8400", "[::1]:8400"):
            assert (await client.get("/health/live", headers={"Host": host})).status_code == 200


def test_loopback_names_are_only_answered_to_where_they_lead_here() -> None:
    assert "localhost" in allowed_hosts(ServerOptions(host="127.0.0.1"))
    assert "localhost" in allowed_hosts(ServerOptions(host="0.0.0.0"))
    assert allowed_hosts(ServerOptions(host="10.1.2.3", names=("docs.example",))) == {"10.1.2.3", "docs.example"}
    assert "[fd00::1]" in allowed_hosts(ServerOptions(host="fd00::1"))


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Docs.example:8400", "docs.example"),
        ("docs.example", "docs.example"),
        ("[::1]:8400", "[::1]"),
        ("[::1]", "[::1]"),
    ],
)
def test_a_host_name_is_read_without_its_port(header: str, name: str) -> None:
    assert host_name(header) == name


async def test_every_response_carries_the_security_headers(world: World, app: Litestar) -> None:
    async with client_of(app) as client:
        await until_ready(client)
        bob = world.headers("bob")
        responses = [
            await client.get("/health/live"),
            await client.get("/v1/models"),
            await client.get("/nowhere"),
            await client.get("/schema", headers=bob),
            await client.get("/v1/chat/completions"),
            await client.get("/health/live", headers={"Host": "elsewhere.example"}),
            await client.post("/v1/chat/completions", json=question("Where?", stream=True), headers=bob),
            await client.post("/v1/chat/completions", content=b"{", headers=bob),
        ]
    assert [response.status_code for response in responses] == [200, 401, 404, 200, 405, 400, 200, 400]
    for response in responses:
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["referrer-policy"] == "no-referrer"
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "'unsafe" not in policy
        assert "*" not in policy
        is_page = response.headers.get("content-type", "").startswith("text/html")
        assert policy == (PAGE_POLICY if is_page else DATA_POLICY)
        assert response.headers["cross-origin-opener-policy"] == "same-origin"
        assert response.headers["x-dns-prefetch-control"] == "off"
        assert response.headers["x-request-id"]
    assert [response.headers.get("content-type", "")[:9] for response in responses].count("text/html") == 1


async def test_other_origins_are_given_no_access(world: World, app: Litestar) -> None:
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    async with client_of(app) as client:
        preflight = await client.options("/v1/chat/completions", headers=asked)
        plain = await client.get("/v1/models", headers={**asked, **world.headers("bob")})
    assert preflight.status_code == 401
    assert plain.status_code == 200
    for response in (preflight, plain):
        assert not [name for name in response.headers if name.startswith("access-control-")]


def test_the_guard_is_the_applications_own(app: Litestar) -> None:
    assert [type(guard) for guard in app.guards] == [RequireAction]
