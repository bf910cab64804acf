"""Fusion of two scores: near in meaning and in words is best, and storage order does not matter."""

import random

from retrieval.fusion import fuse


def test_a_passage_that_both_scores_like_wins() -> None:
    scores = fuse({1: 0.9, 2: 0.8, 3: 0.1}, {1: 0.0, 2: 9.0, 3: 9.0}, 0.5)
    assert max(scores, key=lambda id_: scores[id_]) == 2


def test_the_weight_decides_between_them() -> None:
    near, worded = {1: 1.0, 2: 0.0}, {1: 0.0, 2: 1.0}
    assert fuse(near, worded, 0.5)[1] > fuse(near, worded, 0.5)[2]
    assert fuse(near, worded, 2.0)[1] < fuse(near, worded, 2.0)[2]


def test_scores_lie_between_none_and_one() -> None:
    assert all(0 < score < 1 for score in fuse({1: 5.0, 2: -5.0}, {1: 100.0, 2: 0.0}, 1.0).values())


def test_equal_scores_tie() -> None:
    assert fuse({1: 0.5, 2: 0.5}, {1: 0.0, 2: 0.0}, 0.5) == {1: 0.5, 2: 0.5}


def test_scores_that_are_all_equal_count_for_nothing_whatever_they_are() -> None:
    """The mean of three times 0.183606 is off by its last bit, which once lowered each of the three by a deviation."""
    near = {1: 0.649934, 2: 0.649934, 3: 0.51031}
    unworded = fuse(near, dict.fromkeys(near, 0.0), 0.4)
    assert all(fuse(near, dict.fromkeys(near, value / 1e6), 0.4) == unworded for value in range(183_000, 184_000))


def test_nothing_to_fuse() -> None:
    assert fuse({}, {}, 0.5) == {}


def test_the_order_of_storage_changes_no_bit() -> None:
    chance = random.Random(1)
    one = {id_: chance.random() for id_ in range(100)}
    other = {id_: chance.random() for id_ in range(100)}
    shuffled = sorted(one, key=lambda _: chance.random())
    again = fuse({id_: one[id_] for id_ in shuffled}, {id_: other[id_] for id_ in shuffled}, 0.4)
    assert again == fuse(one, other, 0.4)
