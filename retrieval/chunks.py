"""A parsed document cut into passages: pieces small enough to embed that still say what they are about.

Pure: text and blocks in, offsets out. Lengths are counted in characters (six to an English word) and checked in tokens.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from retrieval.parsing.document import Block, BlockKind, ParsedDocument

CountTokens = Callable[[str], int]
SEPARATOR = " \u203a "
"""Stands between the headings of a path."""

# About 100 words. On 50 questions about a handbook (dense and keyword scores summed), targets of 450 / 600 / 800 put
# the right page at a mean reciprocal rank of .862 / .866 / .852, a passage with the answer at .581 / .646 / .643.
_TARGET = 600
_LONGEST = 720
# A table or a piece of code is worth a longer passage. Beyond it the embedder's budget would cut it anyway.
_LONGEST_WHOLE = 1_000
# What stands alone as less than about 25 words joins its neighbour: limits of 0 / 150 / 300 gave .857 / .866 / .860.
_TINY = 150
_LONGEST_OVERLAP = 150
# Room for the tokens an embedder puts around a text.
_RESERVED_TOKENS = 4

_SENTENCE_END = re.compile(r"[.!?…]+[\"'\u201d\u2019)\]]*(?=\s)|[。\uff01\uff1f]|\n")
_LINE_END = re.compile(r"\n+")
_ABBREVIATION = re.compile(r"(?:\b(?:approx|ca|cf|Dr|e\.g|etc|i\.e|Mr|Mrs|Ms|No|Prof|St|vs)|\b[A-Z])\.\Z")
_LONGEST_ABBREVIATION = 8

_Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: `document.text[start:end]`.

    Attributes:
        start: Where it begins, in code points of the document's text.
        end: Where it ends, exclusive.
        heading: The headings it stands under, without the document's title, joined by `SEPARATOR`.
        page: The page it begins on; None where there are no pages.
        tokens: How many tokens its text takes.
    """

    start: int
    end: int
    heading: str
    page: int | None
    tokens: int


