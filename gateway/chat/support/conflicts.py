"""Sources that state another amount or date for what an answer says: told with the answer, never resolved here.

Careful rather than complete: a warning that is wrong teaches people to ignore warnings. A sentence of another passage
counts only when it is about the same things, has every other fact of the answer, and one other value in the same place.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.chat.support.alignment import Source, source
from gateway.chat.support.amounts import Amount
from gateway.chat.support.check import SupportedSentence
from gateway.chat.support.dates import When
from gateway.chat.support.facts import Fact, FactKind, same_name
from gateway.chat.support.statements import Statement, adjoins, fit, statement

_SAME_THING = 0.75
"""The least share of a sentence's terms that another must hold to be about the same."""
_FEWEST_TERMS = 3
"""Words and other facts that both sentences share, beside what differs."""
_SAME_PLACE = 1.5
_UNIT = re.compile(r"[\s-]?(?:%|[€£$]|[^\W\d_]+)")
_SIGN = re.compile(r"(?:[$€£¥]|\b[A-Z]{3}\s?)$")


@dataclass(frozen=True, slots=True)
class Stated:
    """A value as a passage has it, and which passage (from 0)."""

    passage: int
    value: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """What an answer says from one passage, and what another states instead."""

    said: Stated
    instead: Stated


def find_conflicts(
    sentences: Sequence[SupportedSentence], passages: Sequence[str], documents: Sequence[str]
) -> list[Conflict]:
    """Where passages of other documents state something else than the supported sentences of an answer."""
    sources = [source(passage) for passage in passages]
    found = [
        conflict
        for sentence in sentences
        if sentence.supported
        for at, other in enumerate(sources)
        if documents[at] != documents[sentence.passage]
        for conflict in _conflicts(sentence, other, at)
    ]
    return list(dict.fromkeys(found))


def describe(conflict: Conflict, numbers: tuple[int, int], dates: tuple[datetime | None, datetime | None]) -> str:
    """The warning, with the numbers of both sources and their dates; `numbers` and `dates` are of said and instead."""
    said, instead = (_dated(date) for date in dates)
    newer = dates[0] is not None and dates[1] is not None and dates[1].date() > dates[0].date()
    opening = "A newer source says otherwise" if newer else "The sources differ"
    return f"{opening}: {conflict.said.value}{said} [{numbers[0]}], {conflict.instead.value}{instead} [{numbers[1]}]."


def _dated(date: datetime | None) -> str:
    return f" (as of {date.date().isoformat()})" if date else ""


def _conflicts(sentence: SupportedSentence, other: Source, passage: int) -> Iterator[Conflict]:
    said = statement(sentence.text)
    if len(said.terms) + len(said.facts) <= _FEWEST_TERMS:
        return
    for stated in other.sentences:
        if len(said.terms & stated.stems) < _SAME_THING * len(said.terms):
            continue
        differing = [at for at, fact in enumerate(said.facts) if not fact.weak and not _has(stated, other, fact)]
        if len(differing) != 1:
            continue
        instead = _in_place_of(said, differing[0], stated)
        if instead is not None:
            value = shown(said, said.facts[differing[0]])
            yield Conflict(Stated(sentence.passage, value), Stated(passage, shown(stated, instead)))
            return


def _has(stated: Statement, passage: Source, fact: Fact) -> bool:
    if fact.kind is FactKind.NAME:
        return any(same_name(str(fact.value), word.text) for each in passage.all for word in each.words)
    return any(fact.agrees(other) for other in stated.facts)


def _in_place_of(said: Statement, at: int, stated: Statement) -> Fact | None:
    """The one value of the same kind and unit that stands where the differing one does."""
    place = said.place(*said.run(at))
    rivals = [
        fact
        for other, fact in enumerate(stated.facts)
        if _comparable(said.facts[at], fact)
        and adjoins(place, stated.place(*stated.run(other)))
        and fit(place, stated.place(*stated.run(other))) >= _SAME_PLACE
        and not any(fact.agrees(own) for own in said.facts)
    ]
    return rivals[0] if len(rivals) == 1 else None


def _comparable(one: Fact, other: Fact) -> bool:
    match one.value, other.value:
        case Amount() as amount, Amount() as stated:
            return amount.base == stated.base
        case When() as when, When() as stated_when:
            return bool(when.named) == bool(stated_when.named)
    return False


def shown(sentence: Statement, fact: Fact) -> str:
    """A value as it is written, with its unit."""
    start, end = fact.start, fact.end
    if isinstance(fact.value, Amount) and fact.value.base:
        sign, unit = _SIGN.search(sentence.text, 0, start), _UNIT.match(sentence.text, end)
        if sign:
            start = sign.start()
        elif unit:
            end = unit.end()
    return sentence.text[start:end].strip()
