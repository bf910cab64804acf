"""E-mail: who wrote what to whom and when, the body, and the names of what is attached.

The older header handling of the standard library (`compat32`) is used on purpose: the newer one analyses addresses
with a grammar that takes minutes over a header written to be slow.
"""

import re
from collections.abc import Iterator
from datetime import UTC
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from itertools import islice

from retrieval.parsing.decoding import decode
from retrieval.parsing.document import BlockKind, DocumentBuilder, ParsedDocument, one_line
from retrieval.parsing.errors import UnparsableError
from retrieval.parsing.plain_text import add_text
from retrieval.parsing.web_page import add_html

_LONGEST_HEADER = 2_000
_MOST_PARTS = 1_000
# The parser compares each line with each open boundary, and takes the square of a header's length to split it.
_MOST_COMPARISONS = 20_000_000
_LONG_HEADER = re.compile(rb"^content-[a-z-]{1,40}:(?:[^\n]|\n[ \t]){10000}", re.IGNORECASE | re.MULTILINE)
_TOO_CONVOLUTED = "It has more parts, or longer headers, than any e-mail program writes; save it anew."
# RFC 5322: a message begins with header fields, a name and a colon each.
_HEADER_FIELD = re.compile(rb"(?:From [^\n]{0,500}\n)?[!-9;-~]{1,100}:")


def read(content: bytes) -> ParsedDocument:
    """Parse a message.

    Raises:
        UnparsableError: It does not begin with header fields, or is made to be slow.
    """
    content = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not _HEADER_FIELD.match(content):
        message = "It is labelled as an e-mail, but it does not begin like one."
        raise UnparsableError(message)
    if content.count(b"\n") * content.lower().count(b"boundary") > _MOST_COMPARISONS or _LONG_HEADER.search(content):
        raise UnparsableError(_TOO_CONVOLUTED)
    mail = BytesParser(policy=policy.compat32).parsebytes(content)
    parts = list(islice(_parts(mail), _MOST_PARTS))
    builder = DocumentBuilder()
    builder.add(BlockKind.PARAGRAPH, "\n".join(_heading_lines(mail)))
    _add_body(builder, parts)
    attached = [name for name in map(_attachment, parts) if name]
    if attached:
        builder.add(BlockKind.LIST, "\n".join(["Attachments:", *(f"- {name}" for name in attached)]))
    return builder.build(_header(mail, "Subject"))


def _parts(mail: "Message[str, str]") -> Iterator["Message[str, str]"]:
    """Every part that is no container; messages inside the message are attachments and stay closed."""
    waiting = [mail]
    while waiting:
        part = waiting.pop()
        payload = part.get_payload()
        if isinstance(payload, list) and _is_container(part):
            waiting.extend(inner for inner in reversed(payload) if isinstance(inner, Message))
        else:
            yield part


def _heading_lines(mail: "Message[str, str]") -> Iterator[str]:
    for name in ("Subject", "From", "To", "Cc"):
        value = _header(mail, name)
        if value:
            yield f"{name}: {value}"
    date = _date(_header(mail, "Date"))
    if date:
        yield f"Date: {date}"


def _add_body(builder: DocumentBuilder, parts: list["Message[str, str]"]) -> None:
    """Add the plain body, or the one in HTML when there is no plain one."""
    bodies = [part for part in parts if not _attachment(part)]
    # A container without parts is one whose boundary was lost: its text is all there is.
    plain = [_text(part) for part in bodies if part.get_content_type() == "text/plain" or _is_container(part)]
    if any(text.strip() for text in plain):
        for text in plain:
            add_text(builder, text)
        return
    for part in bodies:
        if part.get_content_type() == "text/html":
            add_html(builder, _text(part))


def _is_container(part: "Message[str, str]") -> bool:
    return part.get_content_maintype() == "multipart"


def _text(part: "Message[str, str]") -> str:
    payload = part.get_payload(decode=True)
    return decode(payload, str(part.get_content_charset() or "")) if isinstance(payload, bytes) else ""


def _attachment(part: "Message[str, str]") -> str:
    """The name of an attached file; empty for a part of the body."""
    name = part.get_filename() or ""
    if name or part.get_content_disposition() == "attachment":
        return _decoded(name) or "without a name"
    return "" if part.get_content_maintype() in {"text", "multipart"} else f"without a name ({part.get_content_type()})"


def _header(mail: "Message[str, str]", name: str) -> str:
    return _decoded(str(mail.get(name, "")))


def _decoded(value: str) -> str:
    cut = value[:_LONGEST_HEADER]
    try:
        return one_line(str(make_header(decode_header(cut))))
    except (HeaderParseError, LookupError, ValueError):
        return one_line(cut)


def _date(value: str) -> str:
    """The time in UTC; what is no date stays as it is."""
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return value
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if moment.tzinfo else f"{moment:%Y-%m-%d %H:%M}"
