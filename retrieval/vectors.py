"""Exact vector search over ranges of rows: what is outside of them is not touched, so it cannot change a result.

A fast scan in single precision proposes, with a margin wider than its rounding can err; what it proposes is measured
again in double precision, row by row. So a similarity never depends on where a passage lies or what lies beside it
(`docs/decisions/0012-memory-mapped-segments.md`).
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from retrieval.segments import Rows, Vectors

DECIMALS = 6
"""Equal texts must tie, whatever the last bits of a sum say."""
_SLICE_ROWS = 4_096
_HALF_UNIT = 2**-24
"""By so much, relatively, single precision rounds at most."""


def scan(vectors: Vectors, slices: Iterable[tuple[int, int, int]], question: Vectors, out: NDArray[np.float32]) -> None:
    """Write the inner products of rows with the question (shape (dimensions,)) to `out`, in single precision.

    A slice is its first row, the row it ends before, and the place in `out` it begins at.
    """
    for start, end, place in slices:
        np.dot(vectors[start:end], question, out=out[place : place + end - start])


def margin(dimensions: int) -> float:
    """How far below the last of the best by `scan` a row may lie that belongs to the best by `similarities`.

    Vectors have length 1, so a sum of so many products errs by at most `dimensions` half-units in the last place
    (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1), for the row and for the last of the best;
    and rows that round to the same decimals tie.
    """
    return 2 * 1.01 * dimensions * _HALF_UNIT + 2 * 0.1**DECIMALS


def similarities(vectors: Vectors, rows: Rows, question: Vectors) -> NDArray[np.float64]:
    """The inner product of each of these rows with the question, in double precision and rounded.

    Products are exact in double precision, and a row is summed by itself: neighbours change no bit.
    """
    found = np.empty(len(rows))
    exact = question.astype(np.float64)
    for start in range(0, len(rows), _SLICE_ROWS):
        some = slice(start, start + _SLICE_ROWS)
        found[some] = (vectors[rows[some]].astype(np.float64) * exact).sum(axis=1)
    return rounded(found)


def rounded(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores as they are compared and shown; there is no negative zero."""
    return np.round(scores, DECIMALS) + 0.0
