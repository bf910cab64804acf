"""Sessions: forged, fixed, stolen, stale and ended ones open nothing, and no page elsewhere can use one."""

import asyncio
import time
from typing import Any

import pytest
from litestar import Litestar
from sqlmodel import select

from gateway.app import create_app
from gateway.config import Home
from gateway.identity.callers import is_foreign, is_forged
from gateway.identity.cookies import SESSION_COOKIE, read_cookie
from gateway.identity.keys import ApiKeys
from gateway.identity.store import SessionRow
from policies.errors import TrailUnavailableError
from policies.principals import Role
from retrieval.sessions import writing
from tests.gateway.conftest import World, error_of, open_services, recorded, running
from tests.gateway.gated_model import GatedModel
from tests.gateway.identity.conftest import Browser, Clock, browser_of


def reasons(world: World) -> list[str]:
    return [entry["reason"] for entry in recorded(world, "sign-in:failed") if entry["method"] == "session"]


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "x",
        "A" * 43,
        "A" * 42,
        "A" * 44,
        "A" * 100_000,
        "' OR '1'='1",
        "../../keys/master.key",
        "null",
        "{}",
        "%00",
        "é" * 43,
    ],
    ids=lambda value: value[:12],
)
async def test_a_forged_cookie_is_nobodys(browser: Browser, forged: str) -> None:
    response = await browser.get("/auth/session", headers={"Cookie": f"{SESSION_COOKIE}={forged}".encode("latin-1")})
    assert response.status_code == 401


async def test_what_the_database_holds_is_no_cookie(browser: Browser, world: World) -> None:
    await browser.sign_in("alice")
    with writing(world.services.database) as session:
        row = session.exec(select(SessionRow)).one()
        held = [row.id, row.token_sha256, row.token_sha256[:43], row.user_id]
    for value in held:
        assert (await browser.get("/auth/session", headers={"Cookie": f"{SESSION_COOKIE}={value}"})).status_code == 401


async def test_a_right_cookie_under_another_name_or_twice_is_none(browser: Browser) -> None:
    await browser.sign_in("alice")
    right = browser.token
    for cookie in (
        f"muniment={right}",
        f"__Secure-muniment={right}",
        f"__host-muniment={right}",
        f"{SESSION_COOKIE}2={right}",
        f"x={SESSION_COOKIE}={right}",
        f"{SESSION_COOKIE}={right}; {SESSION_COOKIE}={right}",
        f"{SESSION_COOKIE}={'A' * 43}; {SESSION_COOKIE}={right}",
        f'{SESSION_COOKIE}="{right}"',
    ):
        assert (await browser.get("/auth/session", headers={"Cookie": cookie})).status_code == 401, cookie
    assert (await browser.get("/auth/session", headers={"Cookie": f"a=b; {SESSION_COOKIE}={right}"})).status_code == 200


async def test_a_session_fixed_before_signing_in_means_nothing_after(browser: Browser, world: World) -> None:
    browser.cookies[SESSION_COOKIE] = "A" * 43
    await browser.sign_in("alice")
    assert browser.token != "A" * 43
    fixed = {"Cookie": f"{SESSION_COOKIE}={'A' * 43}"}
    assert (await browser.get("/auth/session", headers=fixed)).status_code == 401
    first = browser.token
    await browser.sign_in("bob")
    assert browser.token != first
    assert (await browser.get("/auth/session", headers={"Cookie": f"{SESSION_COOKIE}={first}"})).status_code == 401
    assert await browser.who() == "bob"
    assert [(entry["user"], entry["reason"]) for entry in recorded(world, "session:ended")] == [
        ("alice", "signed-in-again")
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-CSRF-Token": None},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "A" * 43},
        {"X-CSRF-Token": "é"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://127.0.0.1:8400.evil.example"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": None, "Sec-Fetch-Site": None},
    ],
    ids=str,
)
async def test_a_page_elsewhere_changes_nothing(browser: Browser, world: World, headers: dict[str, str | None]) -> None:
    await browser.sign_in("alice")
    for method, path in (
        ("POST", "/auth/sign-out"),
        ("POST", "/auth/password"),
        ("POST", "/api/v1/search"),
        ("DELETE", "/auth/sessions/x"),
    ):
        encoded = {name: value.encode("latin-1") if value else value for name, value in headers.items()}
        response = await browser.request(method, path, json={}, headers=encoded)
        assert (response.status_code, error_of(response)["code"]) == (403, "not_allowed")
    assert await browser.who() == "alice"
    denied = recorded(world, "access:denied")
    assert len(denied) == 4
    assert {entry["principal"] for entry in denied} == {"alice"}


