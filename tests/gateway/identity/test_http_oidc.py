"""Single sign-on: who the provider vouches for gets in, and nobody else by any way around it."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import msgspec
import pytest
from litestar import Litestar

from gateway.app import create_app
from gateway.errors import BadRequestError, ConfigurationError, NotAuthenticatedError, ProviderUnavailableError
from gateway.identity.cookies import FLOW_COOKIE
from gateway.identity.oidc import Answer, SingleSignOn, open_provider, require_local
from gateway.identity.options import OidcOptions
from gateway.identity.provider import Provider
from policies.principals import Role
from tests.gateway.conftest import SETTINGS, World, error_of, recorded
from tests.gateway.identity import forgeries
from tests.gateway.identity.conftest import Browser, Clock, browser_of
from tests.gateway.identity.fake_provider import OPTIONS, SECRET, FakeProvider, as_json, logout_token, raw
from tests.gateway.identity.forgeries import ISSUER, NOW

Now = list[timedelta]


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
def moved() -> Now:
    """How much later than `NOW` it is for tokens."""
    return [timedelta()]


@pytest.fixture
def world(world: World, provider: FakeProvider, moved: Now) -> Iterator[World]:
    """An installation with a provider; its settings say so."""
    services = world.services
    secret = services.home.keys / "oidc-secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    services.home.config_file.write_text(
        f'{SETTINGS}[oidc]\nissuer = "{ISSUER}"\nclient_id = "muniment"\n'
        f'redirect_uri = "{OPTIONS.redirect_uri}"\nclient_secret_file = "oidc-secret"\n'
    )
    use(world, provider, OPTIONS, moved)
    yield world
    services.single_sign_on.close()


def use(world: World, provider: FakeProvider, options: OidcOptions, moved: Now) -> None:
    services: Any = world.services
    opened = open_provider(options, services.home.keys, provider.transport)
    services.single_sign_on = SingleSignOn(
        services.database,
        services.recorder,
        services.keys,
        services.sessions,
        options,
        opened,
        freshness=services.freshness,
        clock=lambda: NOW + moved[0],
    )


async def begun(browser: Browser, return_to: str = "/chat") -> str:
    """Where the browser is sent."""
    response = await browser.get("/auth/oidc/begin", params={"return_to": return_to})
    assert response.status_code == 303
    return str(response.headers["location"])


async def back(browser: Browser, answer: dict[str, str] | list[tuple[str, str]]) -> httpx.Response:
    """The browser comes back from the provider, from another site."""
    return await browser.get(f"/auth/oidc/callback?{urlencode(answer)}", headers={"Sec-Fetch-Site": "cross-site"})


async def signed_in(browser: Browser, provider: FakeProvider) -> httpx.Response:
    return await back(browser, provider.authorize(await begun(browser)))


def reasons(world: World) -> list[str]:
    return [entry["reason"] for entry in recorded(world, "sign-in:failed") if entry["method"] == "oidc"]


async def test_who_the_provider_vouches_for_is_signed_in(
    browser: Browser, provider: FakeProvider, world: World
) -> None:
    provider.said = {"groups": ["everyone", "press"]}
    response = await signed_in(browser, provider)
    assert (response.status_code, response.headers["location"]) == (303, "/chat")
    assert FLOW_COOKIE not in browser.cookies
    who = (await browser.get("/auth/session")).json()
    assert (who["user"], who["groups"], who["method"]) == ("alice", ["everyone", "press"], "oidc")
    assert recorded(world, "session:begun")[0] | {"session": "s"} == {
        "principal": "alice",
        "session": "s",
        "method": "oidc",
        "issuer": ISSUER,
    }
    linked = recorded(world, "user:linked")[0]
    assert (linked["user"], linked["by"]) == ("alice", f"oidc:{ISSUER}")
    assert "248289761001" not in str(linked)


async def test_groups_are_replaced_in_a_new_epoch_and_only_when_they_change(
    browser: Browser, provider: FakeProvider, world: World
) -> None:
    def epoch() -> int:
        with world.services.database.connect() as connection:
            return int(connection.exec_driver_sql("SELECT epoch FROM corpus").scalar_one())

    async def groups(said: Any) -> list[str]:
        provider.said = {"groups": said}
        assert (await signed_in(browser, provider)).status_code == 303
        return list((await browser.get("/auth/session")).json()["groups"])

    assert await groups(["everyone", "finance"]) == ["everyone", "finance"]
    before = epoch()
    assert await groups(["finance", "everyone"]) == ["everyone", "finance"]
    assert epoch() == before
    assert await groups("press") == ["press"]
    assert epoch() == before + 1
    assert await groups(...) == []


@pytest.mark.parametrize(
    "said", [[1], {"a": 1}, [""], ["x" * 300], [None], ["a"] * 2001, 5, None, ["a\x00b"]], ids=repr
)
async def test_groups_that_are_none_sign_nobody_in(
    browser: Browser, provider: FakeProvider, world: World, said: Any
) -> None:
    provider.said = {"groups": said}
    assert (await signed_in(browser, provider)).status_code == 401
    assert reasons(world) == ["groups-unusable"]


@pytest.mark.parametrize("elsewhere", [{"groups": "src1"}, "groups", 1, ["groups"]], ids=repr)
async def test_groups_that_are_elsewhere_are_not_taken_for_none(
    browser: Browser, provider: FakeProvider, world: World, elsewhere: Any
) -> None:
    provider.said = {"_claim_names": elsewhere}
    assert (await signed_in(browser, provider)).status_code == 401
    assert reasons(world) == ["groups-elsewhere"]


async def test_an_answer_counts_once_and_only_where_it_was_begun(
    served: Litestar, browser: Browser, provider: FakeProvider, world: World
) -> None:
    answer = provider.authorize(await begun(browser))
    async with browser_of(served) as victim, browser_of(served) as busy:
        assert (await back(victim, answer)).status_code == 401, "without having begun"
        await begun(busy)
        assert (await back(busy, answer)).status_code == 401, "having begun another"
    flow = browser.cookies[FLOW_COOKIE]
    assert (await back(browser, answer)).status_code == 303
    browser.cookies = {FLOW_COOKIE: flow}
    again = await back(browser, answer)
    assert (again.status_code, error_of(again)["code"]) == (401, "not_authenticated")
    browser.cookies = {FLOW_COOKIE: flow}
    fresh = provider.authorize(f"{ISSUER}/authorize?" + urlencode(asked_of(flow, world)))
    assert (await back(browser, answer | {"code": fresh["code"]})).status_code == 401, "a new code under a used state"
    assert reasons(world) == ["flow-unknown", "state-wrong", "state-used", "state-used"]


def asked_of(flow: str, world: World) -> dict[str, str]:
    """What a browser would have asked with this cookie."""
    opened = world.services.single_sign_on._opened(flow)
    return {
        "response_type": "code",
        "client_id": "muniment",
        "redirect_uri": OPTIONS.redirect_uri,
        "scope": "openid",
        "state": opened.state,
        "nonce": opened.nonce,
        "code_challenge": "x",
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: {"code": a["code"]},
        lambda a: {"state": a["state"]},
        lambda a: a | {"state": ""},
        lambda a: a | {"state": a["state"][:-1]},
        lambda a: a | {"state": "é"},
        lambda a: a | {"code": ""},
        lambda a: a | {"code": "x" * 5000},
        lambda a: a | {"code": "made-up"},
        lambda a: a | {"iss": "https://evil.example"},
        lambda a: a | {"iss": ""},
        lambda a: a | {"error": "access_denied"},
        lambda a: {"error": "access_denied", "state": a["state"]},
        lambda a: [*a.items(), ("code", "other")],
        lambda a: [*a.items(), ("state", a["state"])],
        lambda _: {},
    ],
    ids=range(15),
)
async def test_answers_that_are_not_right_sign_nobody_in(
    browser: Browser, provider: FakeProvider, world: World, spoil: Any
) -> None:
    answer = provider.authorize(await begun(browser))
    response = await back(browser, spoil(answer))
    assert (response.status_code, error_of(response)["code"]) == (401, "not_authenticated")
    assert await browser.who() == ""
    assert len(reasons(world)) == 1


async def test_another_providers_answer_is_refused_where_answers_name_themselves(
    browser: Browser, provider: FakeProvider
) -> None:
    provider.document["authorization_response_iss_parameter_supported"] = True
    assert (await back(browser, provider.authorize(await begun(browser)))).status_code == 401
    assert (await back(browser, provider.authorize(await begun(browser)) | {"iss": ISSUER})).status_code == 303


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c[:-1],
        lambda c: c[:20] + "A" + c[21:],
        lambda _: "",
        lambda _: "x" * 5000,
        lambda _: "é",
        lambda c: c + "A",
        lambda _: "AAAA",
    ],
)
async def test_a_forged_flow_is_none(browser: Browser, provider: FakeProvider, spoil: Any) -> None:
    answer = provider.authorize(await begun(browser))
    browser.cookies[FLOW_COOKIE] = spoil(browser.cookies[FLOW_COOKIE])
    cookie = f"{FLOW_COOKIE}={browser.cookies[FLOW_COOKIE]}".encode("latin-1")
    response = await browser.get(f"/auth/oidc/callback?{urlencode(answer)}", headers={"Cookie": cookie})
    assert response.status_code == 401


async def test_a_flow_is_over_after_ten_minutes(
    browser: Browser, provider: FakeProvider, world: World, moved: Now
) -> None:
    answer = provider.authorize(await begun(browser))
    moved[0] = timedelta(minutes=10)
    assert (await back(browser, answer)).status_code == 401
    assert reasons(world) == ["flow-expired"]


async def test_forged_tokens_sign_nobody_in_over_http_either(
    browser: Browser, provider: FakeProvider, world: World
) -> None:
    """The whole matrix is in test_tokens.py; this is that the flow uses that reader."""
    forged = {class_: made for class_, _, made in forgeries.forged_id_tokens() if isinstance(made, str)}
    for made in forged.values():
        provider.forged = made
        assert (await signed_in(browser, provider)).status_code == 401
    provider.forged = None
    for said in ({"nonce": "other"}, {"aud": "other"}, {"iss": "https://evil.example"}, {"at_hash": "wrong"}):
        provider.said = said
        assert (await signed_in(browser, provider)).status_code == 401
    assert await browser.who() == ""
    assert all(reason.startswith("token-") for reason in reasons(world))
    provider.said = {}
    assert (await signed_in(browser, provider)).status_code == 303


async def test_with_a_reader_that_believes_everything_it_would_be_another_user(
    browser: Browser, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the test above."""
    provider.forged = forgeries.token(forgeries.claims(preferred_username="bob"), {"alg": "none"}, lambda _: b"")
    naive = lambda *_, **__: forgeries.claims(preferred_username="bob")  # noqa: E731
    monkeypatch.setattr("gateway.identity.oidc.read_id_token", naive)
    assert (await signed_in(browser, provider)).status_code == 303
    assert await browser.who() == "bob"


