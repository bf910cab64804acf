"""A small installation with real storage, trail, policies and index; the models alone are fakes."""

import asyncio
import contextlib
import itertools
import json
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar

from gateway.app import create_app
from gateway.config import Home
from gateway.installation import create_home
from gateway.services import Services
from policies.audit.reader import EntryQuery, read_entries
from policies.principals import Role
from tests.fakes.hash_embedder import HashEmbedder
from tests.fakes.parsers import parser_here
from tests.fakes.patterns import PatternRedactor
from tests.gateway.gated_model import GatedModel

DOCUMENTS = {
    "handbook/travel.md": (
        "# Travel policy\n\n## Allowances\n\nThe daily allowance for travel in Norway is 480 kroner. "
        "Ada Brandt approves exceptions; write to ada.brandt@harbour.example."
    ),
    "handbook/holidays.md": "# Holidays\n\nEveryone has 27 days of paid holiday a year, counted from January.",
    "finance/budget.md": "# Budget 2027\n\n## Kestrel\n\nThe Kestrel budget for 2027 is 1400000 euros in total.",
}
MEMBERSHIPS = {"alice": frozenset({"everyone", "finance"}), "bob": frozenset({"everyone"})}
SPECIAL = {"audra": Role.AUDITOR, "mona": Role.MONITOR, "olga": Role.OPERATOR}
RULES = [{"prefix": "handbook/", "groups": ["everyone"]}, {"prefix": "finance/", "groups": ["finance"]}]
SETTINGS = "[audit]\ndeadline_seconds = 60\n"
"""A machine busy with other things is no reason for a test to see no answer."""
KESTREL_ANSWER = "The Kestrel budget for 2027 is 1400000 euros."
TRAVEL_ANSWER = "The daily allowance for travel in Norway is 480 kroner."


@dataclass(frozen=True, slots=True)
class World:
    """An opened installation and the API key of each of its users."""

    services: Services
    keys: Mapping[str, str]
    model: GatedModel

    def headers(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[user]}"}

    def investigating(self, user: str = "audra") -> dict[str, str]:
        """The headers of an auditor with an investigation of their own."""
        found = self.services.investigations.begin(user, "Somebody complained about an answer.", 1)
        return self.headers(user) | {"Muniment-Investigation": found.id}


def open_services(home: Path, model: GatedModel) -> Services:
    """The services of a home, with fakes where models would be."""
    services: Any = Services(Home(home))
    services.embedder = HashEmbedder()
    services.new_parser = parser_here
    services.redactor = PatternRedactor()
    services.engine = model
    opened: Services = services
    return opened


def build_home(folder: Path, settings: str, opened: Callable[[Path], Services]) -> tuple[Path, dict[str, str]]:
    """Make a home with users, keys and ingested documents."""
    documents, home = folder / "documents", folder / "home"
    for path, text in DOCUMENTS.items():
        (documents / path).parent.mkdir(parents=True, exist_ok=True)
        (documents / path).write_text(text, encoding="utf-8")
    users = {user: sorted(groups) for user, groups in MEMBERSHIPS.items()}
    access = folder / "access.json"
    access.write_text(json.dumps({"groups": ["everyone", "finance"], "users": users, "rules": RULES}))
    create_home(Home(home), by="tests")
    (home / "muniment.toml").write_text(settings)
    with opened(home) as services:
        services.users.add(MEMBERSHIPS, frozenset({Role.EMPLOYEE}), by="test")
        for user, role in SPECIAL.items():
            services.users.add({user: frozenset()}, frozenset({role}), by="test")
        keys = {user: services.users.create_key(user, by="test")[1] for user in [*MEMBERSHIPS, *SPECIAL]}
        services.sources.add("company", "folder", {"path": str(documents)}, access, by="test")
        services.sources.sync("company", services.ingestion, by="test", on_progress=lambda _: None)
    return home, keys


@pytest.fixture(scope="session")
def built_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A home made once; each test works on a copy."""
    return build_home(tmp_path_factory.mktemp("built"), SETTINGS, lambda home: open_services(home, GatedModel()))


@contextlib.contextmanager
def opened_world(built_home: tuple[Path, dict[str, str]], folder: Path) -> Iterator[World]:
    """A fresh copy of the installation, opened."""
    built, keys = built_home
    shutil.copytree(built, folder / "home")
    model = GatedModel()
    with open_services(folder / "home", model) as services:
        yield World(services, keys, model)


@pytest.fixture
def world(built_home: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[World]:
    """An installation of the test's own."""
    with opened_world(built_home, tmp_path) as world:
        yield world


@pytest.fixture
def app(world: World) -> Litestar:
    return create_app(world.services)


@contextlib.asynccontextmanager
async def client_of(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """A client that speaks to the running application in this loop, without a socket.

    Litestar's own test client serves one request at a time, so nothing could be tried that overlaps.
    """
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with running(app), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8400") as client:
        yield client


@contextlib.asynccontextmanager
async def running(app: Litestar) -> AsyncIterator[None]:
    """The application, started and stopped in one task, as it must be; a fixture begins and ends in two."""
    started, over = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            started.set()
            await over.wait()

    living = asyncio.create_task(live())
    await asyncio.wait_for(started.wait(), 10)
    try:
        yield
    finally:
        over.set()
        await living


async def until_ready(client: httpx.AsyncClient) -> None:
    """Wait until everything has been loaded."""

    async def ready() -> bool:
        return (await client.get("/health/ready")).status_code == 200

    await eventually(ready)


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Wait until something is so; fail when it is not in time."""
    until = time.monotonic() + seconds
    for pause in itertools.chain([0.0], itertools.repeat(0.005)):
        await asyncio.sleep(pause)
        if await condition():
            return
        if time.monotonic() > until:
            break
    pytest.fail("what was waited for did not come about")


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, which is ready."""
    async with client_of(app) as client:
        await until_ready(client)
        yield client


def question(text: str, **more: Any) -> dict[str, Any]:
    """The body of a completion request."""
    return {"model": "muniment", "messages": [{"role": "user", "content": text}], **more}


def recorded(world: World, kind: str) -> list[dict[str, Any]]:
    """The events of one kind in the trail, oldest first."""
    entries = read_entries(world.services.home.trail, EntryQuery(kind=kind, limit=1000), world.services.subjects)
    return [dict(entry.event) for entry in reversed(entries)]


def error_of(response: httpx.Response) -> dict[str, str]:
    """The error of a response, after checking that it has the one shape."""
    body = response.json()
    assert set(body) >= {"error"}
    error: dict[str, str] = body["error"]
    assert set(error) == {"code", "message", "request"}
    assert all(isinstance(value, str) and value for value in error.values())
    assert error["request"] == response.headers["x-request-id"]
    return error
