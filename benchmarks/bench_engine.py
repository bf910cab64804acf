"""Measure the engine side by side with llama-server, llama_cpp.server and llama-cpp-python's example server.

    make bench-engine
    python benchmarks/bench_engine.py [--trace NAME]... [--against NAME]...

Each contender is started anew for each repetition, in turn, and given the same traces with the same model, threads and
room for tokens:

* distinct: eight people at once, each with a prompt of their own of about 256 tokens and an answer of 128
* same context: eight people at once with different questions about the same 1,500 tokens; until all have a first word
* long prompt: four answers are being written when a prompt of 2,000 tokens arrives; the gaps between their words
* rag: four people ask, one after another, about four of forty passages, popular ones more often (Zipf), after 400
  tokens of instructions; until the first word
* turns: twelve conversations of three turns, interleaved, which together need more room than there is

Ours is also asked alone and together with others, for how many of the first 64 tokens stay the same.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from _contenders import CELLS, MODEL, SEQUENCES, Chat, Contender, Ours, contenders
from _machine import ROOT, about_this_run, write_result

sys.path.insert(0, str(ROOT))

from models.catalogue import load_catalogue

REPETITIONS = 3
_AGREEMENT = "agreement"
_AGREEING_TOKENS = 64
_WORDS = [
    "amber",
    "anchor",
    "basket",
    "beacon",
    "bridge",
    "button",
    "candle",
    "canyon",
    "carpet",
    "cellar",
    "circle",
    "copper",
    "corner",
    "cotton",
    "desert",
    "dragon",
    "engine",
    "falcon",
    "feather",
    "fabric",
    "garden",
    "ginger",
    "hammer",
    "harbour",
    "island",
    "jacket",
    "kettle",
    "ladder",
    "lantern",
    "marble",
    "meadow",
    "mirror",
    "needle",
    "orange",
    "oyster",
    "pencil",
    "pepper",
    "planet",
    "pocket",
    "rabbit",
    "ribbon",
    "saddle",
    "shadow",
    "silver",
    "spider",
    "stable",
    "statue",
    "summer",
    "tailor",
    "temple",
    "tunnel",
    "valley",
    "velvet",
    "violet",
    "walnut",
    "window",
    "winter",
    "wizard",
    "yellow",
    "zipper",
]
_COUNT = "Count upwards from 1 in words, one number a line, and never stop."


@dataclass(frozen=True)
class Spoken:
    """When an answer's pieces came, in seconds of one clock, and when it was asked for."""

    asked: float
    at: tuple[float, ...]
    text: str

    @property
    def first(self) -> float:
        return self.at[0] - self.asked


async def speak(contender: Contender, chat: Chat) -> Spoken:
    asked, at, text = time.perf_counter(), list[float](), ""
    async for piece in contender.stream(chat):
        at.append(time.perf_counter())
        text += piece
    return Spoken(asked, tuple(at) or (time.perf_counter(),), text)


def prose(seed: int, words: int) -> str:
    """So many words, about a token each, that nothing else begins with."""
    chance = random.Random(seed)
    return " ".join(chance.choices(_WORDS, k=words))


async def distinct(contender: Contender) -> dict[str, float]:
    chats = [
        Chat("You are a careful clerk.", (f"{prose(100 + n, 215)}.\n\n{_COUNT}",), 128, f"user/{n}")
        for n in range(SEQUENCES)
    ]
    began = time.perf_counter()
    spoken = await asyncio.gather(*(speak(contender, chat) for chat in chats))
    took = time.perf_counter() - began
    return {"tokens_per_second": sum(len(each.at) for each in spoken) / took, "seconds": took}


async def same_context(contender: Contender) -> dict[str, float]:
    context = prose(7, 1480)
    chats = [Chat("Answer from the text.", (f"{context}\n\nWhat is word {n}?",), 4) for n in range(SEQUENCES)]
    spoken = await asyncio.gather(*(speak(contender, chat) for chat in chats))
    return {"seconds_until_all_have_a_word": max(each.first for each in spoken)}


async def long_prompt(contender: Contender) -> dict[str, float]:
    writing = [
        asyncio.create_task(speak(contender, Chat("You are a clerk.", (f"{prose(200 + n, 20)}. {_COUNT}",), 220)))
        for n in range(4)
    ]
    await asyncio.sleep(3)
    arrived = await speak(contender, Chat("Answer from the text.", (f"{prose(8, 1980)}\n\nWhich word is last?",), 2))
    spoken = await asyncio.gather(*writing)
    ends = arrived.at[0]
    gaps = [
        later - earlier
        for each in spoken
        for earlier, later in zip(each.at, each.at[1:], strict=False)
        if later > arrived.asked and earlier < ends
    ]
    return {"p95_gap_ms": percentile(gaps, 95) * 1000, "first_word_seconds": arrived.first, "gaps": len(gaps)}


async def rag(contender: Contender) -> dict[str, float]:
    chance = random.Random(5)
    passages = [f"<passage>\n{prose(300 + n, 200)}\n</passage>" for n in range(40)]
    weights = [1 / (rank + 1) for rank in range(len(passages))]
    system = f"Answer from the passages. {prose(9, 380)}"
    asked = [
        Chat(system, ("\n".join(_four(chance, passages, weights)) + f"\nWhat is said of {word}?",), 12)
        for word in _WORDS[:24]
    ]
    firsts: list[float] = []

    async def person(chats: Sequence[Chat]) -> None:
        firsts.extend([(await speak(contender, chat)).first for chat in chats])

    await asyncio.gather(*(person(asked[n::4]) for n in range(4)))
    return {"p50_first_ms": percentile(firsts, 50) * 1000, "p95_first_ms": percentile(firsts, 95) * 1000}


