"""What people use is counted, limited before it is worked on, and given back where it was not needed."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import httpx
import pytest
from litestar import Litestar
from sqlmodel import Session, select

import gateway.usage.book
from gateway.app import create_app
from gateway.chat import routes
from gateway.models.served import ServedModel, ServedModels
from gateway.usage.service import Usage
from gateway.usage.store import UsageReservationRow, UsageRow
from models.engine import Generation
from models.errors import EngineUnavailableError
from policies.audit.verifier import verify
from policies.errors import TrailUnavailableError
from policies.principals import Role
from tests.fakes.scripted_model import pieces
from tests.gateway.conftest import (
    KESTREL_ANSWER,
    TRAVEL_ANSWER,
    World,
    client_of,
    error_of,
    eventually,
    question,
    recorded,
    until_ready,
)
from tests.gateway.gated_model import GatedModel
from tests.gateway.usage.conftest import limit, price

TRAVEL = "What is the daily allowance for travel in Norway?"
PATH = "/v1/chat/completions"
PLENTY = "[server]\nquestions_at_once = 100\nquestions_each = 100\n"
Limited = Callable[[str], World]


async def ask(client: httpx.AsyncClient, world: World, user: str, text: str = TRAVEL, **more: Any) -> httpx.Response:
    return await client.post(PATH, json=question(text, **more), headers=world.headers(user), timeout=300)


def totals(world: World) -> UsageRow:
    """The only row of totals there is."""
    world.services.usage.flush()
    with Session(world.services.database) as session:
        return session.exec(select(UsageRow)).one()


def reservations(world: World) -> int:
    world.services.usage.flush()
    with Session(world.services.database) as session:
        return len(session.exec(select(UsageReservationRow)).all())


async def test_a_used_up_limit_refuses_with_a_time_to_come_back(limited: Limited) -> None:
    world = limited(limit("two-a-day", "requests", 2))
    world.model.says(TRAVEL_ANSWER)
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        answers = [await ask(client, world, "bob", stream=number == 3) for number in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 429]
        for refused in answers[2:]:
            assert error_of(refused)["code"] == "quota_exceeded"
            assert "begins anew at" in error_of(refused)["message"]
            assert 0 < int(refused.headers["retry-after"]) <= 86_400
            assert refused.headers["x-ratelimit-limit-requests"] == "2"
            assert refused.headers["x-ratelimit-remaining-requests"] == "0"
            assert refused.headers["x-ratelimit-reset-requests"].endswith("s")
        assert (await ask(client, world, "alice")).status_code == 200
        text = (await client.get("/metrics", headers=world.headers("mona"))).text
    [told] = recorded(world, "usage:refused")
    assert (told["principal"], told["limit"], told["times"]) == ("bob", "two-a-day", 1), "the flood is no flood there"
    assert 'muniment_refusals_total{limit="two-a-day"} 3.0' in text
    assert len(recorded(world, "question:asked")) == 3, "what was refused was never begun"


async def test_of_64_questions_at_once_no_more_are_answered_than_there_is_room_for(limited: Limited) -> None:
    world = limited(PLENTY + limit("budget", "requests", 10, more="together = true"))
    assert await answered_of_64(world) == 10
    assert totals(world).refused == 54
    assert reservations(world) == 0


async def test_looking_without_reserving_answers_them_all(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the test above."""
    world = limited(PLENTY + limit("budget", "requests", 10, more="together = true"))
    monkeypatch.setattr(gateway.usage.book, "reserve", lambda *_: None)
    assert await answered_of_64(world) == 64


async def answered_of_64(world: World) -> int:
    world.model.says(TRAVEL_ANSWER)
    world.model.holds()
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        asked = [asyncio.create_task(ask(client, world, "bob")) for _ in range(64)]

        async def all_are_there() -> bool:
            return sum(task.done() for task in asked) + world.model.working == 64

        await eventually(all_are_there)
        world.model.lets_go()
        return [answer.status_code for answer in await asyncio.gather(*asked)].count(200)


