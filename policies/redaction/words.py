"""Words of a text with what each is by itself, and the groups of them that could be a name.

Whether a group is a name is for `names.py` to judge.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from policies.redaction.lexicon import LISTS, Kind, Lexicon

_WORD = re.compile(r"[^\W_]+(?:[\u2019'\-][^\W_]+)*")
_POSSESSIVE = re.compile(r"[\u2019']s$", re.IGNORECASE)
_CONTRACTED = re.compile(r"[\u2019'](?:m|re|ll|ve|d|t)$", re.IGNORECASE)
_ACRONYM_CHARS = 5
_SHORTEST_SMALL = 3
"""Shorter unknown words in small letters are mostly typing."""
_LONGEST_RUN = 6


@dataclass(frozen=True, slots=True)
class Word:
    """A word at `text[start:end]`, without a possessive ending."""

    start: int
    end: int
    text: str
    kind: Kind

    @property
    def capital(self) -> bool:
        """Whether it begins with a capital letter."""
        return self.text[0].isupper()

    @property
    def acronym(self) -> bool:
        """Whether it is a few capital letters."""
        return len(self.text) <= _ACRONYM_CHARS and self.text.isupper()

    @property
    def initial(self) -> bool:
        """Whether it is one letter."""
        return len(self.text) == 1 and self.text.isalpha()

    @property
    def particle(self) -> bool:
        """Whether it stands inside names, as in Vincent van Gogh."""
        return self.text.casefold() in LISTS["particles"]


Run = tuple[Word, ...]
"""Neighbouring words that could be a name."""


def words_of(text: str, lexicon: Lexicon) -> list[Word]:
    """The words of a text."""
    words = []
    for match in _WORD.finditer(text):
        word = _POSSESSIVE.sub("", match[0])
        words.append(Word(match.start(), match.start() + len(word), word, _kind(word, lexicon)))
    return words


def runs_of(text: str, words: Sequence[Word]) -> list[Run]:
    """Groups of neighbouring words that could be a name; where there are none, no recogniser need look."""
    small = is_small(text)
    runs: list[Run] = []
    current: list[Word] = []
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else None
        if current and not (_touch(text, current[-1], word) and len(current) < _LONGEST_RUN):
            runs += _closed(current)
            current = []
        if _joins(text, current, word, following, small=small):
            current.append(word)
        else:
            runs += _closed(current)
            current = []
    return [*runs, *_closed(current)]


def is_small(text: str) -> bool:
    """Whether a text has no capital letters, so that names have none either."""
    return not any(map(str.isupper, text))


def _kind(word: str, lexicon: Lexicon) -> Kind:
    if _CONTRACTED.search(word) or not word[0].isalpha():
        return Kind.WORD
    letters = word.replace("'", "").replace("\u2019", "")
    return lexicon.kind(letters) if letters.replace("-", "").isalpha() else Kind.CLEAR


def _touch(text: str, left: Word, right: Word) -> bool:
    gap = text[left.end : right.start]
    return gap in {" ", "  "} or (left.initial and gap in {".", ". "})


def _joins(text: str, current: Sequence[Word], word: Word, following: Word | None, *, small: bool) -> bool:
    """Whether a word can begin a name or continue what stands before it."""
    if word.initial:
        begins = word.capital and text[word.end : word.end + 1] == "."
        return begins or (bool(current) and (small or word.capital))
    if current and word.particle and not word.capital:
        return True
    if word.kind in {Kind.WORD, Kind.CLEAR}:
        return False
    if word.capital:
        return word.kind is not Kind.UNKNOWN or not word.acronym
    return _small_joins(current, word, following, small=small)


def _small_joins(current: Sequence[Word], word: Word, following: Word | None, *, small: bool) -> bool:
    """The same for a word in small letters: among capitals only a given name begins, and only with something after."""
    if current:
        return (small or not current[0].capital) and len(word.text) >= _SHORTEST_SMALL
    if small:
        return len(word.text) >= _SHORTEST_SMALL
    return word.kind is Kind.GIVEN and following is not None and not following.capital


def _closed(current: Sequence[Word]) -> Iterator[Run]:
    """The run without particles and small letters at its end, unless nothing but initials remains."""
    while current and (
        current[-1].text == "I" or (not current[-1].capital and (current[-1].particle or current[-1].initial))
    ):
        current = current[:-1]
    if any(not word.initial and not word.particle for word in current):
        yield tuple(current)


def usual_case(text: str, words: Sequence[Word]) -> str:
    """The text, of the same length, with names that are all in capitals as they are usually written.

    Two or more words in capitals that no dictionary has are a name in a heading or a form: `MARIA QUIONIA`. In a text
    without small letters, words of the dictionary are written small, which tells recognisers where names are.
    """
    if not any(map(_is_shouted, words)):
        return text
    shouted = not any(map(str.islower, text))
    pieces: list[str] = []
    done = 0
    for at, word in enumerate(words):
        if not word.text.isupper() or word.kind is Kind.CLEAR or word.initial:
            continue
        others = (*words[max(0, at - 2) : at], *words[at + 1 : at + 3])
        near = [other for other in others if _adjoins(text, word, other)]
        written = word.text
        if word.kind is Kind.WORD:
            written = word.text.lower() if shouted else word.text
        elif near and any(map(_is_shouted, (word, *near))):
            written = word.text.title()
        if len(written) == len(word.text):
            pieces += (text[done : word.start], written)
            done = word.end
    return "".join((*pieces, text[done:]))


def _is_shouted(word: Word) -> bool:
    """Whether a word in capitals is more than an abbreviation."""
    named = word.kind in {Kind.GIVEN, Kind.FAMILY}
    return word.text.isupper() and (named or (word.kind is Kind.UNKNOWN and len(word.text) > _ACRONYM_CHARS))


def _adjoins(text: str, one: Word, other: Word) -> bool:
    """Whether nothing but an initial stands between a word and another in capitals that could be a name."""
    left, right = sorted((one, other), key=lambda word: word.start)
    between = text[left.end : right.start]
    fits = other.text.isupper() and other.kind not in {Kind.WORD, Kind.CLEAR} and not other.initial
    return fits and len(between) <= len(" X. ") and not set(between) - set(" .ABCDEFGHIJKLMNOPQRSTUVWXYZ")
