"""Plain text: paragraphs between blank lines."""

import re

from retrieval.parsing.decoding import decode
from retrieval.parsing.document import BlockKind, DocumentBuilder, ParsedDocument, clean, paragraphs

_UNDERLINE = re.compile(r"([=~^-])\1{2,}\Z")
_LONGEST_HEADING = 80
_ITEM = re.compile(r"\s*(?:[-*•\u2013]|\d{1,3}[.)])\s")


def read(content: bytes) -> ParsedDocument:
    """Parse a text file."""
    builder = DocumentBuilder()
    add_text(builder, decode(content))
    return builder.build("")


def add_text(builder: DocumentBuilder, text: str) -> None:
    """Add the headings (in capitals or underlined), paragraphs and lists of a text."""
    level = 1
    for paragraph in paragraphs(clean(text)):
        first, *rest = paragraph.strip("\n").split("\n", 2)
        if _is_heading(first, rest):
            builder.heading(level, first)
            builder.add(BlockKind.PARAGRAPH, "\n".join(rest[1:]))
        else:
            builder.add(BlockKind.LIST if _ITEM.match(first) else BlockKind.PARAGRAPH, paragraph)
        level = 2


def _is_heading(line: str, rest: list[str]) -> bool:
    if len(line) > _LONGEST_HEADING or not any(map(str.isalpha, line)):
        return False
    return (line.isupper() and not rest) or (bool(rest) and _UNDERLINE.match(rest[0].strip()) is not None)
