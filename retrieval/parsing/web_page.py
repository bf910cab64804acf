"""HTML: what a reader sees, as headings, paragraphs, lists, tables and code.

Works through the tree with a stack of its own, so that no depth of nesting can exhaust Python's.
"""

import re
from collections.abc import Iterator

from lxml import etree
from lxml.html import HtmlElement, HTMLParser, document_fromstring

from retrieval.parsing.decoding import decode
from retrieval.parsing.document import TOO_MUCH_TEXT, BlockKind, DocumentBuilder, ParsedDocument, one_line
from retrieval.parsing.errors import UnparsableError
from retrieval.parsing.tables import looks_like_header, table_text
from retrieval.parsing.visibility import HIDDEN_AFTER, HIDDEN_WITHIN, drop_hidden

_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_TOO_DEEP = "Its markup is nested too deep, as in pages that never close their elements; save it anew."
_CHARSET_BYTES = 1_024
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = frozenset({"dir", "dl", "menu", "ol", "ul"})
_BLOCKS = frozenset(
    """address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu ol p pre search section summary table tbody
    td tfoot th thead tr ul""".split()  # noqa: SIM905 - reads better than a list of strings
)
_SPACES = re.compile(r"[ \t\r\n\f]+")
_SEVERAL_SPACES = re.compile(r" {2,}")
_AROUND_BREAKS = re.compile(r" *\n *")
# Stands for the edge of an item; no decoded text holds it.
_ITEM = "\0"
_PUNCTUATION = (".", ",", ":", ";", "!", "?")
_DEEPEST_INDENT = 6
_WIDEST_SPAN = 50
_MOST_CELLS = 2_000_000


def read(content: bytes) -> ParsedDocument:
    """Parse a web page."""
    declared = _CHARSET.search(content[:_CHARSET_BYTES])
    builder = DocumentBuilder()
    title = add_html(builder, decode(content, declared.group(1).decode("ascii") if declared else ""))
    return builder.build(builder.first_heading or title)


def add_html(builder: DocumentBuilder, html: str) -> str:
    """Add what a reader of the page sees; returns the page's title.

    Raises:
        UnparsableError: Its elements are nested beyond what the parser takes, which would leave out the rest.
    """
    # utf-8 outright: the parser would otherwise believe the page's own declaration. Huge: it stops at depth 256 if not.
    parser = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        root = document_fromstring(html.encode(errors="replace"), parser=parser, ensure_head_body=True)
    except etree.ParserError:  # There is no element and no text in it.
        return ""
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
        raise UnparsableError(_TOO_DEEP)
    title = one_line(root.findtext("head/title") or "")
    drop_hidden(root)
    _Renderer(builder).render(root)
    return title


