"""Signing in with a password, and what one learns from being refused: nothing."""

import asyncio
import hashlib
import time
from typing import Any

import pytest
from argon2 import PasswordHasher
from litestar import Litestar

from gateway.app import create_app
from gateway.errors import NotAuthenticatedError, TooManyRequestsError
from gateway.identity import service as password_service
from gateway.identity.lockout import AddressThrottle
from gateway.identity.passwords import is_outdated
from gateway.identity.store import PasswordRow
from gateway.identity.workers import Workers
from policies.errors import TrailUnavailableError
from retrieval.sessions import writing
from tests.gateway.conftest import SETTINGS, World, client_of, error_of, recorded
from tests.gateway.identity.conftest import PASSWORDS, Browser, Clock, browser_of

WRONG = "wrong horse battery"


def reasons(world: World) -> list[str]:
    return [entry["reason"] for entry in recorded(world, "sign-in:failed") if entry["method"] == "password"]


async def test_the_wrong_password_opens_nothing_and_the_right_one_a_session(browser: Browser, world: World) -> None:
    refused = await browser.sign_in("alice", WRONG)
    assert (refused.status_code, error_of(refused)["code"], browser.cookies) == (401, "not_authenticated", {})
    said = await browser.sign_in("alice")
    assert said.status_code == 200
    body = said.json()
    assert (body["user"], body["groups"], body["roles"], body["method"]) == (
        "alice",
        ["everyone", "finance"],
        ["employee"],
        "password",
    )
    assert await browser.who() == "alice"
    assert (await browser.get("/v1/models")).status_code == 200
    assert (await browser.get("/api/v1/audit")).status_code == 403
    assert recorded(world, "session:begun")[0]["principal"] == "alice"


async def test_every_refusal_looks_the_same_and_the_trail_says_which(
    browser: Browser, world: World, clock: Clock
) -> None:
    world.services.password_sign_in.set_password("mona", "quarry lantern 77 fig", by="test")
    world.services.users.disable("mona", by="test")
    tries = [
        ("unknown", "nobody", WRONG),
        ("unknown", "x" * 1000, WRONG),
        ("unknown", "alice\x00", PASSWORDS["alice"]),
        ("unknown", "ALICE", PASSWORDS["alice"]),
        ("unknown", "", ""),
        ("wrong", "alice", WRONG),
        ("wrong", "alice", ""),
        ("wrong", "alice", PASSWORDS["alice"] + " "),
        ("wrong", "alice", PASSWORDS["bob"]),
        ("disabled", "mona", "quarry lantern 77 fig"),
        ("no-password", "audra", WRONG),
        ("no-password", "audra", ""),
        *[("wrong", "bob", WRONG)] * 5,
        ("locked", "bob", WRONG),
        ("locked", "bob", PASSWORDS["bob"]),
    ]
    answers = set()
    for _, user, password in tries:
        response = await browser.sign_in(user, password)
        error = error_of(response)
        answers.add((response.status_code, error["code"], error["message"], tuple(sorted(response.headers))))
    assert len(answers) == 1
    assert reasons(world) == [reason for reason, *_ in tries]
    named = {entry["user"] for entry in recorded(world, "sign-in:failed")}
    assert named == {"", "alice", "mona", "audra", "bob"}
    assert browser.cookies == {}


async def test_refusals_leave_at_full_steps_of_time(browser: Browser) -> None:
    for user in ("alice", "nobody"):
        started = time.perf_counter()
        await browser.sign_in(user, WRONG)
        assert time.perf_counter() - started >= 0.25


