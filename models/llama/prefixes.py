"""Prompts already computed, so that the next one of the same access domain computes only what differs.

Reuse never crosses a domain: how fast an answer begins would tell one user what another has asked.
"""

from dataclasses import dataclass, field
from typing import Protocol


class Memory(Protocol):
    """Where the state of sequences lies."""

    def cut(self, sequence: int, length: int) -> None:
        """Forget a sequence's tokens from a position on."""
        ...

    def copy(self, source: int, target: int, length: int) -> None:
        """Let an empty sequence begin with another's first tokens."""
        ...


@dataclass(slots=True)
class Sequence:
    """One sequence: whose it is, and the tokens whose state it holds."""

    id: int
    domain: str = ""
    tokens: list[int] = field(default_factory=list)
    used: int = 0


class Prefixes:
    """A fixed number of sequences; the least recently used one makes room."""

    def __init__(self, memory: Memory, count: int) -> None:
        self._memory = memory
        self._sequences = [Sequence(number) for number in range(count)]
        self._clock = 0

    def claim(self, domain: str, tokens: list[int]) -> Sequence:
        """A sequence that holds as much of the beginning of these tokens as the domain has computed before.

        The last token is always left to compute: its scores are what the caller is after.
        """
        donor, common = self._nearest(domain, tokens)
        if donor is not None and common == len(donor.tokens):
            sequence = donor
        else:
            sequence = self._free(donor)
            if donor is not None:
                self._memory.copy(donor.id, sequence.id, common)
                sequence.tokens = tokens[:common]
                donor.used = self._tick()
        sequence.domain = domain
        sequence.used = self._tick()
        return sequence

    def forget_oldest(self, *, but: Sequence) -> bool:
        """Give up the least recently used other sequence; false when there is none left to give up."""
        held = [sequence for sequence in self._sequences if sequence.tokens and sequence is not but]
        if held:
            self.forget(min(held, key=lambda sequence: sequence.used))
        return bool(held)

    def forget(self, sequence: Sequence) -> None:
        """Give up what a sequence holds."""
        self._memory.cut(sequence.id, 0)
        sequence.tokens = []
        sequence.domain = ""

    def _nearest(self, domain: str, tokens: list[int]) -> tuple[Sequence | None, int]:
        best, longest = None, 0
        for sequence in self._sequences:
            if sequence.domain == domain and (common := common_length(sequence.tokens, tokens[:-1])) > longest:
                best, longest = sequence, common
        return best, longest

    def _free(self, donor: Sequence | None) -> Sequence:
        others = [sequence for sequence in self._sequences if sequence is not donor]
        chosen = min(others, key=lambda sequence: (bool(sequence.tokens), sequence.used))
        self.forget(chosen)
        return chosen

    def _tick(self) -> int:
        self._clock += 1
        return self._clock


def common_length(one: list[int], other: list[int]) -> int:
    """How many tokens two lists have in common from the beginning."""
    for length, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return length
    return min(len(one), len(other))
