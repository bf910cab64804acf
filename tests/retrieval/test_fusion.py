"""Rank fusion rewards passages that both rankings like."""

import pytest

from retrieval.fusion import fuse


def test_a_passage_in_both_rankings_wins() -> None:
    scores = fuse((([1, 2], 1.0), ([2, 3], 1.0)))
    assert max(scores, key=lambda id_: scores[id_]) == 2


def test_weights_decide_between_first_places() -> None:
    scores = fuse((([1], 1.0), ([2], 0.5)))
    assert scores[1] == pytest.approx(2 * scores[2])


def test_no_ranking_no_score() -> None:
    assert fuse(()) == {}
