"""Whether there is evidence enough to answer. A model asked politely answers anyway; this decides instead.

Several cheap signals, none of which suffices alone, are combined by a logistic model. Its weights were fitted with
`benchmarks/fit_evidence.py`; `docs/quality.md` tells on what, and what they cost in right answers.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gateway.chat.sentences import coverage, names, numbers
from gateway.chat.support import SupportedSentence


@dataclass(frozen=True, slots=True)
class Signals:
    """What speaks for an answer, each between 0 and 1.

    Attributes:
        similarity: The best passage's cosine to the question.
        question_coverage: The share of the question's terms that the passages hold.
        holds: The model's odds that the passages state the answer.
        stands: The model's odds that its own answer is stated in them.
        support: The share of the answer's sentences that a passage supports.
        exact: The share of the answer's numbers and names that stand in the passages.
        coverage: The mean share of a sentence's terms found in its passage.
    """

    similarity: float
    question_coverage: float
    holds: float
    stands: float
    support: float
    exact: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model over the signals, and the probability from which on an answer is given."""

    intercept: float
    similarity: float
    question_coverage: float
    holds: float
    stands: float
    support: float
    exact: float
    coverage: float
    threshold: float


DEFAULT_WEIGHTS = Weights(
    intercept=-4.0,
    similarity=3.0,
    question_coverage=1.0,
    holds=1.0,
    stands=2.0,
    support=1.0,
    exact=1.0,
    coverage=1.0,
    threshold=0.5,
)


def measure(
    question: str,
    answer: str,
    passages: Sequence[str],
    sentences: Sequence[SupportedSentence],
    *,
    similarity: float,
    holds: float,
    stands: float,
) -> Signals:
    """The signals of an answer, as the model wrote it, over the passages it saw."""
    together = "\n".join(passages)
    return Signals(
        similarity=similarity,
        question_coverage=coverage(question, together),
        holds=holds,
        stands=stands,
        support=_mean([sentence.supported for sentence in sentences]),
        exact=_exact(answer, together),
        coverage=_mean([sentence.coverage for sentence in sentences]),
    )


def probability(signals: Signals, weights: Weights) -> float:
    """How likely the answer is right, 0 to 1."""
    total = weights.intercept + sum(getattr(weights, name) * value for name, value in asdict(signals).items())
    return 1 / (1 + math.exp(-total))


def _exact(answer: str, source: str) -> float:
    wanted = len(numbers(answer)) + len(names(answer))
    if not wanted:
        return 1.0
    lower = source.lower()
    held = len(numbers(answer) & numbers(source)) + sum(name in lower for name in names(answer))
    return held / wanted


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
