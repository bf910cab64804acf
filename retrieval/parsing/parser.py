"""One function for every format: finds the reader, and turns whatever goes wrong into a sentence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Protocol

from retrieval.parsing import comma_separated, mail, markdown, pdf, plain_text, web_page, word
from retrieval.parsing.document import ParsedDocument, shortened
from retrieval.parsing.errors import UnparsableError
from retrieval.parsing.signatures import Signature, refuse_binary, signature

MAX_CONTENT_BYTES = 100_000_000
"""What a reader takes into memory at once."""

_Read = Callable[[bytes], ParsedDocument]
_UNKNOWN = "application/octet-stream"
_READERS: dict[str, tuple[str, _Read]] = {
    "application/json": ("text", plain_text.read),
    "application/pdf": ("PDF", pdf.read),
    "application/toml": ("text", plain_text.read),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("Word", word.read),
    "application/xhtml+xml": ("HTML", web_page.read),
    "application/yaml": ("text", plain_text.read),
    "message/rfc822": ("e-mail", mail.read),
    "text/csv": ("CSV", comma_separated.read),
    "text/html": ("HTML", web_page.read),
    "text/markdown": ("Markdown", markdown.read),
    "text/tab-separated-values": ("CSV", comma_separated.read),
}
_BINARY = frozenset({"PDF", "Word"})
# Pages that carry the name of their folder.
_NAMELESS = frozenset({"_index", "index", "readme"})


class Parser(Protocol):
    """What turns documents into text; `parse` here, in this process or in another."""

    def parse(self, content: bytes, media_type: str, path: str) -> ParsedDocument:
        """See `parse`."""
        ...


def parse(content: bytes, media_type: str, path: str) -> ParsedDocument:
    """Turn a document's bytes into text with structure.

    Args:
        content: The bytes as the source holds them.
        media_type: What the source says they are; parameters such as a charset are ignored.
        path: Where they stand in the source; gives the title when the document has none.

    Raises:
        UnparsableError: It is empty, protected, damaged, mislabelled, too large, not text, or of a kind not read here.
        MemoryError: It takes more than there is.
    """
    if not content.strip():
        message = "The file is empty."
        raise UnparsableError(message)
    if len(content) > MAX_CONTENT_BYTES:
        message = f"It holds {len(content):,} bytes, more than the {MAX_CONTENT_BYTES:,} that are read; split it."
        raise UnparsableError(message)
    name, read = _reader(media_type.partition(";")[0].strip().lower(), content)
    if name not in _BINARY:
        refuse_binary(content, f"{name} file")
    document = _translated(name, read, content)
    if not document.blocks:
        message = "There is no text in it."
        raise UnparsableError(message)
    return document if document.title else replace(document, title=_title(path))


def _reader(media_type: str, content: bytes) -> tuple[str, _Read]:
    if media_type == _UNKNOWN:
        media_type = "application/pdf" if signature(content) is Signature.PDF else "text/plain"
    if media_type in _READERS:
        return _READERS[media_type]
    if media_type.startswith("text/"):
        return "text", plain_text.read
    message = f"Files of the type {media_type!r} are not read; Markdown, text, HTML, PDF, DOCX, CSV and EML are."
    raise UnparsableError(message)


def _translated(name: str, read: _Read, content: bytes) -> ParsedDocument:
    """Read, with every failure a reason: the readers' libraries meet bytes made to break them."""
    try:
        return read(content)
    except (UnparsableError, MemoryError):
        raise
    except Exception as error:
        message = f"It is damaged: reading it as {name} failed ({type(error).__name__}); get another copy."
        raise UnparsableError(message) from error


def _title(path: str) -> str:
    """A title from a path: the file's name without its extension, in words."""
    place = PurePosixPath(path)
    name = place.parent.name if place.stem.casefold() in _NAMELESS and place.parent.name else place.stem
    words = shortened(" ".join(name.replace("_", " ").replace("-", " ").split()))
    return words[:1].upper() + words[1:] or "Untitled"
