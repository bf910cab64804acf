"""Which words are names, which are not: the lists of `lexicon.toml` and the dictionary inside the spaCy model."""

import functools
import re
import tomllib
import unicodedata
from collections.abc import Callable, Collection
from enum import Enum
from pathlib import Path

LISTS = {
    name: frozenset(words.split())
    for name, words in tomllib.loads(Path(__file__).with_name("lexicon.toml").read_text("utf-8")).items()
}
"""The lists of `lexicon.toml`."""

_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_SHORTEST_STEM = 3
_SHORTEST_PART = 4
_ENDINGS = ("s", "es", "ed", "d", "ing", "ly")
# NFD does not take these apart.
_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i", "ß": "ss"}
)


class Kind(Enum):
    """What a word is by itself."""

    GIVEN = "a given name, rarely anything else"
    FAMILY = "a family name, rarely anything else"
    EITHER = "a name that is also a word, a place or a product"
    WORD = "a word of the dictionary"
    CLEAR = "a product, or a word that this site calls no personal data"
    UNKNOWN = "none of these, as most names of the world are"


def fold(word: str) -> str:
    """The word in lower case without accents."""
    if word.isascii():
        return word.lower()
    parts = unicodedata.normalize("NFD", word.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part)).translate(_LETTERS)


class Lexicon:
    """Answers what kind a word is. `dictionary` holds lower-case words of ordinary language.

    With `latin_only`, words in Cyrillic letters are left to who knows them (`russian.py`).
    """

    def __init__(
        self, dictionary: Collection[str], clear_words: Collection[str] = (), *, latin_only: bool = False
    ) -> None:
        self._latin_only = latin_only
        # In this order: a name that is also a word is not certain, and one that is also a product even less.
        self._lists = (
            (Kind.GIVEN, LISTS["given"] - LISTS["given_or_word"]),
            (Kind.EITHER, LISTS["given_or_word"] | (LISTS["family"] & frozenset(dictionary))),
            (Kind.CLEAR, LISTS["known_products"]),
            (Kind.FAMILY, LISTS["family"] - frozenset(dictionary)),
        )
        self._site = frozenset(fold(word) for word in clear_words)
        self._words = frozenset(dictionary) | LISTS["known_words"] | LISTS["titles"] | LISTS["roles"]
        self._endings = tuple(LISTS["family_endings"])
        self.kind: Callable[[str], Kind] = functools.lru_cache(maxsize=65_536)(self._kind)

    def has_family_ending(self, word: str) -> bool:
        """Whether the word ends as family names of some language do, and no dictionary word."""
        return len(word) > _SHORTEST_STEM + 1 and fold(word).endswith(self._endings)

    def is_compound(self, word: str) -> bool:
        """Whether two dictionary words stand together, as in many names of products."""
        folded = fold(word)
        cuts = range(_SHORTEST_PART, len(folded) - _SHORTEST_PART + 1)
        return any(folded[:cut] in self._words and self._is_word(folded[cut:]) for cut in cuts)

    def _kind(self, word: str) -> Kind:
        if self._latin_only and _CYRILLIC.search(word):
            return Kind.CLEAR
        folded = fold(word)
        if folded in self._site:
            return Kind.CLEAR
        if "-" in folded:
            return self._kind_of_joined(word)
        listed = next((kind for kind, words in self._lists if folded in words), None)
        return listed or (Kind.WORD if self._is_word(folded) else Kind.UNKNOWN)

    def _kind_of_joined(self, word: str) -> Kind:
        """The kind of a word with hyphens: a name if its parts are, as in Anna-Maria."""
        parts = [part for part in word.split("-") if part]
        kinds = [self._kind(part) for part in parts]
        named = (
            bool(parts)
            and kinds[0] in {Kind.GIVEN, Kind.EITHER, Kind.FAMILY}
            and all(part[0].isupper() for part in parts)
        )
        if Kind.WORD in kinds or Kind.CLEAR in kinds:
            return Kind.EITHER if named else Kind.WORD
        if Kind.UNKNOWN in kinds:
            return Kind.GIVEN if kinds[0] is Kind.GIVEN else Kind.UNKNOWN
        return kinds[0] if kinds else Kind.WORD

    def _is_word(self, folded: str) -> bool:
        return folded in self._words or any(stem in self._words for stem in _stems(folded))


def _stems(word: str) -> list[str]:
    """What the word may be an inflection of; crude, since a wrong guess merely finds nothing."""
    stems = [word[: -len(ending)] for ending in _ENDINGS if word.endswith(ending)]
    stems += [stem + "e" for stem in stems] + [stem[:-1] for stem in stems if stem[-2:-1] == stem[-1:]]
    stems += [word[:-3] + "y" for ending in ("ies", "ied") if word.endswith(ending)]
    return [stem for stem in stems if len(stem) >= _SHORTEST_STEM]