async def test_anothers_csrf_token_does_not_serve(served: Litestar, browser: Browser) -> None:
    async with browser_of(served) as other:
        await browser.sign_in("alice")
        await other.sign_in("bob")
        response = await browser.post("/auth/sign-out", headers={"X-CSRF-Token": other.csrf})
        assert response.status_code == 403
        assert (await browser.post("/auth/sign-out")).status_code == 200


async def test_without_the_check_a_page_elsewhere_signs_somebody_out(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the two tests above."""
    monkeypatch.setattr("gateway.security.is_forged", lambda *_: "")
    await browser.sign_in("alice")
    browser.csrf = ""
    assert (await browser.post("/auth/sign-out", headers={"Origin": "https://evil.example"})).status_code == 200
    assert await browser.who() == ""


async def test_a_key_counts_and_the_cookie_beside_it_does_not(browser: Browser, world: World) -> None:
    await browser.sign_in("alice")
    bob = world.headers("bob")
    assert (await browser.get("/auth/session", headers=bob)).json()["user"] == "bob"
    elsewhere = {"Origin": "https://evil.example", "X-CSRF-Token": None, **bob}
    searched = await browser.post("/auth/sign-out", {}, headers=elsewhere)
    assert searched.status_code == 200
    wrong = await browser.get("/auth/session", headers={"Authorization": "Bearer nonsense"})
    assert wrong.status_code == 401


async def test_signing_out_ends_the_session_for_every_copy_of_the_cookie(browser: Browser, world: World) -> None:
    await browser.sign_in("alice")
    copy = {"Cookie": f"{SESSION_COOKIE}={browser.token}"}
    response = await browser.post("/auth/sign-out")
    assert (response.json(), browser.cookies) == ({"provider": ""}, {})
    assert (await browser.get("/auth/session", headers=copy)).status_code == 401
    assert (await browser.post("/auth/sign-out")).status_code == 200, "nobody may sign out, too"
    assert recorded(world, "session:ended")[0]["reason"] == "signed-out"


async def test_signing_out_twice_at_once_is_signing_out(browser: Browser, world: World) -> None:
    await browser.sign_in("alice")
    answers = await asyncio.gather(*(browser.post("/auth/sign-out") for _ in range(4)))
    # Whoever came after the session was over had no session whose CSRF token could be asked for.
    assert {answer.status_code for answer in answers} == {200}
    assert world.services.sessions.listed("alice") == []


async def test_a_session_that_cannot_be_ended_is_kept(
    browser: Browser, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        message = "the disk is full"
        raise TrailUnavailableError(message)

    await browser.sign_in("alice")
    with monkeypatch.context() as broken:
        broken.setattr(world.services.recorder, "record_now", fail)
        assert (await browser.post("/auth/sign-out")).status_code == 503
    assert await browser.who() == "alice"


async def test_a_session_ends_when_nobody_uses_it(browser: Browser, world: World, clock: Clock) -> None:
    await browser.sign_in("alice")
    for _ in range(5):
        clock.pass_(minutes=50)
        assert await browser.who() == "alice"
        world.services.last_use.flush()
    clock.pass_(minutes=61)
    assert await browser.who() == ""
    assert reasons(world) == ["session-idle"]


async def test_a_session_ends_in_the_end(browser: Browser, world: World, clock: Clock) -> None:
    await browser.sign_in("alice")
    for _ in range(23):
        clock.pass_(minutes=30)
        assert await browser.who() == "alice"
        world.services.last_use.flush()
    clock.pass_(minutes=31)
    assert await browser.who() == ""
    assert reasons(world) == ["session-expired"]


async def test_the_token_is_exchanged_and_requests_side_by_side_go_on(
    browser: Browser, world: World, clock: Clock
) -> None:
    await browser.sign_in("alice")
    first, csrf = browser.token, browser.csrf
    clock.pass_(minutes=16)
    answers = await asyncio.gather(*(browser.get("/auth/session") for _ in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    following = {cookie for answer in answers for cookie in answer.headers.get_list("set-cookie")}
    assert len({cookie.split(";")[0] for cookie in following}) == 1, "all of them get the same next token"
    assert browser.token != first
    assert {answer.json()["csrf_token"] for answer in answers} == {csrf}
    again = await browser.get("/auth/session")
    assert again.status_code == 200
    assert "set-cookie" not in again.headers


async def test_a_lost_response_signs_nobody_out(browser: Browser, clock: Clock) -> None:
    await browser.sign_in("alice")
    first = browser.token
    clock.pass_(minutes=16)
    await browser.get("/auth/session")
    browser.cookies[SESSION_COOKIE] = first
    clock.pass_(seconds=50)
    assert await browser.who() == "alice"
    assert browser.token != first
    clock.pass_(minutes=5)
    assert await browser.who() == "alice"


async def test_a_copied_cookie_that_comes_late_ends_the_session(browser: Browser, world: World, clock: Clock) -> None:
    await browser.sign_in("alice")
    copied = browser.token
    clock.pass_(minutes=16)
    assert await browser.who() == "alice"
    clock.pass_(seconds=61)
    thief = await browser.get("/auth/session", headers={"Cookie": f"{SESSION_COOKIE}={copied}"})
    assert thief.status_code == 401
    assert await browser.who() == "", "the owner signs in again, and the thief has nothing"
    assert recorded(world, "session:ended")[0]["reason"] == "replayed"


async def test_disabling_a_user_ends_their_sessions(browser: Browser, world: World) -> None:
    await browser.sign_in("alice")
    world.services.users.disable("alice", by="test")
    assert await browser.who() == ""
    assert world.services.sessions.listed("alice") == []


async def test_an_ended_session_is_over_in_every_process_at_once(
    world: World, clock: Clock, served: Litestar, browser: Browser
) -> None:
    """Another application over the same home, as another process would have it."""
    await browser.sign_in("alice")
    with open_services(world.services.home.folder, GatedModel()) as others:
        assert isinstance(others.home, Home)
        app = create_app(others)
        async with running(app), browser_of(app) as elsewhere:
            elsewhere.cookies = dict(browser.cookies)
            assert await elsewhere.who() == "alice"
            await browser.post("/auth/sign-out")
            assert await elsewhere.who() == ""
            await browser.sign_in("alice")
            elsewhere.cookies = dict(browser.cookies)
            assert await elsewhere.who() == "alice"
            world.services.users.disable("alice", by="test")
            assert await elsewhere.who() == ""


async def test_groups_changed_count_at_the_next_request(browser: Browser, world: World) -> None:
    await browser.sign_in("bob")
    world.services.users.add({"bob": frozenset({"everyone", "press"})}, frozenset({Role.EMPLOYEE}), by="test")
    assert (await browser.get("/auth/session")).json()["groups"] == ["everyone", "press"]


async def test_one_sees_and_ends_ones_own_sessions_only(served: Litestar, browser: Browser, world: World) -> None:
    async with browser_of(served) as second, browser_of(served) as bob:
        await browser.sign_in("alice")
        await second.sign_in("alice")
        await bob.sign_in("bob")
        listed = (await browser.get("/auth/sessions")).json()["sessions"]
        assert len(listed) == 2
        assert set(listed[0]) == {"id", "user", "method", "created_at", "seen_at", "expires_at"}
        ids = [entry["id"] for entry in listed]
        foreign = await bob.request("DELETE", f"/auth/sessions/{ids[0]}")
        absent = await bob.request("DELETE", "/auth/sessions/sabcdefghijklmnop")
        assert (foreign.status_code, absent.status_code) == (404, 404)
        assert error_of(foreign)["message"].replace(ids[0], "X") == error_of(absent)["message"].replace(
            "sabcdefghijklmnop", "X"
        )
        own = (await second.get("/auth/session")).json()["session"]
        assert (await browser.request("DELETE", f"/auth/sessions/{own}")).status_code == 204
        assert await second.who() == ""
        assert await browser.who() == "alice"


async def test_operators_end_sessions_of_others(served: Litestar, browser: Browser, world: World) -> None:
    async with browser_of(served) as olga:
        await browser.sign_in("alice")
        await olga.sign_in("olga")
        assert (await browser.get("/api/v1/users/olga/sessions")).status_code == 403
        (listed,) = (await olga.get("/api/v1/users/alice/sessions")).json()["sessions"]
        assert (await olga.request("DELETE", f"/api/v1/users/bob/sessions/{listed['id']}")).status_code == 404
        assert (await olga.request("DELETE", f"/api/v1/users/alice/sessions/{listed['id']}")).status_code == 204
        assert await browser.who() == ""
        await browser.sign_in("alice")
        assert (await olga.request("DELETE", "/api/v1/users/alice/sessions")).status_code == 204
        assert await browser.who() == ""
        assert (await olga.get("/api/v1/users/nobody/sessions")).status_code == 404
    assert {(entry["by"], entry["reason"]) for entry in recorded(world, "session:ended")} == {("olga", "ended")}


async def test_another_host_name_is_refused_with_a_session_too(browser: Browser) -> None:
    await browser.sign_in("alice")
    for host in ("evil.example", "127.0.0.1.evil.example", "evil.example:8400", ""):
        response = await browser.get("/auth/session", headers={"Host": host})
        assert (response.status_code, error_of(response)["code"]) == (400, "bad_request")


async def test_forged_cookies_do_not_fill_the_trail(browser: Browser, world: World) -> None:
    for number in range(40):
        await browser.get("/health/live", headers={"Cookie": f"{SESSION_COOKIE}={number:043}"})
    assert 20 <= len(reasons(world)) < 30


async def test_recognising_a_session_is_one_short_read(browser: Browser, world: World) -> None:
    await browser.sign_in("alice")
    sessions, token = world.services.sessions, browser.token
    keys = ApiKeys(world.services.database, world.services.last_use, world.services.freshness)
    keys.authenticate(world.keys["alice"])
    world.services.last_use.flush()
    for recognise in (lambda: sessions.authenticate(token), lambda: keys.authenticate(world.keys["alice"])):
        seconds = []
        for _ in range(50):
            started = time.perf_counter()
            recognise()
            seconds.append(time.perf_counter() - started)
        assert sorted(seconds)[25] < 0.02


HEADERS = [(b"host", b"docs.example"), (b"origin", b"https://docs.example"), (b"sec-fetch-site", b"same-origin")]


@pytest.mark.parametrize(
    ("host", "origin", "ours"),
    [
        ("docs.example", "https://docs.example", True),
        ("docs.example:443", "https://docs.example", True),
        ("DOCS.example", "https://docs.example", True),
        ("docs.example", "http://docs.example", False),
        ("localhost:8400", "http://localhost:8400", True),
        ("[::1]:8400", "http://[::1]:8400", True),
        ("docs.example", "https://docs.example.evil.example", False),
        ("docs.example", "https://docs.example:8443", False),
        ("docs.example", "https://user@docs.example", False),
        ("docs.example", "ftp://docs.example", False),
        ("docs.example", "https://docs.example/", False),
        ("inside:8400", "https://named.example", True),
        ("inside:8400", "https://other.example", False),
        ("", "", False),
    ],
)
def test_which_origins_are_ours(host: str, origin: str, ours: bool) -> None:  # noqa: FBT001
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    assert (is_foreign(headers, ("https://named.example",)) == "") is ours


def test_headers_that_come_twice_prove_nothing() -> None:
    session: Any = type("Open", (), {"csrf_token": "right"})
    right = [*HEADERS, (b"x-csrf-token", b"right")]
    assert is_forged("POST", right, session, ()) == ""
    for doubled in right:
        assert is_forged("POST", [*right, doubled], session, ())
    assert is_forged("GET", [], session, ()) == ""


def test_cookies_are_read_as_they_are_written() -> None:
    headers = [(b"cookie", b"a=1; b=2=3;c=; d"), (b"Cookie", b"e=5")]
    assert [read_cookie(headers, name) for name in "abcdef"] == ["1", "2=3", "", None, "5", None]