async def test_tokens_are_reserved_at_their_most_and_settled_as_they_were(limited: Limited) -> None:
    world = limited(limit("tokens", "tokens", 6000))
    world.model.says(TRAVEL_ANSWER)
    world.model.holds()
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        asked = [asyncio.create_task(ask(client, world, "bob")) for _ in range(4)]

        async def decided() -> bool:
            return sum(task.done() for task in asked) + world.model.working == 4

        await eventually(decided)
        reserving = world.model.working
        assert 0 < reserving < 4, "the limit is some questions at their most"
        world.model.lets_go()
        codes = [(await task).status_code for task in asked]
        assert sorted(codes) == [200] * reserving + [429] * (4 - reserving)
        assert (await ask(client, world, "bob")).status_code == 200, "they took less"
        state = (await client.get("/api/v1/me/usage", headers=world.headers("bob"))).json()["limits"][0]
    row = totals(world)
    assert state["used"] == str(row.prompt_tokens + row.completion_tokens)
    assert (state["reserved"], state["most"], state["what"]) == ("0", "6000", "tokens")


async def test_what_an_answer_took_is_counted_to_the_token(limited: Limited) -> None:
    world = limited(price("free-of-charge", prompt=0) + "[answers]\nremembered_seconds = 0\n")
    world.model.says(TRAVEL_ANSWER)
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        nowhere = {"muniment": {"sources": []}}
        bodies = [(await ask(client, world, "bob", **more)).json() for more in ({}, nowhere)]
    row = totals(world)
    assert (row.answered, row.abstained, row.failed, row.refused, row.unpriced) == (1, 1, 0, 0, 2)
    assert row.prompt_tokens == sum(body["usage"]["prompt_tokens"] for body in bodies)
    assert row.completion_tokens == sum(body["usage"]["completion_tokens"] for body in bodies)
    assert row.checks == 2, "without passages the model is not asked"
    assert (row.day, row.token) != ("", "bob")


async def test_a_budget_counts_money(limited: Limited) -> None:
    """Of 3 per million tokens of the prompt: some hundred tokens are some thousandths."""
    model = "qwen2.5-coder-1.5b-instruct-q4_k_m"
    prices = price(model, prompt=3, completion='"0.5"')
    world = limited(prices + limit("budget", "cost", '"0.02"', "month", more='group = "everyone"\ntogether = true'))
    world.model.says(TRAVEL_ANSWER)
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        assert (await ask(client, world, "bob")).status_code == 200
        row = totals(world)
        assert row.cost_billionths == row.prompt_tokens * 3000 + row.completion_tokens * 500
        codes = [(await ask(client, world, "alice", f"{number} {TRAVEL}")).status_code for number in range(40)]
        assert codes[-1] == 429
        [state] = (await client.get("/api/v1/me/usage", headers=world.headers("bob"))).json()["limits"]
    assert 0 < float(state["used"]) <= 0.02
    assert state["shared"] is True


async def test_a_budget_and_a_model_without_a_price_answer_nothing(limited: Limited) -> None:
    world = limited(price("another", prompt=1) + limit("budget", "cost", 5))
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        refused = await ask(client, world, "bob")
    assert (refused.status_code, error_of(refused)["code"]) == (500, "configuration_invalid")
    assert world.model.generations == []


