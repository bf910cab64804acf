"""Work done on a prompt is reused within its access domain, exactly, and never beyond it."""

import random

import pytest

from models.llama.prefixes import Prefixes, Sequence, common_length


class Cells:
    """Remembers for each sequence the tokens and the domain they were computed for."""

    def __init__(self, count: int) -> None:
        self.held: list[list[tuple[str, int]]] = [[] for _ in range(count)]

    def cut(self, sequence: int, length: int) -> None:
        del self.held[sequence][length:]

    def copy(self, source: int, target: int, length: int) -> None:
        assert self.held[target] == []
        self.held[target] = self.held[source][:length]


def serve(prefixes: Prefixes, cells: Cells, domain: str, tokens: list[int]) -> tuple[Sequence, int]:
    """What the scheduler does with a claim."""
    sequence = prefixes.claim(domain, tokens)
    cached = len(sequence.tokens)
    assert [token for _, token in cells.held[sequence.id]] == sequence.tokens == tokens[:cached]
    cells.held[sequence.id] += [(domain, token) for token in tokens[cached:]]
    sequence.tokens += tokens[cached:]
    return sequence, cached


def test_the_same_prompt_leaves_one_token_to_compute() -> None:
    cells = Cells(4)
    prefixes = Prefixes(cells, 4)
    assert serve(prefixes, cells, "a", [1, 2, 3])[1] == 0
    assert serve(prefixes, cells, "a", [1, 2, 3])[1] == 2


def test_a_longer_prompt_goes_on_in_place_and_a_fork_keeps_what_it_left() -> None:
    cells = Cells(4)
    prefixes = Prefixes(cells, 4)
    first, _ = serve(prefixes, cells, "a", [1, 2, 3])
    longer, cached = serve(prefixes, cells, "a", [1, 2, 3, 4, 5])
    assert (longer.id, cached) == (first.id, 3)
    fork, cached = serve(prefixes, cells, "a", [1, 2, 9])
    assert (fork.id != first.id, cached) == (True, 2)
    assert serve(prefixes, cells, "a", [1, 2, 3, 4, 5, 6])[1] == 5


def test_another_domain_reuses_nothing() -> None:
    cells = Cells(4)
    prefixes = Prefixes(cells, 4)
    serve(prefixes, cells, "a", [1, 2, 3])
    assert serve(prefixes, cells, "b", [1, 2, 3])[1] == 0


def crossings(prefixes_type: type[Prefixes], rounds: int) -> int:
    """How often a prompt is answered from cells that another domain computed."""
    rng = random.Random(7)
    cells = Cells(5)
    prefixes = prefixes_type(cells, 5)
    found = 0
    for _ in range(rounds):
        domain = rng.choice("abc")
        tokens = [rng.randrange(2) for _ in range(rng.randrange(1, 9))]
        sequence, _ = serve(prefixes, cells, domain, tokens)
        found += any(owner != domain for owner, _ in cells.held[sequence.id])
        if rng.random() < 0.1:
            prefixes.forget_oldest(but=sequence)
    return found


def test_no_token_ever_crosses_domains() -> None:
    assert crossings(Prefixes, 5000) == 0


def test_control_a_cache_without_domains_is_caught() -> None:
    class Shared(Prefixes):
        def claim(self, domain: str, tokens: list[int]) -> Sequence:
            del domain
            return super().claim("all", tokens)

    assert crossings(Shared, 500) > 100


def test_the_least_recently_used_makes_room() -> None:
    cells = Cells(3)
    prefixes = Prefixes(cells, 3)
    for domain in "abc":
        serve(prefixes, cells, domain, [1, 2, 3])
    serve(prefixes, cells, "a", [1, 2, 3, 4])
    serve(prefixes, cells, "d", [1, 2, 3])
    assert serve(prefixes, cells, "a", [1, 2, 3, 4, 5])[1] == 4
    assert serve(prefixes, cells, "b", [1, 2, 3])[1] == 0


def test_forgetting_ends_when_only_the_current_one_is_left() -> None:
    cells = Cells(2)
    prefixes = Prefixes(cells, 2)
    serve(prefixes, cells, "a", [1, 2])
    current, _ = serve(prefixes, cells, "b", [1, 2])
    assert prefixes.forget_oldest(but=current)
    assert not prefixes.forget_oldest(but=current)
    assert cells.held[current.id]


@pytest.mark.parametrize(
    ("one", "other", "length"), [([], [1], 0), ([1, 2], [1, 2], 2), ([1, 2, 3], [1, 3], 1), ([1], [1, 2], 1)]
)
def test_common_length(one: list[int], other: list[int], length: int) -> None:
    assert common_length(one, other) == length
