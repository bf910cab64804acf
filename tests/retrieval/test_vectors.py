"""Exact search within labels: complete, and blind to every other label."""

import numpy as np
import pytest

from retrieval.vectors import VectorIndex, Vectors

DIMENSIONS = 16


def unit(count: int, seed: int) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def index() -> VectorIndex:
    index = VectorIndex(DIMENSIONS)
    for label in range(5):
        index.add(label, range(label * 100, label * 100 + 40), unit(40, label))
    return index


def test_finds_exactly_the_best_of_the_allowed_labels(index: VectorIndex) -> None:
    question = unit(1, 99)
    hits = sorted(index.search(question, {1, 3}, 10), key=lambda hit: -hit[1])[:10]
    rows = np.vstack([unit(40, 1), unit(40, 3)])
    ids = [*range(100, 140), *range(300, 340)]
    expected = sorted(zip(ids, (rows @ question[0]).tolist(), strict=True), key=lambda hit: -hit[1])[:10]
    assert [id_ for id_, _ in hits] == [id_ for id_, _ in expected]
    assert [score for _, score in hits] == pytest.approx([score for _, score in expected], abs=1e-6)


def test_other_labels_change_no_bit_of_a_score(index: VectorIndex) -> None:
    alone = VectorIndex(DIMENSIONS)
    alone.add(3, range(300, 340), unit(40, 3))
    question = unit(1, 7)
    assert index.search(question, {3}, 5) == alone.search(question, {3}, 5)


def test_all_that_tie_with_the_last_are_returned() -> None:
    index = VectorIndex(DIMENSIONS)
    same = np.repeat(unit(1, 5), 20, axis=0)
    index.add(1, range(20), same)
    assert len(index.search(unit(1, 6), {1}, 3)) == 20


def test_removed_passages_are_gone(index: VectorIndex) -> None:
    index.remove(2, list(range(200, 239)))
    assert [id_ for id_, _ in index.search(unit(1, 1), {2}, 10)] == [239]
    index.remove(2, [239])
    assert index.search(unit(1, 1), {2}, 10) == []
