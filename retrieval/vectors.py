"""Exact vector search over ranges of rows: what is outside of them is not touched, so it cannot change a result.

The only module that imports faiss, for its products over consecutive rows: they use one core, so they cost no waiting
for threads where ranges are short, and read memory about as fast as one core can (`docs/quality.md`).

A fast scan in single precision, or of codes (`retrieval/codes.py`), proposes with a margin wider than it can err; what
it proposes is measured again in double precision, row by row. So a similarity never depends on where a passage lies or
what lies beside it (`docs/decisions/0012-memory-mapped-segments.md`, `docs/decisions/0014-scan-of-codes.md`).
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.codes import LARGEST, ZERO
from retrieval.segments import Codes, Rows, Vectors

_log = logging.getLogger(__name__)

DECIMALS = 6
"""Equal texts must tie, whatever the last bits of a sum say."""
_SLICE_ROWS = 4_096
_PIECE_ROWS = 16_384
_SHARED_ROWS = 32_768
"""Below, where a scan takes about 4 ms, handing half of it to another thread gains less than it may cost."""
_helpers = ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="scan")
_HALF_UNIT = 2**-24
"""By so much, relatively, single precision rounds at most."""
_PLACE_BITS = 32
_threads = threading.local()
_Piece = tuple[int, int, int]
_Of = TypeVar("_Of")


@dataclass(frozen=True, slots=True, eq=False)
class Proposed:
    """What a scan of codes found best, in no order.

    Attributes:
        places: Where each stands, as the slices count.
        products: Of its code with the question's.
        rest: No row that is not among these has a larger product.
    """

    places: NDArray[np.int64]
    products: NDArray[np.float32]
    rest: float


def scan(vectors: Vectors, slices: Iterable[tuple[int, int, int]], question: Vectors, out: NDArray[np.float32]) -> None:
    """Write the inner products of rows with the question (shape (dimensions,)) to `out`, in single precision.

    A slice is its first row, the row it ends before, and the place in `out` it begins at. Long scans use two cores.

    Raises:
        ValueError: The question has other dimensions, or a slice does not lie within the rows and `out`.
    """
    if question.shape != vectors.shape[1:]:
        message = f"the question has shape {question.shape}, the rows {vectors.shape[1:]}"
        raise ValueError(message)
    _shared(partial(_scan, vectors, question, out), slices)


def scan_codes(codes: Codes, slices: Iterable[_Piece], question: NDArray[np.float32], kept: int) -> Proposed:
    """Find the rows whose codes have the largest products with a coded question (shape (dimensions,)).

    A slice is its first row, the row it ends before, and the place it begins at. Long scans use two cores.

    Raises:
        ValueError: The question has other dimensions, or a slice does not lie within the rows.
    """
    if question.shape != codes.shape[1:]:
        message = f"the question has shape {question.shape}, the codes {codes.shape[1:]}"
        raise ValueError(message)
    found = _shared(partial(_best_codes, codes, question, kept), slices)
    places, products = (np.concatenate(columns) for columns in zip(*found, strict=True))
    full = [float(of_one.min()) for _, of_one in found if len(of_one) == kept]
    return Proposed(places, products, max(full, default=-np.inf))


def _shared(work: Callable[[Iterator[_Piece]], _Of], slices: Iterable[_Piece]) -> list[_Of]:
    """What the work gives on the pieces of these slices: once, or twice where it pays to share them."""
    pieces = list(_pieces(slices))
    left = iter(pieces)  # Shared: each of the two takes the next piece that nobody has taken.
    if sum(end - start for start, end, _ in pieces) < _SHARED_ROWS:
        return [work(left)]
    helper = _helpers.submit(work, left)
    mine = work(left)
    # All helpers may be busy with other searches; then this one did it alone.
    return [mine] if helper.cancel() else [mine, helper.result()]


def _pieces(slices: Iterable[_Piece]) -> Iterator[_Piece]:
    for first, end, place in slices:
        if 0 < end - first <= _PIECE_ROWS:
            yield first, end, place
            continue
        for start in range(first, end, _PIECE_ROWS):
            yield start, min(start + _PIECE_ROWS, end), place + start - first


def _scan(vectors: Vectors, question: Vectors, out: NDArray[np.float32], pieces: Iterator[_Piece]) -> None:
    asked = np.ascontiguousarray(question, dtype=np.float32)
    for start, end, place in pieces:
        rows, target = vectors[start:end], out[place : place + end - start]
        if not len(rows) == len(target) == end - start:  # Faiss is given addresses and does not look.
            message = f"rows {start} to {end} do not lie within {len(vectors)}, or {place} not within {len(out)}"
            raise ValueError(message)
        faiss.fvec_inner_products_ny(  # type: ignore[attr-defined] # Its type stubs leave out what is not a class.
            faiss.swig_ptr(target), faiss.swig_ptr(asked), faiss.swig_ptr(rows), vectors.shape[1], len(rows)
        )


def _best_codes(
    codes: Codes, question: NDArray[np.float32], kept: int, pieces: Iterator[_Piece]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places and products of the best of these pieces, by a heap of Faiss."""
    places, products = np.full(kept, -1, dtype=np.int64), np.full(kept, -np.inf, dtype=np.float32)
    to_places, to_products = faiss.swig_ptr(places), faiss.swig_ptr(products)
    asked = np.ascontiguousarray(question, dtype=np.float32)
    scanner = _scanner(codes.shape[1])
    scanner.set_query(faiss.swig_ptr(asked))
    address, width = _contiguous(codes), codes.shape[1]
    for start, end, place in pieces:
        if not 0 <= start <= end <= len(codes):  # Faiss is given addresses and does not look.
            message = f"rows {start} to {end} do not lie within {len(codes)}"
            raise ValueError(message)
        scanner.set_list(place, 0.0)
        scanner.scan_codes(
            end - start,
            faiss.cast_integer_to_uint8_ptr(address + start * width),  # type: ignore[attr-defined] # As above.
            None,
            to_products,
            to_places,
            kept,
        )
    found = places >= 0
    pairs = places[found]  # Of the place a piece begins at and the row within it.
    return (pairs >> _PLACE_BITS) + (pairs & ((1 << _PLACE_BITS) - 1)), products[found]


