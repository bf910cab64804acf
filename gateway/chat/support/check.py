"""Which passage an answer's sentence stands on, and whether it really does.

Facts must stand in the sentences of the passage that it is drawn from, in the same place; what these affirm and deny
must be the same; the other words must overlap enough. Sentences are compared as the model saw and wrote them, with
personal data replaced, so names compare as names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.chat.sentences import split_sentences
from gateway.chat.support.alignment import Source, evidence, source
from gateway.chat.support.facts import FactKind
from gateway.chat.support.polarity import contradicts
from gateway.chat.support.statements import Statement, is_passive, statement
from gateway.chat.support.vouching import wrong_fact
from policies.redaction.languages import likely_language

_ENOUGH = 0.5
"""The least share of a sentence's terms that its sources must hold."""
_AS_GOOD = 0.1
"""Passages that hold this much less than the best one may be what a sentence stands on, too."""


class Reason(StrEnum):
    """Why a sentence is not confirmed."""

    DATE = "date"
    LANGUAGE = "language"
    NAME = "name"
    NEGATION = "negation"
    NUMBER = "number"
    WORDING = "wording"


_OF_KIND = {FactKind.DATE: Reason.DATE, FactKind.NAME: Reason.NAME, FactKind.NUMBER: Reason.NUMBER}


@dataclass(frozen=True, slots=True)
class SupportedSentence:
    """A sentence of an answer, the number of the passage nearest to it (from 0), and whether that states it.

    `reason` says why not.
    """

    text: str
    passage: int
    coverage: float
    reason: Reason | None = None

    @property
    def supported(self) -> bool:
        """Whether the passage states it."""
        return self.reason is None


def check_support(answer: str, passages: Sequence[str], question: str = "") -> list[SupportedSentence]:
    """Match each sentence of an answer with the passage that supports it best; needs at least one passage."""
    sources = [source(passage) for passage in passages]
    spoken = likely_language(answer)
    foreign = [_differ(spoken, likely_language(passage)) for passage in passages]
    return [_best(sentence, sources, foreign, question) for sentence in split_sentences(answer)]


def _differ(spoken: str | None, written: str | None) -> bool:
    return spoken is not None and written is not None and spoken != written


def _best(sentence: str, sources: Sequence[Source], foreign: Sequence[bool], question: str) -> SupportedSentence:
    """The verdict on a sentence. Clauses between semicolons may stand on other passages each, cells of a row not."""
    whole = _nearest(statement(sentence), sources, foreign, question)
    parts = [part for part in sentence.split(";") if len(statement(part).terms) > 1]
    if whole.supported or ":" in sentence or len(parts) < 2:  # noqa: PLR2004 - parts are several
        return whole
    judged = [_nearest(statement(part), sources, foreign, question) for part in parts]
    return replace(whole, reason=None) if all(part.supported for part in judged) else whole


def _nearest(said: Statement, sources: Sequence[Source], foreign: Sequence[bool], question: str) -> SupportedSentence:
    judged = [
        _judge_foreign(said, at, passage) if differs else _judge(said, at, passage, question)
        for at, (passage, differs) in enumerate(zip(sources, foreign, strict=True))
    ]
    most = max(each.coverage for each in judged)
    return min(
        (each for each in judged if each.coverage >= most - _AS_GOOD),
        key=lambda each: (not each.supported, -each.coverage, each.passage),
    )


def _judge(said: Statement, at: int, passage: Source, question: str) -> SupportedSentence:
    asked = statement(question)
    found = evidence(said, passage, asked.terms)
    share = _coverage(said, [*found, *passage.headings])
    mirrored = is_passive(said) != any(is_passive(each) for each in found[:1])
    return SupportedSentence(said.text, at, share, _reason(said, found, passage, share, question, mirrored=mirrored))


def _judge_foreign(said: Statement, at: int, passage: Source) -> SupportedSentence:
    """A passage in another language: numbers and dates can be compared, words cannot, so nothing is confirmed."""
    exact = [fact for fact in said.facts if fact.kind is not FactKind.NAME and not fact.weak]
    held = [fact for fact in exact if any(fact.agrees(other) for each in passage.all for other in each.facts)]
    wrong = next((_OF_KIND[fact.kind] for fact in exact if fact not in held), Reason.LANGUAGE)
    return SupportedSentence(said.text, at, len(held) / len(exact) if exact else 0.0, wrong)


def _reason(
    said: Statement, found: Sequence[Statement], passage: Source, share: float, question: str, *, mirrored: bool
) -> Reason | None:
    wrong = wrong_fact(said, found, passage, mirrored=mirrored, asked=question)
    if wrong is not None:
        return _OF_KIND[wrong.kind]
    if contradicts(said, found, mirrored=mirrored):
        return Reason.NEGATION
    return None if share >= _ENOUGH else Reason.WORDING


def _coverage(said: Statement, sources: Sequence[Statement]) -> float:
    """The share of what a sentence is about, facts and other words, that its sources hold."""
    stems = {word.stem for each in sources for word in each.words}
    facts = [
        any(fact.agrees(other) for each in sources for other in each.facts) for fact in said.facts if not fact.weak
    ]
    words = [term in stems for term in said.terms]
    held = [*facts, *words]
    return sum(held) / len(held) if held else 0.0