async def test_a_key_that_is_new_is_fetched_and_one_that_is_gone_is_not_believed(
    browser: Browser, provider: FakeProvider, world: World
) -> None:
    await signed_in(browser, provider)
    now = [1000.0]
    opened = world.services.single_sign_on._provider
    opened._clock = lambda: now[0]
    opened._endpoints, opened._keys = None, None
    new = forgeries.rsa_jwk(forgeries.rsa_key("attacker"), kid="new")
    await signed_in(browser, provider)
    fetched = provider.calls.count("GET https://keys.harbour.example/jwks")
    provider.forged = forgeries.token(forgeries.claims(), {"alg": "RS256", "kid": "unknown"})
    for _ in range(10):
        await signed_in(browser, provider)
    assert provider.calls.count("GET https://keys.harbour.example/jwks") == fetched, "a minute has not passed"
    provider.keys = [new]
    provider.forged = None
    now[0] += 61
    assert (await signed_in(browser, provider)).status_code == 303, "the old key is believed for five minutes"
    now[0] += 300
    assert (await signed_in(browser, provider)).status_code == 401, "and not for longer"
    assert provider.calls.count("GET https://keys.harbour.example/jwks") == fetched + 1


def wrong_providers() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """A name, changes of the document, and answers instead of the usual ones."""

    def down(_: httpx.Request) -> httpx.Response:
        message = "refused"
        raise httpx.ConnectError(message)

    def slow(_: httpx.Request) -> httpx.Response:
        message = "slow"
        raise httpx.ReadTimeout(message)

    discovery = "/.well-known/openid-configuration"
    redirect = raw(302, b"", Location="https://evil.example/x")
    everywhere = {
        "down": down,
        "slow": slow,
        "redirects": redirect,
        "fails": raw(500, b""),
        "is not found": raw(404, b""),
    }
    bodies = {
        "HTML": b"<html>",
        "empty": b"",
        "a list": b"[]",
        "doubled": b'{"issuer": "a", "issuer": "b", "keys": [], "keys": []}',
        "huge": b"{" + b" " * 600_000 + b"}",
        "no UTF-8": b"\xff",
        "deep": b"[" * 100_000,
    }
    return [
        *(
            (f"{path} {name}", {}, {path: answer})
            for path in (discovery, "/jwks", "/token")
            for name, answer in everywhere.items()
        ),
        *(
            (f"{path} {name}", {}, {path: raw(200, body)})
            for path in (discovery, "/jwks", "/token")
            for name, body in bodies.items()
        ),
        *(
            (f"issuer {value!r}", {"issuer": value}, {})
            for value in (None, "", ISSUER + "/", "https://evil.example", [ISSUER])
        ),
        *(
            (f"{name} {value!r}", {name: value}, {})
            for name in ("token_endpoint", "jwks_uri", "authorization_endpoint")
            for value in (
                None,
                "",
                "https://evil.example/x",
                "http://login.harbour.example/x",
                "file:///etc/passwd",
                "https://login.harbour.example@evil.example/x",
                "//login.harbour.example/x",
                "https://[broken",
            )
        ),
        ("plain PKCE", {"code_challenge_methods_supported": ["plain"]}, {}),
        ("keys no list", {}, {"/jwks": as_json({"keys": {}})}),
        ("no keys", {}, {"/jwks": as_json({"keys": []})}),
        ("keys no objects", {}, {"/jwks": as_json({"keys": ["x", 1, None]})}),
        ("error instead of a token", {}, {"/token": as_json({"error": "server_error"}, 400)}),
        ("wrong client", {}, {"/token": as_json({"error": "invalid_client"}, 401)}),
        ("token of no text", {}, {"/token": as_json({"id_token": 1})}),
        ("no token", {}, {"/token": as_json({"access_token": "x"})}),
    ]


