"""The trail is read by auditors, each within an open investigation of their own, and every reading says so."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

import gateway.audit.access
from gateway.audit.investigations import Investigations, require_reason
from gateway.audit.store import UNREADABLE, Reasons
from gateway.errors import BadRequestError, InvestigationNeededError, NotFoundError
from policies.actions import Action
from policies.audit.events import InvestigationClosed
from policies.errors import TrailUnavailableError
from policies.keys import create_keys
from policies.principals import Role
from retrieval.tables import utc_now
from tests.gateway.conftest import World, error_of, recorded

REASON = "Somebody complained that a budget leaked."
OURS = "/api/v1/audit/investigations"
REVEALS = "/api/v1/audit/reveals"
FREE = {
    *(f"GET {OURS}", f"POST {OURS}", f"POST {OURS}/{{investigation}}/close"),
    *(f"GET {REVEALS}", f"POST {REVEALS}/{{reveal}}/approve", f"POST {REVEALS}/{{reveal}}/refuse"),
}
"""What an auditor may do without an open investigation: begin, list and end them, and decide on what others ask."""


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@pytest.fixture
def clock(world: World) -> Clock:
    clock = Clock()
    world.services.investigations.clock = clock
    return clock


def audit_routes(app: Litestar) -> set[tuple[str, str]]:
    return {
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/api/v1/audit")
        for method in route.methods
        if method != "OPTIONS"
    }


class Auditors:
    """Two auditors, and investigations of the first one in every state."""

    def __init__(self, world: World, clock: Clock) -> None:
        services = world.services
        services.users.add({"aaron": frozenset()}, frozenset({Role.AUDITOR}), by="test")
        self.keys = dict(world.keys) | {"aaron": services.users.create_key("aaron", by="test")[1]}
        begin = services.investigations.begin
        clock.ahead = timedelta(hours=-2)
        expired = begin("audra", REASON, 1).id
        clock.ahead = timedelta()
        closed = begin("audra", REASON, 1).id
        services.investigations.close(closed, "audra")
        self.named = {
            "none": "",
            "unknown": "i" + "a" * 16,
            "another's": begin("aaron", REASON, 1).id,
            "a command's": services.investigations.note("audra", REASON).id,
            "expired": expired,
            "closed": closed,
            "own": begin("audra", REASON, 1).id,
        }

    def headers(self, user: str, state: str) -> dict[str, str]:
        named = self.named[state]
        bearer = {"Authorization": f"Bearer {self.keys[user]}"} if user else {}
        return bearer | ({"Muniment-Investigation": named} if named else {})


async def outcomes(client: httpx.AsyncClient, app: Litestar, auditors: Auditors) -> dict[tuple[str, str, str], str]:
    """What everybody gets of every route in every state: `ok`, or the code of the error."""
    found = {}
    for method, path in sorted(audit_routes(app)):
        for user in ("", "alice", "olga", "mona", "audra"):
            for state in auditors.named:
                response = await client.request(
                    method, path.format(investigation="i0", reveal="v0"), headers=auditors.headers(user, state), json={}
                )
                refused = response.status_code in {401, 403}
                found[f"{method} {path}", user, state] = error_of(response)["code"] if refused else "ok"
    return found


def expected(route: str, user: str, state: str) -> str:
    if not user:
        return "not_authenticated"
    if user != "audra":
        return "not_allowed"
    return "ok" if route in FREE or state == "own" else "investigation_needed"


async def test_every_route_wants_the_role_and_an_open_investigation_of_ones_own(
    client: httpx.AsyncClient, app: Litestar, world: World, clock: Clock
) -> None:
    found = await outcomes(client, app, Auditors(world, clock))
    assert len(found) == 13 * 5 * 7
    assert {key: said for key, said in found.items() if said != expected(*key)} == {}


async def test_a_route_that_forgets_to_ask_is_noticed(
    client: httpx.AsyncClient, app: Litestar, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: a build in which any investigation will do, and one in which everybody is an auditor."""
    auditors = Auditors(world, clock)
    with monkeypatch.context() as broken:
        own = world.services.investigations.begin("audra", REASON, 1)
        broken.setattr(Investigations, "require_open", lambda *_: own)
        wrong = {key for key, said in (await outcomes(client, app, auditors)).items() if said != expected(*key)}
        assert {state for _, _, state in wrong} == auditors.named.keys() - {"own"}
    app.guards.clear()
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            monkeypatch.setattr(handler, "_resolved_guards", (), raising=False)
    wrong = {key for key, said in (await outcomes(client, app, auditors)).items() if said != expected(*key)}
    assert {user for _, user, _ in wrong} >= {"alice", "olga"}


async def test_reading_names_the_investigation_and_what_was_asked(client: httpx.AsyncClient, world: World) -> None:
    begun = await client.post(OURS, json={"reason": REASON, "hours": 2}, headers=world.headers("audra"))
    assert begun.status_code == 201
    within = world.headers("audra") | {"Muniment-Investigation": begun.json()["id"]}
    params = {"principal": "bob", "kind": "search:asked", "since": "2026-01-01T00:00:00Z"}
    assert (await client.get("/api/v1/audit", params=params, headers=within)).status_code == 200
    (opened,) = recorded(world, "investigation:opened")
    assert (opened["by"], opened["investigation"], opened["channel"]) == ("audra", begun.json()["id"], "http")
    assert opened["reason_hmac"] == world.services.recorder.digest(REASON)
    (read,) = recorded(world, "trail:read")
    assert read["investigation"] == begun.json()["id"]
    assert (read["user"], read["filters"]) == ("bob", ["kind=search:asked", "since=2026-01-01T00:00:00.000000Z"])


