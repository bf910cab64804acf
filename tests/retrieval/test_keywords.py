"""Keyword scores come from the allowed subset and from nothing else."""

import math
import random
from collections import Counter

import numpy as np
import pytest

from retrieval.building import Entry, segment_of
from retrieval.keywords import keyword_scores
from retrieval.layers import Layer, whole
from retrieval.views import view_of

WORDS = ["budget", "hotel", "leave", "server", "audit", "laser", "price"]


def oracle(passages: dict[int, Counter[str]], question: set[str]) -> dict[int, float]:
    """BM25 from the textbook, over these passages only."""
    mean = sum(sum(counts.values()) for counts in passages.values()) / len(passages)
    scores: dict[int, float] = {}
    for id_, counts in passages.items():
        for term in question & counts.keys():
            held = sum(term in other for other in passages.values())
            idf = math.log(1 + (len(passages) - held + 0.5) / (held + 0.5))
            norm = 1.2 * (1 - 0.75 + 0.75 * sum(counts.values()) / mean)
            scores[id_] = scores.get(id_, 0) + idf * 2.2 * counts[term] / (counts[term] + norm)
    return scores


def layer(passages: dict[int, tuple[int, Counter[str]]]) -> Layer:
    vector = np.array([1, 0], dtype=np.float32).tobytes()
    entries = [Entry(id_, f"d{id_}", 0, label, counts, vector) for id_, (label, counts) in passages.items()]
    return whole(segment_of(entries, 2))


def scores(layers: list[Layer], question: set[str], allowed: set[int]) -> dict[int, float]:
    """Scores above zero by passage."""
    views = [view_of(each, allowed) for each in layers]
    found: dict[int, float] = {}
    for view, of_view in zip(views, keyword_scores(views, question).scores, strict=True):
        positions = np.flatnonzero(of_view)
        ids = view.layer.segment.passage_ids[view.rows(positions)]
        found |= zip(ids.tolist(), of_view[positions].tolist(), strict=True)
    return found


def random_world(seed: int) -> tuple[dict[int, tuple[int, Counter[str]]], set[str], set[int]]:
    chance = random.Random(seed)
    passages = {
        id_: (chance.randrange(4), Counter(chance.choices(WORDS, k=chance.randrange(1, 12)))) for id_ in range(30)
    }
    return passages, set(chance.sample(WORDS, 3)), set(chance.sample(range(4), chance.randrange(1, 4)))


@pytest.mark.parametrize("seed", range(25))
def test_scores_equal_an_index_of_only_the_allowed_passages(seed: int) -> None:
    passages, question, allowed = random_world(seed)
    readable = {id_: counts for id_, (label, counts) in passages.items() if label in allowed}
    expected = oracle(readable, question) if readable else {}
    assert scores([layer(passages)], question, allowed) == pytest.approx(expected)
    halves = [layer({id_: passages[id_] for id_ in passages if id_ % 2 == odd}) for odd in (0, 1)]
    assert scores(halves, question, allowed) == scores([layer(passages)], question, allowed)


def test_the_oracle_tells_statistics_over_everything_apart() -> None:
    """Negative control: scores that count hidden documents differ from the private index."""
    passages, question, allowed = random_world(1)
    everything = oracle({id_: counts for id_, (_, counts) in passages.items()}, question)
    readable = oracle({id_: counts for id_, (label, counts) in passages.items() if label in allowed}, question)
    assert {id_: everything[id_] for id_ in readable} != pytest.approx(readable)


def test_a_removed_passage_leaves_no_trace() -> None:
    lived = layer({1: (1, Counter(hotel=2, budget=1)), 2: (1, Counter(hotel=5))}).without_documents(["d2"])
    fresh = layer({1: (1, Counter(hotel=2, budget=1))})
    assert scores([lived], {"hotel", "budget"}, {1}) == scores([fresh], {"hotel", "budget"}, {1})


def test_nothing_allowed_finds_nothing() -> None:
    index = layer({1: (1, Counter(hotel=1))})
    assert scores([index], {"hotel"}, set()) == {}
    assert scores([index], {"hotel"}, {7}) == {}
