"""Tell names of people from other capitalised words, given what the entity recogniser says.

The small model calls half of the names in a text organisations and every second heading a person, so its word is
one piece of evidence among others: the kinds of the words (`lexicon.py`) and what stands before and after.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from policies.redaction import cues
from policies.redaction.candidates import Candidate, Entity, is_mixed_case
from policies.redaction.lexicon import LISTS, Kind, Lexicon, fold
from policies.redaction.words import Run, Word, is_small, runs_of

_SHORTEST_SMALL_NAME = 4
_TITLED = re.compile(
    r"\b(?:Mr|Mrs|Ms|Mx|Dr|Prof)\.?\s"
    r"(?P<name>(?:(?:ap|van|von|de|der|den|del|della|di|da|du|la|le|al|el|bin|ibn|ter|ten)\s){0,3}[^\W\da-z_][\w'\u2019-]+)"
)
_LIST_START = re.compile(r"(?:\A|[:;\n])[\s\"*-]*\Z")
_LISTED_END = re.compile(r"\s*(?:\Z|[;:|(\"]|\s-\s|\s[\u2013\u2014])")
_SMALL_BEFORE = re.compile(r"(?:[a-z]|[a-z]{2}[:,])\s\Z")
_CAPITAL_NEXT = re.compile(r"[\s/-]{1,2}[^\W\da-z_]")
_NAMES = frozenset({Kind.GIVEN, Kind.FAMILY, Kind.EITHER})
_SAID = ("PERSON", "ORG")
"""Labels that speak for a name, and against one."""

Verdict = tuple[float, str] | None
"""How sure it is that a run is a name (0 to 1), and by what evidence; None when it is none."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name found at `text[start:end]`, how sure that is (0 to 1), and by what evidence.

    `family` holds what of a full name may later stand for the person alone, folded.
    """

    start: int
    end: int
    score: float
    evidence: str
    family: frozenset[str]


def may_hold_names(text: str, words: Sequence[Word]) -> bool:
    """Whether a name may stand in a text; where this says no, `find_names` finds none."""
    return bool(runs_of(text, words)) or bool(_TITLED.search(text))


def may_depend_on_entities(text: str, words: Sequence[Word], lexicon: Lexicon) -> bool:
    """Whether the entity recogniser should be asked; where this says no, `find_names` finds the same whatever it says.

    Tried are what it could say for or against a name at most: nothing, a person or none at each place or everywhere.
    """
    places = [(run[0].start, run[-1].end) for run in runs_of(text, words)]
    said = [[Entity(*place, label) for place in some] for label in _SAID for some in (places, [(0, len(text))])]
    alone = find_names(text, words, (), lexicon, frozenset())
    return any(find_names(text, words, entities, lexicon, frozenset()) != alone for entities in said)


def find_names(
    text: str, words: Sequence[Word], entities: Sequence[Entity], lexicon: Lexicon, known: frozenset[str]
) -> list[Name]:
    """The names in a text. `known` are family names, folded, that stood in full names before it."""
    found = _listed(text, words, entities, lexicon)
    for group in runs_of(text, words):
        run = _extended(text, group, words, entities)
        full = tuple(word for word in run if not word.initial and not word.particle)
        overlapping = [entity for entity in entities if entity.start < run[-1].end and entity.end > run[0].start]
        verdict = _judge(Candidate(text, run, full, overlapping, lexicon, known))
        if verdict and not any(name.start <= run[0].start and run[-1].end <= name.end for name in found):
            family = frozenset(fold(word.text) for word in full[1:] if word.kind is not Kind.WORD)
            found.append(Name(run[0].start, run[-1].end, *verdict, family))
            known |= family
    found += [name for name in _titled(text) if not any(other.start <= name.start < other.end for other in found)]
    return sorted(found, key=lambda name: name.start)


def _titled(text: str) -> list[Name]:
    """Names after a title, whatever kind of words they are."""
    return [Name(*match.span("name"), 0.9, "title", frozenset()) for match in _TITLED.finditer(text)]


def _listed(text: str, words: Sequence[Word], entities: Sequence[Entity], lexicon: Lexicon) -> list[Name]:
    """Family names in front of given names, with a comma, as in lists: `Lovelace, Ada`."""
    found = []
    for family, given in pairwise(words):
        if not given.capital or text[family.end : given.start] != ", " or not family.text[0].isupper():
            continue
        word = family.kind in {Kind.WORD, Kind.CLEAR} and not lexicon.has_family_ending(family.text)
        if word or not _LIST_START.search(text, 0, family.start) or is_mixed_case(family):
            continue
        alone = bool(_LISTED_END.match(text, given.end)) and family.kind is not Kind.GIVEN
        named = {given.kind, family.kind} & _NAMES or lexicon.has_family_ending(family.text)
        seen = any(entity.start < given.end and family.start < entity.end for entity in entities)
        known = given.kind is not Kind.WORD and given.kind is not Kind.CLEAR
        if given.kind is Kind.GIVEN or (alone and known and (named or seen)):
            end = given.end if alone else family.end
            found.append(
                Name(family.start, end, 0.7, "listed", frozenset({fold(family.text)}) if alone else frozenset())
            )
    return found


def _extended(text: str, run: Run, words: Sequence[Word], entities: Sequence[Entity]) -> Run:
    """The run with a dictionary word after it that must be the family name: an initial or the recogniser says so."""
    at = bisect_right(words, run[-1].start, key=_start)
    if at == len(words) or not words[at].text.istitle() or words[at].kind is not Kind.WORD:
        return run
    last = words[at]
    covered = any(entity.label == "PERSON" and entity.covers(run[0].start, last.end) for entity in entities)
    alone = len(run) == 1 and run[0].text.istitle() and not _CAPITAL_NEXT.match(text, last.end)
    follows = run[-1].initial or (
        run[0].kind is Kind.GIVEN and (covered or (alone and _SMALL_BEFORE.search(text, 0, run[0].start)))
    )
    return (*run, last) if follows and last.start - run[-1].end <= len(". ") else run


def _start(word: Word) -> int:
    return word.start


def _judge(candidate: Candidate) -> Verdict:
    cue = _cue(candidate)
    if cue:
        return 0.9, cue
    if len(candidate.run) > 1:
        return _judge_many(candidate)
    return _judge_one(candidate, candidate.run[0])


def _cue(candidate: Candidate) -> str | None:
    """What before or after the run says that a person is meant."""
    before, capital = candidate.before, candidate.run[0].capital
    if cues.TITLE.search(before) and capital:
        return "title"
    found = cues.cue(before, candidate.text, candidate.end)
    if found is None:
        return None
    strength, evidence = found
    if strength is cues.Strength.SURE:
        return evidence
    if candidate.looks_made_up:
        return None
    if strength is cues.Strength.PERHAPS:
        return evidence
    clear = all(word.kind is not Kind.EITHER for word in candidate.full)
    likely = strength is cues.Strength.LIKELY and candidate.stands_inside
    return evidence if capital and (clear or likely) else None


def _judge_many(candidate: Candidate) -> Verdict:
    """Several words, or one with an initial."""
    first = candidate.full[0]
    if _has_initials(candidate):
        return 0.7, "initials"
    if fold(first.text) in LISTS["places"] and not candidate.called_person:
        return None
    shouted = all(word.text.isupper() for word in candidate.full)
    if any(word.kind is Kind.GIVEN and (shouted or not word.acronym) for word in candidate.full):
        return 0.85, "given name"
    last = candidate.full[-1]
    family = last.kind is Kind.FAMILY or candidate.lexicon.has_family_ending(last.text)
    certain = last.kind is Kind.FAMILY and first.kind in {Kind.FAMILY, Kind.UNKNOWN} and not candidate.looks_made_up
    if family and first.capital and (candidate.entities or certain):
        return 0.7, "family name"
    return _judge_unknown(candidate)


def _judge_unknown(candidate: Candidate) -> Verdict:
    """Several words of which none is known for a name."""
    if candidate.looks_made_up:
        return None
    written = candidate.full[0].capital or all(len(word.text) >= _SHORTEST_SMALL_NAME for word in candidate.full)
    if written and candidate.called_person:
        return 0.6, "entity recogniser"
    return (0.5, "words that are no others") if candidate.could_only_be_a_name else None


def _has_initials(candidate: Candidate) -> bool:
    """Whether initials make the run a name: one in the middle, two in front, or one that the recogniser saw too."""
    if not candidate.full[0].text.istitle() or candidate.looks_made_up:
        return False
    leading = next(at for at, word in enumerate(candidate.run) if not word.initial)
    middle = len(candidate.full) > 1 and any(word.initial for word in candidate.run[1:-1])
    known = candidate.full[0].kind is not Kind.EITHER and candidate.where_people_stand
    return middle or leading > 1 or (leading == 1 and (known or bool(candidate.entities)))


def _judge_one(candidate: Candidate, word: Word) -> Verdict:
    """A single word."""
    if fold(word.text) in candidate.known and word.text.istitle():
        return 0.7, "named before"
    written = word.capital or (is_small(candidate.text) and len(word.text) >= _SHORTEST_SMALL_NAME)
    if word.acronym or not written:
        return None
    if word.kind is Kind.GIVEN:
        return 0.6, "given name"
    if candidate.is_foreign_or_family(word) or candidate.is_listed_with_names(word):
        return 0.5, "a word that is no other"
    # What the recogniser says of a longer phrase is no evidence for the one word of it that could be a name.
    exact = any(entity.start == word.start and entity.end <= word.end + len("'s") for entity in candidate.entities)
    believed = word.kind is Kind.FAMILY or (candidate.called_person and not candidate.looks_made_up)
    return (0.5, "entity recogniser") if exact and word.capital and believed else None
