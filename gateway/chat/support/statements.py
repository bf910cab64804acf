"""A sentence taken apart: its words with their stems, its facts, and what stands around a place in it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.chat.support.facts import Fact, FactKind, facts
from retrieval.terms import STOP_WORDS, terms

_WORD = re.compile(r"⟦\w+⟧|[^\W_]+(?:['’][^\W_]+)*|[%€$£]")
_NOT = re.compile(r"n['’]t$", re.IGNORECASE)
_CLAUSE_END = re.compile(r"[,;:()–—]|\s-\s")
_CONJUNCTIONS = frozenset(
    """but because if when while although though whereas which who that until unless except without since so then
    aber weil wenn sondern mais si parce pero porque cuando no-one но если потому который""".split()  # noqa: SIM905 - a row of words
)
_JOINING = frozenset({"and", "or", "und", "oder", "et", "ou", "y", "и", "или"})
_REACH = 6
"""So many words on either side say what a place in a sentence is about."""
_FUNCTION_WEIGHT = 0.35


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a sentence.

    Attributes:
        text: As it is written, in lower case; a contraction of "not" gives two words.
        stem: What it is compared by.
        content: Whether it is about something, rather than a word that most sentences have.
        clause: The number of the clause it stands in.
        fact: Which fact of the statement it is part of, if any.
    """

    text: str
    stem: str
    content: bool
    clause: int
    fact: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """The words before and after a place, the nearest first, each with how much it tells."""

    before: tuple[tuple[str, float], ...]
    after: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence taken apart."""

    text: str
    words: tuple[Word, ...]
    facts: tuple[Fact, ...]

    @property
    def terms(self) -> frozenset[str]:
        """What it is about, its facts aside."""
        return frozenset(
            word.stem
            for word in self.words
            if word.content and (word.fact is None or (self.facts[word.fact].weak and word.text.isalpha()))
        )

    @property
    def stems(self) -> frozenset[str]:
        """All that it is about, names included: what one text takes for a name, another writes as a word."""
        return frozenset(word.stem for word in self.words if word.content)

    def positions(self, fact: int) -> tuple[int, int]:
        """The first word of a fact, and the one after its last."""
        own = [at for at, word in enumerate(self.words) if word.fact == fact]
        return (own[0], own[-1] + 1) if own else (0, 0)

    def run(self, fact: int) -> tuple[int, int]:
        """The first word of the names that a fact is among, and the one after their last; other facts stand alone."""
        first, after = self.positions(fact)
        if self.facts[fact].kind is FactKind.NAME:
            while (step := self._step(first - 1, -1)) is not None:
                first = step
            while (step := self._step(after, 1)) is not None:
                after = step + 1
        return first, after

    def _step(self, at: int, by: int) -> int | None:
        """Where the name goes on: at the next word, or behind an "and" or "or", which what is said applies to alike."""
        if self._is_name(at):
            return at
        joined = 0 <= at < len(self.words) and self.words[at].text in _JOINING
        return at + by if joined and self._is_name(at + by) else None

    def _is_name(self, at: int) -> bool:
        if not 0 <= at < len(self.words):
            return False
        fact = self.words[at].fact
        return fact is not None and self.facts[fact].kind is FactKind.NAME

    def place(self, first: int, after: int) -> Place:
        """What stands around the words from `first` up to `after`."""
        left = self.words[max(0, first - _REACH) : first][::-1]
        return Place(_features(left), _features(self.words[after : after + _REACH]))


def _features(words: Sequence[Word]) -> tuple[tuple[str, float], ...]:
    return tuple((word.stem, 1.0 if word.content else _FUNCTION_WEIGHT) for word in words)


def fit(one: Place, other: Place, *, mirrored: bool = False) -> float:
    """How well two places resemble each other: words shared on the same side, near words and near distances first.

    `mirrored` places count on either side alike, as when one sentence is in the passive.
    """
    straight = _shared(one.before, other.before) + _shared(one.after, other.after)
    crossed = _shared(one.before, other.after) + _shared(one.after, other.before)
    return straight + crossed * (1.0 if mirrored else 0.25)


def adjoins(one: Place, other: Place, *, mirrored: bool = False) -> bool:
    """Whether the nearest word about something, before or after, is the same at both places."""
    sides = [(one.before, other.before), (one.after, other.after)]
    sides += [(one.before, other.after), (one.after, other.before)] if mirrored else []
    return any(_nearest(here) & _nearest(there) for here, there in sides)


def _nearest(side: Sequence[tuple[str, float]]) -> set[str]:
    """The first word about something, if it is near."""
    return set([stem for stem, weight in side[:3] if weight == 1.0][:1])


def _shared(one: Sequence[tuple[str, float]], other: Sequence[tuple[str, float]]) -> float:
    where: dict[str, int] = {}
    for distance, (stem, _) in enumerate(other):
        where.setdefault(stem, distance)
    return sum(
        weight / (1 + 0.4 * abs(distance - where[stem])) / (1 + 0.25 * min(distance, where[stem]))
        for distance, (stem, weight) in enumerate(dict(one).items())
        if stem in where
    )


@lru_cache(maxsize=2048)
def statement(text: str) -> Statement:
    """A sentence taken apart. Passages repeat in a conversation, so they are remembered."""
    found = tuple(facts(text))
    words: list[Word] = []
    clause, end = 0, 0
    for match in _WORD.finditer(text):
        clause += bool(words) and bool(_CLAUSE_END.search(text, end, match.start()))
        end = match.end()
        fact = next(
            (at for at, each in enumerate(found) if each.start < match.end() and match.start() < each.end), None
        )
        lower = match[0].casefold().replace("’", "'")
        clause += lower in _CONJUNCTIONS and bool(words)
        if _NOT.search(lower) and fact is None:
            verb = {"can't": "can", "won't": "will", "shan't": "shall"}.get(lower, _NOT.sub("", lower))
            words += [Word(verb, verb, False, clause, None), Word("not", "not", False, clause, None)]
            continue
        words.append(_word(lower, clause, fact))
    return Statement(text, tuple(words), found)


def _word(lower: str, clause: int, fact: int | None) -> Word:
    return Word(lower, *_stemmed(lower.removesuffix("'s").removesuffix("'")), clause, fact)


@lru_cache(maxsize=1 << 14)
def _stemmed(word: str) -> tuple[str, bool]:
    """What a word is compared by, and whether it is about something."""
    stems = terms(word)
    return (stems[0] if stems else word), bool(stems) and word not in STOP_WORDS


def is_passive(sentence: Statement) -> bool:
    """Whether it says by whom something is done."""
    return any(word.text in ("by", "von", "par", "por") for word in sentence.words)


def name_words(sentence: Statement) -> list[str]:
    """The words of its names, as they are written."""
    return [str(fact.value) for fact in sentence.facts if fact.kind is FactKind.NAME]