@pytest.mark.parametrize(
    ("document", "answers"), [w[1:] for w in wrong_providers()], ids=[w[0] for w in wrong_providers()]
)
def test_a_provider_that_is_wrong_signs_nobody_in(
    world: World, provider: FakeProvider, document: dict[str, Any], answers: dict[str, Any]
) -> None:
    provider.document |= document
    provider.answers = answers
    with pytest.raises((ProviderUnavailableError, NotAuthenticatedError)):
        sign_in_through(world.services.single_sign_on, provider)
    assert world.services.sessions.listed("alice") == []
    assert not [call for call in provider.calls if "evil" in call]


def test_a_provider_that_is_right_does(world: World, provider: FakeProvider) -> None:
    """Negative control of the test above."""
    sign_in_through(world.services.single_sign_on, provider)
    assert len(world.services.sessions.listed("alice")) == 1


def sign_in_through(sign_on: SingleSignOn, provider: FakeProvider) -> None:
    address, carried = sign_on.begin("/")
    said = provider.authorize(address)
    sign_on.finish(Answer(said["code"], said["state"], None, None), carried)


async def test_a_provider_that_is_down_is_said_and_passwords_go_on(browser: Browser, provider: FakeProvider) -> None:
    provider.answers["/.well-known/openid-configuration"] = raw(503, b"")
    response = await browser.get("/auth/oidc/begin")
    assert (response.status_code, error_of(response)["code"]) == (503, "provider_unavailable")
    assert "login.harbour" not in response.text
    assert (await browser.sign_in("alice")).status_code == 200


