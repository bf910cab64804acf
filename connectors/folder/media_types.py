"""What a file's name says it holds. Whether it does is found out when it is parsed."""

import mimetypes
from pathlib import PurePosixPath

UNKNOWN = "application/octet-stream"
"""RFC 2046: bytes of which nothing more is known."""

# A table of our own: the machine's /etc/mime.types would give other answers on other machines.
_BY_EXTENSION = {
    ".adoc": "text/plain",
    ".cfg": "text/plain",
    ".conf": "text/plain",
    ".csv": "text/csv",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".eml": "message/rfc822",
    ".htm": "text/html",
    ".html": "text/html",
    ".ini": "text/plain",
    ".json": "application/json",
    ".log": "text/plain",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".mdx": "text/markdown",
    ".pdf": "application/pdf",
    ".rst": "text/plain",
    ".text": "text/plain",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".xhtml": "text/html",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
# `filenames` empty: only what Python itself ships.
_PYTHONS = mimetypes.MimeTypes(filenames=())


def media_type(path: str) -> str:
    """The media type a path's extension stands for."""
    extension = PurePosixPath(path).suffix.lower()
    return _BY_EXTENSION.get(extension) or _PYTHONS.types_map[True].get(extension) or UNKNOWN
