"""Markdown: rendered to HTML and read as such, so that raw HTML in a page is judged like any other.

Link targets, images, comments and front matter are left out; the text of links stays.
"""

import re

from markdown_it import MarkdownIt

from retrieval.parsing.decoding import decode
from retrieval.parsing.document import DocumentBuilder, ParsedDocument, clean
from retrieval.parsing.plain_text import add_text
from retrieval.parsing.web_page import add_html

_FRONT_MATTER = re.compile(r"(---|\+\+\+)[ \t]*\n(.{0,20000}?)\n\1[ \t]*(?:\n|\Z)", re.DOTALL)
_KEY = re.compile(r"\s*(?:#[^\n]*\n\s*)*[\w\"'-]+[ \t]*[:=]")
_TITLE = re.compile(r"^title[ \t]*[:=][ \t]*(.+)$", re.MULTILINE | re.IGNORECASE)
# Beyond these counts a page made to be slow would take minutes: 20,000 open brackets or 300,000 lines take seconds,
# and the time for brackets grows with their square. The longest page of a real handbook had 304 brackets.
_MOST_CHARACTERS = 5_000_000
_MOST_BRACKETS = 20_000
_MOST_LINES = 300_000


def read(content: bytes) -> ParsedDocument:
    """Parse a Markdown file; one too large for a page people write is read as plain text."""
    front_matter, body = _split(clean(decode(content)))
    builder = DocumentBuilder()
    if len(body) > _MOST_CHARACTERS or body.count("[") > _MOST_BRACKETS or body.count("\n") > _MOST_LINES:
        add_text(builder, body)
    else:
        add_html(builder, _renderer().render(body))
    title = _TITLE.search(front_matter)
    return builder.build(title.group(1).strip().strip("\"'") if title else "")


def _split(text: str) -> tuple[str, str]:
    match = _FRONT_MATTER.match(text)
    if match is None or not _KEY.match(match.group(2)):
        return "", text
    return match.group(2), text[match.end() :]


def _renderer() -> MarkdownIt:
    # maxNesting: what lies deeper than this in quotes and lists is dropped.
    return MarkdownIt("commonmark", {"html": True, "maxNesting": 100}).enable(["table", "strikethrough"])