def test_a_provider_that_sends_slowly_is_left(provider: FakeProvider) -> None:
    now = [0.0]

    def dripping() -> Iterator[bytes]:
        for _ in range(100):
            now[0] += 1
            yield b" "

    provider.answers["/.well-known/openid-configuration"] = lambda _: httpx.Response(200, content=dripping())
    with pytest.raises(ProviderUnavailableError, match="took longer"):
        Provider(OPTIONS, "", provider.transport, clock=lambda: now[0]).endpoints()
    assert now[0] < 20


@pytest.mark.parametrize(
    "role",
    [{Role.OPERATOR}, {Role.AUDITOR}, {Role.MONITOR}, {Role.SOURCE_OWNER}, {Role.EMPLOYEE, Role.OPERATOR}],
    ids=lambda roles: " and ".join(sorted(roles)),
)
async def test_a_name_at_the_provider_makes_nobody_an_operator(
    browser: Browser, provider: FakeProvider, world: World, role: set[Role]
) -> None:
    world.services.users.add({"olga": frozenset()}, frozenset(role), by="test")
    provider.said = {"preferred_username": "olga"}
    assert (await signed_in(browser, provider)).status_code == 401
    assert reasons(world) == ["role-needs-operator"]
    world.services.users.link("olga", ISSUER, "248289761001", by="test")
    assert (await signed_in(browser, provider)).status_code == 303
    assert await browser.who() == "olga"


