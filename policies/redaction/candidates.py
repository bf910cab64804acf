"""A group of words that could be a name, and what can be said of it without a judgement (`names.py`)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from policies.redaction import cues
from policies.redaction.lexicon import LISTS, Kind, Lexicon, fold
from policies.redaction.words import Run, Word

_SHORTEST_WRITTEN_NAME = 3
_WORDS_OF_A_NAME = (2, 3)
_INSIDE = re.compile(r"(?:[a-z\d,]|[a-z][\"\u201c(])\s[\"\u201c(]?\Z")
_INSIDE_CHARS = 30
_CAPITAL_AFTER = re.compile(r"['\u2019s]{0,2}\s[^\W\da-z_]")
_OTHER_BEFORE = re.compile(r"([^\W\da-z_][\w'\u2019-]+)(?:,|,? (?:and|or|&))\s\Z")
_OTHER_AFTER = re.compile(r"(?:,? (?:and|or|&)|,)\s([^\W\da-z_][\w'\u2019-]+)")
_NO_PEOPLE = frozenset({"FAC", "GPE", "LANGUAGE", "LAW", "LOC", "NORP", "ORG", "PRODUCT", "WORK_OF_ART"})
_INNER_CAPITAL = re.compile(r"(?<=\w)[A-Z]")
_FAMILY_PREFIX = re.compile(r"^(?:Mc|Mac|De|Des|Di|Du|La|Le|Fitz|Van|[OD]['\u2019])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Entity:
    """What the entity recogniser says of `text[start:end]`."""

    start: int
    end: int
    label: str

    def covers(self, start: int, end: int) -> bool:
        """Whether all of a piece of the text lies in it."""
        return self.start <= start and end <= self.end


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run with what there is to judge it by."""

    text: str
    run: Run
    full: Run
    """The run without initials and particles."""
    entities: Sequence[Entity]
    """Those that overlap the run."""
    lexicon: Lexicon
    known: frozenset[str]

    @property
    def start(self) -> int:
        """Where its first word begins."""
        return self.run[0].start

    @property
    def end(self) -> int:
        """Where its last word ends."""
        return self.run[-1].end

    @property
    def called_person(self) -> bool:
        """Whether the entity recogniser sees a person."""
        return any(entity.label == "PERSON" for entity in self.entities)

    @property
    def stands_inside(self) -> bool:
        """Whether it stands within a sentence and no other capitalised word adjoins it."""
        return bool(_INSIDE.search(self.text, max(0, self.start - 30), self.start)) and not _CAPITAL_AFTER.match(
            self.text, self.end
        )

    @property
    def looks_made_up(self) -> bool:
        """Whether a word is put together or capitalised as names of products are."""
        return any(
            self.lexicon.is_compound(word.text) or is_mixed_case(word)
            for word in self.full
            if word.kind is Kind.UNKNOWN or is_mixed_case(word)
        )

    @property
    def before(self) -> str:
        """As much of the text before it as any cue is long."""
        return self.text[max(0, self.start - cues.LOOK_BACK_CHARS) : self.start]

    @property
    def where_people_stand(self) -> bool:
        """Whether nothing before or after speaks for a place or a company."""
        company = cues.COMPANY_AFTER.match(self.text, self.end)
        return not company and not cues.PLACE_OR_COMPANY.search(self.before)

    @property
    def could_only_be_a_name(self) -> bool:
        """Whether it is two or three capitalised words that no dictionary has, where people stand."""
        words = self.full
        written = all(map(_is_written, words))
        short = any(len(word.text) < _SHORTEST_WRITTEN_NAME for word in words)
        if len(words) not in _WORDS_OF_A_NAME or not written or short:
            return False
        first, last = words[0], words[-1]
        given = first.kind is not Kind.EITHER or fold(first.text) in LISTS["given_or_word"]
        family = last.kind is not Kind.EITHER or (first.kind is not Kind.EITHER and fold(last.text) in LISTS["family"])
        return given and family and self.where_people_stand

    def is_foreign_or_family(self, word: Word) -> bool:
        """Whether the one word of it can hardly be anything but a name: a family name, or unknown with accents."""
        foreign = word.kind is Kind.UNKNOWN and not word.text.isascii()
        ending = word.kind is Kind.UNKNOWN and self.lexicon.has_family_ending(word.text)
        named = foreign or ending or word.kind is Kind.FAMILY
        if not named or not _is_written(word) or self.looks_made_up or not self.stands_inside:
            return False
        return self.where_people_stand and not any(entity.label in _NO_PEOPLE for entity in self.entities)

    def is_listed_with_names(self, word: Word) -> bool:
        """Whether the one word of it stands beside a name in an enumeration, as in `Turing, Quionia and Gutierrez`."""
        beside = (_OTHER_BEFORE.search(self.before), _OTHER_AFTER.match(self.text, self.end))
        named = any(other and self.lexicon.kind(other[1]) in {Kind.GIVEN, Kind.FAMILY} for other in beside)
        return named and word.text.istitle() and not self.looks_made_up


def _is_written(word: Word) -> bool:
    """Whether a word is written as names are: a capital and small letters, in each of its parts or in the first."""
    text = _FAMILY_PREFIX.sub("", word.text)
    return text.istitle() or (word.capital and text[1:].islower())


def is_mixed_case(word: Word) -> bool:
    """Whether capitals stand inside, as in many names of products and few of people."""
    return not word.text.isupper() and bool(_INNER_CAPITAL.search(_FAMILY_PREFIX.sub("", word.text)))
