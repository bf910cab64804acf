"""A stand-in for llama.cpp's memory and arithmetic: it holds what was computed, and says what a script tells it to.

Each cell is a token at a position of the sequences that hold it, as in llama.cpp's unified cache.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np

from models.llama.native import NoRoomError, Slice
from models.llama.sampling import Logits

END = 0
VOCABULARY_SIZE = 256


class Cells:
    """Counts cells as llama.cpp does: sequences that share a beginning share its cells.

    Args:
        count: How many cells there are.
        says: The next token after the tokens of a sequence.

    Attributes:
        steps: The slices of each step that was computed.
        fault: Raised by steps that hold what it is about, while it is set.
    """

    def __init__(self, count: int = 10_000, says: Callable[[list[int]], int] = lambda _tokens: END) -> None:
        self.count = count
        self.says = says
        self.held: dict[int, list[tuple[int, int]]] = {}
        self.steps: list[list[Slice]] = []
        self.fault: Callable[[Sequence[Slice]], Exception | None] = lambda _slices: None
        self.before: Callable[[], None] = lambda: None
        self._next_cell = 0
        self.vocabulary = SimpleNamespace(
            ends=lambda token: token == END,
            encode=lambda text: [ord(letter) for letter in text],
            pieces=[bytes([token]) for token in range(VOCABULARY_SIZE)],
        )

    @property
    def used(self) -> int:
        """How many cells hold something."""
        return len({cell for held in self.held.values() for cell, _ in held})

    def tokens(self, sequence: int) -> list[int]:
        return [token for _, token in self.held.get(sequence, [])]

    def cut(self, sequence: int, length: int) -> None:
        self.held[sequence] = self.held.get(sequence, [])[:length]

    def copy(self, source: int, target: int, length: int) -> None:
        assert not self.held.get(target), "only an empty sequence may begin with another's"
        assert len(self.held[source]) >= length
        self.held[target] = self.held[source][:length]

    def decode(self, slices: Sequence[Slice]) -> list[Logits]:
        self.before()
        assert len({each.sequence for each in slices}) == len(slices)
        for each in slices:
            assert len(self.held.get(each.sequence, [])) == each.start, "positions go on where the sequence ends"
        if (fault := self.fault(slices)) is not None:
            raise fault
        if self.used + sum(len(each.tokens) for each in slices) > self.count:
            raise NoRoomError
        self.steps.append(list(slices))
        for each in slices:
            new = range(self._next_cell, self._next_cell + len(each.tokens))
            self.held.setdefault(each.sequence, []).extend(zip(new, map(int, each.tokens), strict=True))
            self._next_cell += len(each.tokens)
        return [self._scores(each) for each in slices if each.wanted]

    def _scores(self, computed: Slice) -> Logits:
        return np.eye(1, VOCABULARY_SIZE, self.says(self.tokens(computed.sequence)), dtype=np.float32)[0]