async def test_a_refusal_says_what_to_do_and_is_recorded(client: httpx.AsyncClient, world: World) -> None:
    response = await client.get("/api/v1/audit", headers=world.headers("audra"))
    assert error_of(response)["code"] == "investigation_needed"
    assert "POST /api/v1/audit/investigations" in error_of(response)["message"]
    (denied,) = recorded(world, "access:denied")
    assert (denied["principal"], denied["action"]) == ("audra", Action.AUDIT_READ.value)
    assert recorded(world, "trail:read") == []


def test_the_reason_is_sealed_and_the_trail_holds_its_digest_alone(world: World) -> None:
    investigation = world.services.investigations.begin("audra", "Ada Brandt may have shared a file.", 1)
    assert investigation.reason == "Ada Brandt may have shared a file."
    folder = world.services.home.folder / "data"
    for file in filter(Path.is_file, folder.rglob("*")):
        assert b"Ada Brandt may" not in file.read_bytes()


def test_a_reason_opens_in_its_own_row_alone(world: World, tmp_path: Path) -> None:
    reasons = Reasons(world.services.keys)
    sealed = reasons.seal("i1", REASON)
    assert reasons.unseal("i1", sealed) == REASON
    for row, other in (("i2", sealed), ("i1", sealed[:-1]), ("i1", b""), ("i1", bytes(len(sealed)))):
        assert reasons.unseal(row, other) == UNREADABLE
    assert Reasons(create_keys(tmp_path / "others")).unseal("i1", sealed) == UNREADABLE


@pytest.mark.parametrize("reason", ["", " " * 40, "because", "a" * 2001, "\ud800" * 20])
async def test_a_reason_must_say_something(world: World, reason: str) -> None:
    with pytest.raises(BadRequestError):
        require_reason(reason)
    with pytest.raises(BadRequestError):
        world.services.investigations.begin("audra", reason, 1)
    assert recorded(world, "investigation:opened") == []


@pytest.mark.parametrize("hours", [0, -1, 25])
def test_the_time_box_is_bounded(world: World, hours: int) -> None:
    with pytest.raises(BadRequestError, match="1 to 24 hours"):
        world.services.investigations.begin("audra", REASON, hours)


def test_an_investigation_is_open_in_its_time_alone(world: World, clock: Clock) -> None:
    investigations = world.services.investigations
    id_ = investigations.begin("audra", REASON, 1).id
    for minutes, is_open in ((0, True), (59, True), (61, False), (-5, False)):
        clock.ahead = timedelta(minutes=minutes)
        if is_open:
            assert investigations.require_open("audra", id_).open
        else:
            with pytest.raises(InvestigationNeededError):
                investigations.require_open("audra", id_)


def test_only_its_owner_closes_it_and_once(world: World) -> None:
    investigations = world.services.investigations
    id_ = investigations.begin("audra", REASON, 1).id
    for who, what in (("aaron", id_), ("audra", "i0")):
        with pytest.raises(NotFoundError):
            investigations.close(what, who)
    closed = investigations.close(id_, "audra")
    assert not closed.open
    assert investigations.close(id_, "audra") == closed
    assert [entry["investigation"] for entry in recorded(world, InvestigationClosed.kind)] == [id_]
    with pytest.raises(InvestigationNeededError, match="over since"):
        investigations.require_open("audra", id_)


def test_what_cannot_be_recorded_is_not_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    investigations = world.services.investigations
    id_ = investigations.begin("audra", REASON, 1).id

    def full(_: Any) -> None:
        raise TrailUnavailableError

    with monkeypatch.context() as broken:
        broken.setattr(world.services.recorder, "record_now", full)
        with pytest.raises(TrailUnavailableError):
            investigations.begin("audra", REASON, 1)
        with pytest.raises(TrailUnavailableError):
            investigations.close(id_, "audra")
        with pytest.raises(TrailUnavailableError):
            gateway.audit.access.require_looking(
                investigations, world.services.recorder, world.services.users.principal("audra"), ""
            )
    assert [one.id for one in investigations.listed()] == [id_]
    assert investigations.require_open("audra", id_).open


async def test_auditors_see_what_others_look_for(client: httpx.AsyncClient, world: World) -> None:
    world.services.investigations.begin("aaron", REASON, 1)
    found = (await client.get(OURS, headers=world.headers("audra"))).json()["investigations"]
    assert [(one["by"], one["reason"], one["open"]) for one in found] == [("aaron", REASON, True)]
    assert [read["operation"] for read in recorded(world, "trail:read")] == ["investigations"]


def test_an_altered_reason_is_told(world: World) -> None:
    investigations = world.services.investigations
    id_ = investigations.begin("audra", REASON, 1).id
    world.services.database.dispose()
    with closing(sqlite3.connect(world.services.home.database)) as connection:
        connection.execute("UPDATE investigation SET reason = zeroblob(60) WHERE id = ?", (id_,))
        connection.commit()
    assert investigations.listed()[0].reason == UNREADABLE
