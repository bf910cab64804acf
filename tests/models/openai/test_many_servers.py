"""Several servers of one model: none of them is a single point of failure, and an outage is never multiplied."""

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from models.engine import Choice
from models.errors import EngineUnavailableError
from models.openai.breaker import BreakerRules, State
from models.openai.budget import BudgetRules
from models.openai.engine import UpstreamEngine
from models.openai.options import Upstream
from models.openai.servers import Rules
from tests.fakes.upstream_server import (
    HEAD,
    Asked,
    Behaviour,
    UpstreamServer,
    event,
    hangs,
    odds_of,
    resets,
    says,
    serving,
    whole,
    writes,
)
from tests.models.openai.conftest import ENGINE, FAST, GENERATION, SHORT, TURNS, all_of, until

pytestmark = [pytest.mark.network, pytest.mark.enable_socket]

BROKEN = writes(whole({}, "500 Internal Server Error"))
YES_NO = Choice(TURNS, "user/bob", ("Yes", "No"))


async def test_what_is_sent_is_the_conversation_and_the_key_alone(tmp_path: Path) -> None:
    key = tmp_path / "big-key"
    key.write_text("k3y\n")
    key.chmod(0o600)
    async with serving(says("480")) as (server,):
        engine = UpstreamEngine(Upstream("big", "served-name", (server.url,), api_key_file="big-key"), tmp_path)
        await engine.start()
        try:
            assert (await all_of(engine))[0] == "480"
        finally:
            await engine.stop()
    (asked,) = server.asked
    assert asked.headers["authorization"] == "Bearer k3y"
    assert b"bob" not in asked.raw
    assert asked.body == {
        "model": "served-name",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Passage. How much is it?"},
        ],
        "max_tokens": 8,
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("mode", [0o644, None])
async def test_a_key_that_cannot_be_used_is_said(mode: int | None, tmp_path: Path) -> None:
    if mode is not None:
        (tmp_path / "big-key").write_text("k3y")
        (tmp_path / "big-key").chmod(mode)
    engine = UpstreamEngine(Upstream("big", "m", ("http://127.0.0.1:9/v1",), api_key_file="big-key"), tmp_path)
    with pytest.raises(EngineUnavailableError, match="big-key"):
        await engine.start()


