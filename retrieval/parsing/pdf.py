"""PDF: pages of lines, put together into headings and paragraphs.

Larger type makes a heading; lines that stand at the edge of most pages are left out. What stands side by
side is a row of a table. Columns of prose come in the order of the file; text in pictures is not read, and what a
reader cannot see is left out (`pdf_visibility.py`), unless it is the text of a picture of a page, as scans have it.
"""

import io
import logging
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import hypot
from typing import Any

from pypdf import PageObject, PdfReader
from pypdf.errors import PyPdfError

from retrieval.parsing.document import (
    FEWEST_HIDDEN_LETTERS,
    MAX_TEXT_CHARACTERS,
    TOO_MUCH_TEXT,
    BlockKind,
    DocumentBuilder,
    ParsedDocument,
)
from retrieval.parsing.errors import UnparsableError
from retrieval.parsing.pdf_visibility import Visibility
from retrieval.parsing.signatures import Signature, require
from retrieval.parsing.tables import looks_like_header, table_text

# What it logs about a damaged file can hold pieces of the file.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)

_ENCRYPTED = "It is protected by a password; save a copy without one."
_CUT_OFF = "It is cut off: the end of the file is missing; get a complete copy."
_DAMAGED = "It is damaged and cannot be opened as a PDF; get another copy."
_NO_TEXT = "There is no text in it, only pictures of pages; run text recognition (OCR) over it first."
_TOO_SLOW = "Its pages take too long to read; save it anew from the program that made it."
_MOST_PAGES = 5_000
_MOST_SECONDS = 60.0
_MOST_PAGE_BYTES = 20_000_000
# Readers look for the end mark in the last kilobyte; some programs append more than they should.
_TAIL_BYTES = 2_048

