"""Cut text into segments small enough to hold back: sentences, lines of a list, at most 399 characters.

Where a segment ends depends only on the text before it and on one character after it, so a stream is cut at the
same places however it arrives; that is why a redacted stream equals the redacted whole.
"""

import re
from collections.abc import Iterator

MAX_SEGMENT_CHARS = 399
"""With the one character of look-ahead, a stream holds back at most 400."""

_LINE_MARKS = frozenset("-*+#|>•·")
_MARKS = ".!?…。\uff01\uff1f"  # The last two are the full-width ! and ?
_BOUNDARY = re.compile(rf"(?<![{_MARKS}])[{_MARKS}]++[\"'\u2019\u201d)\]»*_]*+(\s)|\n")
_ABBREVIATED = re.compile(
    r"(?:\b(?:[^\W\d_]|Dr|Mr|Mrs|Ms|Mx|Prof|Rev|Hon|St|Sr|Jr|Mt|Ft|Lt|Col|Gen|Sgt|Capt|No|Nr|Str|Apt|Ave|Blvd|Rd|Ln"
    r"|Ste|Sq"
    r"|ул|пр|просп|пер|пл|наб|бул|обл|им|кв|корп|стр|оф|гг|гр|тел|доб|руб|коп|тыс|млн|млрд|др|рис|табл|см|ст|доц|проф"
    r"|Tel|Ph|Ext|Fax|Inc|Ltd|Co|Corp|vs|cf|ca|approx|dept|etc|e\.g|i\.e|[ap]\.m|p\.o|al|ul|os|nám|d\.o\.b)"
    r"|(?:\A|\n)\s*\d{1,3})$",
    re.IGNORECASE,
)
_SOFT_CUTS = (
    re.compile(r"\n"),
    re.compile(r"(?<=[;:,])\s"),
    re.compile(r"(?<=[^\W\d_A-Z])\s(?=[^\W\d_A-Z])"),
    re.compile(r"\s"),
)


def segments(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each segment; together they are the whole text."""
    start = 0
    while start < len(text):
        end = start + (next_cut(text[start : start + MAX_SEGMENT_CHARS + 1], final=True) or 0)
        yield start, end
        start = end


def next_cut(text: str, *, final: bool) -> int | None:
    """Where the segment at the beginning of `text` ends, or None when more text must come first.

    Only the first `MAX_SEGMENT_CHARS + 1` characters count. `final` says that nothing follows them, or nothing that
    matters because there are that many; then there is an answer unless the text is empty.
    """
    # Blank lines go with what follows, so that a page of them is not a thousand segments.
    written = len(text) - len(text.lstrip())
    for match in _BOUNDARY.finditer(text, written, MAX_SEGMENT_CHARS):
        cut = match.start() + 1 if match[1] is None else match.start(1) + 1
        if cut == len(text):
            return cut if final else None
        if _ends_line(text, cut) if text[cut - 1] == "\n" else _ends_sentence(text, match.start(), cut):
            return cut
    if len(text) > MAX_SEGMENT_CHARS:
        return _forced_cut(text)
    return len(text) or None if final else None


def _ends_line(text: str, cut: int) -> bool:
    """Whether a line stands alone: it or the next is blank, or part of a list, a table or a title."""
    line = text[text.rfind("\n", 0, cut - 1) + 1 : cut].strip()
    return not line or text[cut] == "\n" or text[cut] in _LINE_MARKS or line[0] in "|#"


def _ends_sentence(text: str, stop: int, cut: int) -> bool:
    # A number goes on over its full stop, as when a line ends there.
    if text[stop] == "." and text[cut].isdigit() and text[stop - 1 : stop].isdigit() and "\n" in text[stop + 1 : cut]:
        return False
    return not text[cut].islower() and not (text[stop] == "." and _ABBREVIATED.search(text[max(0, stop - 12) : stop]))


def _forced_cut(text: str) -> int:
    """The place in the second half that is least likely to split a name or number."""
    middle = MAX_SEGMENT_CHARS // 2
    for pattern in _SOFT_CUTS:
        places = [match.end() for match in pattern.finditer(text, middle, MAX_SEGMENT_CHARS)]
        if places:
            return places[-1]
    opened = text.rfind("⟦", middle, MAX_SEGMENT_CHARS)
    return opened if opened > text.rfind("⟧", middle, MAX_SEGMENT_CHARS) else MAX_SEGMENT_CHARS
