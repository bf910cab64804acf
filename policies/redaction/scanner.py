"""Reading one text segment by segment: what all recognisers say of each is joined, and remembered for the next ones.

A segment is judged by itself, by a short look-back and by the names that stood before it, never by what follows;
so a text that arrives in pieces gives the same spans as the whole (`streaming.py`).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from policies.errors import RedactionFailedError
from policies.personal_data import EntityType, MentionType, Span
from policies.redaction import mentions
from policies.redaction.candidates import Entity
from policies.redaction.names import Name, find_names
from policies.redaction.normalise import View, joined
from policies.redaction.recognition import Reading, Recognition
from policies.redaction.spans import union

_LOOK_BACK_CHARS = 100
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Memory:
    """What a scanner remembers of what it has read: the end of it, family names, and the segments of a link.

    `codes_before` is the end of it as codes are read; `cut_short` says that encoded data filled the segment before.
    """

    before: str = ""
    known: frozenset[str] = frozenset()
    in_link: int = 0
    codes_before: str = ""
    cut_short: bool = False


NOTHING_READ = Memory()
"""What a scanner at the beginning of a text remembers."""


class Scanner:
    """Reads one text segment by segment, remembering what later segments are judged by."""

    def __init__(
        self, recognition: Recognition, memory: Memory = NOTHING_READ, also: frozenset[MentionType] | None = None
    ) -> None:
        self._recognition = recognition
        self._also = recognition.site.also if also is None else also
        self._before, self._known, self._in_link = memory.before, memory.known, memory.in_link
        self._codes_before, self._cut_short = memory.codes_before, memory.cut_short

    @property
    def memory(self) -> Memory:
        """What another scanner needs to go on from here."""
        return Memory(self._before, self._known, self._in_link, self._codes_before, self._cut_short)

    def find(self, segment: str) -> list[Span]:
        """The personal data in the next segment of the text, as `segments` cuts it.

        Raises:
            RedactionFailedError: It could not be looked for; the text must not be used.
        """
        return closed(lambda: self._find(segment))

    def judge(self, reading: Reading, entities: Sequence[Entity], russian: Sequence[Name]) -> list[Span]:
        """The spans of a segment, given what the entity recogniser says of its prose, and the Russian names in it."""
        lexicon = self._recognition.lexicon
        if reading.encoded:
            self._before = self._codes_before = ""
            self._cut_short = not reading.text[-1:].isspace()
            hidden = len(reading.text.rstrip()) if any(map(str.isalnum, reading.text)) else 0
            return [Span(0, hidden, EntityType.SECRET, 0.5, "encoded data")] if hidden else []
        found = self._found_by_rules(reading)
        if self._cut_short:
            found += _rest_of_code(reading.text)
        self._cut_short = False
        if reading.nameable:
            names = find_names(reading.prose.text, reading.words, entities, lexicon, self._known)
            for name in self._recognition.without_clear(names, reading.prose.text):
                self._known |= name.family
                found.append(_person(name, reading.prose))
        for name in self._recognition.without_clear(russian, reading.prose.text):
            found.append(_person(name, reading.prose))
        if self._also:
            found += self._mentions(reading, entities)
        self._before = (self._before + reading.view.text)[-_LOOK_BACK_CHARS:]
        self._codes_before = (self._codes_before + reading.codes.text)[-_LOOK_BACK_CHARS:]
        types = self._recognition.site.types
        return union(reading.text, _outside_placeholders(reading.text, found, self._recognition.placeholder), types)

    def _found_by_rules(self, reading: Reading) -> list[Span]:
        ask = self._recognition
        found = [_moved(span, reading.view) for span in ask.streets(reading.view, self._before)]
        found += [_moved(span, reading.codes) for span in ask.patterns(reading.codes, self._codes_before)]
        if "<" in reading.view.text:  # What tags hold, such as the target of a link, is gone from the view of codes.
            found += [_moved(span, reading.view) for span in ask.patterns(reading.view, self._before)]
        if "\n" in reading.codes.text.strip():
            lines = joined(reading.codes)
            ends = [start for sign, start in zip(reading.codes.text, reading.codes.starts, strict=True) if sign == "\n"]
            across = [_moved(span, lines) for span in ask.broken(lines)]
            found += [span for span in across if _goes_on(reading.text, ends, span, found)]
        return found

    def _mentions(self, reading: Reading, entities: Sequence[Entity]) -> list[Span]:
        by_rules = mentions.by_rules(reading.view.text, self._before, self._recognition.lexicon, self._also)
        by_entities = mentions.by_entities(reading.prose.text, reading.words, entities, self._also)
        return [_moved(span, reading.view) for span in by_rules] + [_moved(span, reading.prose) for span in by_entities]

    def _find(self, segment: str) -> list[Span]:
        reading = self._recognition.read(segment, in_link=self._in_link)
        self._in_link = reading.in_link
        text = reading.prose.text
        entities = self._recognition.entities([reading], self._also)
        russian = self._recognition.russian([reading])
        return self.judge(reading, entities.get(text, []), russian.get(text, []))


def closed(work: Callable[[], _T]) -> _T:
    """The result of the work; any failure becomes one that stops the caller."""
    try:
        return work()
    except RedactionFailedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever breaks, the text must not pass.
        message = (
            f"Personal data could not be looked for ({type(error).__name__}), so the text was not used. Try again."
        )
        raise RedactionFailedError(message) from None  # What broke may quote the text, and tracebacks are logged.


def _person(name: Name, view: View) -> Span:
    return _moved(Span(name.start, name.end, EntityType.PERSON, name.score, f"name, {name.evidence}"), view)


def _moved(span: Span, view: View) -> Span:
    start, end = view.original(span.start, span.end)
    return Span(start, end, span.type, span.score, span.recogniser)


def _rest_of_code(text: str) -> list[Span]:
    """What encoded data that filled the segment before goes on with, if it holds a digit as codes do."""
    rest = len(text) if not any(map(str.isspace, text)) else next(at for at, sign in enumerate(text) if sign.isspace())
    return [Span(0, rest, EntityType.SECRET, 0.5, "encoded data")] if any(map(str.isdigit, text[:rest])) else []


def _goes_on(text: str, line_ends: Sequence[int], span: Span, found: Sequence[Span]) -> bool:
    """Whether a span goes on over the end of a line, and what stands after it is part of the code, not a new word."""
    at = next((at for at in line_ends if span.start <= at < span.end), -1)
    if at < 0:
        return False
    known = [other for other in found if other.start < span.end and span.start < other.end]
    if span.type is EntityType.EMAIL_ADDRESS:  # The end of one is told by its domain, the beginning of one by nothing.
        return not any(other.start > at for other in known)
    found_before = any(other.recogniser == span.recogniser for other in known)
    return not found_before or any(map(str.isdigit, text[at + 1 : span.end]))


def _outside_placeholders(text: str, found: Sequence[Span], placeholder: re.Pattern[str]) -> list[Span]:
    """What of the spans stands outside placeholders, which hold no personal data."""
    kept = [(match.start(), match.end()) for match in placeholder.finditer(text)]
    if not kept:
        return list(found)
    gaps = zip([0, *(end for _, end in kept)], [*(start for start, _ in kept), len(text)], strict=True)
    pieces = [(max(span.start, start), min(span.end, end), span) for start, end in gaps for span in found]
    return [
        Span(start, end, span.type, span.score, span.recogniser)
        for start, end, span in pieces
        if start < end and any(map(str.isalnum, text[start:end]))
    ]