async def test_what_another_model_answered_counts_as_that_ones(limited: Limited) -> None:
    """Nothing may be sent to the remote model, so the local one stands in, and its limit holds."""
    local = "qwen2.5-coder-1.5b-instruct-q4_k_m"
    limits = limit("of-cloud", "requests", 5, more='model = "cloud"') + limit(
        "of-local", "requests", 2, more=f'model = "{local}"'
    )
    world = limited(price("cloud", prompt=100) + price(local, prompt=1) + limits)
    world.model.says(TRAVEL_ANSWER)
    remote = ServedModel("cloud", "", GatedModel(), remote=True)
    world.services.served = ServedModels(world.services.served.default, [remote], fallback_local=True)
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        await eventually(lambda: is_running(world))
        answers = [await ask(client, world, "bob", model="cloud") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].json()["model"] == local
        states = (await client.get("/api/v1/me/usage", headers=world.headers("bob"))).json()["limits"]
    assert {state["name"]: state["used"] for state in states} == {"of-cloud": "0", "of-local": "2"}
    with Session(world.services.database) as session:
        rows = {row.model: row for row in session.exec(select(UsageRow))}
    assert rows[local].cost_billionths == rows[local].prompt_tokens * 1000
    assert (rows[local].answered, rows["cloud"].answered, rows["cloud"].refused) == (2, 0, 1)


async def is_running(world: World) -> bool:
    return world.model.running


async def test_the_pace_is_kept(limited: Limited) -> None:
    world = limited("[usage]\nquestions_per_minute = 1\nburst = 3\n")
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        answers = [await ask(client, world, "bob") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert 0 < int(answers[-1].headers["retry-after"]) <= 60
        assert (await ask(client, world, "alice")).status_code == 200


async def test_limits_that_cannot_be_looked_at_refuse(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    world = limited("[usage]\nquestions_per_minute = 100\n")
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)

        def fail(_: str) -> str:
            message = "no token"
            raise TrailUnavailableError(message)

        monkeypatch.setattr(world.services.usage._book, "_token", fail)
        refused = await ask(client, world, "bob")
        assert (refused.status_code, error_of(refused)["code"]) == (503, "trail_unavailable")
    assert world.model.generations == []


async def test_what_failed_costs_nobody_anything(limited: Limited) -> None:
    world = limited(limit("few", "requests", 2))
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        world.model.fails(EngineUnavailableError("gone"))
        for _ in range(5):
            assert (await ask(client, world, "bob")).status_code == 503
        world.model.says(TRAVEL_ANSWER)
        answers = [(await ask(client, world, "bob")).status_code for _ in range(3)]
    assert answers == [200, 200, 429]
    row = totals(world)
    assert (row.failed, row.answered + row.abstained, row.refused) == (5, 2, 1)


def caller(app: Litestar, world: World, user: str, leaves: Callable[[], Any], stream: bool) -> Any:  # noqa: FBT001
    """A request over ASGI whose sender goes away when `leaves` is over."""
    body = json.dumps(question(TRAVEL, stream=stream)).encode()

    async def receive() -> dict[str, Any]:
        if not sent:
            sent.append(True)
            return {"type": "http.request", "body": body, "more_body": False}
        await leaves()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        await asyncio.sleep(0)

    sent: list[bool] = []
    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"authorization", world.headers(user)["Authorization"].encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8400),
        "scheme": "http",
    }
    return app(scope, receive, send)


async def test_who_leaves_while_the_model_works_is_charged_for_what_it_did(limited: Limited) -> None:
    world = limited(limit("few", "requests", 2))
    world.model.says(TRAVEL_ANSWER)
    world.model.holds()
    app = create_app(world.services)
    async with client_of(app) as client:
        await until_ready(client)

        async def works() -> bool:
            return world.model.working == 1

        for _ in range(2):
            await caller(app, world, "bob", lambda: eventually(works), stream=False)
        world.model.lets_go()
        assert (await ask(client, world, "bob")).status_code == 429
    row = totals(world)
    assert (row.failed, row.answered) == (2, 0)
    assert row.prompt_tokens > 100
    assert row.compute_ms >= 0


