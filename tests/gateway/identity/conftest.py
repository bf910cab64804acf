"""An installation whose users have passwords, and browsers that sign in to it."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar

from gateway.app import create_app
from gateway.identity.cookies import SESSION_COOKIE
from gateway.identity.passwords import hash_password
from gateway.identity.store import PasswordRow
from retrieval.sessions import writing
from retrieval.tables import utc_now
from tests.gateway.conftest import World, opened_world, running

PASSWORDS = {"alice": "tvK9-pluck-mango-sil", "bob": "blauer Elefant tanzt", "olga": "harpoon violet dusk 9"}
ORIGIN = "http://127.0.0.1:8400"
hashed = lru_cache(hash_password)


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead

    def pass_(self, **time: float) -> None:
        self.ahead += timedelta(**time)


@pytest.fixture
def world(built_home: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[World]:
    """An installation of the test's own; its users have passwords."""
    with opened_world(built_home, tmp_path) as world:
        with writing(world.services.database) as session:
            session.add_all(PasswordRow(user_id=user, hash=hashed(word)) for user, word in PASSWORDS.items())
            session.commit()
        yield world


@pytest.fixture
def clock(world: World) -> Clock:
    """The time by which sessions, keys and locks go."""
    clock, services = Clock(), world.services
    services.sessions.clock = services.password_sign_in.clock = services.callers._keys.clock = clock
    return clock


class Browser:
    """Keeps cookies as a browser does, and says where a request comes from; `client.cookies` is not used.

    httpx does not send Secure cookies to a plain address, as browsers do to this machine's own.
    """

    def __init__(self, app: Litestar, origin: str = ORIGIN) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        self.client = httpx.AsyncClient(transport=transport, base_url=ORIGIN)
        self.origin = origin
        self.cookies: dict[str, str] = {}
        self.csrf = ""

    async def request(self, method: str, path: str, *, headers: Any = None, **more: Any) -> httpx.Response:
        own = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"} if method != "GET" else {}
        if self.cookies:
            own["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if self.csrf and method != "GET":
            own["X-CSRF-Token"] = self.csrf
        merged = {name: value for name, value in (own | (headers or {})).items() if value is not None}
        response = await self.client.request(method, path, headers=merged, **more)
        for cookie in response.headers.get_list("set-cookie"):
            self._keep(cookie)
        return response

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.request("GET", path, **more)

    async def post(self, path: str, json: Any = None, **more: Any) -> httpx.Response:
        return await self.request("POST", path, json=json, **more)

    async def sign_in(self, user: str, password: str | None = None, **more: Any) -> httpx.Response:
        """Sign in; the right password where none is given."""
        word = PASSWORDS.get(user, "") if password is None else password
        response = await self.post("/auth/sign-in", {"user": user, "password": word}, **more)
        if response.status_code == 200:
            self.csrf = response.json()["csrf_token"]
        return response

    async def who(self) -> str:
        """Who is signed in here; empty for nobody."""
        response = await self.get("/auth/session")
        return str(response.json()["user"]) if response.status_code == 200 else ""

    @property
    def token(self) -> str:
        return self.cookies.get(SESSION_COOKIE, "")

    def _keep(self, cookie: str) -> None:
        pair, *attributes = cookie.split("; ")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(attributes)
        assert not any(attribute.lower().startswith("domain") for attribute in attributes)
        name, _, value = pair.partition("=")
        assert name.startswith("__Host-")
        if "Max-Age=0" in attributes:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value


@pytest.fixture
async def served(world: World, clock: Clock) -> AsyncIterator[Litestar]:
    """The running application."""
    del clock
    app = create_app(world.services)
    async with running(app):
        yield app


@contextlib.asynccontextmanager
async def browser_of(app: Litestar) -> AsyncIterator[Browser]:
    browser = Browser(app)
    async with browser.client:
        yield browser


@pytest.fixture
async def browser(served: Litestar) -> AsyncIterator[Browser]:
    async with browser_of(served) as browser:
        yield browser
