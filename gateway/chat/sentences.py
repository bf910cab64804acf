"""Text in sentences, and what a sentence shares with its source: numbers and words."""

import re
from decimal import Decimal, InvalidOperation

from retrieval.terms import terms

_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[⟦]?[A-Z0-9⟦])|\n+")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|approx|no|dr|mr|mrs|ms|prof|st|inc|ltd|co|jr|sr)\.$", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?<![\w.,])[$€£]?\s?(\d[\d,]*(?:\.\d+)?)\s?(%|k\b|m\b|thousand\b|million\b|billion\b)?", re.IGNORECASE
)
_SCALE = {"k": 1_000, "thousand": 1_000, "m": 1_000_000, "million": 1_000_000, "billion": 1_000_000_000}
_WORDS = dict(
    zip(
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "  # noqa: SIM905 - a row of words
        "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred".split(),
        [*range(1, 21), *range(30, 101, 10)],
        strict=True,
    )
)
_WORD_NUMBER = re.compile(r"\b(" + "|".join(_WORDS) + r")\b", re.IGNORECASE)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, trimmed; list items and lines count as sentences."""
    pieces: list[str] = []
    start = 0
    for match in _END.finditer(text):
        if _ABBREVIATION.search(text, start, match.start()):
            continue
        pieces.append(text[start : match.end()])
        start = match.end()
    return [piece.strip() for piece in (*pieces, text[start:]) if piece.strip()]


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
