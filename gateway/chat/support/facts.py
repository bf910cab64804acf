"""What in a sentence must be the same in its source: amounts, dates and times, codes, names, placeholders."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from gateway.chat.support.amounts import Amount, amounts
from gateway.chat.support.dates import When, dates
from policies.redaction.languages import likely_language
from policies.redaction.placeholders import PLACEHOLDER
from retrieval.terms import STOP_WORDS, terms


class FactKind(StrEnum):
    """What a fact is."""

    NUMBER = "number"
    DATE = "date"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact where it stands.

    Attributes:
        kind: What it is.
        start: Where it begins in the text.
        end: Where it ends, exclusive.
        value: What it says.
        weak: Whether it may be an ordinary word: the source need not have it, but nothing else in its place either.
    """

    kind: FactKind
    start: int
    end: int
    value: Amount | When | str
    weak: bool = False

    def agrees(self, source: "Fact") -> bool:
        """Whether a fact of a source says what this one says."""
        match self.value, source.value:
            case Amount() as one, Amount() as other:
                return one.agrees(other)
            case When() as one, When() as other:
                return one.agrees(other)
            case Amount() as one, When() as other:
                return bool(one.readings & other.numbers)
            case When() as one, Amount() as other:
                return any(reading[1:] == (None, None) and reading[0] in other.readings for reading in one.readings)
            case str() as one, str() as other:
                return same_name(one, other)
        return False


_CODE = re.compile(
    r"(?<![\w.])(?:v?\d+(?:\.\d+){2,}(?:[/-]\w+)*|v\d+(?:\.\d+)*|(?=[\w/+-]*\d)(?=[\w/+-]*[^\W\d_])[^\W_][\w/+-]*\w|\d+/\d+)"
)
_AMOUNT_LIKE = re.compile(
    r"(?:\d+-)?\d+(?:st|nd|rd|th|k|m|mn|bn|h|hrs?|s|mins?|d|am|pm|km|cm|kg|kb|mb|gb|tb|ft|mi|px)|\d+-[^\W\d_]+(?:-[^\W\d_]+)*",
    re.IGNORECASE,
)
_DATE_LIKE = re.compile(r"\d{1,4}/\d{1,2}/\d{1,4}")
_CAPITALISED = re.compile(r"[^\W\d_](?:[^\W\d_]|(?<=\w)[.'’&](?=\w))*")
_VERSION = re.compile(r"^v(?=\d)")
_POSSESSIVE = re.compile(r"['’]s?$")
_NO_NAMES = STOP_WORDS | frozenset(
    """i'm i'll i'd we'll we're you'll you're it's yes never none nobody nothing without unless except however
    please note also may must shall cannot if when where while because although since during within instead""".split()  # noqa: SIM905 - a row of words
)
_DEMONYM_ENDS = frozenset(["s", "es", "n", "an", "ian", "ans", "ians", "ish", "ese", "ic", "y", "i", "er", "ers", "al"])
_SHORTEST_PLACE = 4


def facts(text: str) -> list[Fact]:
    """The facts of a sentence in their order, none inside another."""
    found: list[Fact] = []
    for fact in (*_placeholders(text), *_dates(text), *_codes(text), *_amounts(text), *_names(text)):
        if not any(fact.start < other.end and other.start < fact.end for other in found):
            found.append(fact)
    return sorted(found, key=lambda fact: fact.start)


def _placeholders(text: str) -> Iterator[Fact]:
    for match in PLACEHOLDER.finditer(text):
        yield Fact(FactKind.NAME, match.start(), match.end(), match[0])


def _dates(text: str) -> Iterator[Fact]:
    for when in dates(text):
        yield Fact(FactKind.DATE, when.start, when.end, when)


def _amounts(text: str) -> Iterator[Fact]:
    for amount in amounts(text):
        yield Fact(FactKind.NUMBER, amount.start, amount.end, amount, amount.weak)


def _codes(text: str) -> Iterator[Fact]:
    for match in _CODE.finditer(text):
        code = match[0]
        if not _AMOUNT_LIKE.fullmatch(code) and not _DATE_LIKE.fullmatch(code):
            yield Fact(FactKind.NUMBER, match.start(), match.end(), code_of(code))


def code_of(text: str) -> str:
    """A code in one spelling: `ISO-27001` and `iso 27001` are one, `v2.3.1` and `2.3.1`, too."""
    return _VERSION.sub("", re.sub(r"[\s_-]", "", text.casefold()))


def _names(text: str) -> Iterator[Fact]:
    """Words with a capital; the first word of a sentence counts weakly, for any word has one there.

    In German every noun has one. There, only placeholders and words such as `GmbH` are certain to be names.
    """
    begun, nouns = True, likely_language(text) == "German"
    for match in _CAPITALISED.finditer(text):
        word = _POSSESSIVE.sub("", match[0])
        begins, begun = (
            begun,
            text[match.end() : match.end() + 1] in (".", ":", "!", "?")
            or text[match.end() : match.end() + 2] in ('."', ".”"),
        )
        inner = sum(letter.isupper() for letter in word) > 1
        if not word[:1].isupper() or ((word.casefold() in _NO_NAMES or nouns) and not inner):
            continue
        yield Fact(FactKind.NAME, match.start(), match.start() + len(word), word, weak=begins and not inner)


@lru_cache(maxsize=1 << 16)
def same_name(one: str, other: str) -> bool:
    """Whether two words are one name: in another case or number, or the place and those who are from there."""
    one, other = one.casefold(), other.casefold()
    if one == other or one + "s" == other or other + "s" == one or terms(one) == terms(other) != []:
        return True
    shorter, longer = sorted((one, other), key=len)
    stem = shorter.rstrip("aeiouy") if len(shorter) > _SHORTEST_PLACE else shorter
    return (
        len(stem) >= _SHORTEST_PLACE
        and longer.startswith(stem)
        and (longer.removeprefix(stem) in _DEMONYM_ENDS or longer.removeprefix(shorter) in _DEMONYM_ENDS)
    )


def is_initials(word: str, words: Iterable[str]) -> bool:
    """Whether a word is made of the first letters of some of these words in a row."""
    letters = "".join(each[0] for each in words if each).casefold()
    return len(word) > 1 and word.isupper() and word.casefold() in letters
