"""Exact vector search, label by label: what a principal may not read is not touched, so it cannot change a result.

The only module that imports faiss. Each label has its own flat index, searched whole; there is no selector to be
ignored and no approximation to lose recall (`docs/decisions/0004-exact-search-by-label.md`).
"""

from collections.abc import Collection, Sequence
from itertools import chain

import faiss
import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Shape (n, dimensions), each row of length 1."""

Hit = tuple[int, float]
"""A passage and its inner product with the question."""


class VectorIndex:
    """Passage vectors by label. Not safe across threads: its owner holds a lock."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._segments: dict[int, faiss.IndexIDMap2] = {}

    def add(self, label_id: int, passage_ids: Sequence[int], vectors: Vectors) -> None:
        """Append passages to a label's segment; the ids must be new."""
        if label_id not in self._segments:
            self._segments[label_id] = faiss.IndexIDMap2(faiss.IndexFlatIP(self._dimensions))
        self._segments[label_id].add_with_ids(
            np.ascontiguousarray(vectors, dtype=np.float32), np.asarray(passage_ids, dtype=np.int64)
        )

    def remove(self, label_id: int, passage_ids: Collection[int]) -> None:
        """Take passages out of a label's segment; an empty segment goes away."""
        segment = self._segments[label_id]
        segment.remove_ids(faiss.IDSelectorBatch(np.fromiter(passage_ids, dtype=np.int64)))
        if not segment.ntotal:
            del self._segments[label_id]

    def search(self, question: Vectors, label_ids: Collection[int], limit: int) -> list[Hit]:
        """The passages nearest to the question (shape (1, dimensions)) among these labels, unsorted.

        At least the best `limit` of each label are there, and all that tie with the last of them: which of several
        equal passages comes first is for the caller to decide, never for the order in which they were added.
        """
        segments = (self._segments[label_id] for label_id in sorted(label_ids) if label_id in self._segments)
        return list(chain.from_iterable(_nearest(segment, question, limit) for segment in segments))


def _nearest(segment: faiss.IndexIDMap2, question: Vectors, limit: int) -> list[Hit]:
    count = min(limit + 1, segment.ntotal)
    scores, ids = segment.search(question, count)
    while count < segment.ntotal and scores[0, limit - 1] == scores[0, -1]:
        count = min(count * 2, segment.ntotal)
        scores, ids = segment.search(question, count)
    return list(zip(ids[0].tolist(), scores[0].tolist(), strict=True))
