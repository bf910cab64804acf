"""A layer of the index: a segment and the tombstones of those of its passages that are no longer so.

Values: taking documents out gives a new layer over the same segment, so whoever searches the old one is not disturbed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.segments import Rows, Segment

Dead = NDArray[np.bool_]
"""By row, whether its passage was deleted, changed or given another label since."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A segment without its dead rows; `live` and `live_lengths` count passages and their terms by label.

    `rough` holds the rows whose codes tell nothing, ascending.
    """

    segment: Segment
    dead: Dead | None
    live: NDArray[np.int64]
    live_lengths: NDArray[np.int64]
    rough: Rows

    def __len__(self) -> int:
        return int(self.live.sum())

    def without_documents(self, document_ids: Iterable[str]) -> "Layer":
        """This layer without the passages of these documents; the same object when it has none of them."""
        return self.without_rows(self.segment.rows_of_documents(document_ids))

    def without_rows(self, rows: Rows) -> "Layer":
        """This layer without these rows."""
        fresh = rows if self.dead is None else rows[~self.dead[rows]]
        if not fresh.size:
            return self
        dead = np.zeros(len(self.segment), dtype=np.bool_) if self.dead is None else self.dead.copy()
        dead[fresh] = True
        labels, lengths = self.segment.labels_of_rows(fresh), self.segment.lengths[fresh]
        live, live_lengths = self.live.copy(), self.live_lengths.copy()
        np.subtract.at(live, labels, 1)
        np.subtract.at(live_lengths, labels, lengths)
        return Layer(self.segment, dead, live, live_lengths, self.rough)

    def live_rows(self) -> Rows:
        """The rows that are not dead, ascending."""
        return np.arange(len(self.segment)) if self.dead is None else np.flatnonzero(~self.dead)


def whole(segment: Segment) -> Layer:
    """A segment with all of its passages."""
    live = np.diff(segment.label_starts)
    sums = np.concatenate([[0], np.cumsum(segment.lengths, dtype=np.int64)])
    return Layer(segment, None, live, np.diff(sums[segment.label_starts]), np.flatnonzero(segment.rough))
