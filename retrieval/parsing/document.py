"""A parsed document: its text, and which part of the text is what."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from retrieval.parsing.errors import UnparsableError

MAX_TEXT_CHARACTERS = 10_000_000
"""About sixteen novels. Data files beyond it would be hours of embedding and make no readable passages."""
TOO_MUCH_TEXT = f"It holds more than {MAX_TEXT_CHARACTERS:,} characters of text; split it into smaller files."

_MOST_BLOCKS = 500_000
_LONGEST_HEADING = 250
_LONGEST_TITLE = 200
FEWEST_HIDDEN_LETTERS = 12
"""Of words that readers do not see: fewer are the name of an icon or a button."""
_LINE_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Besides controls: lone surrogates, which no database stores; byte-order marks and soft hyphens, which show nothing.
_UNWANTED = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\u00ad]+")
_SPACES = re.compile(r"[\u00a0\u2007\u202f]")
# The first and the last character with a combining class (Unicode 14 to 16).
_FIRST_MARK, _LAST_MARK = 0x300, 0x1E94A
# Looking for the marks themselves takes as long as reading the page.
_MAY_BE_PILED = re.compile("[\u0300-\U0010ffff]{31}")
_BLANK_LINES = re.compile(r"\n\s*\n")


class BlockKind(StrEnum):
    """What a block is; decides how it may be cut."""

    CODE = "code"
    HEADING = "heading"
    LIST = "list"
    PARAGRAPH = "paragraph"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of structure at `text[start:end]` (code points).

    Attributes:
        kind: What it is.
        start: Where it begins.
        end: Where it ends, exclusive.
        headings: The headings it stands under, outermost first; its own text is not among them.
        page: The page it begins on, counted from 1; None where there are no pages.
    """

    kind: BlockKind
    start: int
    end: int
    headings: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A document's text with its blocks, which cover everything but blanks, in order and without overlap.

    `hidden` are the places in the text where the document holds words that its readers do not see, ascending.
    """

    text: str
    title: str
    blocks: tuple[Block, ...]
    hidden: tuple[int, ...] = ()


class DocumentBuilder:
    """Collects blocks in order and keeps track of the headings they stand under."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._open: list[tuple[int, str]] = []
        self._hidden: list[int] = []
        self.first_heading = ""

    def heading(self, level: int, text: str, page: int | None = None) -> None:
        """Add a heading (1 is the outermost level); a blank one is left out, one as long as a paragraph becomes one."""
        line = one_line(clean(text))
        if not line:
            return
        if len(line) > _LONGEST_HEADING:
            self.add(BlockKind.PARAGRAPH, line, page)
            return
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self.add(BlockKind.HEADING, line, page)
        self._open.append((level, line))
        self.first_heading = self.first_heading or (line if level == 1 else "")

    def add(self, kind: BlockKind, text: str, page: int | None = None) -> None:
        """Add a block; a blank one is left out.

        Raises:
            UnparsableError: The document has become too large.
        """
        cleaned = clean(text).strip("\n").rstrip() if kind is BlockKind.CODE else clean(text).strip()
        if not cleaned.strip():
            return
        start = self._length + (2 if self._parts else 0)
        self._length = start + len(cleaned)
        if self._length > MAX_TEXT_CHARACTERS or len(self._blocks) >= _MOST_BLOCKS:
            raise UnparsableError(TOO_MUCH_TEXT)
        self._parts.append(cleaned)
        path = tuple(heading for _, heading in self._open)
        self._blocks.append(Block(kind, start, self._length, path, page))

    def note_hidden(self, *, in_last: bool = False) -> None:
        """Say that words which readers do not see stand at the next block, or at the last if there is one."""
        after = self._length + (2 if self._parts else 0)
        self._hidden.append(self._blocks[-1].start if in_last and self._blocks else after)

    def build(self, title: str) -> ParsedDocument:
        """The document; its title is the first outermost heading when `title` is empty."""
        text, last = "\n\n".join(self._parts), self._blocks[-1].start if self._blocks else 0
        hidden = sorted({min(place, last) for place in self._hidden})
        return ParsedDocument(
            text, shortened(title) or shortened(self.first_heading), tuple(self._blocks), tuple(hidden)
        )


def is_sound(document: ParsedDocument) -> bool:
    """Whether a document keeps the rules that `DocumentBuilder` keeps: for one that comes from elsewhere."""
    ends = [0, *(block.end for block in document.blocks)]
    in_order = all(end <= block.start <= block.end for end, block in zip(ends, document.blocks, strict=False))
    within = ends[-1] <= len(document.text) and all(0 <= place <= len(document.text) for place in document.hidden)
    return in_order and within and clean(document.text) == document.text


def says_something(words: str) -> bool:
    """Whether words that readers do not see are worth telling of: more than the name of an icon or a button."""
    return sum(map(str.isalpha, words)) >= FEWEST_HIDDEN_LETTERS


def clean(text: str) -> str:
    """One form for line breaks, spaces and letters (Unicode NFC), without control characters.

    Other invisible characters stay: redaction must see them. Of marks that pile up on a letter, 30 stay.
    """
    text = _SPACES.sub(" ", _UNWANTED.sub("", _LINE_BREAKS.sub("\n", text)))
    if text.isascii():
        return text
    # Once more afterwards, since normalizing takes some marks apart: what is clean stays as it is.
    return _without_piles(unicodedata.normalize("NFC", _without_piles(text)))


def _without_piles(text: str) -> str:
    return _piled_marks().sub(r"\1", text) if _MAY_BE_PILED.search(text) else text


@cache
def _piled_marks() -> re.Pattern[str]:
    """More marks on one letter than any script has.

    Normalizing sorts them in a time that grows with the square of their number. The limit is that of the stream-safe
    text format, in Unicode Standard Annex 15.
    """
    characters = map(chr, range(_FIRST_MARK, _LAST_MARK + 1))
    # Some vowel signs of Tibetan are no marks themselves, but made of them.
    marks = "".join(each for each in characters if unicodedata.combining(unicodedata.normalize("NFD", each)[0]))
    return re.compile(f"([{marks}]{{30}})[{marks}]+")


def one_line(text: str) -> str:
    """The text with every run of white space made one space."""
    return " ".join(text.split())


def shortened(title: str) -> str:
    """A title as one line of at most 200 characters."""
    line = one_line(clean(title))
    return line if len(line) <= _LONGEST_TITLE else f"{line[: _LONGEST_TITLE - 1].rstrip()}…"


def paragraphs(text: str) -> list[str]:
    """The parts of a text between blank lines."""
    return _BLANK_LINES.split(text)
