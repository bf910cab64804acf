"""API keys: for what they are, until when, and when they were last used."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from litestar import Litestar

from gateway.errors import BadRequestError, NotAuthenticatedError
from gateway.identity.callers import Caller
from gateway.identity.keys import SCOPES
from policies.actions import Action
from retrieval.tables import utc_now
from tests.gateway.conftest import World, client_of, error_of, recorded
from tests.gateway.identity.conftest import Browser, Clock


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_a_key_is_for_its_scopes_and_nothing_else(served: Litestar, browser: Browser, world: World) -> None:
    _, key = world.services.users.create_key("alice", "test", [Action.MODELS_LIST, Action.SESSION_READ])
    unscoped = world.headers("alice")
    assert (await browser.get("/v1/models", headers=bearer(key))).status_code == 200
    assert (await browser.get("/api/v1/conversations", headers=unscoped)).status_code == 200
    refused = await browser.get("/api/v1/conversations", headers=bearer(key))
    by_policy = await browser.get("/metrics", headers=unscoped)
    assert refused.status_code == 403
    for field in ("code", "message"):
        assert error_of(refused)[field] == error_of(by_policy)[field]
    denied = {entry["reason"] for entry in recorded(world, "access:denied")}
    assert any("scopes" in reason for reason in denied)


async def test_scopes_give_nothing_that_policy_does_not(browser: Browser, world: World) -> None:
    _, key = world.services.users.create_key("alice", "test", sorted(SCOPES))
    assert (await browser.get("/metrics", headers=bearer(key))).status_code == 403
    assert (await browser.get("/api/v1/audit", headers=bearer(key))).status_code == 403


async def test_without_the_check_a_key_does_all_its_user_may(
    browser: Browser, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the first test."""
    _, key = world.services.users.create_key("alice", "test", [Action.MODELS_LIST])
    monkeypatch.setattr(Caller, "covers", lambda *_: True)
    assert (await browser.get("/api/v1/conversations", headers=bearer(key))).status_code == 200


@pytest.mark.parametrize("scope", sorted(SCOPES))
async def test_each_scope_alone_opens_only_its_own_routes(browser: Browser, world: World, scope: Action) -> None:
    user = "audra" if scope is Action.AUDIT_READ else "olga"
    investigation = {"Muniment-Investigation": world.investigating(user)["Muniment-Investigation"]}
    _, key = world.services.users.create_key(user, "test", [scope])
    reached = {
        action
        for action, path in {
            Action.AUDIT_READ: "/api/v1/audit",
            Action.HEALTH_READ: "/health/live",
            Action.METRICS_READ: "/metrics",
            Action.MODELS_LIST: "/v1/models",
            Action.SESSION_READ: "/auth/session",
            Action.SOURCES_READ: "/api/v1/sources",
        }.items()
        if (await browser.get(path, headers=bearer(key) | investigation)).status_code == 200
    }
    assert reached <= {scope}


@pytest.mark.parametrize("scope", [Action.DOCUMENTS_READ, Action.PERSONAL_DATA_REVEAL])
def test_what_is_decided_for_each_document_is_no_scope(world: World, scope: Action) -> None:
    with pytest.raises(BadRequestError, match=scope.value):
        world.services.users.create_key("alice", "test", [scope])


async def test_an_expired_key_looks_like_any_refused_one(browser: Browser, world: World, clock: Clock) -> None:
    users = world.services.users
    key_id, key = users.create_key("alice", "test", expires_at=utc_now() + timedelta(hours=1))
    assert (await browser.get("/v1/models", headers=bearer(key))).status_code == 200
    clock.pass_(minutes=61)
    expired = await browser.get("/v1/models", headers=bearer(key))
    unknown = await browser.get("/v1/models", headers=bearer("nonsense"))
    assert (expired.status_code, error_of(expired)["message"]) == (401, error_of(unknown)["message"])
    last = recorded(world, "sign-in:failed")[0]
    assert (last["reason"], last["key_id"], last["user"], last["method"]) == ("expired", key_id, "alice", "key")


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(days=1)])
def test_a_key_that_has_expired_already_is_not_made(world: World, ago: timedelta) -> None:
    with pytest.raises(BadRequestError, match="expired already"):
        world.services.users.create_key("alice", "test", expires_at=utc_now() - ago)


def test_the_last_use_is_noted_at_most_once_a_minute(world: World, clock: Clock) -> None:
    key_id, key = world.services.users.create_key("alice", "test")
    keys, last_use = world.services.callers._keys, world.services.last_use

    def last() -> datetime | None:
        last_use.flush()
        listed = world.services.users.keys()
        return next(view for view in listed if view.id == key_id).last_used_at

    assert last() is None
    keys.authenticate(key)
    first = last()
    assert first is not None
    assert abs(first - datetime.now(UTC)) < timedelta(minutes=1)
    clock.pass_(seconds=59)
    keys.authenticate(key)
    assert last() == first
    clock.pass_(seconds=2)
    keys.authenticate(key)
    assert last() == first + timedelta(seconds=61) or (last() or first) > first
    with pytest.raises(NotAuthenticatedError):
        keys.authenticate(key[:-1] + ("A" if key[-1] != "A" else "B"))


async def test_the_trail_says_what_a_key_is_for(world: World) -> None:
    end = datetime(2099, 1, 31, 12, tzinfo=UTC)
    world.services.users.create_key("alice", "test", [Action.SEARCH_QUERY, Action.CHAT_ASK], end)
    made: dict[str, Any] = recorded(world, "key:created")[-1]
    assert (made["scopes"], made["expires"]) == (["chat:ask", "search:query"], "2099-01-31T12:00:00Z")


async def test_a_key_may_not_take_over_a_users_password_without_knowing_it(app: Litestar, world: World) -> None:
    async with client_of(app) as client:
        body = {"old": "guessed and wrong", "new": "glacier 44 sparrow ink"}
        response = await client.post("/auth/password", json=body, headers=world.headers("alice"))
    assert response.status_code == 401


def test_nobody_came_with_scopes() -> None:
    assert dataclasses.asdict(Caller())["scopes"] is None
    assert Caller().covers("anything")
    assert not Caller(scopes=frozenset()).covers("anything")
