"""A question over the layers of an index: candidates by meaning and by words, fused into one order.

Pure: the result is a function of the question and of the living passages under the given labels, however they are
spread over layers and rows.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.fusion import fuse
from retrieval.keywords import keyword_scores
from retrieval.layers import Layer
from retrieval.nearest import nearest
from retrieval.segments import Vectors
from retrieval.vectors import DECIMALS, rounded, similarities
from retrieval.views import Positions, Ranges, View, mask, view_of

CANDIDATES = 50
"""How many passages each ranking brings to the fusion."""
KEYWORD_WEIGHT = 0.4
"""Of the keyword score against the similarity; from 0.35 to 0.5 nothing changes on the handbook (`docs/quality.md`)."""
_MAPPED_BYTES = 64 * 1024 * 1024
"""Vectors that may stay mapped: those of some 43,000 passages."""

_Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage the index proposes, before the second check.

    `score` orders candidates; `similarity` is the cosine to the question, `keyword_score` its BM25 score.
    """

    passage_id: int
    score: float
    similarity: float
    keyword_score: float


class Ranking(NamedTuple):
    """The candidates, best first, and how rare each term of the question is among the allowed passages (its idf)."""

    candidates: list[Candidate]
    rarities: Mapping[str, float]


@dataclass(frozen=True, slots=True, order=True)
class _Hit:
    """A passage in one of the two rankings; hits sort as their ranking orders them."""

    below: float
    document: bytes
    ordinal: int
    view: int
    position: int


def rank(
    layers: Sequence[Layer],
    terms: Sequence[str],
    vector: Vectors,
    label_ids: Collection[int],
    among: Collection[str] | None = None,
) -> Ranking:
    """The best passages under these labels, best first; `among` narrows to documents by id, but not statistics."""
    views = [view for layer in layers if len(view := view_of(layer, label_ids))]
    wanted = [None if among is None else view.ranges_of_documents(among) for view in views]
    worded = keyword_scores(views, terms)
    similar = [nearest(view, ranges, vector, CANDIDATES) for view, ranges in zip(views, wanted, strict=True)]
    matching = [_matching(scores, ranges) for scores, ranges in zip(worded.scores, wanted, strict=True)]
    hits = {(hit.view, hit.position): hit for ranking in (similar, matching) for hit in _best(views, ranking)}
    found = _fused(views, list(hits.values()), worded.scores, vector)
    for layer in layers:
        let_go(layer)
    return Ranking(found, worded.rarities)


def let_go(layer: Layer) -> None:
    """Take the vectors that a search measured out of the memory of this process, where these are many.

    Around each of them the system has mapped 64 kB and more: 65 MB for a reader of a million passages. To map them
    again costs a search of a small index more than all else it does.
    """
    if layer.segment.vectors.nbytes > _MAPPED_BYTES:
        layer.segment.forget_vectors()


def _matching(scores: _Scores, wanted: Ranges | None) -> tuple[Positions, _Scores]:
    """The positions with the best keyword scores: those of the best candidates, and all ties."""
    if wanted is not None:
        scores = np.where(mask(len(scores), wanted), scores, 0)
    positions = np.flatnonzero(scores)
    if len(positions) > CANDIDATES:
        held = scores[positions]
        last = np.partition(held, len(held) - CANDIDATES)[len(held) - CANDIDATES]
        positions = positions[held >= last - 2 * 0.1**DECIMALS]
    return positions, rounded(scores[positions])


def _best(views: Sequence[View], ranking: Sequence[tuple[Positions, _Scores]]) -> list[_Hit]:
    """The best of all views; documents and ordinals order what scores the same."""
    hits = []
    for number, (view, (positions, scores)) in enumerate(zip(views, ranking, strict=True)):
        rows, segment = view.rows(positions), view.layer.segment
        best = np.lexsort((segment.ordinals[rows], segment.documents[rows], -scores))[:CANDIDATES]
        documents = segment.document_ids[segment.documents[rows[best]]].tolist()
        columns = ((-scores[best]).tolist(), documents, segment.ordinals[rows[best]].tolist(), positions[best].tolist())
        hits += [
            _Hit(below, document, ordinal, number, position)
            for below, document, ordinal, position in zip(*columns, strict=True)
        ]
    return sorted(hits)[:CANDIDATES]


def _fused(views: Sequence[View], hits: Sequence[_Hit], worded: Sequence[_Scores], vector: Vectors) -> list[Candidate]:
    near: dict[int, float] = {}
    words: dict[int, float] = {}
    order: dict[int, tuple[bytes, int]] = {}
    for number, view in enumerate(views):
        mine = [hit for hit in hits if hit.view == number]
        positions = np.array([hit.position for hit in mine], dtype=np.int64)
        rows, segment = view.rows(positions), view.layer.segment
        ids = segment.passage_ids[rows].tolist()
        near |= zip(ids, similarities(segment.vectors, rows, vector).tolist(), strict=True)
        words |= zip(ids, rounded(worded[number][positions]).tolist(), strict=True)
        order |= zip(ids, ((hit.document, hit.ordinal) for hit in mine), strict=True)
    fused: Mapping[int, float] = fuse((near, 1.0), (words, KEYWORD_WEIGHT))
    best_first = sorted(fused, key=lambda id_: (-fused[id_], *order[id_]))
    return [Candidate(id_, fused[id_], near[id_], words[id_]) for id_ in best_first]