def _four(chance: random.Random, passages: Sequence[str], weights: Sequence[float]) -> list[str]:
    """Four different passages, popular ones first: as what is retrieved is ordered so that beginnings repeat."""
    chosen: dict[int, None] = {}
    while len(chosen) < 4:
        chosen[chance.choices(range(len(passages)), weights)[0]] = None
    return [passages[number] for number in sorted(chosen)]


async def turns(contender: Contender) -> dict[str, float]:
    said = {n: [f"{prose(400 + n, 600)}\nRemember this. Say which word is first."] for n in range(12)}
    firsts: list[float] = []
    for turn in range(3):
        for pair in zip(range(0, 12, 2), range(1, 12, 2), strict=True):
            chats = [Chat("You are a clerk.", tuple(said[n]), 16, f"user/{n}") for n in pair]
            spoken = await asyncio.gather(*(speak(contender, chat) for chat in chats))
            for n, each in zip(pair, spoken, strict=True):
                said[n] += [each.text, f"And what is word {turn + 2}?"]
                firsts += [each.first] if turn else []
    return {"p50_first_ms": percentile(firsts, 50) * 1000, "p95_first_ms": percentile(firsts, 95) * 1000}


TRACES: dict[str, Callable[[Contender], Awaitable[dict[str, float]]]] = {
    "distinct": distinct,
    "same context": same_context,
    "long prompt": long_prompt,
    "rag": rag,
    "turns": turns,
}


async def agreement(ours: Ours) -> dict[str, float]:
    """How many of the first tokens an answer has in common with the one that is given to the same prompt alone."""
    chats = [
        Chat(
            "You are a helpful clerk.", (f"Write a short story about a {one} and a {two}.",), _AGREEING_TOKENS, f"u/{n}"
        )
        for n, (one, two) in enumerate(zip(_WORDS[:24], _WORDS[24:48], strict=True))
    ]
    await ours.start()
    alone = [await pieces(ours, chat) for chat in chats]
    await ours.stop()
    await ours.start()
    together = []
    for start in range(0, len(chats), SEQUENCES):
        together += await asyncio.gather(*(pieces(ours, chat) for chat in chats[start : start + SEQUENCES]))
    await ours.stop()
    same = total = whole = 0
    for one, other in zip(alone, together, strict=True):
        until = next(
            (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
        )
        same, total, whole = same + until, total + len(one), whole + (one == other)
    return {"share_until_they_part": same / total, "answers_the_same": whole / len(chats), "tokens": total}


async def pieces(ours: Ours, chat: Chat) -> list[str]:
    return [piece async for piece in ours.stream(chat)]


def percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


async def measure(names: Sequence[str], others: Sequence[str], repetitions: int) -> dict[str, Any]:
    artefact = load_catalogue().artefact(MODEL)
    compared = [each for each in contenders(artefact) if isinstance(each, Ours) or each.name in others or not others]
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in names}
    for repetition in range(repetitions):
        for contender in compared:
            await contender.start()
            try:
                for name in names:
                    values = await TRACES[name](contender)
                    found[name].setdefault(contender.name, []).append(values)
                    print(repetition + 1, contender.name, name, {key: round(value, 2) for key, value in values.items()})
            finally:
                await contender.stop()
    return {name: summary(values) for name, values in found.items()}


def summary(of: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Median and range of each figure of each contender, and ours by each other's, repetition by repetition."""
    ours = of["muniment"]
    result: dict[str, Any] = {}
    for name, repetitions in of.items():
        figures = {key: _spread([values[key] for values in repetitions]) for key in repetitions[0]}
        if name != "muniment":
            figures["ours_by_it"] = {
                key: _spread([mine[key] / values[key] for mine, values in zip(ours, repetitions, strict=True)])
                for key in repetitions[0]
            }
        result[name] = figures
    return result


def _spread(values: Sequence[float]) -> dict[str, float]:
    figures = (("median", statistics.median(values)), ("min", min(values)), ("max", max(values)))
    return {key: round(value, 4) for key, value in figures}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trace", action="append", choices=[*TRACES, _AGREEMENT], default=[])
    parser.add_argument("--against", action="append", default=[])
    wanted = parser.parse_args()
    for name in wanted.trace or [*TRACES, _AGREEMENT]:
        run = about_this_run(["llama_cpp_python"]) | {"model": MODEL, "sequences": SEQUENCES, "cells": CELLS}
        if name == _AGREEMENT:
            run |= {"measured": asyncio.run(agreement(Ours(load_catalogue().artefact(MODEL))))}
        else:
            measured = asyncio.run(measure([name], wanted.against, REPETITIONS))
            run |= {"repetitions": REPETITIONS, "measured": measured[name]}
        print(json.dumps(run["measured"], indent=2))
        write_result(f"engine-{name.replace(' ', '-')}", run)


if __name__ == "__main__":
    main()
