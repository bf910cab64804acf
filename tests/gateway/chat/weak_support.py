"""The check as it was at first, kept as a negative control: numbers anywhere in a passage, half of the words."""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from gateway.chat.sentences import split_sentences
from retrieval.terms import terms

_NUMBER = re.compile(
    r"(?<![\w.,])[$€£]?\s?(\d[\d,]*(?:\.\d+)?)\s?(%|k\b|m\b|thousand\b|million\b|billion\b)?", re.IGNORECASE
)
_SCALE = {"k": 1_000, "thousand": 1_000, "m": 1_000_000, "million": 1_000_000, "billion": 1_000_000_000}
_WORDS = dict(
    zip(
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred".split(),
        [*range(1, 21), *range(30, 101, 10)],
        strict=True,
    )
)
_WORD_NUMBER = re.compile(r"\b(" + "|".join(_WORDS) + r")\b", re.IGNORECASE)


def marks(answer: str, passages: Sequence[str]) -> bool:
    """Whether it marks any sentence of an answer."""
    return not all(
        any(numbers(sentence) <= numbers(passage) and coverage(sentence, passage) >= 0.5 for passage in passages)
        for sentence in split_sentences(answer)
    )


def numbers(text: str) -> frozenset[Decimal]:
    """The amounts a text names, whether in digits (`$50k`, `1,000`) or as words up to a hundred."""
    found = {_amount(match) for match in _NUMBER.finditer(text)}
    found |= {Decimal(_WORDS[match[0].lower()]) for match in _WORD_NUMBER.finditer(text)}
    return frozenset(amount for amount in found if amount is not None)


def _amount(match: re.Match[str]) -> Decimal | None:
    try:
        amount = Decimal(match[1].replace(",", ""))
    except InvalidOperation:
        return None
    return amount * _SCALE.get((match[2] or "").lower(), 1)


def coverage(sentence: str, source: str) -> float:
    """The share of a sentence's search terms that stand in a source, 0 to 1; a sentence without terms has none."""
    wanted = set(terms(sentence))
    return len(wanted & set(terms(source))) / len(wanted) if wanted else 0.0
