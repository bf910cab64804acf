"""Vectors in one byte a dimension, for a scan that reads a quarter of the bytes; what is found is measured again.

The scale is fixed by the number of dimensions alone. A quantiser that learned from the passages would let those that
somebody may not read shift which of the others are found.

Everything here is an estimate with a bound. A row's code times the unit errs by a vector of at most `FAITHFUL` in
length, or else the row is *rough*: its estimate says nothing, and it is always measured. So by the inequality of Cauchy
and Schwarz an inner product errs by at most that times the length of the question, which is 1.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from retrieval.segments import Codes, Vectors

LARGEST = 127
"""Codes lie as far below zero as above."""
ZERO = 128
"""The code of 0: codes are stored without a sign, as the scan reads them."""
_REACH = 5.0
"""Of a vector of length 1 a component is 1/sqrt(dimensions) in the mean; so many times that still has a code. In a
random direction 1 component of 1,700,000 is larger; with a wider reach each step, and so each error, would be wider."""
FAITHFUL = 1.1 * _REACH / LARGEST / sqrt(12)
"""A row whose components err evenly within half a unit errs by a tenth less; it does so in any number of dimensions."""
_LONGEST_SQUARED = 1.0005
"""A vector of length 1, rounded; a longer one would err by more."""
_SLICE_ROWS = 8_192


@dataclass(frozen=True, slots=True, eq=False)
class CodedQuestion:
    """A question in whole numbers.

    Attributes:
        code: Shape (dimensions,), whole numbers between -127 and 127.
        unit: What a product of two codes is worth as a similarity.
        error: How much the similarity by codes may err for a row that is not rough.
    """

    code: NDArray[np.float32]
    unit: float
    error: float


def encode(vectors: Vectors) -> tuple[Codes, NDArray[np.bool_]]:
    """The codes of vectors, and which of them are rough."""
    codes = np.empty(vectors.shape, dtype=np.uint8)
    rough = np.empty(len(vectors), dtype=np.bool_)
    unit = _unit(vectors.shape[1])
    for start in range(0, len(vectors), _SLICE_ROWS):
        some = slice(start, start + _SLICE_ROWS)
        steps = np.clip(np.rint(vectors[some] / np.float32(unit)), -LARGEST, LARGEST)
        codes[some] = steps + ZERO
        errors = vectors[some] - steps.astype(np.float64) * unit
        rough[some] = np.sqrt((errors * errors).sum(axis=1)) > FAITHFUL
        rough[some] |= np.einsum("ij,ij->i", vectors[some], vectors[some]) > _LONGEST_SQUARED
    return codes, rough


def coded(question: Vectors) -> CodedQuestion:
    """A question of length 1 as the scan takes it; its own scale is fitted, since nobody else's data is in it."""
    exact = question.astype(np.float64)
    own = float(np.abs(exact).max()) / LARGEST or 1.0
    code = np.rint(exact / own)
    length = float(np.linalg.norm(exact))
    missed = float(np.linalg.norm(exact - code * own))
    # question . row - coded . code = question . (row - code) + (question - coded) . code, and the code of a row that is
    # not rough is at most as long as the row and its error.
    error = length * FAITHFUL + missed * (1 + FAITHFUL)
    return CodedQuestion(code.astype(np.float32), own * _unit(len(question)), 1.001 * error)


def _unit(dimensions: int) -> float:
    return _REACH / LARGEST / sqrt(dimensions)
