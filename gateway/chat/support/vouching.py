"""Whether the facts of a sentence stand in its sources, and in the same place there."""

from collections.abc import Sequence
from itertools import pairwise

from gateway.chat.support.alignment import Source
from gateway.chat.support.amounts import Amount
from gateway.chat.support.facts import Fact, FactKind, code_of, is_initials, same_name
from gateway.chat.support.statements import Place, Statement, adjoins, fit, name_words

_RIVAL = 0.9
"""A fact of the sources whose place resembles this much that of another in an answer may be what it replaced."""
_RIVAL_OF_ONE_ELSEWHERE = 0.5
"""Less will do where the fact itself stands somewhere else in the passage."""
_BETTER = 1.5
_MARGIN = 0.3
_TELLING = 2
"""An answer of fewer words has no place to compare: that its facts stand in the right sentence must do."""
_SIGNED = frozenset({"percent", "dollar", "euro", "pound", "franc", "yen", "krone", "rouble"})
_SURE_INITIALS = 3
"""Fewer letters begin some words in a row in any text."""


def wrong_fact(
    said: Statement, evidence: Sequence[Statement], passage: Source, *, mirrored: bool, asked: str = ""
) -> Fact | None:
    """The first fact that its sources do not state, or state of something else."""
    for at, fact in enumerate(said.facts):
        own = _best_own(said, at, evidence, mirrored=mirrored)
        rival = _rival(said, at, evidence, known=own is not None, mirrored=mirrored)
        if own is None:
            if fact.weak and rival < _RIVAL:
                continue
            if (
                rival < _RIVAL_OF_ONE_ELSEWHERE
                and _named_elsewhere(fact, passage, asked)
                and not _named_instead(said, evidence)
            ):
                continue
            return fact
        if len(said.terms) >= _TELLING and rival >= _RIVAL and rival > own * _BETTER + _MARGIN:
            return fact
    return None


def _best_own(said: Statement, at: int, evidence: Sequence[Statement], *, mirrored: bool) -> float | None:
    """How well the place of a fact resembles its place in the sources; none when they do not have it."""
    fact, place = said.facts[at], _place(said, at)
    found = [
        fit(place, _place(sentence, other), mirrored=mirrored)
        for sentence in evidence
        for other, stated in enumerate(sentence.facts)
        if fact.agrees(stated) and not _other_unit(fact, stated, evidence)
    ]
    if not found and any(_in_words(said, at, sentence) for sentence in evidence):
        found = [fit(place, _place_of_word(fact, sentence), mirrored=mirrored) for sentence in evidence]
    return max(found) if found else None


def _other_unit(fact: Fact, stated: Fact, evidence: Sequence[Statement]) -> bool:
    """Whether a bare number is taken for per cent or money where another number of the sources is just that."""
    if not (isinstance(fact.value, Amount) and isinstance(stated.value, Amount)) or stated.value.base:
        return False
    units = {each.value.base for one in evidence for each in one.facts if isinstance(each.value, Amount)}
    return fact.value.base in _SIGNED and fact.value.base in units


def _rival(said: Statement, at: int, evidence: Sequence[Statement], *, known: bool, mirrored: bool) -> float:
    """How well the place of a fact resembles that of another of its kind that the sources state instead."""
    fact, place = said.facts[at], _place(said, at)
    places = [
        _place(sentence, other)
        for sentence in evidence
        for other, stated in enumerate(sentence.facts)
        if _comparable(fact, stated)
        and not fact.agrees(stated)
        and not (known and _one_name(said, at, sentence, other))
    ]
    return max(
        (fit(place, each, mirrored=mirrored) for each in places if adjoins(place, each, mirrored=mirrored)), default=0.0
    )


def _one_name(said: Statement, at: int, sentence: Statement, other: int) -> bool:
    """Whether two names are parts of one: "Empire" in "the Russian Empire" where a source has "the Russian"."""
    ours, theirs = _names_around(said, at), _names_around(sentence, other)
    return any(one.agrees(two) for one in ours for two in theirs)


def _names_around(sentence: Statement, fact: int) -> list[Fact]:
    first, after = sentence.run(fact)
    inside = {word.fact for word in sentence.words[first:after] if word.fact is not None}
    return [sentence.facts[each] for each in inside if sentence.facts[each].kind is FactKind.NAME]


def _comparable(one: Fact, other: Fact) -> bool:
    return isinstance(one.value, str) == isinstance(other.value, str)


def _place(sentence: Statement, fact: int) -> Place:
    return sentence.place(*sentence.run(fact))


def _in_words(said: Statement, at: int, sentence: Statement) -> bool:
    """Whether a name or code stands in a sentence without being one there: in lower case, apart, or in full."""
    fact = said.facts[at]
    texts = [word.text for word in sentence.words]
    if not isinstance(fact.value, str):
        first = said.positions(at)[0]
        before = said.words[first - 1].text if first else ""
        code = code_of(before + said.text[fact.start : fact.end])
        return bool(before) and any(code == each.value for each in sentence.facts if isinstance(each.value, str))
    if fact.kind is FactKind.NAME:
        return (
            any(same_name(fact.value, text) for text in texts)
            or is_initials(fact.value, name_words(sentence))
            or (len(fact.value) >= _SURE_INITIALS and is_initials(fact.value, texts))
            or any(is_initials(name, [fact.value]) for name in name_words(sentence))
        )
    code = code_of(fact.value)
    return code in map(code_of, texts) or any(code == code_of(one + two) for one, two in pairwise(texts))


def _place_of_word(fact: Fact, sentence: Statement) -> Place:
    at = next((i for i, word in enumerate(sentence.words) if same_name(str(fact.value), word.text)), None)
    return sentence.place(at, at + 1) if at is not None else Place((), ())


def _named_elsewhere(fact: Fact, passage: Source, asked: str) -> bool:
    """Whether a passage has a name outside of the sentences at hand, which may speak of it as "it" or "they"."""
    if fact.kind is not FactKind.NAME:
        return False
    words = [*asked.split(), *(word.text for sentence in passage.all for word in sentence.words)]
    return any(same_name(str(fact.value), word) for word in words)


def _named_instead(said: Statement, evidence: Sequence[Statement]) -> bool:
    """Whether an answer of hardly more than a name has another one than the sentence it is drawn from."""
    return len(said.terms) < _TELLING and any(
        other.kind is FactKind.NAME and not other.weak and not any(fact.agrees(other) for fact in said.facts)
        for other in (evidence[0].facts if evidence else ())
    )
