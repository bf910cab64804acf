"""Single sign-on against a provider that is not ours, over real sockets on this machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.app import create_app
from gateway.identity.options import OidcOptions
from gateway.services import Services
from tests.gateway.conftest import SETTINGS, World, error_of, recorded, running
from tests.gateway.identity.conftest import Browser, browser_of

pytestmark = [pytest.mark.network, pytest.mark.allow_hosts(["127.0.0.1", "localhost", "::1"])]
_PROVIDER = """
import sys
from oidc_provider_mock import User, run_server_in_thread
claims = {"preferred_username": "alice", "groups": ["everyone", "press"]}
with run_server_in_thread(user_claims=[User(sub="u-1", claims=claims)], require_nonce=True) as server:
    print(server.server_port, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The provider in a process of its own, which ends with its standard input."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _PROVIDER],
        env=os.environ | {"AUTHLIB_INSECURE_TRANSPORT": "1"},
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://localhost:{int(process.stdout.readline())}"
        finally:
            process.kill()


@pytest.fixture
def services(world: World, issuer: str) -> Services:
    world.services.home.config_file.write_text(
        f'{SETTINGS}[oidc]\nissuer = "{issuer}"\nclient_id = "muniment"\n'
        'redirect_uri = "http://127.0.0.1:8400/auth/oidc/callback"\nclient_secret_file = "oidc-secret"\n'
    )
    secret = world.services.home.keys / "oidc-secret"
    secret.write_text("a secret")
    secret.chmod(0o600)
    vars(world.services).pop("config", None)
    assert world.services.config.oidc != OidcOptions()
    return world.services


def consented(address: str) -> str:
    """What the user's browser does there; the way back, as path and query."""
    with httpx.Client(trust_env=False) as client:
        response = client.post(address, data={"sub": "u-1"})
    assert response.status_code == 302, response.text
    back = urlsplit(response.headers["location"])
    return f"{back.path}?{back.query}"


async def begun(browser: Browser) -> str:
    response = await browser.get("/auth/oidc/begin", params={"return_to": "/chat?x=1"})
    assert response.status_code == 303, response.text
    return str(response.headers["location"])


async def test_a_provider_that_is_not_ours_signs_somebody_in_and_out(services: Services, world: World) -> None:
    app = create_app(services)
    async with running(app), browser_of(app) as browser:
        callback = consented(await begun(browser))
        flow = dict(browser.cookies)
        response = await browser.get(callback)
        assert (response.status_code, response.headers["location"]) == (303, "/chat?x=1")
        who = (await browser.get("/auth/session")).json()
        assert (who["user"], who["groups"], who["method"]) == ("alice", ["everyone", "press"], "oidc")
        browser.csrf = who["csrf_token"]
        address = (await browser.post("/auth/sign-out")).json()["provider"]
        assert address.startswith(f"{services.config.oidc.issuer}/oauth2/end_session?")
        assert await browser.who() == ""
        browser.cookies = flow
        assert (await browser.get(callback)).status_code == 401, "an answer counts once"
    assert recorded(world, "session:begun")[0]["issuer"] == services.config.oidc.issuer


async def test_a_code_that_the_provider_gave_to_another_sign_in_is_refused(services: Services, world: World) -> None:
    """The provider does not know PKCE; that it was another sign-in's shows in the nonce."""
    app = create_app(services)
    async with running(app), browser_of(app) as thief, browser_of(app) as victim:
        stolen = consented(await begun(victim))
        own = consented(await begun(thief))
        code = dict(pair.split("=") for pair in urlsplit(stolen).query.split("&"))["code"]
        state = dict(pair.split("=") for pair in urlsplit(own).query.split("&"))["state"]
        response = await thief.get(f"/auth/oidc/callback?code={code}&state={state}")
        assert (response.status_code, error_of(response)["code"]) == (401, "not_authenticated")
        assert await thief.who() == ""
    assert [entry["reason"] for entry in recorded(world, "sign-in:failed")] == ["token-nonce"]


async def test_a_provider_that_is_gone_signs_nobody_in(services: Services) -> None:
    app = create_app(services)
    async with running(app), browser_of(app) as browser:
        callback = consented(await begun(browser))
        provider = services.single_sign_on._provider
        endpoints = provider.endpoints()
        closed = endpoints.token.replace(str(urlsplit(endpoints.token).port), "9")
        provider._endpoints = (type(endpoints)(endpoints.authorization, closed, endpoints.keys, "", False), 1e12)
        response = await browser.get(callback)
        assert (response.status_code, error_of(response)["code"]) == (503, "provider_unavailable")
        assert await browser.who() == ""
