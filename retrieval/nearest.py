"""The passages nearest to a question among the allowed ones: all of them, exactly, by way of a faster estimate.

Two ways give the same. Codes are scanned where there is much to scan (`retrieval/codes.py`): the best by estimate are
measured, and what the worst of them proves too low cannot belong to the best. Where that proves too little, the vectors
are scanned. Which way is taken depends on allowed rows only.
"""

import numpy as np
from numpy.typing import NDArray

from retrieval.codes import coded
from retrieval.segments import Vectors
from retrieval.vectors import codes_are_read_right, margin, products, scan, scan_codes, similarities
from retrieval.views import Positions, Ranges, View, mask, plan

_KEPT = 512
"""Rows a scan of codes keeps. Of a million synthetic passages at most 360 could not be told from the best fifty by
their codes, and of 2,500 of the handbook 91; a longer list costs little."""
_SHORT_ROWS = 4_096
"""Fewer are scanned as vectors in less time than it takes to keep a list and measure what is on it."""
_MOST_ROUGH = 1 / 16
"""With a larger share of rough rows their codes tell too little. The handbook has 1 in 1,000."""
_Near = tuple[Positions, NDArray[np.float32]]
"""Positions that may belong to the best, and their similarities in single precision."""


def nearest(view: View, wanted: Ranges | None, vector: Vectors, limit: int) -> tuple[Positions, NDArray[np.float64]]:
    """The positions nearest to a question, with their similarities: the best `limit`, all ties, and a few more.

    They ascend. With `wanted`, only those in these ranges count.
    """
    segment = view.layer.segment
    positions, near = _by_codes(view, wanted, vector, limit) or _by_vectors(view, wanted, vector)
    if len(near) > limit:
        last = np.partition(near, len(near) - limit)[len(near) - limit]
        positions = positions[near >= last - margin(segment.shape.dimensions)]
    return positions, similarities(segment.vectors, view.rows(positions), vector)


def _by_vectors(view: View, wanted: Ranges | None, vector: Vectors) -> _Near:
    near = np.full(len(view), -np.inf, dtype=np.float32)
    scan(view.layer.segment.vectors, view.slices(None if wanted is None else plan(wanted)), vector, near)
    if (dead := view.dead()) is not None:
        near[dead] = -np.inf
    if wanted is not None:
        near[~mask(len(view), wanted)] = -np.inf
    positions = np.flatnonzero(near > -np.inf)
    return positions, near[positions]


def _by_codes(view: View, wanted: Ranges | None, vector: Vectors, limit: int) -> _Near | None:
    """None if codes cannot tell enough, or too few to be worth it are scanned."""
    segment, rough = view.layer.segment, view.rough(wanted)
    rows = len(view) if wanted is None else int((wanted[1] - wanted[0]).sum())
    if rows < _SHORT_ROWS or len(rough) > _MOST_ROUGH * rows or not codes_are_read_right(segment.shape.dimensions):
        return None
    asked = coded(vector)
    proposed = scan_codes(segment.codes, view.slices(wanted), asked.code, _KEPT)
    order = np.argsort(-proposed.products)
    positions, estimates = proposed.places[order], proposed.products[order] * asked.unit
    living = view.living(positions)
    positions, estimates = positions[living], estimates[living]
    if len(positions) < limit:
        return None
    # The worst of the best by estimate is no better than the worst of the best; and each half of a pair may err.
    worst = products(segment.vectors, view.rows(positions[:limit]), vector).min()
    lowest = worst - 2 * margin(segment.shape.dimensions) - asked.error
    if proposed.rest * asked.unit >= lowest:
        return None
    rough = rough[view.living(rough)]
    positions = np.union1d(positions[estimates >= lowest], rough)
    return positions, products(segment.vectors, view.rows(positions), vector)
