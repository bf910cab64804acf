"""From many passages found to the few short ones an answer is made from."""

from collections.abc import Sequence

from retrieval.authors import author_key, take
from retrieval.retriever import FoundPassage
from retrieval.terms import terms

_CHARACTERS_PER_TOKEN = 3.5
"""Of English prose under the Qwen tokeniser, rounded down: an estimate that errs towards fewer passages."""
_SAME = 0.9
"""Share of common terms above which one passage repeats another."""


def cut(found: Sequence[FoundPassage], most: int, most_tokens: int, author_share: float = 1.0) -> list[FoundPassage]:
    """The first passages that say something new, at most so many and so long; the best one always stays.

    Of one author at most `author_share` of `most`, as long as others have something to say.
    """

    def fits(passage: FoundPassage, kept: Sequence[FoundPassage]) -> bool:
        if any(_repeats(passage.text, other.text) for other in kept):
            return False
        return not kept or _tokens([*kept, passage]) <= most_tokens

    return take(found, most, author_share, lambda passage: author_key(passage.source, passage.author), fits)


def _tokens(passages: Sequence[FoundPassage]) -> float:
    return sum(len(passage.text) for passage in passages) / _CHARACTERS_PER_TOKEN


def _repeats(text: str, other: str) -> bool:
    one, two = set(terms(text)), set(terms(other))
    return bool(one | two) and len(one & two) / len(one | two) >= _SAME
