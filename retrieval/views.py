"""What one search may touch: the rows of a layer under the allowed labels, and no others.

The allowed rows are numbered from 0 without gaps; these numbers are *positions*. All that a search computes is an array
over positions, so there is no place in it for a row that is not allowed.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.layers import Layer
from retrieval.segments import Rows, rows_between

Positions = NDArray[np.integer]
Ranges = tuple[Rows, Rows]
"""Starts and ends of ranges, ascending."""

BRIDGED = 64
"""Scanning so many positions too many costs as much as beginning a new scan (about 2 microseconds)."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The allowed rows of a layer; `firsts` is the position of each range's first row, and the number of positions."""

    layer: Layer
    labels: Rows
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    firsts: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.firsts[-1])

    @property
    def passages(self) -> int:
        """How many passages are allowed and not dead."""
        return int(self.layer.live[self.labels].sum())

    @property
    def total_length(self) -> int:
        """How many terms these passages have together."""
        return int(self.layer.live_lengths[self.labels].sum())

    def rows(self, positions: Positions) -> Rows:
        """The row at each position."""
        ranges = np.searchsorted(self.firsts, positions, side="right") - 1
        rows: Rows = self.starts[ranges] + (positions - self.firsts[ranges])
        return rows

    def alive(self, positions: Positions) -> Positions:
        """Those positions whose passages are not dead."""
        return positions if self.layer.dead is None else positions[~self.layer.dead[self.rows(positions)]]

    def dead(self) -> NDArray[np.bool_] | None:
        """By position, whether its passage is dead; None when there are no dead."""
        dead = self.layer.dead
        if dead is None:
            return None
        return np.concatenate([dead[start:end] for start, end in zip(self.starts, self.ends, strict=True)])

    def postings(self, term: str) -> tuple[Positions, NDArray[np.integer], NDArray[np.integer]]:
        """Where a term stands: positions, how often, and the lengths of these passages."""
        rows, counts = self.layer.segment.postings(term)
        first, last = np.searchsorted(rows, self.starts), np.searchsorted(rows, self.ends)
        if len(self.starts) == 1:
            rows, counts = rows[first[0] : last[0]], counts[first[0] : last[0]]
            positions = rows - self.starts[0]
        else:
            chosen = rows_between(first, last)
            rows, counts = rows[chosen], counts[chosen]
            positions = rows - np.repeat(self.starts - self.firsts[:-1], last - first)
        if self.layer.dead is not None:
            living = ~self.layer.dead[rows]
            rows, counts, positions = rows[living], counts[living], positions[living]
        return positions, counts, self.layer.segment.lengths[rows]

    def ranges_of_documents(self, document_ids: Collection[str]) -> Ranges:
        """The positions of those passages of these documents that are allowed."""
        rows = np.sort(self.layer.segment.rows_of_documents(document_ids))
        ranges = np.searchsorted(self.starts, rows, side="right") - 1
        inside = (ranges >= 0) & (rows < self.ends[ranges])
        rows, ranges = rows[inside], ranges[inside]
        positions = self.firsts[ranges] + (rows - self.starts[ranges])
        breaks = np.flatnonzero(np.diff(positions) != 1) + 1
        starts = positions[np.concatenate([[0], breaks])[: len(positions)]]
        ends = positions[np.concatenate([breaks, [len(positions)]])[: len(positions)] - 1] + 1
        return starts, ends

    def slices(self, ranges: Ranges) -> Iterator[tuple[int, int, int]]:
        """Ranges of positions as ranges of rows, with the position each begins at."""
        for start, end in zip(ranges[0].tolist(), ranges[1].tolist(), strict=True):
            number = int(np.searchsorted(self.firsts, start, side="right")) - 1
            place = start
            while place < end:
                stop = min(end, int(self.firsts[number + 1]))
                row = int(self.starts[number]) + place - int(self.firsts[number])
                yield row, row + stop - place, place
                place, number = stop, number + 1


def view_of(layer: Layer, label_ids: Collection[int]) -> View:
    """What these labels allow of a layer; label ranges that touch are one."""
    labels, starts, ends = layer.segment.ranges_of_labels(label_ids)
    opens = np.ones(len(starts), dtype=np.bool_)
    opens[1:] = starts[1:] != ends[:-1]
    closes = np.ones(len(ends), dtype=np.bool_)
    closes[:-1] = opens[1:]
    starts, ends = starts[opens], ends[closes]
    firsts = np.concatenate([[0], np.cumsum(ends - starts)])
    return View(layer, labels, starts.astype(np.int32), ends.astype(np.int32), firsts)


def plan(count: int, wanted: Ranges | None, bridged: int = BRIDGED) -> Ranges:
    """Which positions to scan of so many: all, or those wanted, with gaps of fewer than `bridged` positions filled.

    Wanted ranges ascend and do not overlap. What is scanned and not wanted is dropped by the caller.
    """
    if wanted is None:
        return np.array([0][:count]), np.array([count][:count])
    starts, ends = wanted
    if not len(starts):
        return starts, ends
    apart = starts[1:] - ends[:-1] >= bridged
    return starts[np.concatenate([[True], apart])], ends[np.concatenate([apart, [True]])]
