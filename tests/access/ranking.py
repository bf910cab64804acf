"""What a search of these documents has to score, worked out the long way: every document, no index, no cut.

The formulas are those of `docs/decisions/0010-score-fusion.md` and `0024-late-interaction.md`, and of BM25 as cited
there. For documents of one passage each, at most 50 of them, and words that no stemmer joins and none of which is a
stop word.
"""

import math
from collections.abc import Sequence

from tests.access.oracle import Document
from tests.fakes.hash_embedder import HashEmbedder

K1, B, KEYWORDS, TOKENS = 1.2, 0.75, 0.4, 1.0


def exhaustive_scores(query: str, documents: Sequence[Document], taken: Sequence[Document]) -> list[float]:
    """The score of each document that is taken after narrowing, when `documents` are all there are."""
    if not taken:
        return []
    texts = [words(document) for document in documents]
    near = standardised(similarities(query, taken))
    worded = standardised([round(bm25(query.split(), words(document), texts), 6) for document in taken])
    met = standardised([interaction(query, document, texts) for document in taken])
    sums = [one + KEYWORDS * two + TOKENS * three for one, two, three in zip(near, worded, met, strict=True)]
    return [1 / (1 + math.exp(-each)) for each in sums]


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

    counted = ((text.count(word), rarity(word, texts)) for word in sorted(set(query)))
    return sum(weight * count * (K1 + 1) / (count + norm) for count, weight in counted)


def interaction(query: str, document: Document, texts: Sequence[Sequence[str]]) -> float:
    """Whether the document has a word on the axis of each asked for, no (-1) and yes (1), the rarer the more."""
    embedder = HashEmbedder()
    held = {axis.tobytes() for axis in embedder.embed_whole(" ".join(words(document))).tokens}
    asked = [
        (axis.tobytes() in held, rarity(word, texts))
        for word, axis in zip(query.split(), embedder.embed_whole(query).tokens, strict=True)
    ]
    return sum(weight if yes else -weight for yes, weight in asked) / sum(weight for _, weight in asked)


def rarity(word: str, texts: Sequence[Sequence[str]]) -> float:
    holding = sum(word in text for text in texts)
    return math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))


def standardised(scores: Sequence[float]) -> list[float]:
    mean = sum(scores) / len(scores)
    deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / len(scores))
    return [(score - mean) / deviation if deviation > 1e-12 else 0.0 for score in scores]
