"""Words and phrases of a list, found in time that grows with the text alone, however long the list is."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from policies.redaction.lexicon import fold

_WORD = re.compile(r"[^\W_]+")
_WIDEST_GAP = 3
"""Signs and blanks between two words of a phrase: `Acme-Rocket`, `Acme, Rocket`, `Acme` at one line's end."""


class Phrases:
    """Finds the phrases as whole words. Case, accents and what stands between their words do not matter."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._phrases = frozenset(map(words_of_phrase, phrases))
        lengths: defaultdict[str, set[int]] = defaultdict(set)
        for words in self._phrases:
            lengths[words[0]].add(len(words))
        self._lengths = {first: sorted(each, reverse=True) for first, each in lengths.items()}

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Where phrases stand, the longest first where several begin."""
        found = list(_WORD.finditer(text)) if self._phrases else []
        words = [fold(match[0]) for match in found]
        at = 0
        while at < len(found):
            lengths = self._lengths.get(words[at], ())
            length = next((each for each in lengths if self._stands(found, words, at, each)), 0)
            if length:
                yield found[at].start(), found[at + length - 1].end()
            at += length or 1

    def _stands(self, found: Sequence[re.Match[str]], words: Sequence[str], at: int, length: int) -> bool:
        if tuple(words[at : at + length]) not in self._phrases:
            return False
        return all(found[i + 1].start() - found[i].end() <= _WIDEST_GAP for i in range(at, at + length - 1))


def words_of_phrase(phrase: str) -> tuple[str, ...]:
    """The words of a phrase as they are compared; none where it has neither letter nor digit."""
    return tuple(fold(word) for word in _WORD.findall(unicodedata.normalize("NFKC", phrase)))
