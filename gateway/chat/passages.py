"""From many passages found to the few short excerpts an answer is made from."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from retrieval.authors import author_key, take
from retrieval.retriever import FoundPassage
from retrieval.spans import spans_within
from retrieval.terms import terms

_CHARACTERS_PER_TOKEN = 3.5
"""Of English prose under the Qwen tokeniser, rounded down: an estimate that errs towards fewer passages."""
_SAME = 0.9
"""Share of common terms above which one passage repeats another."""
_LOOKED_AT = 2
"""So many times the passages wanted are looked at, best first: one further down may hold the better sentence."""
_RANK_COST = 0.02
"""What a sentence loses for each rank of its passage. The sentences of one passage are some 0.1 apart."""

_Range = tuple[int, int]
"""First and last sentence of an excerpt."""


def cut(found: Sequence[FoundPassage], most: int, most_tokens: int, author_share: float = 1.0) -> list[FoundPassage]:
    """Excerpts of the passages that say something new, at most so many and so long, in the order they were found.

    Of one author at most `author_share` of `most`, as long as others have something to say. An excerpt is one piece of
    its passage around the sentences that meet the question best. Where these are not known, passages are taken whole;
    the best one always stays.
    """
    if not all(passage.sentences for passage in found):
        return _take(found, most, author_share, most_tokens)
    looked_at = _take(found, _LOOKED_AT * most, author_share)
    best = {id(one): max(map(_score, _sentences(one))) for one in looked_at}
    chosen = _take(sorted(looked_at, key=lambda one: -best[id(one)]), most, author_share)
    return _excerpts(sorted(chosen, key=lambda one: one.rank), most_tokens)


def _take(
    found: Sequence[FoundPassage], most: int, author_share: float, most_tokens: float = float("inf")
) -> list[FoundPassage]:
    def fits(passage: FoundPassage, kept: Sequence[FoundPassage]) -> bool:
        if any(_repeats(passage.text, other.text) for other in kept):
            return False
        return not kept or sum(_tokens(one.text) for one in [*kept, passage]) <= most_tokens

    return take(found, most, author_share, lambda passage: author_key(passage.source, passage.author), fits)


def _tokens(text: str) -> float:
    return len(text) / _CHARACTERS_PER_TOKEN


def _repeats(text: str, other: str) -> bool:
    one, two = set(terms(text)), set(terms(other))
    return bool(one | two) and len(one & two) / len(one | two) >= _SAME


_Numbered = tuple[float, int]


def _score(sentence: _Numbered) -> float:
    return sentence[0]


def _sentences(passage: FoundPassage) -> list[_Numbered]:
    """The sentences of a passage by what they are worth, and their numbers."""
    cost = _RANK_COST * (passage.rank - 1)
    return [(sentence.score - cost, number) for number, sentence in enumerate(passage.sentences)]


def _excerpts(passages: Sequence[FoundPassage], most_tokens: int) -> list[FoundPassage]:
    """The best sentences of all, with what lies between those of one passage, while they fit; the best one always."""
    ranges: dict[int, _Range] = {}
    tokens: dict[int, float] = defaultdict(float)
    worth = [(-score, place, number) for place, one in enumerate(passages) for score, number in _sentences(one)]
    for _, place, number in sorted(worth):
        first, last = ranges.get(place, (number, number))
        wider = (min(first, number), max(last, number))
        longer = _tokens(_excerpt(passages[place], wider).text)
        if not ranges or sum(tokens.values()) - tokens[place] + longer <= most_tokens:
            ranges[place], tokens[place] = wider, longer
    return [_excerpt(passages[place], ranges[place]) for place in sorted(ranges)]


def _excerpt(passage: FoundPassage, sentences: _Range) -> FoundPassage:
    """A piece of a passage. It is widened where it would cut personal data in two, which is then known by no half."""
    start, end = passage.sentences[sentences[0]].start, passage.sentences[sentences[1]].end
    for span in passage.spans:
        if span.start < end and span.end > start:
            start, end = min(start, span.start), max(end, span.end)
    return replace(
        passage,
        text=passage.text[start:end],
        spans=tuple(spans_within(passage.spans, start, end)),
        start=passage.start + start,
        end=passage.start + end,
        sentences=(),
    )
