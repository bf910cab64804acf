"""Threat T12 with the real small model: nobody's context, and nobody's time, shows in another's answers."""

import asyncio
import random
import time
from collections.abc import Sequence

import pytest

from models.engine import Generation, Speaker, Turn
from models.llama.engine import LlamaEngine

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]
CODES = (
    "amber badger copper dragon engine falcon ginger hammer island jacket kettle lantern marble needle orange pepper"
).split()
SYSTEM = Turn(Speaker.SYSTEM, ("Answer in one word from the memo.",), ("everybody",))


async def ask(engine: LlamaEngine, parts: Sequence[str], domain: str, tokens: int) -> tuple[str, float, int]:
    """The answer, the seconds until its first piece, and how many tokens of the prompt were computed before."""
    text, first, began, cached = "", 0.0, time.perf_counter(), 0
    async for chunk in engine.stream(Generation((SYSTEM, Turn(Speaker.USER, tuple(parts))), domain, tokens)):
        first = first or time.perf_counter() - began
        text += chunk.text
        cached = chunk.cached_tokens
    return text.lower(), first, cached


@pytest.mark.parametrize("requests", [40, pytest.param(5_000, marks=[pytest.mark.deep, pytest.mark.timeout(7200)])])
async def test_no_answer_holds_what_another_was_told(engine: LlamaEngine, requests: int) -> None:
    """Two to sixteen people at once, whose prompts begin alike, in a cache that holds few of them."""
    chance = random.Random(12)
    crossings: list[str] = []
    right = 0

    async def person(number: int) -> None:
        nonlocal right
        code = CODES[number]
        memo = f"Memo of department {number % 3}, to be kept secret. The code word of this month is {code}."
        text, _, _ = await ask(engine, (memo, "\nWhat is the code word?"), f"user/{number}", 6)
        right += code in text
        crossings.extend(other for other in CODES if other != code and other in text)

    done = 0
    while done < requests:
        people = chance.sample(range(len(CODES)), chance.randint(2, len(CODES)))
        await asyncio.gather(*map(person, people))
        done += len(people)
    assert crossings == []
    assert right >= 0.9 * done, "the model does read its memo, so a crossing would show"


def auc(faster: Sequence[float], slower: Sequence[float]) -> float:
    """How often one of the first is less than one of the second (Mann and Whitney, 1947); 0.5 tells nothing."""
    pairs = [(a < b) + (a == b) / 2 for a in faster for b in slower]
    return sum(pairs) / len(pairs)


async def probe(engine: LlamaEngine, count: int, domain: str) -> tuple[float, float]:
    """How well somebody who asks what others may have asked can tell whether they did: by time, and by counts.

    In a domain of their own each time, so that they do not find what they asked themselves.
    """
    chance = random.Random(count)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    computed: dict[bool, list[float]] = {True: [], False: []}
    for number in range(count):
        asked = number % 2 == 0
        prompt = " ".join(chance.choices(CODES, k=90))
        if asked:
            await ask(engine, (prompt, "\nWhich word is first?"), "victim", 1)
        _, first, cached = await ask(engine, (prompt, "\nWhich word is first?"), domain.format(number), 1)
        seconds[asked].append(first)
        computed[asked].append(-cached)
    return auc(seconds[True], seconds[False]), auc(computed[True], computed[False])


async def test_whether_another_asked_the_same_cannot_be_counted(engine: LlamaEngine) -> None:
    _, by_count = await probe(engine, 12, "attacker/{}")
    assert by_count == 0.5
    _, by_count = await probe(engine, 12, "victim")
    assert by_count > 0.9, "the control: inside one domain it can"


@pytest.mark.deep
@pytest.mark.timeout(3600)
async def test_whether_another_asked_the_same_cannot_be_timed(engine: LlamaEngine) -> None:
    by_time, _ = await probe(engine, 600, "attacker/{}")
    assert by_time <= 0.55
    by_time, _ = await probe(engine, 100, "victim")
    assert by_time > 0.9, "the control: inside one domain it can"


async def test_instructions_are_shared_by_all_and_passages_by_their_readers(engine: LlamaEngine) -> None:
    memo = "The cafeteria opens at nine and closes at four on every day of the week but Sunday."

    async def cached(domain: str, readers: str) -> int:
        turns = (SYSTEM, Turn(Speaker.USER, (memo, "\nWhen does it open?"), (readers,)))
        return [chunk async for chunk in engine.stream(Generation(turns, domain, 1))][-1].cached_tokens

    await cached("first", "readers/x")
    everybody, same, others = await cached("a", "readers/y"), await cached("b", "readers/x"), await cached("c", "")
    assert everybody == others > 0
    assert same > everybody + 10
