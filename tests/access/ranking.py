"""What a search of these documents has to score, worked out the long way: every document, no index, no cut.

The formulas are those of `docs/decisions/0010-score-fusion.md` and of BM25 as cited there. For documents of one passage
each, at most 50 of them, and words that no stemmer joins.
"""

import math
from collections.abc import Sequence
from itertools import starmap

from tests.access.oracle import Document
from tests.fakes.hash_embedder import HashEmbedder

K1, B, KEYWORDS = 1.2, 0.75, 0.4


def exhaustive_scores(query: str, documents: Sequence[Document], taken: Sequence[Document]) -> list[float]:
    """The score of each document that is taken after narrowing, when `documents` are all there are."""
    if not taken:
        return []
    texts = [words(document) for document in documents]
    near = standardised(similarities(query, taken))
    worded = standardised([round(bm25(query.split(), words(document), texts), 6) for document in taken])
    return [1 / (1 + math.exp(-(one + KEYWORDS * other))) for one, other in zip(near, worded, strict=True)]


def words(document: Document) -> list[str]:
    """What of a document is searched."""
    return [document.title, *document.text.split()]


def similarities(query: str, documents: Sequence[Document]) -> list[float]:
    embedder = HashEmbedder()
    vectors = embedder.embed([" ".join(words(document)) for document in documents])
    return [round(float(each), 6) for each in vectors @ embedder.embed_query(query)]


def bm25(query: Sequence[str], text: Sequence[str], texts: Sequence[Sequence[str]]) -> float:
    mean = sum(map(len, texts)) / len(texts)
    norm = K1 * (1 - B + B * len(text) / mean)

    def part(count: int, holding: int) -> float:
        return math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5)) * count * (K1 + 1) / (count + norm)

    counted = ((text.count(word), sum(word in other for other in texts)) for word in sorted(set(query)))
    return sum(starmap(part, counted))


def standardised(scores: Sequence[float]) -> list[float]:
    mean = sum(scores) / len(scores)
    deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / len(scores))
    return [(score - mean) / deviation if deviation > 1e-12 else 0.0 for score in scores]