async def test_one_killed_midway_loses_no_new_question(engine: ENGINE) -> None:
    """Of two servers one dies with answers running: these fail, and every question after it is answered."""

    async def slowly(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await says("480")(asked, writer)

    async with serving(slowly, slowly) as servers, engine(servers) as asked:
        first = await asyncio.gather(*(all_of(asked) for _ in range(8)))
        assert {text for text, _ in first} == {"480"}
        assert [len(server.asked) for server in servers] == [4, 4], "the load is spread"
        servers[0].behaves = hangs(HEAD, event({"content": "half"}))
        begun = [asyncio.create_task(all_of(asked)) for _ in range(8)]
        await until(lambda: servers[0].open == 4)
        await asyncio.sleep(0.1)
        await servers[0].stop()
        ended = await asyncio.gather(*begun, return_exceptions=True)
        assert sum(isinstance(one, EngineUnavailableError) for one in ended) == 4
        assert sum(isinstance(one, tuple) for one in ended) == 4
        later = await asyncio.gather(*(all_of(asked) for _ in range(60)))
        assert {text for text, _ in later} == {"480"}
        assert asked.servers.endpoints[0].breaker.state is State.OPEN
        assert (await asked.health()).ready


async def test_it_comes_back_by_itself(engine: ENGINE, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(says("one"), says("two")) as servers, engine(servers) as asked:
        await servers[0].stop()
        with caplog.at_level(logging.INFO):
            for _ in range(10):
                assert (await all_of(asked))[0] == "two"
            assert asked.servers.endpoints[0].breaker.state is State.OPEN
            await servers[0].start()
            await until(lambda: asked.servers.endpoints[0].breaker.state is State.HALF_OPEN)
            assert (await all_of(asked))[0] == "one", "a question on trial"
        assert asked.servers.endpoints[0].breaker.state is State.CLOSED
        assert (await asked.health()).restarts == 1
    told = [record.getMessage() for record in caplog.records if "upstream" in record.name or "openai" in record.name]
    assert [line.split()[0] for line in told if line.startswith("upstream")] == ["upstream_down", "upstream_back"]


async def test_one_that_answers_probes_and_no_question_is_left_alone_again(engine: ENGINE) -> None:
    rules = replace(FAST, breaker=BreakerRules(failures=1, rest_seconds=0.1, most_rest_seconds=0.4))
    async with serving(BROKEN, says("two")) as servers, engine(servers, rules) as asked:
        for _ in range(30):
            assert (await all_of(asked))[0] == "two"
            await asyncio.sleep(0.05)
        assert 2 <= len(servers[0].asked) <= 12


async def test_retries_are_within_the_budget_under_a_full_outage(engine: ENGINE) -> None:
    """Both servers take connections and answer no question; a breaker that never opens leaves it to the budget."""
    budget = BudgetRules(share=0.2, per_second=0.0, first=3.0, most=10.0)
    rules = replace(FAST, budget=budget, breaker=BreakerRules(failures=10**9))
    async with serving(BROKEN, BROKEN) as servers, engine(servers, rules) as asked:
        ended = await asyncio.gather(*(all_of(asked) for _ in range(200)), return_exceptions=True)
        assert all(isinstance(one, EngineUnavailableError) for one in ended)
        sent = sum(len(server.asked) for server in servers)
        assert 10 < asked.servers.retries <= 3 + 0.2 * 200
        assert sent == 200 + asked.servers.retries


async def test_without_a_budget_an_outage_would_be_multiplied(engine: ENGINE) -> None:
    """Negative control of the test above."""
    budget = BudgetRules(share=10.0, per_second=0.0, first=1000.0, most=1000.0)
    rules = replace(FAST, budget=budget, breaker=BreakerRules(failures=10**9))
    async with serving(BROKEN, BROKEN) as servers, engine(servers, rules) as asked:
        await asyncio.gather(*(all_of(asked) for _ in range(50)), return_exceptions=True)
        assert sum(len(server.asked) for server in servers) == 150


async def test_an_outage_is_soon_told_without_asking_anybody(engine: ENGINE) -> None:
    rules = replace(FAST, tries=1, breaker=BreakerRules(failures=3, rest_seconds=60.0))
    async with serving(BROKEN) as servers, engine(servers, rules) as asked:
        for _ in range(10):
            with pytest.raises(EngineUnavailableError):
                await all_of(asked)
        assert len(servers[0].asked) == 3
        health = await asked.health()
        assert not health.ready
        assert "500" in health.detail


async def test_one_question_alone_closes_no_server_to_others(engine: ENGINE) -> None:
    """Whoever finds a question that a server fails on would otherwise stop it for everybody."""
    async with serving(BROKEN) as servers, engine(servers) as asked:
        with pytest.raises(EngineUnavailableError):
            await all_of(asked)
        assert len(servers[0].asked) == 3
        assert asked.servers.endpoints[0].breaker.failures == 1


@pytest.mark.parametrize(
    "first", [BROKEN, resets(), writes(HEAD), resets(HEAD), writes(HEAD, b"data: {\n\n")], ids=range(5)
)
async def test_before_the_first_word_another_server_is_tried(first: Behaviour, engine: ENGINE) -> None:
    async with serving(first, says("two")) as servers, engine(servers) as asked:
        for _ in range(50):
            assert (await all_of(asked))[0] == "two"
            if servers[0].asked:
                break
        assert asked.servers.retries == len(servers[0].asked) == 1


async def test_after_the_first_word_nothing_is_tried_again(engine: ENGINE) -> None:
    broken = resets(HEAD, event({"content": "half"}))
    async with serving(broken, broken) as servers, engine(servers) as asked:
        with pytest.raises(EngineUnavailableError, match="broke off"):
            await all_of(asked)
        assert sum(len(server.asked) for server in servers) == 1


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "422 Unprocessable"])
async def test_what_no_other_try_makes_better_is_not_tried_again(status: str, engine: ENGINE) -> None:
    async with serving(writes(whole({}, status))) as servers, engine(servers) as asked:
        with pytest.raises(EngineUnavailableError, match=status[:3]):
            await all_of(asked)
        assert len(servers[0].asked) == 1


async def test_a_server_that_asks_for_a_pause_gets_it(engine: ENGINE) -> None:
    busy = writes(whole({}, "429 Too Many Requests", ["Retry-After: 1"]))
    async with serving(busy) as servers, engine(servers) as asked:
        servers[0].then, servers[0].behaves = [busy], says("480")
        started = time.monotonic()
        assert (await all_of(asked))[0] == "480"
        assert time.monotonic() - started >= 0.9
        assert asked.servers.endpoints[0].breaker.failures == 0, "busy is not broken"


async def test_a_pause_that_is_too_long_is_not_waited_for(engine: ENGINE) -> None:
    busy = writes(whole({}, "503 Service Unavailable", ["Retry-After: 3600"]))
    async with serving(busy) as servers, engine(servers) as asked:
        for _ in range(3):
            started = time.monotonic()
            with pytest.raises(EngineUnavailableError, match="too much to do"):
                await all_of(asked)
            assert time.monotonic() - started < 15
        assert len(servers[0].asked) == 1


async def test_another_server_is_asked_meanwhile(engine: ENGINE) -> None:
    busy = writes(whole({}, "429 Too Many Requests", ["Retry-After: 30"]))
    async with serving(busy, says("two")) as servers, engine(servers) as asked:
        assert {(await all_of(asked))[0] for _ in range(10)} == {"two"}
        assert len(servers[0].asked) <= 1