@pytest.mark.parametrize(
    "name", [..., None, "", 1, ["alice"], "x" * 200, "alice ", "a/b", "alice\n", "nobody"], ids=repr
)
async def test_a_name_that_finds_nobody_signs_nobody_in(
    browser: Browser, provider: FakeProvider, world: World, name: Any
) -> None:
    provider.said = {"preferred_username": name}
    before = world.services.users.listed()
    assert (await signed_in(browser, provider)).status_code == 401
    assert world.services.users.listed() == before


async def test_a_subject_keeps_its_user_whatever_it_is_called_later(
    browser: Browser, provider: FakeProvider, world: World
) -> None:
    await signed_in(browser, provider)
    provider.said = {"preferred_username": "bob"}
    await signed_in(browser, provider)
    assert await browser.who() == "alice"
    provider.said = {"sub": "another", "preferred_username": "alice"}
    assert (await signed_in(browser, provider)).status_code == 401
    assert reasons(world) == ["name-taken"]


async def test_disabled_users_stay_out(browser: Browser, provider: FakeProvider, world: World) -> None:
    await signed_in(browser, provider)
    world.services.users.disable("alice", by="test")
    world.services.users.disable("bob", by="test")
    assert await browser.who() == ""
    assert (await signed_in(browser, provider)).status_code == 401
    provider.said = {"sub": "another", "preferred_username": "bob"}
    assert (await signed_in(browser, provider)).status_code == 401
    assert reasons(world) == ["disabled", "disabled"]


@pytest.mark.parametrize(("how", "status"), [("refuse", 401), ("link", 401), ("create", 303)])
async def test_somebody_new_is_created_only_where_that_is_configured(
    browser: Browser, provider: FakeProvider, world: World, moved: Now, how: Any, status: int
) -> None:
    use(world, provider, msgspec.structs.replace(OPTIONS, first_sign_in=how), moved)
    provider.said = {"preferred_username": "newcomer", "groups": ["everyone"]}
    assert (await signed_in(browser, provider)).status_code == status
    users = {user.id: user for user in world.services.users.listed()}
    assert ("newcomer" in users) is (status == 303)
    if status == 303:
        assert (users["newcomer"].roles, users["newcomer"].groups) == ({Role.EMPLOYEE}, {"everyone"})