def _contiguous(codes: Codes) -> int:
    if codes.dtype != np.uint8 or not codes.flags.c_contiguous:
        message = "codes are not consecutive bytes"
        raise ValueError(message)
    return int(codes.ctypes.data)


def _scanner(dimensions: int) -> Any:
    """This thread's scanner; it holds the question. Faiss's wrapper never lets go of one, so each is used again."""
    if not hasattr(_threads, "scanners"):
        _threads.scanners = {}
    if dimensions not in _threads.scanners:
        quantiser = faiss.ScalarQuantizer(dimensions, faiss.ScalarQuantizer.QT_8bit_direct_signed)
        made = quantiser.select_InvertedListScanner(  # type: ignore[attr-defined] # As above.
            faiss.METRIC_INNER_PRODUCT, None, True, None
        )
        _threads.scanners[dimensions] = quantiser, made
    return _threads.scanners[dimensions][1]


@lru_cache
def codes_are_read_right(dimensions: int) -> bool:
    """Whether Faiss calculates with codes as we do: it has another loop for each processor and number of dimensions.

    If it does not, vectors are scanned instead, which takes longer.
    """
    chance = np.random.default_rng(dimensions)
    codes = chance.integers(-LARGEST, LARGEST + 1, size=(300, dimensions))
    codes[:2], codes[2] = [[LARGEST], [-LARGEST]], chance.choice([-LARGEST, LARGEST], dimensions)
    stored = (codes + ZERO).astype(np.uint8)
    for question in [*codes[:8], np.zeros(dimensions, dtype=np.int64)]:
        found = scan_codes(stored, [(0, 5, 0), (5, 300, 5)], question.astype(np.float32), 300)
        order = np.argsort(found.places)
        wrong = np.abs(found.products[order] - codes @ question) > LARGEST**2 * dimensions**2 * _HALF_UNIT
        if len(found.places) != len(codes) or wrong.any():
            _log.warning("scan_of_codes_wrong dimensions=%s; searches scan whole vectors, which is slower", dimensions)
            return False
    return True


def products(vectors: Vectors, rows: Rows, question: Vectors) -> NDArray[np.float32]:
    """The inner product of each of these rows with the question, in single precision; errs as `scan` does."""
    found: NDArray[np.float32] = vectors[rows] @ question.astype(np.float32)
    return found


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