async def many_leave(world: World, count: int, seed: int) -> None:
    """People ask from everywhere and go away at any time; some stay. All is still there for whoever comes then."""
    random, app = Random(seed), create_app(world.services)
    world.model.says(TRAVEL_ANSWER)
    world.model.takes(0.01)
    async with client_of(app) as client:
        await until_ready(client)

        async def goes(seconds: float) -> None:
            if seconds < 0:  # As soon as the model works for somebody, most often for them.
                for _ in range(200):
                    if world.model.working:
                        break
                    await asyncio.sleep(0.005)
            await asyncio.sleep(max(0.0, seconds))

        async def one(number: int) -> None:
            seconds = random.choice((-1.0, -1.0, 0.0, 0.001, 0.005, 0.02, 0.05, 1.0))
            user, stream = random.choice(("alice", "bob")), random.random() < 0.5
            with contextlib.suppress(asyncio.CancelledError):
                await caller(app, world, user, lambda: goes(seconds), stream)

        for begun in range(0, count, 20):
            await asyncio.gather(*(one(number) for number in range(begun, min(begun + 20, count))))
        assert (await ask(client, world, "bob")).status_code == 200
        values = await measured(client, world)
    assert values["muniment_questions_running"] == values["muniment_questions_waiting"] == 0
    assert world.model.working == 0
    assert reservations(world) == 0


async def measured(client: httpx.AsyncClient, world: World) -> dict[str, float]:
    text = (await client.get("/metrics", headers=world.headers("mona"))).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


LEAVING = (
    "[answers]\nremembered_seconds = 0\n"
    "[server]\nquestions_at_once = 3\nquestions_each = 8\nquestions_waiting = 5\nwait_seconds = 0.1\n"
    + limit("many", "tokens", 900_000_000)
)


async def test_who_leaves_takes_no_place_and_no_reservation_along(limited: Limited) -> None:
    """T19; a thousand in the deep one."""
    world = limited(LEAVING)
    await many_leave(world, 120, seed=3)
    asked = {entry["request"] for entry in recorded(world, "question:asked")}
    ended = {entry["request"] for kind in ("answer:given", "answer:failed") for entry in recorded(world, kind)}
    assert asked
    assert asked <= ended


@pytest.mark.deep
@pytest.mark.timeout(1200)
async def test_a_thousand_who_leave_take_no_place_and_no_reservation_along(limited: Limited) -> None:
    await many_leave(limited(LEAVING), 1000, seed=4)


@pytest.mark.parametrize("forgets", [False, True])
async def test_a_reservation_that_is_not_released_is_noticed(
    limited: Limited, monkeypatch: pytest.MonkeyPatch, *, forgets: bool
) -> None:
    """Negative control: a build that settles only what was answered."""
    real = Usage._settle

    def forgetful(self: Usage, *args: Any, **named: Any) -> None:
        if "failed" not in args:
            real(self, *args, **named)

    if forgets:
        monkeypatch.setattr(Usage, "_settle", forgetful)
    world = limited(LEAVING)
    world.model.holds()
    app = create_app(world.services)
    async with client_of(app) as client:
        await until_ready(client)

        async def works() -> bool:
            return world.model.working == 1

        await caller(app, world, "bob", lambda: eventually(works), stream=False)
        assert reservations(world) == int(forgets)
        world.model.lets_go()


OVERLOAD = "[server]\nquestions_at_once = 2\nquestions_each = 2\nquestions_waiting = 4\nwait_seconds = 30\n"


async def test_ten_times_too_many_are_refused_fast_and_nothing_is_missing_in_the_trail(limited: Limited) -> None:
    """T19: 60 questions at once where 6 find room, of 30 people."""
    world = limited(OVERLOAD)
    people = [f"person-{number}" for number in range(30)]
    world.services.users.add({name: frozenset({"everyone"}) for name in people}, frozenset({Role.EMPLOYEE}), by="test")
    keys = {name: world.services.users.create_key(name, by="test")[1] for name in people}
    loaded = World(world.services, {**world.keys, **keys}, world.model)
    world.model.says(TRAVEL_ANSWER)
    world.model.holds()
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        seconds: list[float] = []

        async def timed(name: str) -> httpx.Response:
            began = time.perf_counter()
            response = await ask(client, loaded, name)
            seconds.extend([time.perf_counter() - began] if response.status_code == 429 else [])
            return response

        asked = [asyncio.create_task(timed(name)) for name in people * 2]

        async def most_are_refused() -> bool:
            return sum(task.done() for task in asked) == 54

        await eventually(most_are_refused)
        world.model.lets_go()
        answers = await asyncio.gather(*asked)
    codes = Counter(answer.status_code for answer in answers)
    assert codes == {200: 6, 429: 54}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert all(error_of(answer)["code"] == "too_many_requests" for answer in refused)
    assert max(seconds) < 10, "they did not wait for an answer"
    assert len(recorded(world, "question:asked")) == len(recorded(world, "answer:given")) == 6
    world.services.trail.close()
    assert verify(world.services.home.trail, world.services.keys.public_key_pem()).ok


