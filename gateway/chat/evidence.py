"""Whether there is evidence enough to answer. A model asked politely answers anyway; this decides instead.

Several cheap signals, none of which suffices alone, are combined by a logistic model. Its weights were fitted with
`benchmarks/fit_evidence.py`; `docs/quality.md` tells on what, and what they cost in right answers.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gateway.chat.support import SupportedSentence


@dataclass(frozen=True, slots=True)
class Signals:
    """What speaks for an answer, each between 0 and 1.

    Attributes:
        similarity: The best passage's cosine to the question.
        holds: The model's odds that the passages state the answer.
        stands: The model's odds that its own answer is stated in them.
        support: The share of the answer's sentences that a passage supports.
    """

    similarity: float
    holds: float
    stands: float
    support: float


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model over the signals, and the probability from which on an answer is given."""

    intercept: float
    similarity: float
    holds: float
    stands: float
    support: float
    threshold: float


WEIGHTS: dict[str, Weights] = {
    "qwen2.5-coder-0.5b-instruct-q4_k_m": Weights(
        intercept=-6.7, similarity=5.2, holds=-2.4, stands=6.5, support=1.9, threshold=0.32
    ),
    "qwen2.5-coder-1.5b-instruct-q4_k_m": Weights(
        intercept=-10.0, similarity=2.3, holds=5.9, stands=5.3, support=1.3, threshold=0.44
    ),
}
"""Weights belong to a model: how sure one says it is tells nothing about another."""
_OTHERS = WEIGHTS["qwen2.5-coder-1.5b-instruct-q4_k_m"]


def weights_of(model: str) -> Weights:
    """The weights fitted for a model; one without its own is judged like the default until it is measured."""
    return WEIGHTS.get(model, _OTHERS)


def measure(sentences: Sequence[SupportedSentence], *, similarity: float, holds: float, stands: float) -> Signals:
    """The signals of an answer, whose sentences were checked."""
    support = sum(sentence.supported for sentence in sentences) / len(sentences) if sentences else 0.0
    return Signals(similarity, holds, stands, support)


def probability(signals: Signals, weights: Weights) -> float:
    """How likely the answer is right, 0 to 1."""
    total = weights.intercept + sum(getattr(weights, name) * value for name, value in asdict(signals).items())
    return 1 / (1 + math.exp(-total))
