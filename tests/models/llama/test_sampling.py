"""Greedy is exact, sampling is repeatable and fair, odds are of the replies alone."""

import numpy as np
import pytest

from models.llama.sampling import Sampler, likeliest, nucleus, reply_odds, softmax


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = np.array([0.1, 3.0, 2.9], dtype=np.float32)
    assert [Sampler(0.0, 1.0, seed).pick(logits) for seed in range(20)] == [1] * 20


def test_the_same_seed_repeats_and_another_differs() -> None:
    logits = np.zeros(30, dtype=np.float32)

    def picks(seed: int) -> list[int]:
        sampler = Sampler(1.0, 1.0, seed)
        return [sampler.pick(logits) for _ in range(20)]

    assert picks(1) == picks(1)
    assert picks(1) != picks(2)


def test_samples_follow_the_probabilities() -> None:
    logits = np.log(np.array([0.7, 0.2, 0.1], dtype=np.float32))
    sampler = Sampler(1.0, 1.0, 3)
    counts = np.bincount([sampler.pick(logits) for _ in range(4000)], minlength=3) / 4000
    assert counts == pytest.approx([0.7, 0.2, 0.1], abs=0.03)


def test_the_nucleus_leaves_out_the_unlikely() -> None:
    logits = np.log(np.array([0.6, 0.3, 0.1], dtype=np.float32))
    sampler = Sampler(1.0, 0.85, 3)
    assert {sampler.pick(logits) for _ in range(500)} == {0, 1}
    assert nucleus(np.array([0.6, 0.3, 0.1]), 0.6) == 1
    assert nucleus(np.array([0.6, 0.3, 0.1]), 0.0) == 1
    assert nucleus(np.array([0.6, 0.3, 0.1]), 1.0) == 3


def test_the_likeliest_come_best_first() -> None:
    logits = np.array([1, 5, 5, 2], dtype=np.float32)
    assert list(likeliest(logits, 3)) == [1, 2, 3]
    assert list(likeliest(logits, 9)) == [1, 2, 3, 0]


def test_odds_add_up_to_one_and_ignore_all_other_tokens() -> None:
    logits = np.array([100.0, 1.0, 2.0], dtype=np.float32)
    assert reply_odds(logits, [2, 1]) == pytest.approx(softmax(np.array([2.0, 1.0])))
    with pytest.raises(ValueError, match="begin with the same token"):
        reply_odds(logits, [1, 1])


@pytest.mark.parametrize("seed", [-1, 0, -(2**63), 2**63 - 1])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    logits = np.linspace(0, 1, 50).astype(np.float32)
    picks = [[Sampler(1.0, 1.0, seed).pick(logits) for _ in range(3)] for _ in range(2)]
    assert picks[0] == picks[1]
