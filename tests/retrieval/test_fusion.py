"""Fusion of two scores: near in meaning and in words is best, and storage order does not matter."""

import random
from collections.abc import Mapping

from retrieval.fusion import fuse


def both(one: Mapping[int, float], other: Mapping[int, float], weight: float) -> dict[int, float]:
    return fuse((one, 1.0), (other, weight))


def test_a_passage_that_both_scores_like_wins() -> None:
    scores = both({1: 0.9, 2: 0.8, 3: 0.1}, {1: 0.0, 2: 9.0, 3: 9.0}, 0.5)
    assert max(scores, key=lambda id_: scores[id_]) == 2


def test_the_weight_decides_between_them() -> None:
    near, worded = {1: 1.0, 2: 0.0}, {1: 0.0, 2: 1.0}
    assert both(near, worded, 0.5)[1] > both(near, worded, 0.5)[2]
    assert both(near, worded, 2.0)[1] < both(near, worded, 2.0)[2]


def test_a_third_score_decides_between_two_that_the_others_like_equally() -> None:
    scores = fuse(({1: 0.9, 2: 0.8}, 1.0), ({1: 1.0, 2: 2.0}, 1.0), ({1: 0.2, 2: 0.3}, 0.1))
    assert scores[2] > scores[1]


def test_scores_lie_between_none_and_one() -> None:
    assert all(0 < score < 1 for score in both({1: 5.0, 2: -5.0}, {1: 100.0, 2: 0.0}, 1.0).values())


def test_equal_scores_tie() -> None:
    assert both({1: 0.5, 2: 0.5}, {1: 0.0, 2: 0.0}, 0.5) == {1: 0.5, 2: 0.5}


def test_scores_that_are_all_equal_count_for_nothing_whatever_they_are() -> None:
    """The mean of three times 0.183606 is off by its last bit, which once lowered each of the three by a deviation."""
    near = {1: 0.649934, 2: 0.649934, 3: 0.51031}
    unworded = both(near, dict.fromkeys(near, 0.0), 0.4)
    assert all(both(near, dict.fromkeys(near, value / 1e6), 0.4) == unworded for value in range(183_000, 184_000))


def test_nothing_to_both() -> None:
    assert both({}, {}, 0.5) == {}


def test_the_order_of_storage_changes_no_bit() -> None:
    chance = random.Random(1)
    one = {id_: chance.random() for id_ in range(100)}
    other = {id_: chance.random() for id_ in range(100)}
    shuffled = sorted(one, key=lambda _: chance.random())
    again = both({id_: one[id_] for id_ in shuffled}, {id_: other[id_] for id_ in shuffled}, 0.4)
    assert again == both(one, other, 0.4)
