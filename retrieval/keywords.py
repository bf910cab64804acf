"""Keyword search (BM25) whose statistics come from what the asker may read, and from nothing else.

Passages and lengths are counted by label and summed over the allowed ones at each question, and a word's frequency is
that of its allowed postings: a word's weight never tells how often it stands in documents the asker may not see.
Scoring: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with their usual
k1 and b, and the non-negative idf of Lucene.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.views import View

_K1 = 1.2
_B = 0.75


class Worded(NamedTuple):
    """Scores by view and position, and how rare each of the terms is (its idf)."""

    scores: list[NDArray[np.float64]]
    rarities: Mapping[str, float]


def keyword_scores(views: Sequence[View], terms: Iterable[str]) -> Worded:
    """The BM25 score of each position; 0 where none of the terms stands, or a passage is dead.

    Each score is computed by the same operations in the same order wherever a passage lies.
    """
    rarities: dict[str, float] = {}
    scores = [np.zeros(len(view)) for view in views]
    passages = sum(view.passages for view in views)
    if not passages:
        return Worded(scores, rarities)
    mean_length = sum(view.total_length for view in views) / passages or 1.0
    for term in sorted(set(terms)):
        held = [view.postings(term) for view in views]
        holders = sum(len(positions) for positions, _, _ in held)
        rarities[term] = math.log(1 + (passages - holders + 0.5) / (holders + 0.5))
        weight = rarities[term] * (_K1 + 1)
        for of_view, (positions, counts, lengths) in zip(scores, held, strict=True):
            norm = _K1 * (1 - _B + _B * lengths / mean_length)
            of_view[positions] += weight * counts / (counts + norm)
    return Worded(scores, rarities)
