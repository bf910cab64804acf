"""Exact vector search over ranges of rows: what is outside of them is not touched, so it cannot change a result.

The only module that imports faiss, for its inner product over consecutive rows: it uses one core, so it costs no
waiting for threads where ranges are short, and reads memory as fast as others do with two (`docs/quality.md`).

A fast scan in single precision proposes, with a margin wider than its rounding can err; what it proposes is measured
again in double precision, row by row. So a similarity never depends on where a passage lies or what lies beside it
(`docs/decisions/0012-memory-mapped-segments.md`).
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.segments import Rows, Vectors

DECIMALS = 6
"""Equal texts must tie, whatever the last bits of a sum say."""
_SLICE_ROWS = 4_096
_PIECE_ROWS = 16_384
_SHARED_ROWS = 32_768
"""Below, where a scan takes about 4 ms, handing half of it to another thread gains less than it may cost."""
_helpers = ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="scan")
_HALF_UNIT = 2**-24
"""By so much, relatively, single precision rounds at most."""


def scan(vectors: Vectors, slices: Iterable[tuple[int, int, int]], question: Vectors, out: NDArray[np.float32]) -> None:
    """Write the inner products of rows with the question (shape (dimensions,)) to `out`, in single precision.

    A slice is its first row, the row it ends before, and the place in `out` it begins at. Long scans use two cores.

    Raises:
        ValueError: The question has other dimensions, or a slice does not lie within the rows and `out`.
    """
    if question.shape != vectors.shape[1:]:
        message = f"the question has shape {question.shape}, the rows {vectors.shape[1:]}"
        raise ValueError(message)
    pieces = list(_pieces(slices))
    left = iter(pieces)  # Shared: each of the two takes the next piece that nobody has taken.
    if sum(end - start for start, end, _ in pieces) < _SHARED_ROWS:
        _scan(vectors, left, question, out)
        return
    helper = _helpers.submit(_scan, vectors, left, question, out)
    _scan(vectors, left, question, out)
    if not helper.cancel():  # All helpers may be busy with other searches; then this one did it alone.
        helper.result()


def _pieces(slices: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    for first, end, place in slices:
        for start in range(first, end, _PIECE_ROWS):
            yield start, min(start + _PIECE_ROWS, end), place + start - first


def _scan(
    vectors: Vectors, pieces: Iterator[tuple[int, int, int]], question: Vectors, out: NDArray[np.float32]
) -> None:
    asked = np.ascontiguousarray(question, dtype=np.float32)
    for start, end, place in pieces:
        rows, target = vectors[start:end], out[place : place + end - start]
        if not len(rows) == len(target) == end - start:  # Faiss is given addresses and does not look.
            message = f"rows {start} to {end} do not lie within {len(vectors)}, or {place} not within {len(out)}"
            raise ValueError(message)
        faiss.fvec_inner_products_ny(  # type: ignore[attr-defined] # Its type stubs leave out what is not a class.
            faiss.swig_ptr(target), faiss.swig_ptr(asked), faiss.swig_ptr(rows), vectors.shape[1], len(rows)
        )


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
