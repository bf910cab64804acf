"""Scoring as pure functions: what counts as right, and how sure a share of so many is."""

import math
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from gateway.evaluation.questions import EvaluationQuestion

MOST_WORDS = 80
"""A right answer that is longer does not count: short answers are the product's promise."""
_MARKS = re.compile(r"\[\d+\]")
_Z_95 = 1.959963984540054
"""The normal deviate of a 95 % interval."""


class Outcome(StrEnum):
    """How a question ended."""

    DECLINED = "declined"
    FAILED = "failed"
    RIGHT = "right"
    WRONG = "wrong"


class Share(msgspec.Struct, frozen=True):
    """So many of so many, with the 95 % Wilson interval of the rate behind it; all rates between 0 and 1."""

    count: int
    of: int
    share: float
    low: float
    high: float


class Spread(msgspec.Struct, frozen=True):
    """The middle and the 95th percentile of durations (in milliseconds) or rates; none when nothing was measured."""

    median: float | None
    p95: float | None


def states(answer: str, must_include: Iterable[Iterable[str]]) -> bool:
    """Whether a text holds one alternative of every group, whatever the case.

    An alternative that begins with a digit must not follow one: `5 days` is not stated by "15 days".
    """
    return all(any(_occurs(alternative, answer) for alternative in group) for group in must_include)


def _occurs(alternative: str, text: str) -> bool:
    start = r"(?<!\d)" if alternative[:1].isdigit() else ""
    return re.search(start + re.escape(alternative), text, re.IGNORECASE) is not None


def count_words(answer: str) -> int:
    """The words of an answer; citation marks such as `[1]` and lone punctuation are none."""
    return sum(any(map(str.isalnum, word)) for word in _MARKS.sub(" ", answer).split())


def judge(question: EvaluationQuestion, answer: str, cited: Iterable[str], *, abstained: bool) -> Outcome:
    """How a question ended: right means stated, short, and citing a page that holds the answer.

    To decline is counted as such whether it was right or not; any answer to an unanswerable question is wrong.
    """
    if abstained:
        return Outcome.DECLINED
    stated = question.answerable and states(answer, question.must_include)
    right = stated and count_words(answer) <= MOST_WORDS and not set(question.pages).isdisjoint(cited)
    return Outcome.RIGHT if right else Outcome.WRONG


def first_rank(paths: Iterable[str], pages: Iterable[str]) -> int | None:
    """The rank, from 1, of the first right page among the distinct pages found; none when none is right."""
    wanted = set(pages)
    return next((rank for rank, path in enumerate(dict.fromkeys(paths), start=1) if path in wanted), None)


def share(count: int, of: int) -> Share:
    """A share with its interval (Wilson 1927), which also holds for few trials and for shares of 0 and 1."""
    low, high = wilson(count, of, _Z_95)
    return Share(count, of, count / of if of else 0.0, low, high)


def wilson(count: int, of: int, z: float) -> tuple[float, float]:
    """The interval of a rate by Wilson, so many standard deviations wide; of nothing, all rates are possible."""
    if of == 0:
        return 0.0, 1.0
    rate, z2 = count / of, z * z
    centre = rate + z2 / (2 * of)
    margin = z * math.sqrt(rate * (1 - rate) / of + z2 / (4 * of * of))
    low, high = ((centre + sign * margin) / (1 + z2 / of) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


def spread(values: Sequence[float]) -> Spread:
    """Median and 95th percentile (nearest rank)."""
    return Spread(_percentile(values, 0.5), _percentile(values, 0.95))


def _percentile(values: Sequence[float], part: float) -> float | None:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else None
