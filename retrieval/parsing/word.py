"""Word documents (DOCX): headings, paragraphs, lists and tables of the body.

Left out: headers, footers, footnotes, comments, tables of contents, deleted text, and text a reader cannot see.
"""

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import docx
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml.ns import qn
from lxml import etree

from retrieval.parsing.document import (
    TOO_MUCH_TEXT,
    BlockKind,
    DocumentBuilder,
    ParsedDocument,
    says_something,
)
from retrieval.parsing.errors import UnparsableError
from retrieval.parsing.signatures import Signature, require
from retrieval.parsing.tables import looks_like_header, table_text

_DAMAGED = "It is damaged or cut off and cannot be opened as a Word document; get a complete copy."
_NOT_WORD = (
    "It is labelled as a Word document, but it holds another kind of ZIP archive; correct its name or replace it."
)
_TOO_LARGE = "It unpacks to far more than its size, as no document of text does; split it or save it anew."
# A page of prose is about 15 kB of XML, and a tree in memory takes some ten times its text.
_MOST_UNPACKED_BYTES = 64_000_000
_MOST_ENTRIES = 2_000
_PIECE_BYTES = 1_000_000
_TINY_HALF_POINTS = 4
_DEEPEST_INDENT = 6
_WIDEST_SPAN = 50
_MOST_CELLS = 2_000_000

_HEADING = re.compile(r"heading ([1-9])\Z", re.IGNORECASE)
_LIST = re.compile(r"list (?:bullet|number|paragraph)", re.IGNORECASE)
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_UNSEEN_PARTS = frozenset({_FALLBACK, qn("w:del"), qn("w:moveFrom"), qn("w:pPr"), qn("w:rPr")})
_SHOWN_AS = {qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-", qn("w:tab"): " "}
_SHADED = frozenset({qn("w:tbl"), qn("w:drawing"), qn("w:pict"), qn("w:txbxContent")})
_CELL, _PARAGRAPH, _ROW, _RUN, _RUN_TEXT, _TABLE = map(qn, ("w:tc", "w:p", "w:tr", "w:r", "w:t", "w:tbl"))
_VAL = qn("w:val")


def read(content: bytes) -> ParsedDocument:
    """Parse a Word document.

    Raises:
        UnparsableError: It is protected, damaged, something else, or unpacks to too much.
    """
    require(content, Signature.ZIP, "a Word document")
    try:
        document = docx.Document(_unpacked(content))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, etree.XMLSyntaxError) as error:
        raise UnparsableError(_DAMAGED) from error
    except (KeyError, ValueError, RuntimeError) as error:
        raise UnparsableError(_NOT_WORD) from error
    return _Reader(_styles(document)).read(document.element.body, document.core_properties.title or "")


def _unpacked(content: bytes) -> io.BytesIO:
    """The archive again with its XML alone, unpacked piece by piece: its directory may lie about sizes.

    Pictures are emptied; nothing here looks at them.
    """
    copy, total = io.BytesIO(), 0
    with zipfile.ZipFile(io.BytesIO(content)) as packed, zipfile.ZipFile(copy, "w") as plain:
        entries = {entry.filename: entry for entry in packed.infolist()}
        if len(entries) > _MOST_ENTRIES:
            raise UnparsableError(_TOO_LARGE)
        if "[Content_Types].xml" not in entries:
            raise UnparsableError(_NOT_WORD)
        for name, entry in entries.items():
            parts = []
            if name.endswith((".xml", ".rels")):
                for piece in _pieces(packed, entry):
                    total += len(piece)
                    if total > _MOST_UNPACKED_BYTES:
                        raise UnparsableError(_TOO_LARGE)
                    parts.append(piece)
            plain.writestr(name, b"".join(parts))
    copy.seek(0)
    return copy


