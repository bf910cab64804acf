"""Owners look after their own sources: they see how these do, sync them, and may ask who reads what. Nothing else."""

import asyncio
import dataclasses
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import Session

from connectors.errors import ConnectorError
from gateway.errors import BadRequestError, ConflictError, NotFoundError
from gateway.sources import access, service
from gateway.sources.labels import source_labels
from gateway.sources.schemas import SourceOwners
from policies.actions import OF_SOURCES, Action
from policies.audit.events import SourceOwnersChanged
from policies.authorizer import Authorizer
from policies.context import RequestContext
from policies.errors import PolicyInvalidError, TrailUnavailableError
from policies.principals import Role
from retrieval.labels import corpus_state
from tests.gateway.conftest import World, error_of, eventually, recorded

EXPLAIN, OVERSHARING = "/api/v1/policy/explain", "/api/v1/policy/oversharing"
OWN, OTHER, ABSENT = "company", "vault", "nowhere"
OWNERS = {"sam": ("by name", frozenset()), "gwen": ("by group", frozenset({"stewards"}))}
"""Users with the role who own `company`, by name and by group."""
PEOPLE = {
    "sam": Role.SOURCE_OWNER,
    "gwen": Role.SOURCE_OWNER,
    "otto": Role.SOURCE_OWNER,
    "lena": Role.EMPLOYEE,
}
"""`otto` has the role and owns nothing; `lena` owns `company` and has not the role."""


@pytest.fixture
def owned(world: World, tmp_path: Path) -> World:
    """Two sources with a document each that nobody here may read; `company` has owners and `vault` has none."""
    services, keys = world.services, dict(world.keys)
    for user, role in PEOPLE.items():
        services.users.add({user: OWNERS.get(user, ("", frozenset()))[1]}, frozenset({role}), by="test")
        keys[user] = services.users.create_key(user, by="test")[1]
    folder = tmp_path / "vault"
    folder.mkdir()
    (folder / "secret.md").write_text("# Secret\n\nThe Vault holds a card 4111 1111 1111 1111.")
    services.sources.add(OTHER, "folder", {"path": str(folder)}, None, by="test")
    services.sources.sync(OTHER, services.ingestion, by="test", on_progress=lambda _: None)
    services.owners.change(OWN, ["sam", "lena", "stewards"], [], by="test")
    return dataclasses.replace(world, keys=keys)


def document(source: str) -> str:
    return {OWN: "finance/budget.md", OTHER: "secret.md", ABSENT: "nowhere.md"}[source]


REQUESTS: dict[str, Any] = {
    "show": lambda source: ("GET", f"/api/v1/sources/{source}", None),
    "skipped": lambda source: ("GET", f"/api/v1/sources/{source}/skipped", None),
    "flags": lambda source: ("GET", f"/api/v1/sources/{source}/flags", None),
    "labels": lambda source: ("GET", f"/api/v1/sources/{source}/labels", None),
    "sync": lambda source: ("POST", f"/api/v1/sources/{source}/sync", None),
    "explain": lambda source: ("POST", EXPLAIN, {"user": "alice", "document": document(source)}),
    "oversharing": lambda source: ("GET", f"{OVERSHARING}?source={source}", None),
    "own": lambda source: ("PUT", f"/api/v1/sources/{source}/owners", {"users": ["otto"], "groups": []}),
}
ALL = frozenset(REQUESTS)
OWNERS_MAY = ALL - {"own"}
INVESTIGATORS_MAY = frozenset({"explain", "oversharing"})
MAY: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "sam": (OWNERS_MAY, frozenset()),
    "gwen": (OWNERS_MAY, frozenset()),
    "otto": (frozenset(), frozenset()),
    "lena": (frozenset(), frozenset()),
    "bob": (frozenset(), frozenset()),
    "mona": (frozenset(), frozenset()),
    "audra": (INVESTIGATORS_MAY, INVESTIGATORS_MAY),
    "olga": (ALL, ALL),
}
"""What each may do with `company` and with `vault`."""


async def send(client: httpx.AsyncClient, world: World, user: str, what: str, source: str) -> httpx.Response:
    method, path, body = REQUESTS[what](source)
    return await client.request(method, path, json=body, headers=world.headers(user))


async def wrongly(client: httpx.AsyncClient, world: World) -> list[tuple[str, str, str, int]]:
    """Every case of the matrix that is not as it must be."""
    found = []
    for (user, (own, other)), what, source in itertools.product(MAY.items(), sorted(ALL), (OWN, OTHER)):
        expected = what in (own if source == OWN else other)
        response = await send(client, world, user, what, source)
        got = response.status_code in {200, 202, 409}
        if got is not expected or (not got and response.status_code not in {403, 404}):
            found.append((user, what, source, response.status_code))
        if what == "own" and expected:
            world.services.owners.replace(OWN, SourceOwners(["lena", "sam"], ["stewards"]), by="test")
            world.services.owners.replace(OTHER, SourceOwners(), by="test")
    return found


