"""Bytes to text: which encoding, and whether it is text at all."""

import codecs

from retrieval.parsing.document import MAX_TEXT_CHARACTERS, TOO_MUCH_TEXT
from retrieval.parsing.errors import UnparsableError

_NOT_TEXT = "It is not text, although it is labelled as text."
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Bytes that do not begin a character of several bytes in UTF-8.
_NOT_LEADING = bytes(range(0xC2))
# With markup, which is left out later.
_MOST_CHARACTERS = 5 * MAX_TEXT_CHARACTERS // 2
_SAMPLE_BYTES = 4_096


def decode(content: bytes, declared: str = "") -> str:
    """The text of some bytes.

    A byte-order mark decides; else UTF-8 if it fits, else what the document declares, else Windows-1252, in which
    every byte sequence without control characters is some text.

    Raises:
        UnparsableError: It is not text, or too much of it.
    """
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "") or _unmarked_utf16(content)
    if marked:
        text = content.decode(marked, errors="replace")
    elif b"\0" in content:
        raise UnparsableError(_NOT_TEXT)
    else:
        text = _utf8(content) or _other(content, declared)
    if "\0" in text or _is_noise(text):
        raise UnparsableError(_NOT_TEXT)
    if len(text) > _MOST_CHARACTERS:
        raise UnparsableError(TOO_MUCH_TEXT)
    return text


def _unmarked_utf16(content: bytes) -> str:
    """UTF-16 without its mark has a zero in every other byte of western text."""
    sample = content[:_SAMPLE_BYTES]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if odd > len(sample) * 0.4 and not even:
        return "utf-16-le"
    return "utf-16-be" if even > len(sample) * 0.4 and not odd else ""


def _utf8(content: bytes) -> str:
    """The text if it is UTF-8, a few damaged characters forgiven; else nothing.

    One cut-off or damaged character must not turn every accent of a long document into two wrong letters.
    """
    text = content.decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    sound = len(content.translate(None, delete=_NOT_LEADING)) - damaged if damaged else 0
    return text if not damaged or damaged * 2 < sound else ""


def _other(content: bytes, declared: str) -> str:
    try:
        return content.decode(declared or "cp1252", errors="replace")
    except (LookupError, ValueError):
        return content.decode("cp1252", errors="replace")


def _is_noise(text: str) -> bool:
    """Whether more than one character in twenty is a control character or undecodable."""
    sample = text[:_SAMPLE_BYTES]
    noise = sum((character < " " and character not in "\t\n\r\f\x1b") or character == "\ufffd" for character in sample)
    return noise * 20 > len(sample)