async def test_a_question_that_waits_is_answered_when_its_turn_comes(limited: Limited) -> None:
    world = limited("[server]\nquestions_at_once = 1\nquestions_each = 4\n")
    world.model.says(TRAVEL_ANSWER)
    world.model.holds()
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        his = [asyncio.create_task(ask(client, world, "bob")) for _ in range(3)]

        async def two_wait() -> bool:
            return (await measured(client, world))["muniment_questions_waiting"] == 2

        await eventually(two_wait)
        hers = asyncio.create_task(ask(client, world, "alice"))

        async def three_wait() -> bool:
            return (await measured(client, world))["muniment_questions_waiting"] == 3

        await eventually(three_wait)
        world.model.lets_go()
        assert [answer.status_code for answer in await asyncio.gather(*his, hers)] == [200] * 4
    asked = [entry["principal"] for entry in recorded(world, "question:asked")]
    assert asked == ["bob", "alice", "bob", "bob"], "she had used nothing yet"


async def test_a_stream_that_waits_too_long_says_so_as_an_event(
    limited: Limited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "HEARTBEAT_SECONDS", 0.02)
    world = limited("[server]\nquestions_at_once = 1\nwait_seconds = 0.2\n")
    world.model.holds()
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        first = asyncio.create_task(ask(client, world, "alice"))

        async def works() -> bool:
            return world.model.working == 1

        await eventually(works)
        late = await ask(client, world, "bob", stream=True)
        assert "too_many_requests" in late.text
        assert "Try again in" in late.text
        world.model.lets_go()
        await first


async def test_without_limits_nothing_waits_for_the_database(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    world = limited("")
    world.model.says(KESTREL_ANSWER)
    monkeypatch.setattr(gateway.usage.book.Book, "wish", lambda *_: pytest.fail("nothing is limited"))
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        assert (await ask(client, world, "alice", "What is the Kestrel budget for 2027 in euros?")).status_code == 200


async def test_the_bound_covers_prompts_of_every_length(limited: Limited) -> None:
    """The scripted model counts words; what is reserved must be more than a real tokeniser would make of the prompt."""
    world = limited(limit("tokens", "tokens", 900_000_000))
    seen: list[Generation] = []
    world.model.reply = lambda generation: seen.append(generation) or TRAVEL_ANSWER  # type: ignore[func-returns-value]
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        for text in (TRAVEL, f"{TRAVEL} {'Take care of it well. ' * 150}"):
            bounds = [bound async for bound in bounds_of(client, world, text)]
            prompt = sum(len(part) for turn in seen[-1].turns for part in turn.parts) / 3.5
            assert bounds[-1] >= prompt


async def bounds_of(client: httpx.AsyncClient, world: World, text: str) -> Any:
    world.model.holds()
    asked = asyncio.create_task(ask(client, world, "bob", text))

    async def works() -> bool:
        return world.model.working == 1

    await eventually(works)
    with Session(world.services.database) as session:
        yield session.exec(select(UsageReservationRow.amount)).one()
    world.model.lets_go()
    assert (await asked).status_code == 200


def test_words_stand_for_tokens_in_the_scripted_model() -> None:
    assert len(pieces("one two three")) == 3
