"""What is remembered is the same person's, for the same prompt, for a while."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from models.engine import Choice, Chunk, FinishReason, Generation, Speaker, Turn
from models.errors import EngineUnavailableError
from models.remembering import RememberingEngine
from tests.fakes.scripted_model import ScriptedModel

TURNS = (Turn(Speaker.SYSTEM, ("Answer.",)), Turn(Speaker.USER, ("passage", "question")))
ASKED = Generation(TURNS, "user/alice")


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel("Twenty-seven days.")


async def said(engine: RememberingEngine, generation: Generation) -> list[Chunk]:
    async with aclosing(engine.stream(generation)) as chunks:
        return [chunk async for chunk in chunks]


async def test_what_is_remembered_took_no_work(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    async def works(_: Generation) -> AsyncIterator[Chunk]:
        yield Chunk("Yes.", FinishReason.STOP, 9, 0, 2, compute_seconds=1.5)

    monkeypatch.setattr(model, "stream", works)
    engine = RememberingEngine(model, 60)
    assert [(await said(engine, ASKED))[-1].compute_seconds for _ in range(2)] == [1.5, 0.0]


async def test_the_same_prompt_is_not_asked_twice(model: ScriptedModel) -> None:
    engine = RememberingEngine(model, 60)
    first, second = await said(engine, ASKED), await said(engine, ASKED)
    assert len(model.generations) == 1
    assert [chunk.text for chunk in first] == [chunk.text for chunk in second]
    assert second[-1].cached_tokens == second[-1].prompt_tokens > 0


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, domain="user/bob"),
        replace(ASKED, turns=(TURNS[0], Turn(Speaker.USER, ("passagequestion",)))),
        replace(ASKED, turns=(TURNS[0], Turn(Speaker.USER, ("another passage", "question")))),
        replace(ASKED, max_tokens=3),
        replace(ASKED, stop=("days",)),
    ],
)
async def test_anything_else_is_asked(model: ScriptedModel, other: Generation) -> None:
    engine = RememberingEngine(model, 60)
    await said(engine, ASKED)
    await said(engine, other)
    assert len(model.generations) == 2


async def test_odds_are_each_persons_own(model: ScriptedModel) -> None:
    engine = RememberingEngine(model, 60)
    for domain in ("user/alice", "user/alice", "user/bob"):
        assert await engine.odds(Choice(TURNS, domain, ("Yes", "No"))) == {"Yes": 0.5, "No": 0.5}
    assert [choice.domain for choice in model.choices] == ["user/alice", "user/bob"]


async def test_sampled_answers_are_new_each_time(model: ScriptedModel) -> None:
    engine = RememberingEngine(model, 60)
    for _ in range(2):
        await said(engine, replace(ASKED, temperature=0.7))
    assert len(model.generations) == 2


async def test_it_forgets(model: ScriptedModel) -> None:
    clock = Clock()
    engine = RememberingEngine(model, 60, clock)
    await said(engine, ASKED)
    clock.seconds = 61
    await said(engine, ASKED)
    assert len(model.generations) == 2
    off = RememberingEngine(model, 0, clock)
    await said(off, ASKED)
    await said(off, ASKED)
    assert len(model.generations) == 4


async def test_half_an_answer_is_not_remembered(model: ScriptedModel) -> None:
    engine = RememberingEngine(model, 60)
    async with aclosing(engine.stream(ASKED)) as chunks:
        async for _ in chunks:
            break
    await asyncio.sleep(0)
    model.reply = EngineUnavailableError("gone")
    with pytest.raises(EngineUnavailableError):
        await said(engine, ASKED)