async def test_an_unknown_user_costs_a_hash_too(
    browser: Browser, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[bool] = []
    real = password_service.is_right

    def noticed(stored: str | None, password: str) -> bool:
        hashed.append(stored is None)
        return real(stored, password)

    monkeypatch.setattr(password_service, "is_right", noticed)
    world.services.users.disable("bob", by="test")
    for user in ("nobody", "audra", "alice", "bob"):
        await browser.sign_in(user, WRONG)
    assert hashed == [True, True, False, False]


async def test_each_failure_after_a_few_locks_for_longer(browser: Browser, world: World, clock: Clock) -> None:
    for _ in range(5):
        await browser.sign_in("alice", WRONG)
    assert (await browser.sign_in("alice")).status_code == 401
    clock.pass_(seconds=29)
    assert (await browser.sign_in("alice")).status_code == 401
    clock.pass_(seconds=2)
    assert (await browser.sign_in("alice", WRONG)).status_code == 401
    clock.pass_(seconds=45)
    assert (await browser.sign_in("alice")).status_code == 401
    clock.pass_(seconds=16)
    assert (await browser.sign_in("alice")).status_code == 200
    assert [(entry["user"], entry["failures"], entry["seconds"]) for entry in recorded(world, "sign-in:locked")] == [
        ("alice", 5, 30),
        ("alice", 6, 60),
    ]
    for _ in range(4):
        assert (await browser.sign_in("alice", WRONG)).status_code == 401
    assert (await browser.sign_in("alice")).status_code == 200, "success forgets the failures before it"


async def test_a_name_of_nobody_is_locked_alike(browser: Browser, world: World) -> None:
    for _ in range(6):
        await browser.sign_in("nobody", WRONG)
    assert [entry["user"] for entry in recorded(world, "sign-in:locked")] == [""]


async def test_guesses_at_the_same_time_get_no_further_than_few(served: Litestar, world: World) -> None:
    sign_in = world.services.password_sign_in

    def guess(_: int) -> str:
        try:
            sign_in.sign_in("alice", WRONG, "")
        except NotAuthenticatedError as error:
            return error.reason
        return ""

    outcomes = await asyncio.gather(*(asyncio.to_thread(guess, number) for number in range(20)))
    assert outcomes.count("wrong") == 5
    assert outcomes.count("locked") == 15


async def test_after_a_hundred_failures_only_an_operator_unlocks(browser: Browser, world: World, clock: Clock) -> None:
    sign_in = world.services.password_sign_in
    for _ in range(100):
        sign_in._count("alice")
        clock.pass_(hours=1, seconds=1)
    clock.pass_(days=365)
    assert (await browser.sign_in("alice")).status_code == 401
    sign_in.unlock("alice", by="test")
    assert (await browser.sign_in("alice")).status_code == 200
    assert recorded(world, "user:unlocked") == [{"by": "test", "user": "alice"}]


async def test_one_address_has_so_many_tries(browser: Browser, world: World) -> None:
    world.services.password_sign_in.throttle = AddressThrottle(lambda: 0.0)
    tries = await asyncio.gather(*(browser.sign_in(f"user-{number}", WRONG) for number in range(35)))
    assert [response.status_code for response in tries].count(401) == 30
    refused = await browser.sign_in("alice")
    assert (refused.status_code, error_of(refused)["code"]) == (429, "too_many_requests")
    assert refused.headers["retry-after"]
    assert len(reasons(world)) == 30


async def test_no_password_is_kept_or_recorded_or_told(browser: Browser, world: World) -> None:
    typed = "a-password-typed-as-a-name"
    await browser.sign_in(typed, WRONG)
    await browser.sign_in("alice", WRONG)
    assert (await browser.sign_in("alice")).status_code == 200
    token = browser.token
    await browser.post("/auth/password", {"old": PASSWORDS["alice"], "new": "glacier 44 sparrow ink"})
    world.services.last_use.flush()
    secrets = [typed, WRONG, PASSWORDS["alice"], "glacier 44 sparrow ink", token, browser.csrf]
    for path in world.services.home.folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [secret for secret in secrets if secret.encode() in content], path
    assert hashlib.sha256(token.encode()).hexdigest().encode() in world.services.home.database.read_bytes() + (
        world.services.home.database.with_name("muniment.db-wal").read_bytes()
    )


async def test_no_trail_no_session(browser: Browser, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        message = "the disk is full"
        raise TrailUnavailableError(message)

    monkeypatch.setattr(world.services.recorder, "record_now", fail)
    response = await browser.sign_in("alice")
    assert (response.status_code, error_of(response)["code"], browser.cookies) == (503, "trail_unavailable", {})
    assert world.services.sessions.listed("alice") == []


async def test_a_hash_of_older_parameters_is_made_again(browser: Browser, world: World) -> None:
    def kept() -> PasswordRow:
        with writing(world.services.database) as session:
            return session.get_one(PasswordRow, "alice")

    with writing(world.services.database) as session:
        row = session.get_one(PasswordRow, "alice")
        row.hash = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORDS["alice"])
        session.add(row)
        session.commit()
    assert is_outdated(kept().hash)
    assert (await browser.sign_in("alice")).status_code == 200
    assert not is_outdated(kept().hash)
    assert (await browser.sign_in("alice")).status_code == 200


async def test_passwords_can_be_switched_off(world: World) -> None:
    world.services.home.config_file.write_text(SETTINGS + "[sign_in]\npasswords = false\n")
    for part in ("config", "sessions", "password_sign_in"):
        vars(world.services).pop(part, None)
    app = create_app(world.services)
    async with client_of(app), browser_of(app) as browser:
        response = await browser.sign_in("alice")
        assert (response.status_code, error_of(response)["code"]) == (403, "not_allowed")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user": "alice"},
        {"user": 1, "password": "x"},
        {"user": "a", "password": "x" * 1025},
        {"user": "a", "password": "b", "admin": True},
        [],
    ],
    ids=str,
)
async def test_what_is_no_sign_in_is_said(browser: Browser, body: Any) -> None:
    assert (await browser.post("/auth/sign-in", body)).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": None},
        {"Origin": None, "Sec-Fetch-Site": "cross-site"},
        {"Origin": None, "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://127.0.0.1:8400.evil.example"},
        {"Origin": "http://evil.example", "Host": "127.0.0.1:8400"},
        {"Origin": "http://[broken"},
    ],
    ids=str,
)
async def test_a_page_elsewhere_signs_nobody_in(browser: Browser, headers: dict[str, str | None]) -> None:
    response = await browser.sign_in("alice", headers=headers)
    assert (response.status_code, browser.cookies) == (403, {})