async def test_nobody_is_linked_where_that_is_refused(
    browser: Browser, provider: FakeProvider, world: World, moved: Now
) -> None:
    use(world, provider, msgspec.structs.replace(OPTIONS, first_sign_in="refuse"), moved)
    assert (await signed_in(browser, provider)).status_code == 401
    assert reasons(world) == ["not-linked"]


async def test_an_old_proof_is_refused_where_a_fresh_one_is_asked_for(
    browser: Browser, provider: FakeProvider, world: World, moved: Now
) -> None:
    use(world, provider, msgspec.structs.replace(OPTIONS, max_age_minutes=30), moved)
    assert parse_qs(urlsplit(await begun(browser)).query)["max_age"] == ["1800"]
    assert (await signed_in(browser, provider)).status_code == 303
    for value in (forgeries.AT - 3600, ...):
        provider.said = {"auth_time": value}
        assert (await signed_in(browser, provider)).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/a\n",
        "/\t/evil.example",
        "evil",
        "",
        "javascript:alert(1)",
        "/é",
        "/" + "a" * 2000,
        "/a\r\nSet-Cookie: x=y",
        "/\x00",
    ],
    ids=repr,
)
async def test_the_way_back_leads_nowhere_else(browser: Browser, path: str) -> None:
    with pytest.raises(BadRequestError):
        require_local(path)
    assert (await browser.get("/auth/oidc/begin", params={"return_to": path})).status_code == 400


async def test_signing_in_again_ends_the_session_before(browser: Browser, provider: FakeProvider, world: World) -> None:
    await browser.sign_in("bob")
    await signed_in(browser, provider)
    assert await browser.who() == "alice"
    assert world.services.sessions.listed("bob") == []


async def test_signing_out_says_where_to_sign_out_at_the_provider(browser: Browser, provider: FakeProvider) -> None:
    await signed_in(browser, provider)
    browser.csrf = (await browser.get("/auth/session")).json()["csrf_token"]
    address = (await browser.post("/auth/sign-out")).json()["provider"]
    assert address.startswith(f"{ISSUER}/end?")
    assert parse_qs(urlsplit(address).query) == {
        "client_id": ["muniment"],
        "post_logout_redirect_uri": ["https://docs.example/"],
    }
    assert await browser.who() == ""


async def test_signing_out_here_does_not_wait_for_the_provider(
    browser: Browser, provider: FakeProvider, world: World
) -> None:
    await signed_in(browser, provider)
    browser.csrf = (await browser.get("/auth/session")).json()["csrf_token"]
    world.services.single_sign_on._provider._endpoints = None
    provider.answers["/.well-known/openid-configuration"] = raw(503, b"")
    response = await browser.post("/auth/sign-out")
    assert (response.status_code, response.json(), browser.cookies) == (200, {"provider": ""}, {})
    assert world.services.sessions.listed("alice") == []


async def logged_out(browser: Browser, token: str, **more: Any) -> int:
    response = await browser.client.post("/auth/oidc/back-channel-logout", **{"data": {"logout_token": token}} | more)
    assert response.headers["cache-control"] == "no-store"
    return response.status_code


@pytest.mark.parametrize("changed", [{}, {"sub": ...}, {"sid": ...}], ids=str)
async def test_the_providers_word_ends_sessions_once(
    browser: Browser, provider: FakeProvider, world: World, changed: dict[str, Any]
) -> None:
    await signed_in(browser, provider)
    said = logout_token(**changed)
    assert await logged_out(browser, said) == 200
    assert await browser.who() == ""
    assert recorded(world, "session:ended")[0]["reason"] == "back-channel"
    await signed_in(browser, provider)
    assert await logged_out(browser, said) == 400, "used already"
    assert await browser.who() == "alice"
    assert reasons(world) == ["token-used-already"]


