"""Prompts already computed, so that the next one computes only what differs.

A key stands for a token together with the access domain it belongs to; two prompts share work as far as their keys are
the same. So reuse never crosses a domain: how fast an answer begins would tell one user what another has asked.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.int64]
"""One number for each token of a prompt: its domain's number above, the token below `_TOKEN_BITS`."""

_TOKEN_BITS = 32
_TOKEN_MASK = (1 << _TOKEN_BITS) - 1


class Domains:
    """Gives every domain a number of its own, for as long as the process lives.

    For one thread alone: a number given twice would let two domains share work.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def keys(self, domain: str, tokens: Iterable[int]) -> Keys:
        """The keys of tokens that belong to a domain."""
        number = self._numbers.setdefault(domain, len(self._numbers))
        return np.asarray(tokens, dtype=np.int64) | (number << _TOKEN_BITS)


def beside(key: np.int64, token: int) -> np.int64:
    """The key of a token in the same domain as another."""
    return np.int64((int(key) & ~_TOKEN_MASK) | token)


def tokens_of(keys: Keys) -> npt.NDArray[np.int32]:
    """The tokens that keys stand for."""
    return (keys & _TOKEN_MASK).astype(np.int32)


class Memory(Protocol):
    """Where the state of sequences lies."""

    def cut(self, sequence: int, length: int) -> None:
        """Forget a sequence's tokens from a position on."""
        ...

    def copy(self, source: int, target: int, length: int) -> None:
        """Let an empty sequence begin with another's first tokens."""
        ...


@dataclass(slots=True, eq=False)
class Sequence:
    """One sequence: the keys whose state it holds, and whether a request works on it."""

    id: int
    held: "array[int]" = field(default_factory=lambda: array("q"))
    busy: bool = False
    used: int = 0

    @property
    def keys(self) -> Keys:
        """A view of what it holds, to be let go of before anything is added."""
        return np.frombuffer(self.held, dtype=np.int64)


class Prefixes:
    """A fixed number of sequences; of those that nobody works on, the least recently used makes room."""

    def __init__(self, memory: Memory, count: int) -> None:
        self._memory = memory
        self._sequences = [Sequence(number) for number in range(count)]
        self._clock = 0

    def common(self, keys: Keys) -> int:
        """How much of the beginning of these keys is computed; the last one never counts."""
        return self._nearest(keys)[1]

    def claim(self, keys: Keys) -> Sequence | None:
        """A sequence to work on that holds as much of the beginning of these keys as was computed before.

        The last token is always left to compute: its scores are what the caller is after. None when requests work on
        all sequences.
        """
        donor, common = self._nearest(keys)
        if donor is not None and not donor.busy and common == len(donor.held):
            sequence = donor
        elif (chosen := self._free(donor)) is None:
            return None
        else:
            sequence = chosen
            if donor is not None:
                self._memory.copy(donor.id, sequence.id, common)
                sequence.held = donor.held[:common]
                donor.used = self._tick()
        sequence.busy = True
        sequence.used = self._tick()
        return sequence

    def release(self, sequence: Sequence) -> None:
        """Nobody works on it any more; what it holds is kept for others."""
        sequence.busy = False
        sequence.used = self._tick()

    def forget_oldest(self) -> bool:
        """Give up the least recently used sequence that nobody works on; false when there is none."""
        idle = [sequence for sequence in self._sequences if sequence.held and not sequence.busy]
        if idle:
            self.forget(min(idle, key=lambda sequence: sequence.used))
        return bool(idle)

    def forget(self, sequence: Sequence) -> None:
        """Give up what a sequence holds."""
        self._memory.cut(sequence.id, 0)
        sequence.held = array("q")
        sequence.busy = False

    def _nearest(self, keys: Keys) -> tuple[Sequence | None, int]:
        best, longest = None, 0
        for sequence in self._sequences:
            if sequence.held and (common := common_length(sequence.keys, keys[:-1])) > longest:
                best, longest = sequence, common
        return best, longest

    def _free(self, donor: Sequence | None) -> Sequence | None:
        idle = [sequence for sequence in self._sequences if sequence is not donor and not sequence.busy]
        if not idle:
            return None
        chosen = min(idle, key=lambda sequence: (bool(sequence.held), sequence.used))
        self.forget(chosen)
        return chosen

    def _tick(self) -> int:
        self._clock += 1
        return self._clock


def common_length(one: Keys, other: Keys) -> int:
    """How many keys two prompts have in common from the beginning."""
    length = min(len(one), len(other))
    differing = np.flatnonzero(one[:length] != other[:length])
    return int(differing[0]) if len(differing) else length