_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
_BROKEN_WORD = re.compile(r"(?<=[^\W\d_])-\r\n(?=[a-zà-öø-ÿ])")
_NO_TITLE = re.compile(r"microsoft |untitled|\.(?:docx?|indd|pdf|pptx?|tex|dvi)\Z", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_ITEM = re.compile(r"(?:[-*•▪‣\u2013]|\d{1,2}[.)])\s")
_SENTENCE_END = (".", "!", "?", ":", ";")
_HEADING_SCALE = 1.15
_LONGEST_HEADING = 120
_MOST_HEADING_SHARE = 0.3
_MOST_LEVELS = 3
_SHORT_LINE = 0.75
_SAME_HEIGHT_POINTS = 1.0
_EDGE_LINES = 2
_EDGE_SHARE = 0.6
_FEWEST_PAGES_WITH_EDGES = 3


@dataclass(frozen=True, slots=True)
class _Piece:
    """Text as the library hands it over, with the size of its type and its height on the page, both in points."""

    text: str
    size: float
    height: float | None


@dataclass(frozen=True, slots=True)
class _Line:
    """What stands side by side, in one cell or several, with the size of the largest type in it."""

    cells: tuple[str, ...]
    size: float
    height: float | None

    @property
    def text(self) -> str:
        return " ".join(self.cells).strip()


@dataclass(frozen=True, slots=True)
class _Page:
    """The lines of a page, and whether it holds words that its readers do not see."""

    lines: list[_Line]
    hides: bool


def read(content: bytes) -> ParsedDocument:
    """Parse a PDF.

    Raises:
        UnparsableError: It is protected, damaged, cut off, too large, too slow, or holds no text.
    """
    require(content, Signature.PDF, "a PDF document")
    if b"%%EOF" not in content[-_TAIL_BYTES:]:
        raise UnparsableError(_CUT_OFF)
    reader, count = _opened(content)
    read_pages = list(_pages(reader, count))
    pages = _without_edges([page.lines for page in read_pages])
    if not any(line.text for lines in pages for line in lines):
        raise UnparsableError(_NO_TEXT)
    builder = DocumentBuilder()
    levels = _heading_levels(pages)
    for number, (lines, page) in enumerate(zip(pages, read_pages, strict=True), start=1):
        if page.hides:
            builder.note_hidden(in_last=not any(line.text for line in lines))
        _add_page(builder, lines, levels, number)
    return builder.build(builder.first_heading or _title(reader))


def _opened(content: bytes) -> tuple[PdfReader, int]:
    try:
        reader = PdfReader(io.BytesIO(content))
        # An empty password opens what anybody may read but not change.
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnparsableError(_ENCRYPTED)
        count = len(reader.pages)
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise UnparsableError(_DAMAGED) from error
    if count > _MOST_PAGES:
        message = f"It has {count:,} pages, more than the {_MOST_PAGES:,} that are read; split it."
        raise UnparsableError(message)
    return reader, count


def _pages(reader: PdfReader, count: int) -> Iterator[_Page]:
    deadline, total = time.monotonic() + _MOST_SECONDS, 0
    for number in range(count):
        try:
            page = _page(reader.pages[number], deadline)
        except (UnparsableError, MemoryError):
            raise
        except Exception as error:
            message = f"Page {number + 1} of {count} is damaged and cannot be read; get another copy."
            raise UnparsableError(message) from error
        total += sum(len(line.text) for line in page.lines)
        if total > MAX_TEXT_CHARACTERS:
            raise UnparsableError(TOO_MUCH_TEXT)
        yield page


def _page(page: PageObject, deadline: float) -> _Page:
    """A page without the text that its readers do not see, unless that is the text of a picture of a page."""
    seen = Visibility(page, drop=True)
    lines = _lines(page, deadline, seen)
    hides = seen.unseen >= FEWEST_HIDDEN_LETTERS
    if seen.unseen > seen.seen and seen.draws:
        return _Page(_lines(page, deadline, Visibility(page, drop=False)), hides and seen.seen >= FEWEST_HIDDEN_LETTERS)
    return _Page(lines, hides)


def _lines(page: PageObject, deadline: float, visibility: Visibility) -> list[_Line]:
    contents = page.get_contents()
    if contents is None:
        return []
    if len(contents.get_data()) > _MOST_PAGE_BYTES:
        raise UnparsableError(_TOO_SLOW)
    pieces: list[_Piece] = []

    def keep(text: str, transform: Sequence[float], matrix: Sequence[float], _font: Any, size: float) -> None:
        height = matrix[4] * transform[1] + matrix[5] * transform[3] + transform[5]
        pieces.append(_Piece(text, size * hypot(*matrix[2:4]) * hypot(*transform[2:4]), height))

    def watch(operator: bytes, operands: list[Any], transform: Sequence[float], matrix: Sequence[float]) -> None:
        if time.monotonic() > deadline:
            raise UnparsableError(_TOO_SLOW)
        visibility.watch(operator, operands, transform, matrix)

    page.extract_text(visitor_text=keep, visitor_operand_before=watch)
    if time.monotonic() > deadline:  # The library swallows what is raised inside a nested form.
        raise UnparsableError(_TOO_SLOW)
    return list(_side_by_side(_joined(pieces)))


def _joined(pieces: Sequence[_Piece]) -> Iterator[_Line]:
    """Lines from pieces, which may begin and end anywhere in a line."""
    parts: list[str] = []
    size, height = 0.0, None
    for piece in [*pieces, _Piece("\n", 0.0, None)]:
        for number, part in enumerate(piece.text.split("\n")):
            if number:
                yield _Line((" ".join("".join(parts).translate(_LIGATURES).split()),), round(size, 1), height)
                parts, size, height = [], 0.0, None
            parts.append(part)
            if part.strip():
                # Only a piece's first line stands at the height that was told.
                height = piece.height if height is None and not number else height
                size = max(size, piece.size)


def _side_by_side(lines: Iterable[_Line]) -> Iterator[_Line]:
    """Neighbours at one height as the cells of one line, as tables are drawn."""
    gathered: list[_Line] = []
    for line in lines:
        if gathered and not _same_height(gathered[-1], line):
            yield _merged(gathered)
            gathered = []
        gathered.append(line)
    if gathered:
        yield _merged(gathered)


def _same_height(one: _Line, other: _Line) -> bool:
    return one.height is not None and other.height is not None and abs(one.height - other.height) <= _SAME_HEIGHT_POINTS


def _merged(lines: Sequence[_Line]) -> _Line:
    cells = tuple(cell for line in lines for cell in line.cells)
    return _Line(cells, max(line.size for line in lines), lines[0].height)


def _without_edges(pages: list[list[_Line]]) -> list[list[_Line]]:
    """Leave out running heads and feet: lines at the edge of most pages that differ by their digits at most."""
    if len(pages) < _FEWEST_PAGES_WITH_EDGES:
        return pages
    counts = Counter(key for lines in pages for key in {_key(lines[place]) for place in _edges(lines)})
    repeated = {key for key, count in counts.items() if count >= len(pages) * _EDGE_SHARE}
    return [_without(lines, {place for place in _edges(lines) if _key(lines[place]) in repeated}) for lines in pages]


def _edges(lines: Sequence[_Line]) -> list[int]:
    written = [place for place, line in enumerate(lines) if line.text]
    return written[:_EDGE_LINES] + written[_EDGE_LINES:][-_EDGE_LINES:]


def _key(line: _Line) -> str:
    return _DIGITS.sub("#", line.text.casefold())


def _without(lines: Sequence[_Line], places: set[int]) -> list[_Line]:
    return [line for place, line in enumerate(lines) if place not in places]


def _heading_levels(pages: Sequence[Sequence[_Line]]) -> dict[float, int]:
    """The sizes of type that make headings, with their level; none where large type is no exception."""
    characters: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            characters[line.size] += len(line.text)
    body = max(characters, key=lambda size: characters[size], default=0.0)
    larger = sorted((size for size in characters if size >= body * _HEADING_SCALE), reverse=True)
    if sum(characters[size] for size in larger) > characters.total() * _MOST_HEADING_SHARE:
        return {}
    return {size: min(level, _MOST_LEVELS) for level, size in enumerate(larger, start=1)}


def _add_page(builder: DocumentBuilder, lines: Sequence[_Line], levels: dict[float, int], page: int) -> None:
    for level, group in groupby(lines, key=lambda line: _level(line, levels)):
        if level is None:
            _add_body(builder, list(group), page)
        else:
            builder.heading(level, " ".join(line.text for line in group), page)


def _level(line: _Line, levels: dict[float, int]) -> int | None:
    is_heading = len(line.text) <= _LONGEST_HEADING and any(map(str.isalpha, line.text))
    return levels.get(line.size) if is_heading else None


def _add_body(builder: DocumentBuilder, lines: Sequence[_Line], page: int) -> None:
    """Add lines of several cells as tables, all others as paragraphs and lists."""
    for width, group in groupby(lines, key=lambda line: len(line.cells)):
        rows = [line.cells for line in group]
        if width > 1 and len(rows) > 1:
            builder.add(BlockKind.TABLE, table_text(rows, has_header=looks_like_header(rows)), page)
        else:
            _add_paragraphs(builder, [" ".join(cells) for cells in rows], page)


def _add_paragraphs(builder: DocumentBuilder, lines: Sequence[str], page: int) -> None:
    for is_list, group in groupby(_paragraphs(lines), key=lambda text: _ITEM.match(text) is not None):
        if is_list:
            builder.add(BlockKind.LIST, "\n".join(group), page)
        else:
            for text in group:
                builder.add(BlockKind.PARAGRAPH, text, page)


def _paragraphs(lines: Sequence[str]) -> Iterator[str]:
    """Lines put together until one is blank, an item begins, or a sentence ends well before the margin."""
    margin = max(map(len, lines), default=0)
    gathered: list[str] = []
    for line in lines:
        previous = gathered[-1] if gathered else ""
        ended = previous.endswith(_SENTENCE_END) and len(previous) < margin * _SHORT_LINE
        if gathered and (not line or ended or _ITEM.match(line)):
            yield _unbroken(gathered, margin)
            gathered = []
        if line:
            gathered.append(line)
    if gathered:
        yield _unbroken(gathered, margin)


def _unbroken(lines: Sequence[str], margin: int) -> str:
    """The lines as running text, words broken at a line's end put together.

    A line that ends well before the margin keeps its end: it is a row of a table or a line of an address.
    """
    parts = [line if len(line) < margin * _SHORT_LINE else f"{line}\r" for line in lines]
    return _BROKEN_WORD.sub("", "\n".join(parts)).replace("\r\n", " ").rstrip("\r")


def _title(reader: PdfReader) -> str:
    """The title among the document's properties, unless a program put its own words there."""
    try:
        title = str(reader.metadata.title or "") if reader.metadata else ""
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return "" if _NO_TITLE.search(title) else title