class _Renderer:
    """Walks a tree and adds its blocks; holds what has not become a block yet."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder
        self._inline: list[str] = []
        self._says_something = False
        self._lists: list[tuple[str, int]] = []
        self._items: list[str] = []
        self._marker = ""

    def render(self, root: HtmlElement) -> None:
        walker = etree.iterwalk(root, events=("start", "end"))
        for event, element in walker:
            if event == "start":
                if self._consume(element):
                    walker.skip_subtree()
                    if HIDDEN_WITHIN in element.attrib or any(map(_hides, element.iterdescendants())):
                        self._builder.note_hidden(in_last=True)
                else:
                    if HIDDEN_WITHIN in element.attrib:
                        self._note_hidden()
                    self._start(element)
            else:
                self._end(element)
                if HIDDEN_AFTER in element.attrib:
                    self._note_hidden()
        self._end_list()

    def _note_hidden(self) -> None:
        """Note it at the block that is being gathered, else at the last: never at one under the next heading."""
        self._builder.note_hidden(in_last=not self._items and not self._says_something)

    def _say(self, text: str) -> None:
        self._inline.append(text)
        self._says_something = self._says_something or bool(text.strip())

    def _consume(self, element: HtmlElement) -> bool:
        """Add an element that becomes one block as a whole; says whether it did."""
        tag = element.tag
        if tag in _HEADINGS:
            self._end_list()
            self._builder.heading(_HEADINGS[tag], inline_text(element))
        elif tag == "pre":
            self._end_list()
            self._builder.add(BlockKind.CODE, _verbatim(element))
        elif tag == "table" and _is_data(element):
            self._end_list()
            rows = _grid(element)
            header = _is_header(element) or looks_like_header(rows)
            self._builder.add(BlockKind.TABLE, table_text(rows, has_header=header))
        else:
            return False
        return True

    def _start(self, element: HtmlElement) -> None:
        tag = element.tag
        if tag in _BLOCKS:
            self._flush()
        if tag in _LISTS:
            self._lists.append((tag, 0))
        elif tag in {"li", "dd"}:
            self._marker = self._next_marker()
        self._say(_before(element))
        self._say(_SPACES.sub(" ", element.text or ""))

    def _end(self, element: HtmlElement) -> None:
        tag = element.tag
        if tag not in _HEADINGS and tag != "pre":
            self._say(_after(element))
        if tag in _BLOCKS:
            self._flush()
        if tag in _LISTS and self._lists:
            self._lists.pop()
            if not self._lists:
                self._end_list()
        self._say(_SPACES.sub(" ", element.tail or ""))

    def _next_marker(self) -> str:
        if not self._lists:
            return "- "
        kind, number = self._lists[-1]
        self._lists[-1] = (kind, number + 1)
        return {"ol": f"{number + 1}. ", "dl": "  "}.get(kind, "- ")

    def _flush(self) -> None:
        """Turn the inline text gathered so far into a list item, or a paragraph."""
        text = _AROUND_BREAKS.sub("\n", _SEVERAL_SPACES.sub(" ", "".join(self._inline))).strip()
        self._inline.clear()
        self._says_something = False
        if not text:
            return
        if not self._lists:
            self._builder.add(BlockKind.PARAGRAPH, text)
            return
        indent = "  " * min(len(self._lists) - 1, _DEEPEST_INDENT)
        marker, self._marker = self._marker, " " * len(self._marker)
        self._items.append(indent + marker + text.replace("\n", f"\n{indent}{' ' * len(marker)}"))

    def _end_list(self) -> None:
        """Add the list gathered so far; what follows inside it begins another."""
        self._flush()
        self._builder.add(BlockKind.LIST, "\n".join(self._items))
        self._items.clear()


def _hides(element: HtmlElement) -> bool:
    return HIDDEN_WITHIN in element.attrib or HIDDEN_AFTER in element.attrib


def inline_text(element: HtmlElement) -> str:
    """The text of an element on one line, with commas between the items of a list."""
    items = filter(None, map(one_line, "".join(_inline_parts(element)).split(_ITEM)))
    return " ".join(item if item.endswith(_PUNCTUATION) else f"{item}," for item in items).removesuffix(",")


def _inline_parts(element: HtmlElement) -> Iterator[str]:
    for event, part in etree.iterwalk(element, events=("start", "end")):
        around = _ITEM if part.tag == "li" else " " if part.tag in _BLOCKS else ""
        if event == "start":
            yield around + _before(part)
            yield part.text or ""
        else:
            yield _after(part) + around
            yield (part.tail or "") if part is not element else ""


def _before(element: HtmlElement) -> str:
    """What an inline element shows before its text: struck text is not said any more, 10³ is not 103."""
    if element.tag == "br":
        return "\n"
    if element.tag in {"del", "s", "strike"}:
        return "~~"
    return "^" if element.tag == "sup" and (element.text or "").strip().isdigit() else ""


def _after(element: HtmlElement) -> str:
    return "~~" if element.tag in {"del", "s", "strike"} else ""


def _verbatim(element: HtmlElement) -> str:
    for line_break in element.iter("br"):
        line_break.text = "\n"
    return "".join(element.itertext())


def _is_data(table: HtmlElement) -> bool:
    """Whether a table holds data; one that only arranges the page is read like any other container."""
    if table.get("role") == "presentation" or next(table.iterdescendants("table", *_HEADINGS, "pre"), None) is not None:
        return False
    return any(len(row) > 1 for row in table.iter("tr"))


def _is_header(table: HtmlElement) -> bool:
    first = next(table.iter("tr"), None)
    if first is None:
        return False
    return first.getparent().tag == "thead" or all(cell.tag == "th" for cell in first)


def _grid(table: HtmlElement) -> list[list[str]]:
    """The cells of a table by row and column; a cell that spans rows stands in each of them."""
    rows: list[list[str]] = []
    carried: dict[int, tuple[int, str]] = {}
    cells = 0
    for row in table.iter("tr"):
        line: list[str] = []
        for cell in row.iterchildren("td", "th"):
            _carry(carried, line)
            text = inline_text(cell)
            if (below := _span(cell, "rowspan") - 1) > 0:
                carried[len(line)] = (below, text)
            line += [text, *[""] * (_span(cell, "colspan") - 1)]
        _carry(carried, line)
        rows.append(line)
        cells += len(line)
        if cells > _MOST_CELLS:
            raise UnparsableError(TOO_MUCH_TEXT)
    return rows


def _carry(carried: dict[int, tuple[int, str]], line: list[str]) -> None:
    while len(line) in carried:
        left, text = carried.pop(len(line))
        if left > 1:
            carried[len(line)] = (left - 1, text)
        line.append(text)


def _span(cell: HtmlElement, name: str) -> int:
    value = cell.get(name, "1").strip()
    return min(int(value), _WIDEST_SPAN) if value.isdecimal() and len(value) < 9 and int(value) else 1  # noqa: PLR2004
