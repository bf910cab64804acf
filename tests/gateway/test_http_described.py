"""The HTTP interface does what its OpenAPI document says, for everybody, and gives nobody what is another's.

Requests are made from the document (schemathesis), with names and ids of other people's things among them. Canaries,
texts that stand nowhere else, are planted in what belongs to one person: none may be in an answer to another.
"""

import asyncio
import contextlib
import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from litestar import Litestar, Response, get
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlmodel import Session

import gateway.chat.store
from gateway.app import create_app
from gateway.chat.store import ConversationRow, Conversations, Message, new_conversation
from gateway.services import Services
from gateway.sources.schemas import SourceOwners
from models.engine import Speaker
from policies.actions import Action
from policies.bundles import Bundle
from policies.labels import Label
from policies.principals import Role
from retrieval.sessions import writing
from retrieval.tables import SourceRow
from tests.fakes.sources import ListConnector, page
from tests.gateway.conftest import SETTINGS, World, build_home, client_of, open_services, opened_world, until_ready
from tests.gateway.gated_model import GatedModel

BASE = "http://127.0.0.1:8400"
NOBODY = ""
CHECKS = [
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
OPEN = {
    "GET /health/live",
    "GET /health/ready",
    "POST /auth/sign-in",
    "POST /auth/sign-out",
    "GET /auth/oidc/begin",
    "GET /auth/oidc/callback",
    "POST /auth/oidc/back-channel-logout",
}
"""What needs no credentials: probes, signing in, signing out, and the provider's word that somebody did."""
MORE = {"pia": Role.PROVISIONER, "sam": Role.SOURCE_OWNER}
PRINCIPALS = (NOBODY, "audra", "bob", "olga", "pia", "sam")


@dataclass(frozen=True, slots=True)
class Canary:
    """A text that only some people may be shown."""

    text: str
    what: str
    readers: frozenset[str]


@dataclass(slots=True)
class Explored:
    """What came of many requests: complaints, and how often each operation answered with each status."""

    complaints: set[str] = field(default_factory=set)
    statuses: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        return sum(self.statuses.values())


@dataclass(frozen=True, slots=True)
class Planted:
    """An installation where everybody has something of their own, and what names it."""

    world: World
    canaries: list[Canary]
    names: Mapping[str, list[Any]]
    """Values worth trying, by the name of a parameter or of a field."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    enabled = SETTINGS + "[scim]\nenabled = true\n"
    folder = tmp_path_factory.mktemp("described")
    return build_home(folder, enabled, lambda home: open_services(home, GatedModel()))


@pytest.fixture
def planted(built: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[Planted]:
    with opened_world(built, tmp_path) as world:
        yield plant(world)


def plant(world: World) -> Planted:
    """Give everybody a document, a conversation, a session and a key with a canary each."""
    services, keys, canaries = world.services, dict(world.keys), []
    for user, role in MORE.items():
        services.users.add({user: frozenset()}, frozenset({role}), by="test")
        keys[user] = services.users.create_key(user, by="test")[1]
    services.owners.change("company", ["sam"], [], by="test")
    with writing(services.database) as session:
        session.add(SourceRow(name="extra", type="list", settings="{}"))
        session.commit()
    names: dict[str, list[Any]] = {"source": ["company", "extra"], "user": sorted(keys), "document": []}
    names |= {"conversation_id": [], "session_id": [], "query": ["private words"]}
    names |= {"model": ["muniment"], "name": ["muniment"], "stream": [True, False]}
    pages = []
    for user in sorted(keys):
        text, path = f"private words zq{user}text", f"zq{user}path"
        pages.append(page(path, f"# Notes\n\n{text}", Label(allow_users=frozenset({user}))))
        canaries.append(Canary(f"zq{user}text", "text of a document", frozenset({user})))
        canaries.append(Canary(f"zq{user}path", "path of a document", frozenset({user, "audra", "olga"})))
        names["document"].append(f"{path}.md")
        conversation = new_conversation()
        services.conversations.append(user, conversation, Message(Speaker.USER, f"zq{user}asked"))
        canaries.append(Canary(f"zq{user}asked", "conversation", frozenset({user})))
        canaries.append(Canary(conversation.id, "id of a conversation", frozenset({user})))
        names["conversation_id"].append(conversation.id)
        begun = services.sessions.begin(services.users.principal(user), "password")
        canaries.append(Canary(begun.id, "id of a session", frozenset({user, "audra", "olga"})))
        canaries.append(Canary(begun.token, "token of a session", frozenset()))
        canaries.append(Canary(begun.csrf_token, "token of a session", frozenset()))
        names["session_id"].append(begun.id)
        canaries.append(Canary(keys[user].split("_", 2)[2], "key", frozenset()))
    services.ingestion.sync("extra", ListConnector(*pages))
    world.model.says("The daily allowance for travel in Norway is 480 kroner.")
    return Planted(World(services, keys, world.model), canaries, names)


async def explore(app: Litestar, planted: Planted, user: str, examples: int, only: str = "") -> Explored:
    """Send requests that the document describes, and ones that it forbids, as somebody; note what is not right."""
    headers = planted.world.headers(user) if user else {}
    async with client_of(app) as client:
        await until_ready(client)
        loop = asyncio.get_running_loop()

        def send(request: httpx.Request) -> httpx.Response:
            return asyncio.run_coroutine_threadsafe(client.send(request), loop).result(60)

        explorer = Explorer(planted, user, send, headers, examples)
        operations = schemathesis.openapi.from_dict(app.openapi_schema.to_schema()).get_all_operations()
        for operation in [result.ok() for result in operations]:
            if operation.label.endswith(only):
                await asyncio.to_thread(explorer.explore, operation)
    return explorer.explored


@dataclass(slots=True)
class Explorer:
    """Somebody who tries everything."""

    planted: Planted
    user: str
    send: Callable[[httpx.Request], httpx.Response]
    headers: Mapping[str, str]
    examples: int
    explored: Explored = field(default_factory=Explored)

    def explore(self, operation: Any) -> None:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            number = zlib.crc32(f"{operation.label}{self.user}{mode}".encode())
            rng = random.Random(number)
            bounded = settings(
                max_examples=self.examples,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )

            def once(case: Any) -> None:
                self.try_once(case, rng)  # noqa: B023 - called before the next turn

            with contextlib.suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else contextlib.nullcontext():
                # What cannot be made wrong has no such requests.
                seed(number)(bounded(given(case=operation.as_strategy(generation_mode=mode))(once)))()

    def try_once(self, case: Any, rng: random.Random) -> None:
        tempt(case, self.planted.names, rng)
        response = self.send(as_request(case, self.headers))
        label, explored = case.operation.label, self.explored
        key = (label, response.status_code)
        explored.statuses[key] = explored.statuses.get(key, 0) + 1
        found = [*wrong(case, response), *leaked(response, self.planted.canaries, self.user)]
        explored.complaints.update(f"{label}: {each}" for each in found)


def tempt(case: Any, names: Mapping[str, list[Any]], rng: random.Random) -> None:
    """Name things that exist, other people's mostly, in every second request."""
    if rng.random() < 0.5:
        return
    for where in (case.path_parameters, case.query, case.body):
        if isinstance(where, dict):
            for name in where.keys() & names.keys():
                where[name] = rng.choice(names[name])


def as_request(case: Any, headers: Mapping[str, str]) -> httpx.Request:
    """The request as it goes over the wire."""
    given_ = case.as_transport_kwargs(base_url=BASE)
    given_.pop("verify", None)
    wanted = {"method", "url", "headers", "files", "data", "params", "auth", "cookies", "json"}
    prepared = requests.Request(**{name: value for name, value in given_.items() if name in wanted}).prepare()
    sent = {name: value for name, value in prepared.headers.items() if name.lower() not in {"host", "cookie"}}
    return httpx.Request(prepared.method or "", prepared.url or "", headers={**sent, **headers}, content=prepared.body)


def wrong(case: Any, response: httpx.Response) -> list[str]:
    """Where an answer is not as the document says."""
    try:
        case.validate_response(response, checks=CHECKS)
    except (Failure, FailureGroup) as error:
        return [f"{response.status_code} {str(each)[:600]}" for each in getattr(error, "exceptions", [error])]
    return []


def leaked(response: httpx.Response, canaries: list[Canary], user: str) -> list[str]:
    """What of others' is in an answer."""
    told = response.text + "\n".join(response.headers.values())
    sent = str(response.request.url) + response.request.content.decode("latin-1")
    return [
        f"{canary.what} of somebody else"
        for canary in canaries
        if user not in canary.readers and canary.text in told and canary.text not in sent
    ]


@pytest.mark.parametrize("user", PRINCIPALS)
@pytest.mark.parametrize("examples", [1, pytest.param(80, marks=[pytest.mark.deep, pytest.mark.timeout(3000)])])
async def test_every_operation_is_as_described_and_tells_nothing_of_others(
    planted: Planted, user: str, examples: int
) -> None:
    explored = await explore(create_app(planted.world.services), planted, user, examples)
    assert not explored.complaints, "\n\n".join(sorted(explored.complaints))
    assert explored.requests > 80
    if user == NOBODY:
        answered = {label for label, status in explored.statuses if status != 401}
        assert answered <= OPEN


async def test_requests_reach_what_they_are_about(planted: Planted) -> None:
    """A run in which everything is refused would prove nothing."""
    app = create_app(planted.world.services)
    for user, label in (
        ("bob", "GET /api/v1/conversations/{conversation_id}"),
        ("sam", "GET /api/v1/sources/{source}"),
        ("audra", "POST /api/v1/policy/explain"),
        ("olga", "GET /api/v1/users/{user}/sessions"),
    ):
        explored = await explore(app, planted, user, 30, only=label)
        assert explored.statuses.get((label, 200)), explored.statuses
        assert not explored.complaints, "\n\n".join(sorted(explored.complaints))


async def test_what_is_not_as_described_is_noticed(planted: Planted) -> None:
    """Negative control: a defect, a status that is not described, and a body of another form."""

    @get("/broken", opt={"action": Action.HEALTH_READ}, sync_to_thread=False)
    def broken() -> str:
        raise RuntimeError

    @get("/strange", opt={"action": Action.HEALTH_READ}, sync_to_thread=False)
    def strange() -> Response[SourceOwners]:
        return Response(SourceOwners(), status_code=418)

    @get("/misshapen", opt={"action": Action.HEALTH_READ}, sync_to_thread=False)
    def misshapen() -> SourceOwners:
        return {"users": 3, "groups": []}  # type: ignore[return-value]

    app = create_app(planted.world.services)
    for handler in (broken, strange, misshapen):
        app.register(handler)
    told = {
        name: "\n".join((await explore(app, planted, "bob", 1, only=f"/{name}")).complaints)
        for name in ("broken", "strange", "misshapen")
    }
    assert "Server error" in told["broken"]
    assert "418 Undocumented" in told["strange"]
    assert "violates schema" in told["misshapen"]


async def test_a_route_that_is_not_guarded_is_noticed(planted: Planted) -> None:
    """Negative control."""
    app = create_app(planted.world.services)
    app.guards.clear()
    app.register(unguarded)
    explored = await explore(app, planted, NOBODY, 1, only="/unguarded")
    assert {label for label, status in explored.statuses if status != 401} - OPEN == {"GET /unguarded"}


def owner_of(services: Services, conversation: str) -> str:
    with Session(services.database) as session:
        return session.get_one(ConversationRow, conversation).user_id


@get("/unguarded", sync_to_thread=False)
def unguarded() -> SourceOwners:
    return SourceOwners()


async def test_a_route_that_shows_what_is_anothers_is_noticed(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: conversations, sources and sessions whose owner nobody asks for."""
    app, services = create_app(planted.world.services), planted.world.services

    async def leaks(user: str, only: str) -> set[str]:
        return {each.rpartition(": ")[2] for each in (await explore(app, planted, user, 12, only=only)).complaints}

    conversation = "/conversations/{conversation_id}"
    assert await leaks("bob", conversation) == set()
    with monkeypatch.context() as broken:
        opened = Conversations.open
        broken.setattr(gateway.chat.store, "_owned", lambda session, _user, id_: session.get_one(ConversationRow, id_))
        # Its records open for their owner alone, so whoever forgets to ask must forget that, too.
        broken.setattr(Conversations, "open", lambda self, _user, id_: opened(self, owner_of(services, id_), id_))
        assert "conversation of somebody else" in await leaks("bob", conversation)
    with monkeypatch.context() as broken:
        everything = list(services.owners.all())
        broken.setattr(type(services.source_access), "allowed", lambda *_: everything)
        assert "path of a document of somebody else" in await leaks("sam", "/policy/oversharing")
    rule = 'permit (principal, action == Action::"documents:read", resource);'
    services.bundles.load(Bundle.of({"a.cedar": f'@id("everything") {rule}'}), by="test")
    assert "text of a document of somebody else" in await leaks("bob", "/api/v1/search")
