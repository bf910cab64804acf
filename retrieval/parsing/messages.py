"""What the parsing process is asked and replies: lines of JSON, so that neither end runs anything of the other's."""

import signal
from enum import IntEnum

import msgspec

from retrieval.parsing.document import ParsedDocument

READY = b"ready\n"
"""The process's first line: it has given up what it does not need, and reads."""


class Ending(IntEnum):
    """How the process ends when a document takes too much."""

    TIME = -signal.SIGPROF
    MEMORY = 75


class Request(msgspec.Struct, frozen=True):
    """A line that announces `size` bytes of a document, which follow it."""

    media_type: str
    path: str
    size: int


class Reply(msgspec.Struct, frozen=True):
    """A line with what became of the document: it as parsed, or one sentence that says why not."""

    document: ParsedDocument | None = None
    unparsable: str = ""
