"""The few sentences of a passage that a sentence of an answer stands on.

Chosen by the words it is about, its facts aside: else a wrong number would bring along the sentence it stands in, and
that would vouch for it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from gateway.chat.sentences import split_sentences
from gateway.chat.support.facts import FactKind
from gateway.chat.support.statements import Statement, statement

_MOST = 3
"""Sentences that one sentence of an answer may be drawn from, a long one from more: it may sum up a list."""
_MOST_OF_A_LONG_ONE, _MANY_TERMS = 5, 10
_LONGEST_HEADING_WORDS = 12
_BROKEN_LINE = re.compile(r"(?<![.!?:;|\n])\n(?=[a-z(])")
_NEIGHBOUR_BONUS = 0.25
_LEAST_GAIN = 0.5
_A_LIST = 3
_LONGEST_LIST = 6
_QUESTION_WEIGHT = 1.5
_CLOSE = 0.85
"""Among sentences that share nearly as many words, as rows of a table do, the facts say which one is meant."""


@dataclass(frozen=True, slots=True)
class Source:
    """A passage taken apart; `headings` are its lines that are no sentences, which say what the others are about."""

    sentences: tuple[Statement, ...]
    headings: tuple[Statement, ...]
    weights: dict[str, float]

    @property
    def all(self) -> tuple[Statement, ...]:
        """Everything in it."""
        return (*self.headings, *self.sentences)


@lru_cache(maxsize=256)
def source(passage: str) -> Source:
    """A passage taken apart. The same passages are read again for each sentence, and in a conversation."""
    statements = [statement(each) for each in split_sentences(_BROKEN_LINE.sub(" ", passage))]
    df = Counter(term for each in statements for term in each.stems)
    headings = tuple(each for each in statements if _is_heading(each))
    return Source(tuple(statements), headings, {term: 1 / (0.5 + 0.5 * count) for term, count in df.items()})


def _is_heading(line: Statement) -> bool:
    return len(line.words) <= _LONGEST_HEADING_WORDS and not line.text.rstrip().endswith((".", "!", "?", ";"))


def evidence(said: Statement, passage: Source, asked: frozenset[str] = frozenset()) -> list[Statement]:
    """The sentences of the passage that it stands on, the one most like it first; none if nothing is shared.

    `asked` are the words of the question, which a very short answer leaves out.
    """
    if len(said.terms) <= 1 and len(said.facts) > 1:
        whole = [each for each in _with_its_facts(said, passage) if _shared_facts(said, each) == len(said.facts)]
        if whole:
            return whole
    wanted = said.terms if len(said.terms) > 1 else said.terms | asked
    chosen: list[int] = []
    covered: set[str] = set()
    most = _MOST if len(wanted) <= _MANY_TERMS else _MOST_OF_A_LONG_ONE
    while len(chosen) < min(most, len(passage.sentences)):
        gains = [_gain(wanted - covered, passage, at, chosen) for at in range(len(passage.sentences))]
        if max(gains) < _LEAST_GAIN:
            break
        close = [at for at, gain in enumerate(gains) if gain >= max(gains) * _CLOSE]
        best = max(close, key=lambda at: (_meant(said, passage, at, asked), *_likeness(said, passage, at, gains)))
        chosen.append(best)
        covered |= wanted & passage.sentences[best].stems
    chosen += _lead_in(passage, chosen)
    found = [passage.sentences[at] for at in chosen] or _with_its_facts(said, passage)
    return [*found, *_of_a_list(said, passage, found)]


def _lead_in(passage: Source, chosen: Sequence[int]) -> list[int]:
    """The line that opens the list which the first of the chosen lines is in."""
    for at in range(chosen[0] - 1, max(-1, chosen[0] - _LONGEST_LIST - 1), -1) if chosen else ():
        if passage.sentences[at].text.endswith(":"):
            return [at] if at not in chosen else []
    return []


def _of_a_list(said: Statement, passage: Source, found: Sequence[Statement]) -> list[Statement]:
    """For an answer that lists names, the lines that have them: each is a line of its own where it comes from."""
    names = [fact for fact in said.facts if fact.kind is FactKind.NAME]
    if len(names) < _A_LIST or len(said.terms) > 1 or len(names) < len(said.facts):
        return []
    return [each for each in passage.sentences if each not in found and _shared_facts(said, each)]


def _gain(missing: frozenset[str], passage: Source, at: int, chosen: Sequence[int]) -> float:
    if at in chosen:
        return 0.0
    gain = sum(passage.weights.get(term, 0.0) for term in missing & passage.sentences[at].stems)
    near = any(abs(at - other) == 1 for other in chosen)
    return gain * (1 + _NEIGHBOUR_BONUS * near)


def _meant(said: Statement, passage: Source, at: int, asked: frozenset[str]) -> float:
    """How much speaks for one of several sentences alike: facts of the answer, and more so words of the question."""
    sentence = passage.sentences[at]
    of_question = sum(passage.weights.get(term, 0.0) for term in (asked - said.terms) & sentence.stems)
    return _shared_facts(said, sentence) + _QUESTION_WEIGHT * of_question


def _likeness(said: Statement, passage: Source, at: int, gains: Sequence[float]) -> tuple[float, int]:
    pairs = set(pairwise(word.text for word in said.words))
    return gains[at], sum(pair in pairs for pair in pairwise(word.text for word in passage.sentences[at].words))


def _with_its_facts(said: Statement, passage: Source) -> list[Statement]:
    """For an answer that is nothing but facts: the sentence that has most of them."""
    best = max(passage.sentences, key=lambda each: _shared_facts(said, each), default=None)
    return [best] if best is not None and _shared_facts(said, best) else []


def _shared_facts(said: Statement, sentence: Statement) -> int:
    return sum(any(fact.agrees(other) for other in sentence.facts) for fact in said.facts)
