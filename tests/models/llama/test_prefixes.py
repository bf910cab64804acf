"""Work done on a prompt is reused exactly, as far as tokens and domains are the same, and never beyond that."""

import random

import numpy as np
import pytest

from models.llama.prefixes import Domains, Keys, Prefixes, Sequence, beside, common_length, tokens_of
from tests.models.llama.cells import Cells


class Cache:
    """Prefixes over cells, used as the scheduler does."""

    def __init__(self, count: int) -> None:
        self.cells = Cells()
        self.domains = Domains()
        self.prefixes = Prefixes(self.cells, count)

    def claim(self, domain: str, tokens: list[int]) -> tuple[Sequence, int, Keys]:
        keys = self.domains.keys(domain, tokens)
        sequence = self.prefixes.claim(keys)
        assert sequence is not None
        cached = len(sequence.held)
        assert self.cells.tokens(sequence.id) == tokens[:cached]
        assert sequence.keys.tolist() == keys[:cached].tolist()
        return sequence, cached, keys

    def serve(self, domain: str, tokens: list[int]) -> tuple[Sequence, int]:
        sequence, cached, keys = self.claim(domain, tokens)
        self.cells.held.setdefault(sequence.id, []).extend((0, token) for token in tokens[cached:])
        sequence.held.extend(keys[cached:].tolist())
        self.prefixes.release(sequence)
        return sequence, cached


def test_the_same_prompt_leaves_one_token_to_compute() -> None:
    cache = Cache(4)
    assert cache.serve("a", [1, 2, 3])[1] == 0
    assert cache.serve("a", [1, 2, 3])[1] == 2


def test_a_longer_prompt_goes_on_in_place_and_a_fork_keeps_what_it_left() -> None:
    cache = Cache(4)
    first, _ = cache.serve("a", [1, 2, 3])
    longer, cached = cache.serve("a", [1, 2, 3, 4, 5])
    assert (longer.id, cached) == (first.id, 3)
    fork, cached = cache.serve("a", [1, 2, 9])
    assert (fork.id != first.id, cached) == (True, 2)
    assert cache.serve("a", [1, 2, 3, 4, 5, 6])[1] == 5


def test_another_domain_reuses_nothing() -> None:
    cache = Cache(4)
    cache.serve("a", [1, 2, 3])
    assert cache.serve("b", [1, 2, 3])[1] == 0


def test_a_sequence_that_is_worked_on_is_copied_from_and_never_given_away() -> None:
    cache = Cache(2)
    first, _, keys = cache.claim("a", [1, 2, 3, 4])
    cache.cells.held[first.id] = [(0, token) for token in [1, 2, 3]]
    first.held.extend(keys[:3].tolist())
    second, cached, _ = cache.claim("a", [1, 2, 3, 9])
    assert (second.id != first.id, cached) == (True, 3)
    assert cache.prefixes.claim(cache.domains.keys("a", [7, 8])) is None
    cache.prefixes.release(second)
    third, cached, _ = cache.claim("b", [7, 8])
    assert (third.id, cached) == (second.id, 0)


def test_the_least_recently_used_makes_room() -> None:
    cache = Cache(2)
    cache.serve("a", [1, 1, 1])
    cache.serve("b", [2, 2, 2])
    cache.serve("a", [1, 1, 1, 1])
    cache.serve("c", [3, 3, 3])
    assert cache.serve("b", [2, 2, 2])[1] == 0


def test_forgetting_ends_when_only_what_is_worked_on_is_left() -> None:
    cache = Cache(3)
    cache.serve("a", [1, 2])
    cache.serve("b", [1, 2])
    cache.claim("c", [1, 2])
    assert [cache.prefixes.forget_oldest() for _ in range(3)] == [True, True, False]


def test_a_key_is_a_token_and_whose_it_is() -> None:
    domains = Domains()
    one, other = domains.keys("a", [5, 6]), domains.keys("b", [5, 6])
    assert tokens_of(one).tolist() == tokens_of(other).tolist() == [5, 6]
    assert not set(one.tolist()) & set(other.tolist())
    assert beside(one[0], 6) == one[1]
    assert domains.keys("a", [5]).tolist() == one[:1].tolist()


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [([], [], 0), ([1], [], 0), ([1, 2], [1, 2], 2), ([1, 2, 3], [1, 2], 2), ([1, 2], [1, 3], 1), ([1], [2], 0)],
)
def test_common_length(one: list[int], other: list[int], length: int) -> None:
    assert common_length(np.array(one, dtype=np.int64), np.array(other, dtype=np.int64)) == length


def test_any_prompts_are_reused_exactly() -> None:
    """`serve` compares what a sequence holds with the prompt, each time."""
    chance = random.Random(5)
    cache = Cache(5)
    reused = 0
    for _ in range(2000):
        tokens = [chance.choice([1, 2]) for _ in range(chance.randrange(1, 12))]
        reused += cache.serve(chance.choice("ab"), tokens)[1]
    assert reused > 1000