def _pieces(packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    if entry.flag_bits & 1:
        raise UnparsableError(_DAMAGED)
    with packed.open(entry) as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece


class _Reader:
    """Goes through the body and gathers neighbouring list items."""

    def __init__(self, styles: Mapping[str, str]) -> None:
        self._styles = styles
        self._builder = DocumentBuilder()
        self._items: list[str] = []
        self._title = ""
        self._shading = _Shading()

    def read(self, body: Any, property_title: str) -> ParsedDocument:
        walker = etree.iterwalk(body, events=("start",))
        for _, element in walker:
            if element.tag == _TABLE:
                self._end_list()
                rows = _rows(element, self._shading)
                self._builder.add(BlockKind.TABLE, table_text(rows, has_header=_is_header(element, rows)))
                self._note_unseen(in_last=True)
                walker.skip_subtree()
            elif element.tag == _PARAGRAPH:
                self._paragraph(element)
                walker.skip_subtree()
        self._end_list()
        return self._builder.build(self._title or self._builder.first_heading or property_title)

    def _paragraph(self, paragraph: Any) -> None:
        text = _text(paragraph, self._shading)
        style = self._styles.get(_value(paragraph, "w:pPr/w:pStyle"), "")
        level = _level(paragraph, style)
        shown = bool(text.strip()) and not style.startswith("toc ")
        self._note_unseen(in_last=not shown and not self._items)
        if not shown:
            return
        if level is None and (_LIST.match(style) or paragraph.find(_path("w:pPr/w:numPr")) is not None):
            depth = _value(paragraph, "w:pPr/w:numPr/w:ilvl")
            indent = "  " * min(int(depth) if depth.isdecimal() else 0, _DEEPEST_INDENT)
            self._items.append(f"{indent}- {text.strip()}")
            return
        self._end_list()
        if style == "title":
            self._title = self._title or text
        if level is None:
            self._builder.add(BlockKind.PARAGRAPH, text)
        else:
            self._builder.heading(level, text)

    def _note_unseen(self, *, in_last: bool) -> None:
        if says_something(self._shading.take_unseen()):
            self._builder.note_hidden(in_last=in_last)

    def _end_list(self) -> None:
        self._builder.add(BlockKind.LIST, "\n".join(self._items))
        self._items.clear()


def _styles(document: Any) -> dict[str, str]:
    """The name of each paragraph style in lower case; one based on a heading counts as that heading.

    Asked by `document.styles`, the library would open a file of its own for a document that has none.
    """
    parts = [each.target_part for each in document.part.rels.values() if each.reltype == RELATIONSHIP_TYPE.STYLES]
    if not parts:
        return {}
    element = parts[0].element
    names = {style.get(qn("w:styleId"), ""): _value(style, "w:name").lower() for style in element.iter(qn("w:style"))}
    based = {style.get(qn("w:styleId"), ""): _value(style, "w:basedOn") for style in element.iter(qn("w:style"))}
    for style, base in based.items():
        if _HEADING.match(names.get(base, "")) and not names[style].startswith("toc "):
            names[style] = names[base]
    return names


def _level(paragraph: Any, style: str) -> int | None:
    """The level of a heading, with the document's title above all; None for other paragraphs."""
    if style == "title":
        return 0
    match = _HEADING.match(style)
    if match:
        return int(match.group(1))
    outline = _value(paragraph, "w:pPr/w:outlineLvl")
    return int(outline) + 1 if outline.isdecimal() and int(outline) < 9 else None  # noqa: PLR2004 - 9 is body text


class _Shading:
    """Whether something around an element may be coloured, so that white text in it can be read.

    What is known of an element is kept: asked anew for each run, all that stands around it would be gone through anew.
    `unseen` gathers what readers do not see until somebody takes it.
    """

    def __init__(self) -> None:
        self._known: dict[Any, bool] = {}
        self.unseen: list[str] = []

    def take_unseen(self) -> str:
        """What was left out since the last time."""
        words = "".join(self.unseen)
        self.unseen.clear()
        return words

    def around(self, element: Any) -> bool:
        asked = []
        parent = element.getparent()
        while parent is not None and parent not in self._known:
            asked.append(parent)
            parent = parent.getparent()
        shaded = parent is not None and self._known[parent]
        for each in reversed(asked):
            shaded = self._known[each] = shaded or _may_shade(each)
        return shaded


def _may_shade(element: Any) -> bool:
    if element.tag == _PARAGRAPH:
        return element.find(_path("w:pPr/w:shd")) is not None
    return element.tag in _SHADED


def _text(element: Any, shading: _Shading) -> str:
    """The text a reader sees in an element, with line breaks."""
    parts = []
    walker = etree.iterwalk(element, events=("start",))
    for _, part in walker:
        if part.tag in _UNSEEN_PARTS:
            walker.skip_subtree()
        elif part.tag == _RUN and _is_unseen(part, shading):
            shading.unseen += (text.text or "" for text in part.iter(_RUN_TEXT))
            walker.skip_subtree()
        elif part.tag == _RUN_TEXT:
            parts.append(part.text or "")
        elif part.tag == _PARAGRAPH and part is not element:
            parts.append(" ")
        else:
            parts.append(_SHOWN_AS.get(part.tag, ""))
    return "".join(parts)


def _is_unseen(run: Any, shading: _Shading) -> bool:
    """Whether a run is marked hidden, is too small to see, or is white where nothing is shaded."""
    style = run.find(_path("w:rPr"))
    if style is None:
        return False
    if any(
        part is not None and part.get(_VAL, "true") not in {"0", "false", "off"}
        for part in (style.find(_path("w:vanish")), style.find(_path("w:webHidden")))
    ):
        return True
    size = _value(style, "w:sz")
    if size.isdecimal() and int(size) <= _TINY_HALF_POINTS:
        return True
    if _value(style, "w:color").upper() != "FFFFFF":
        return False
    return all(style.find(_path(name)) is None for name in ("w:shd", "w:highlight")) and not shading.around(run)


def _rows(table: Any, shading: _Shading) -> list[list[str]]:
    """The cells of a table; a cell over several columns is followed by empty ones, one that goes on is repeated."""
    rows: list[list[str]] = []
    cells = 0
    for row in table.iterchildren(_ROW):
        line: list[str] = []
        for cell in row.iter(_CELL):
            if next(cell.iterancestors(_ROW)) is not row:
                continue
            text, merged = " ".join(_text(cell, shading).split()), cell.find(_path("w:tcPr/w:vMerge"))
            above = rows[-1][len(line)] if rows and len(line) < len(rows[-1]) else ""
            goes_on = merged is not None and merged.get(_VAL, "continue") == "continue"
            line.append(above if goes_on and not text else text)
            span = _value(cell, "w:tcPr/w:gridSpan")
            line += [""] * (min(int(span), _WIDEST_SPAN) - 1 if span.isdecimal() and span.isascii() else 0)
        rows.append(line)
        cells += len(line)
        if cells > _MOST_CELLS:
            raise UnparsableError(TOO_MUCH_TEXT)
    return rows


def _is_header(table: Any, rows: list[list[str]]) -> bool:
    return table.find(_path("w:tr/w:trPr/w:tblHeader")) is not None or looks_like_header(rows)


@cache
def _path(names: str) -> str:
    return "/".join(map(qn, names.split("/")))


def _value(element: Any, names: str) -> str:
    """The `w:val` of a descendant, empty when there is none."""
    found = element.find(_path(names))
    return "" if found is None else str(found.get(_VAL, ""))
