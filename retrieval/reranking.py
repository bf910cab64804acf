"""The passages that were admitted, in their last order: by meaning, by words, and by late interaction.

Pure: it depends on the question and on passages that the asker may read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from retrieval.fusion import squeezed, summed
from retrieval.interaction import Question, interaction
from retrieval.ranking import KEYWORD_WEIGHT, Candidate

_INTERACTION_WEIGHT = 1.0
_DOCUMENT_WEIGHT = 0.2
"""Of the best other passage of the same document, where that one is above the mean."""


class Stored(NamedTuple):
    """A passage and its document as they are in the database now."""

    passage_id: int
    ordinal: int
    label_id: int
    heading: str
    heading_spans: str
    text: str
    spans: str
    flags: str
    released: bool
    start: int
    end: int
    page: int | None
    tokens: bytes | None
    document: str
    source: str
    path: str
    path_spans: str
    title: str
    title_spans: str
    url: str
    author: str
    modified: datetime | None
    content_digest: str
    deleted: bool


Admitted = tuple[Candidate, Stored]
"""A candidate that its asker may read, and what is stored of it."""


def reranked(admitted: Sequence[Admitted], question: Question) -> list[Admitted]:
    """The same passages with their scores and order anew; as they came, where the tokens of one are not known yet."""
    codes = [row.tokens for _, row in admitted if row.tokens is not None]
    if not admitted or len(codes) < len(admitted):
        return list(admitted)
    near = {place: candidate.similarity for place, (candidate, _) in enumerate(admitted)}
    words = {place: candidate.keyword_score for place, (candidate, _) in enumerate(admitted)}
    met = dict(enumerate(interaction(question, codes)))
    sums = summed((near, 1.0), (words, KEYWORD_WEIGHT), (met, _INTERACTION_WEIGHT))
    scores = _supported(sums, [row.document for _, row in admitted])

    def order(place: int) -> tuple[float, str, int]:
        row = admitted[place][1]
        return -scores[place], row.document, row.ordinal

    return [
        (replace(admitted[place][0], score=scores[place]), admitted[place][1]) for place in sorted(scores, key=order)
    ]


def _supported(sums: Mapping[int, float], documents: Sequence[str]) -> dict[int, float]:
    """Scores between 0 and 1, raised by what else the same document has to say."""
    by_document: dict[str, list[int]] = {}
    for place, document in enumerate(documents):
        by_document.setdefault(document, []).append(place)
    others = {
        place: max((sums[other] for other in by_document[document] if other != place), default=0.0)
        for place, document in enumerate(documents)
    }
    return {place: squeezed(score + _DOCUMENT_WEIGHT * max(0.0, others[place])) for place, score in sums.items()}