@dataclass(frozen=True, slots=True)
class _Section:
    """Blocks under one path of headings; `lead` holds the heading blocks right before them."""

    path: tuple[str, ...]
    lead: tuple[Block, ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A span that is not cut unless it alone is too long; a sentence may be repeated where its paragraph is cut."""

    start: int
    end: int
    page: int | None
    paragraph: int = -1


@dataclass(frozen=True, slots=True)
class _Draft:
    """A passage in the making; `lead` is None when it is only a part of its section."""

    path: tuple[str, ...]
    units: tuple[_Unit, ...]
    lead: tuple[Block, ...] | None

    @property
    def length(self) -> int:
        return self.units[-1].end - self.units[0].start


def chunk(document: ParsedDocument, count_tokens: CountTokens, max_tokens: int = 256) -> list[Chunk]:
    """Cut a document into passages, in order, such that title, headings and text together fit `max_tokens`.

    A passage stays within its section, but tiny neighbouring sections share one, with their headings in its text.
    Tables, code and lists are kept whole where they fit, else cut between lines; paragraphs between sentences, where
    one short sentence is repeated.
    """
    drafts: list[_Draft] = []
    for section in _sections(document.blocks):
        for draft in _drafts(document.text, section):
            joined = _joined(drafts[-1], draft) if drafts else None
            drafts[-1:] = [joined] if joined else [*drafts[-1:], draft]
    headings = {path: _heading(path, document.title, count_tokens, max_tokens) for path in {d.path for d in drafts}}
    chunks = []
    for draft in drafts:
        heading, used = headings[draft.path]
        budget = max(max_tokens - used - _RESERVED_TOKENS, max_tokens // 4)
        for units, tokens in _fitted(document.text, draft.units, count_tokens, budget):
            chunks.append(Chunk(units[0].start, units[-1].end, heading, units[0].page, tokens))
    return chunks


def sentences(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text begin and end; a line is one, too."""
    return list(_sentences(text, 0, len(text)))


def index_text(title: str, heading: str, text: str) -> str:
    """What is embedded and searched for a passage: its text under its title and headings."""
    above = SEPARATOR.join(part for part in (title, heading) if part)
    return f"{above}\n{text}" if above else text


def _sections(blocks: Sequence[Block]) -> Iterator[_Section]:
    """The blocks by section. Headings with nothing under them are content of the section around them."""
    lead: list[Block] = []
    content: list[Block] = []
    shown = 0  # How many of the lead stand above a section that came already.
    for block in blocks:
        if block.kind is not BlockKind.HEADING:
            content.append(block)
            continue
        if content:
            yield _Section(content[0].headings, tuple(lead[shown:]), tuple(content))
            lead, content, shown = [], [], 0
        elif (kept := sum(len(heading.headings) < len(block.headings) for heading in lead)) < len(lead):
            yield from _empty(lead, shown, max(shown, kept))
            lead, shown = lead[:kept], kept
        lead.append(block)
    if content:
        yield _Section(content[0].headings, tuple(lead[shown:]), tuple(content))
    else:
        yield from _empty(lead, shown, shown)


def _empty(lead: Sequence[Block], shown: int, first: int) -> Iterator[_Section]:
    """The section of the headings from `first` on, which have nothing under them."""
    if lead[first:]:
        yield _Section(lead[first].headings, tuple(lead[shown:first]), tuple(lead[first:]))


def _drafts(text: str, section: _Section) -> list[_Draft]:
    units = [
        _Unit(start, end, block.page, number if block.kind is BlockKind.PARAGRAPH else -1)
        for number, block in enumerate(section.blocks)
        for start, end in _spans(text, block)
    ]
    packed = list(_packed(units))
    return [_Draft(section.path, tuple(part), section.lead if len(packed) == 1 else None) for part in packed]


def _packed(units: Sequence[_Unit]) -> Iterator[list[_Unit]]:
    """Neighbouring units put together into windows of about equal length near the target."""
    total = sum(unit.end - unit.start for unit in units)
    aim = total / max(1, round(total / _TARGET))
    window: list[_Unit] = []
    for unit in units:
        if window and _closes(window, unit, aim, rest=units[-1].end - unit.start):
            yield window
            window = _overlap(window, unit)
        window.append(unit)
    if window:
        yield window


def _closes(window: Sequence[_Unit], unit: _Unit, aim: float, rest: int) -> bool:
    """Whether a window ends before the unit. What is tiny, before or after it, is not left alone."""
    length, longer = window[-1].end - window[0].start, unit.end - window[0].start
    if length < _TINY:
        return longer > _LONGEST_WHOLE + _TINY
    if rest < _TINY:
        return longer > _LONGEST
    return longer > _LONGEST or longer - aim > aim - length


def _overlap(window: Sequence[_Unit], following: _Unit) -> list[_Unit]:
    """The last sentence of a window whose paragraph goes on in the next one, if it is short."""
    last = window[-1]
    goes_on = len(window) > 1 and last.paragraph == following.paragraph >= 0
    return [last] if goes_on and last.end - last.start <= _LONGEST_OVERLAP else []


def _joined(above: _Draft, below: _Draft) -> _Draft | None:
    """One passage for two whole neighbouring sections of which one is tiny, under the headings they share."""
    if above.lead is None or below.lead is None or min(above.length, below.length) >= _TINY:
        return None
    common = _common(above.path, below.path)
    if max(len(above.path), len(below.path)) - len(common) > 1:
        return None
    units = (*_lead_units(above, common), *above.units, *_lead_units(below, common), *below.units)
    draft = _Draft(common, units, above.lead)
    return draft if draft.length <= _TARGET else None


def _lead_units(draft: _Draft, common: tuple[str, ...]) -> Iterator[_Unit]:
    """The headings of a draft that neither the shared path nor its own text holds."""
    for heading in draft.lead or ():
        if len(heading.headings) >= len(common) and heading.end <= draft.units[0].start:
            yield _Unit(heading.start, heading.end, heading.page)


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(first for first, _ in pairs)


def _heading(path: tuple[str, ...], title: str, count_tokens: CountTokens, max_tokens: int) -> tuple[str, int]:
    """A path without the document's title, cut from the outside to half the tokens; and the tokens of both together."""
    headings = path[1:] if path and path[0] == title else path
    used = count_tokens(index_text(title, SEPARATOR.join(headings), ""))
    while headings and used > max_tokens // 2:
        headings = headings[1:]
        used = count_tokens(index_text(title, SEPARATOR.join(headings), ""))
    return SEPARATOR.join(headings), used


def _fitted(
    text: str, units: Sequence[_Unit], count_tokens: CountTokens, budget: int
) -> Iterator[tuple[Sequence[_Unit], int]]:
    """The units as they are when they fit the budget, else halved until they do; with their tokens."""
    start, end = units[0].start, units[-1].end
    tokens = count_tokens(text[start:end])
    if tokens <= budget or end - start == 1:
        yield units, tokens
        return
    middle = len(units) // 2
    halves = (units[:middle], units[middle:]) if middle else [[half] for half in _halves(text, units[0])]
    for half in halves:
        yield from _fitted(text, half, count_tokens, budget)


def _halves(text: str, unit: _Unit) -> list[_Unit]:
    """A unit cut near its middle: after a line, else after a word, else anywhere."""
    middle = (unit.start + unit.end) // 2
    places = (text.rfind(mark, unit.start + 1, middle + 1) for mark in "\n ")
    place = next((place for place in places if place > 0), middle)
    spans = (_trimmed(text, unit.start, place), _trimmed(text, place, unit.end))
    return [replace(unit, start=start, end=end) for start, end in spans if start < end]


def _spans(text: str, block: Block) -> Iterator[_Span]:
    """A block as spans of at most the longest length, cut where it hurts least."""
    whole = _LONGEST_WHOLE if block.kind in {BlockKind.CODE, BlockKind.TABLE} else _LONGEST
    if block.end - block.start <= whole:
        return iter([(block.start, block.end)])
    return _cut(text, block.start, block.end, (_sentences, _words) if block.kind is BlockKind.PARAGRAPH else _BY_LINE)


_Cut = Callable[[str, int, int], Iterator[_Span]]


def _cut(text: str, start: int, end: int, ways: Sequence[_Cut]) -> Iterator[_Span]:
    if end - start <= _LONGEST or not ways:
        yield start, end
        return
    for piece_start, piece_end in ways[0](text, start, end):
        yield from _cut(text, piece_start, piece_end, ways[1:])


def _lines(text: str, start: int, end: int) -> Iterator[_Span]:
    return _between(text, start, end, (match.end() for match in _LINE_END.finditer(text, start, end)))


def _sentences(text: str, start: int, end: int) -> Iterator[_Span]:
    ends = (match.end() for match in _SENTENCE_END.finditer(text, start, end))
    return _between(text, start, end, (place for place in ends if not _is_abbreviation(text, start, place)))


def _is_abbreviation(text: str, start: int, end: int) -> bool:
    return _ABBREVIATION.search(text[max(start, end - _LONGEST_ABBREVIATION) : end]) is not None


def _words(text: str, start: int, end: int) -> Iterator[_Span]:
    """Windows of the target length, cut between words where there are any."""
    while end - start > _TARGET:
        place = text.rfind(" ", start + 1, start + _TARGET + 1)
        place = place if place > 0 else start + _TARGET
        yield from _between(text, start, place, ())
        start = place
    yield from _between(text, start, end, ())


_BY_LINE: tuple[_Cut, ...] = (_lines, _sentences, _words)


def _between(text: str, start: int, end: int, places: Iterable[int]) -> Iterator[_Span]:
    """The spans between places, without the white space around them; blank ones are left out."""
    for place in (*places, end):
        span = _trimmed(text, start, place)
        if span[0] < span[1]:
            yield span
        start = place


def _trimmed(text: str, start: int, end: int) -> _Span:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