async def test_a_program_without_a_page_may_sign_in(browser: Browser) -> None:
    response = await browser.sign_in("alice", headers={"Origin": None, "Sec-Fetch-Site": None})
    assert response.status_code == 200


async def test_one_changes_ones_password_with_the_old_one(served: Litestar, browser: Browser, world: World) -> None:
    async with browser_of(served) as other:
        await browser.sign_in("alice")
        await other.sign_in("alice")
        new = "glacier 44 sparrow ink"
        assert (await browser.post("/auth/password", {"old": WRONG, "new": new})).status_code == 401
        poor = await browser.post("/auth/password", {"old": PASSWORDS["alice"], "new": "alice-alice-alice"})
        assert (poor.status_code, error_of(poor)["code"]) == (400, "bad_request")
        assert recorded(world, "password:changed") == []
        changed = await browser.post("/auth/password", {"old": PASSWORDS["alice"], "new": new})
        assert changed.status_code == 200
        assert await browser.who() == "alice"
        assert await other.who() == ""
        assert (await other.sign_in("alice")).status_code == 401
        assert (await other.sign_in("alice", new)).status_code == 200
    assert recorded(world, "password:changed") == [{"by": "alice", "user": "alice"}]
    assert [entry["reason"] for entry in recorded(world, "session:ended")] == ["password-changed"]


async def test_guessing_the_old_password_locks_as_signing_in_does(browser: Browser) -> None:
    await browser.sign_in("alice")
    for _ in range(5):
        await browser.post("/auth/password", {"old": WRONG, "new": "glacier 44 sparrow ink"})
    right = await browser.post("/auth/password", {"old": PASSWORDS["alice"], "new": "glacier 44 sparrow ink"})
    assert right.status_code == 401


async def test_a_sign_in_with_the_old_password_does_not_outlive_the_change(
    browser: Browser, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password changes while the old one is being compared."""
    real, sign_in = password_service.is_right, world.services.password_sign_in

    def slow(stored: str | None, password: str) -> bool:
        monkeypatch.setattr(password_service, "is_right", real)
        sign_in.set_password("alice", "glacier 44 sparrow ink", by="test")
        return real(stored, password)

    monkeypatch.setattr(password_service, "is_right", slow)
    assert (await browser.sign_in("alice")).status_code == 401
    assert world.services.sessions.listed("alice") == []
    announced = [entry["session"] for entry in recorded(world, "session:begun")]
    ended = {entry["session"]: entry["reason"] for entry in recorded(world, "session:ended")}
    assert [ended[session] for session in announced] == ["not-begun"]


async def test_too_much_hashing_at_once_is_refused_and_forgotten_when_done() -> None:
    workers = Workers(at_once=1, waiting=1)
    try:
        running = [asyncio.create_task(workers.run(time.sleep, 0.05)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequestsError):
            await workers.run(time.sleep, 0)
        running[1].cancel()
        await asyncio.wait(running)
        await asyncio.sleep(0.1)
        await workers.run(time.sleep, 0)
    finally:
        workers.close()