async def test_the_one_with_the_least_to_do_is_asked(engine: ENGINE) -> None:
    async with serving(hangs(HEAD), says("two")) as servers, engine(servers) as asked:
        held = list[asyncio.Task[object]]()
        while not asked.servers.endpoints[0].outstanding:
            held.append(asyncio.create_task(all_of(asked)))
            await asyncio.sleep(0.05)
        for _ in range(20):
            assert (await all_of(asked))[0] == "two"
        assert len(servers[0].asked) == 1
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def test_no_server_gets_more_than_its_share_and_others_wait(engine: ENGINE) -> None:
    async def slowly(asked: Asked, writer: asyncio.StreamWriter) -> None:
        most.append(servers[0].open)
        await asyncio.sleep(0.02)
        await says("480")(asked, writer)

    most: list[int] = []
    async with serving(slowly) as servers, engine(servers, connections=2) as asked:
        answers = await asyncio.gather(*(all_of(asked) for _ in range(20)))
        assert {text for text, _ in answers} == {"480"}
        assert max(most) == 2


async def test_nobody_waits_for_a_place_for_ever(engine: ENGINE) -> None:
    short = SHORT | {"between_tokens_seconds": 20.0, "total_seconds": 20.0}
    hanging = hangs(HEAD, event({"content": "x"}))
    async with serving(hanging) as servers, engine(servers, connections=1, **short) as asked:
        async with aclosing(asked.stream(GENERATION)) as one:
            await anext(one)
            with pytest.raises(EngineUnavailableError, match="too much to do"):
                await all_of(asked)
            assert len(servers[0].asked) == 1


async def test_nobody_there_is_said_at_the_start(tmp_path: Path) -> None:
    engine = UpstreamEngine(Upstream("big", "m", ("http://127.0.0.1:9/v1",)), tmp_path, FAST)
    with pytest.raises(EngineUnavailableError, match="The model big cannot be reached"):
        await engine.start()
    with pytest.raises(EngineUnavailableError):
        await all_of(engine)
    assert not (await engine.health()).ready
    await engine.stop()


async def test_one_of_two_is_enough_to_start(engine: ENGINE) -> None:
    gone = UpstreamServer(says("x"), port=9)
    async with serving(says("two")) as servers, engine([gone, *servers]) as asked:
        assert (await all_of(asked))[0] == "two"
        assert asked.servers.endpoints[0].breaker.state is State.OPEN
        await asked.start()
        assert (await all_of(asked))[0] == "two"


async def test_deadlines_are_of_the_question_and_not_of_each_try(engine: ENGINE) -> None:
    async with serving(hangs(HEAD)) as servers, engine(servers, first_token_seconds=3.0, total_seconds=4.0) as asked:
        started = time.monotonic()
        with pytest.raises(EngineUnavailableError, match="in time"):
            await all_of(asked)
        assert time.monotonic() - started < 8.5, "three tries of their own would take nine"


# The odds of a short reply.


async def test_odds_of_a_server_that_tells_probabilities(engine: ENGINE) -> None:
    async with serving(odds_of({"Yes": -0.2, "No": -1.8}, BROKEN)) as servers, engine(servers) as asked:
        odds = await asked.odds(YES_NO)
        assert odds["Yes"] == pytest.approx(0.832, abs=0.001)
        body = servers[0].asked[0].body
        assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, 20)


@pytest.mark.parametrize("refusal", ["400 Bad Request", "422 Unprocessable", "500 Internal Server Error"])
async def test_a_server_that_refuses_probabilities_is_asked_for_the_word(refusal: str, engine: ENGINE) -> None:
    refuses = writes(whole({"error": "logprobs"}, refusal))

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (refuses if asked.body.get("logprobs") else says("Yes"))(asked, writer)

    async with serving(behave) as servers, engine(servers) as asked:
        for _ in range(2):
            assert await asked.odds(YES_NO) == {"Yes": 1.0, "No": 0.0}
        assert [bool(one.body.get("logprobs")) for one in servers[0].asked] == [True, False, False]
        assert asked.servers.endpoints[0].breaker.failures == 0
        assert asked.servers.retries == 0


async def test_a_server_that_passes_over_the_wish_for_probabilities(engine: ENGINE) -> None:
    async with serving(says("No")) as servers, engine(servers) as asked:
        assert await asked.odds(YES_NO) == {"Yes": 0.0, "No": 1.0}


async def test_another_server_is_tried_for_odds_too(engine: ENGINE) -> None:
    good = odds_of({"Yes": -0.2}, BROKEN)
    rules: Rules = FAST
    async with serving(resets(), good) as servers, engine(servers, rules) as asked:
        for _ in range(4):
            assert (await asked.odds(YES_NO))["Yes"] == 1.0