async def test_everybody_gets_what_they_may_of_each_source(owned: World, client: httpx.AsyncClient) -> None:
    assert await wrongly(client, owned) == []


@pytest.mark.parametrize("broken", ["role", "source", "policy"])
async def test_a_hole_in_the_matrix_is_noticed(
    owned: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Negative control: without the question for each source, with owners of everything, with a rule too many."""
    if broken == "role":
        owned.services.users.add({"lena": frozenset()}, frozenset({Role.SOURCE_OWNER}), by="test")
    elif broken == "source":
        monkeypatch.setattr(access.SourceAccess, "require", lambda *_: None)
    else:
        owned.services.owners.change(OTHER, ["otto"], [], by="test")
    assert await wrongly(client, owned)


@pytest.mark.parametrize("what", sorted(OWNERS_MAY))
async def test_another_source_looks_like_none(owned: World, client: httpx.AsyncClient, what: str) -> None:
    """For owners of others, and for everybody without the role."""
    for user in ("sam", "otto", "lena", "bob", "mona"):
        there, absent = [await send(client, owned, user, what, source) for source in (OTHER, ABSENT)]
        told = [(each.status_code, error_of(each)["code"], error_of(each)["message"]) for each in (there, absent)]
        assert told[0] == told[1]
        assert {name: value for name, value in there.headers.items() if name != "x-request-id"} == {
            name: value for name, value in absent.headers.items() if name != "x-request-id"
        }


async def test_a_refusal_is_in_the_trail_with_its_source(owned: World, client: httpx.AsyncClient) -> None:
    response = await send(client, owned, "sam", "labels", OTHER)
    denied = recorded(owned, "access:denied")[-1]
    assert (denied["principal"], denied["action"], denied["source"]) == ("sam", "labels:read", OTHER)
    assert denied["request"] == response.headers["x-request-id"]


async def test_the_trail_holds_nothing_of_what_is_no_source(owned: World, client: httpx.AsyncClient) -> None:
    await send(client, owned, "sam", "labels", "ada-brandt-of-harbour")
    denied = recorded(owned, "access:denied")[-1]
    assert denied["source"] == owned.services.recorder.nobody("ada-brandt-of-harbour")
    assert "brandt" not in str(denied)


async def test_lists_hold_only_what_is_ones_own(owned: World, client: httpx.AsyncClient) -> None:
    async def seen(user: str) -> list[str]:
        response = await client.get("/api/v1/sources", headers=owned.headers(user))
        return [source["name"] for source in response.json()["sources"]]

    async def overshared(user: str) -> set[str]:
        response = await client.get(OVERSHARING, headers=owned.headers(user))
        return {one["source"] for one in response.json()["listed"]}

    assert (await seen("olga"), await seen("sam"), await seen("otto")) == ([OWN, OTHER], [OWN], [])
    assert await overshared("audra") == {OWN, OTHER}
    assert (await overshared("sam"), await overshared("otto")) == ({OWN}, set())
    assert [event["by"] for event in recorded(owned, "oversharing:listed")] == ["audra", "sam", "otto"]


async def test_an_owner_reads_no_document_because_of_it(owned: World, client: httpx.AsyncClient) -> None:
    for user in ("sam", "gwen", "lena"):
        principal = owned.services.users.principal(user)
        assert not owned.services.retriever.access(principal, RequestContext()).label_ids
    for rule in (
        "permit (principal, action, resource is Label) when { principal in resource.source.owner_users };",
        'permit (principal, action, resource) when { Source::"company".owner_groups.isEmpty() };',
    ):
        with pytest.raises(PolicyInvalidError, match="owning a source is no reading"):
            Authorizer.load(f'@id("own") {rule}')


async def test_losing_ownership_counts_at_the_next_request(owned: World, client: httpx.AsyncClient) -> None:
    def epoch() -> int:
        with Session(owned.services.database) as session:
            return corpus_state(session).epoch

    for user, owner in (("sam", "user:sam"), ("gwen", "stewards")):
        assert (await send(client, owned, user, "show", OWN)).status_code == 200
        before = epoch()
        owned.services.owners.change(OWN, [], [owner], by="olga")
        assert epoch() == before + 1
        assert (await send(client, owned, user, "show", OWN)).status_code == 404
    assert recorded(owned, SourceOwnersChanged.kind)[-1] == {
        "by": "olga",
        "source": OWN,
        "added": [],
        "removed": ["group:stewards"],
    }
    owned.services.owners.change(OWN, ["sam"], [], by="olga")
    owned.services.users.disable("sam", by="olga")
    assert (await send(client, owned, "sam", "show", OWN)).status_code == 401


def test_a_change_that_cannot_be_recorded_is_not_made(owned: World) -> None:
    before = owned.services.owners.all()
    owned.services.trail.close()
    with pytest.raises(TrailUnavailableError):
        owned.services.owners.change(OWN, ["otto"], [], by="olga")
    assert owned.services.owners.all() == before


def test_owners_are_named_without_doubt(owned: World) -> None:
    owners, users = owned.services.owners, owned.services.users
    users.add({"finance": frozenset()}, frozenset({Role.EMPLOYEE}), by="test")
    with pytest.raises(BadRequestError, match="user:finance or group:finance"):
        owners.change(OWN, ["finance"], [], by="olga")
    for name in ("nobody", "user:nobody"):
        with pytest.raises(NotFoundError):
            owners.change(OWN, [name], [], by="olga")
    with pytest.raises(NotFoundError):
        owners.change(OWN, [], ["otto"], by="olga")
    with pytest.raises(NotFoundError):
        owners.of(ABSENT)
    with pytest.raises(BadRequestError):
        owners.change(OWN, ["sam"], ["sam"], by="olga")
    told = owners.change(OWN, ["user:finance", "group:finance", "group:to-come"], ["lena"], by="olga")
    assert (told.users, told.groups) == (["finance", "sam"], ["finance", "stewards", "to-come"])
    before = len(recorded(owned, SourceOwnersChanged.kind))
    owners.change(OWN, ["sam"], [], by="olga")
    assert len(recorded(owned, SourceOwnersChanged.kind)) == before, "nothing changed"


def test_owners_go_with_their_source(owned: World, tmp_path: Path) -> None:
    services = owned.services
    services.owners.change(OTHER, ["sam"], [], by="test")
    services.sources.remove(OTHER, services.ingestion, by="test")
    services.sources.add(OTHER, "folder", {"path": str(tmp_path / "vault")}, None, by="test")
    assert services.owners.of(OTHER) == SourceOwners()


async def test_an_owner_has_a_source_read_and_sees_how_it_went(
    owned: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def state() -> dict[str, Any]:
        shown: dict[str, Any] = (await send(client, owned, "sam", "show", OWN)).json()
        return shown

    async def over() -> bool:
        return not owned.services.source_runs.running()

    def gone(_row: object) -> Any:
        message = "The share is gone."
        raise ConnectorError(message)

    before = (await state())["synced_at"]
    assert (await send(client, owned, "sam", "sync", OWN)).status_code == 202
    await eventually(over)
    assert (await state())["synced_at"] > before
    assert [event["by"] for event in recorded(owned, "sync:finished")][-1] == "sam"
    with monkeypatch.context() as context:
        context.setattr(service, "_connector", gone)
        await send(client, owned, "sam", "sync", OWN)
        await eventually(over)
    assert (await state())["failure"] == "The share is gone."
    await send(client, owned, "sam", "sync", OWN)
    await eventually(over)
    assert ((await state())["failure"], (await state())["failed_at"]) == ("", None)


async def test_a_source_is_asked_for_once_at_a_time(owned: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = owned.services.source_runs
    waiting: list[str] = []
    begun = threading.Event()

    def slow(source: str, *_: object) -> None:
        waiting.append(source)
        begun.set()
        time.sleep(0.2)

    monkeypatch.setattr(runs, "_sync", slow)
    runs.start(OWN, "sam")
    with pytest.raises(ConflictError):
        runs.start(OWN, "sam")
    runs.start(OTHER, "olga")
    assert begun.wait(10)
    await asyncio.to_thread(runs.close)
    assert waiting == [OWN], "what waits when the service stops is not begun"


def test_labels_are_told_with_how_often_they_stand(owned: World) -> None:
    told = source_labels(owned.services.database, OWN)
    assert {(tuple(use.label.allow_groups), use.documents) for use in told.labels} == {
        (("everyone",), 2),
        (("finance",), 1),
    }
    assert told.access_file is not None
    assert (told.access_file.readable, told.access_file.problem) == (True, "")
    assert source_labels(owned.services.database, OTHER).access_file is None


@pytest.mark.parametrize("action", sorted(frozenset(Action) - OF_SOURCES))
def test_other_actions_are_not_decided_for_a_source(owned: World, action: Action) -> None:
    principal = owned.services.users.principal("olga")
    with pytest.raises(ValueError, match="not decided for a source"):
        owned.services.authorizer.decide_sources(principal, action, list(owned.services.owners.all().values()))


@pytest.fixture(autouse=True)
def _no_runs_left(world: World) -> Iterator[None]:
    yield
    world.services.source_runs.close()