async def test_the_providers_word_ends_only_what_it_is_about(
    served: Litestar, browser: Browser, provider: FakeProvider
) -> None:
    async with browser_of(served) as second, browser_of(served) as by_password:
        await signed_in(browser, provider)
        provider.said = {"sid": "sid-2"}
        await signed_in(second, provider)
        await by_password.sign_in("alice")
        assert await logged_out(browser, logout_token(sid="sid-2")) == 200
        assert [await browser.who(), await second.who(), await by_password.who()] == ["alice", "", "alice"]
        assert await logged_out(browser, logout_token(sub="somebody-else", sid=..., jti="2")) == 200
        assert await browser.who() == "alice"


async def test_no_forged_logout_token_ends_a_session(browser: Browser, provider: FakeProvider) -> None:
    await signed_in(browser, provider)
    for _, forged in forgeries.forged_logout_tokens():
        assert await logged_out(browser, str(forged)) == 400
    right = logout_token()
    for more in (
        {"data": {"other": right}},
        {"data": None, "content": right},
        {"data": None, "json": {"logout_token": right}},
        {"data": {"logout_token": [right, right]}},
        {"data": None, "content": b"logout_token=" + b"x" * 40_000},
        {"data": None},
    ):
        assert await logged_out(browser, right, **more) == 400
    assert await browser.who() == "alice"


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"issuer": "http://login.harbour.example"}, "https address"),
        ({"issuer": "login.harbour.example"}, "https address"),
        ({"issuer": "https://[broken"}, "https address"),
        ({"redirect_uri": "http://docs.example/auth/oidc/callback"}, "redirect_uri"),
        ({"redirect_uri": ""}, "redirect_uri"),
        ({"post_logout_uri": "http://docs.example/"}, "post_logout_uri"),
        ({"client_id": ""}, "client_id"),
        ({"algorithms": ()}, "algorithms"),
        ({"client_secret_file": "gone"}, "cannot be read"),
        ({"client_secret_file": "empty"}, "is empty"),
        ({"client_secret_file": "open"}, "chmod 600"),
        ({"ca_file": "/gone.pem"}, "ca_file"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_right_are_said(tmp_path: Path, changed: dict[str, Any], complaint: str) -> None:
    for name, content, mode in (("oidc-secret", SECRET, 0o600), ("empty", "\n", 0o600), ("open", SECRET, 0o640)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(mode)
    open_provider(OPTIONS, tmp_path).close()
    with pytest.raises(ConfigurationError, match=complaint) as refused:
        open_provider(msgspec.structs.replace(OPTIONS, **changed), tmp_path)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS1", "rs256"])
def test_an_algorithm_that_shares_its_key_cannot_be_configured(algorithm: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.toml.decode(f'algorithms = ["{algorithm}"]', type=OidcOptions)


async def test_without_a_provider_there_is_none(world: World, clock: Clock) -> None:
    del clock
    services: Any = world.services
    services.single_sign_on.close()
    del services.single_sign_on
    services.home.config_file.write_text(SETTINGS)
    vars(services).pop("config", None)
    app = create_app(services)
    try:
        async with browser_of(app) as browser:
            assert (await browser.get("/auth/oidc/begin")).status_code == 404
            assert (await browser.get("/auth/oidc/callback")).status_code == 404
            assert await logged_out(browser, "x") == 404
    finally:
        services.single_sign_on = SingleSignOn.__new__(SingleSignOn)
        services.single_sign_on._provider = Provider(OPTIONS, "")


async def test_a_slow_provider_holds_up_nobody_else(browser: Browser, provider: FakeProvider, world: World) -> None:
    def slow(_: httpx.Request) -> httpx.Response:
        time.sleep(3)
        return httpx.Response(503)

    provider.answers["/.well-known/openid-configuration"] = slow
    started = time.perf_counter()
    waiting = [asyncio.create_task(browser.get("/auth/oidc/begin")) for _ in range(8)]
    await asyncio.sleep(0.05)
    assert (await browser.get("/v1/models", headers=world.headers("bob"))).status_code == 200
    assert (await browser.sign_in("alice")).status_code == 200
    assert not any(task.done() for task in waiting)
    assert {(await task).status_code for task in waiting} == {503}
    assert time.perf_counter() - started < 8 * 3, "those who waited are not each kept waiting again"
