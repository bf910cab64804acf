"""What the first bytes say a file is, to catch files that are labelled as something else."""

from enum import StrEnum

from retrieval.parsing.errors import UnparsableError


class Signature(StrEnum):
    """A kind of file recognised by its first bytes; the value completes "it holds ..."."""

    EXECUTABLE = "a program"
    GIF = "a GIF image"
    GZIP = "a gzip archive"
    HTML = "a web page"
    JPEG = "a JPEG image"
    OLE = "an old or password-protected Office file"
    PDF = "a PDF document"
    PNG = "a PNG image"
    RAR = "a RAR archive"
    RTF = "a rich-text (RTF) document"
    SEVEN_ZIP = "a 7-Zip archive"
    SQLITE = "a SQLite database"
    ZIP = "a ZIP archive"


_BEGINNINGS = (
    (b"%PDF-", Signature.PDF),
    (b"PK\x03\x04", Signature.ZIP),
    (b"PK\x05\x06", Signature.ZIP),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Signature.OLE),
    (b"\x89PNG\r\n\x1a\n", Signature.PNG),
    (b"\xff\xd8\xff", Signature.JPEG),
    (b"GIF87a", Signature.GIF),
    (b"GIF89a", Signature.GIF),
    (b"\x1f\x8b\x08", Signature.GZIP),
    (b"\x7fELF", Signature.EXECUTABLE),
    (b"{\\rtf", Signature.RTF),
    (b"7z\xbc\xaf\x27\x1c", Signature.SEVEN_ZIP),
    (b"Rar!\x1a\x07", Signature.RAR),
    (b"SQLite format 3\0", Signature.SQLITE),
)
_HTML_BEGINNINGS = (b"<!doctype html", b"<html")
# Readers look for the header of a PDF in its first kilobyte.
_PDF_HEADER_BYTES = 1_024


def signature(content: bytes) -> Signature | None:
    """What the bytes begin like; None for text and for what is not known here."""
    for beginning, kind in _BEGINNINGS:
        if content.startswith(beginning):
            return kind
    return Signature.HTML if content[:100].lstrip().lower().startswith(_HTML_BEGINNINGS) else None


def require(content: bytes, wanted: Signature, named: str) -> None:
    """Make sure that the bytes are what they are labelled as.

    Raises:
        UnparsableError: They are something else.
    """
    if wanted is Signature.PDF and b"%PDF-" in content[:_PDF_HEADER_BYTES]:
        return
    found = signature(content)
    if found is wanted:
        return
    if wanted is Signature.ZIP and found is Signature.OLE:
        raise UnparsableError(_protected_or_old(content, named))
    holds = f"it holds {found}" if found else "its content is something else or damaged"
    message = f"It is labelled as {named}, but {holds}; correct its name or replace it."
    raise UnparsableError(message)


def refuse_binary(content: bytes, named: str) -> None:
    """Make sure that what is labelled as some kind of text does not begin like a binary format.

    Raises:
        UnparsableError: It does.
    """
    found = signature(content)
    if found not in {None, Signature.HTML}:
        message = f"It is labelled as {named}, but it holds {found}; correct its name or replace it."
        raise UnparsableError(message)


def _protected_or_old(content: bytes, named: str) -> str:
    if "EncryptedPackage".encode("utf-16-le") in content:
        return "It is protected by a password; save a copy without one."
    return f"It is labelled as {named}, but it is in an older Office format; save it in the present one."
