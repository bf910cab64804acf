"""From many passages found to the few short ones an answer is made from."""

from collections.abc import Sequence

from retrieval.retriever import FoundPassage
from retrieval.terms import terms

_CHARACTERS_PER_TOKEN = 3.5
"""Of English prose under the Qwen tokeniser, rounded down: an estimate that errs towards fewer passages."""
_SAME = 0.9
"""Share of common terms above which one passage repeats another."""


def cut(found: Sequence[FoundPassage], most: int, most_tokens: int) -> list[FoundPassage]:
    """The first passages that say something new, at most so many and so long; the best one always stays."""
    kept: list[FoundPassage] = []
    tokens = 0.0
    for passage in found:
        tokens_of_it = len(passage.text) / _CHARACTERS_PER_TOKEN
        if any(_repeats(passage.text, other.text) for other in kept):
            continue
        if kept and tokens + tokens_of_it > most_tokens:
            continue
        kept.append(passage)
        tokens += tokens_of_it
        if len(kept) == most:
            break
    return kept


def _repeats(text: str, other: str) -> bool:
    one, two = set(terms(text)), set(terms(other))
    return bool(one | two) and len(one & two) / len(one | two) >= _SAME
