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

    def rough(self, wanted: Ranges | None) -> Positions:
        """The positions whose codes tell nothing; of these ranges, if some are given."""
        positions = self.positions(self.layer.rough)
        return positions if wanted is None else positions[within(wanted, positions)]

    def living(self, positions: Positions) -> NDArray[np.bool_]:
        """Whether the passage at each of these positions is not dead."""
        if self.layer.dead is None:
            return np.ones(len(positions), dtype=np.bool_)
        living: NDArray[np.bool_] = ~self.layer.dead[self.rows(positions)]
        return living

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

    def positions(self, rows: Rows) -> Positions:
        """The positions of those of these rows that are allowed."""
        rows = rows[within((self.starts, self.ends), rows)]
        ranges = np.searchsorted(self.starts, rows, side="right") - 1
        found: Positions = self.firsts[ranges] + (rows - self.starts[ranges])
        return found

    def ranges_of_documents(self, document_ids: Collection[str]) -> Ranges:
        """The positions of those passages of these documents that are allowed."""
        positions = self.positions(np.sort(self.layer.segment.rows_of_documents(document_ids)))
        breaks = np.flatnonzero(np.diff(positions) != 1) + 1
        starts = positions[np.concatenate([[0], breaks])[: len(positions)]]
        ends = positions[np.concatenate([breaks, [len(positions)]])[: len(positions)] - 1] + 1
        return starts, ends

    def slices(self, ranges: Ranges | None) -> Iterator[tuple[int, int, int]]:
        """Ranges of positions as ranges of rows, with the position each begins at; without ranges, all."""
        if ranges is None:
            yield from zip(self.starts.tolist(), self.ends.tolist(), self.firsts.tolist(), strict=False)
            return
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
    apart = np.flatnonzero(starts[1:] != ends[:-1])
    starts, ends = starts[np.append(0, apart + 1)[: len(starts)]], ends[np.append(apart, -1)[: len(ends)]]
    firsts = np.zeros(len(starts) + 1, dtype=np.int64)
    np.cumsum(ends - starts, out=firsts[1:])
    return View(layer, labels, starts.astype(np.int32), ends.astype(np.int32), firsts)


def within(ranges: Ranges, positions: Positions) -> NDArray[np.bool_]:
    """Whether each position lies in one of these ranges, which ascend and do not overlap."""
    starts, ends = ranges
    if not len(starts):
        return np.zeros(len(positions), dtype=np.bool_)
    numbers = np.searchsorted(starts, positions, side="right") - 1
    inside: NDArray[np.bool_] = (numbers >= 0) & (positions < ends[numbers])
    return inside


def mask(count: int, ranges: Ranges) -> NDArray[np.bool_]:
    """By position of so many, whether it lies in one of these ranges."""
    inside = np.zeros(count, dtype=np.bool_)
    inside[rows_between(*ranges)] = True
    return inside


def plan(wanted: Ranges, bridged: int = BRIDGED) -> Ranges:
    """Which positions to scan: those wanted, with gaps of fewer than `bridged` positions filled.

    Wanted ranges ascend and do not overlap. What is scanned and not wanted is dropped by the caller.
    """
    starts, ends = wanted
    if not len(starts):
        return starts, ends
    apart = starts[1:] - ends[:-1] >= bridged
    return starts[np.concatenate([[True], apart])], ends[np.concatenate([apart, [True]])]
