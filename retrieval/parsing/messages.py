"""What the parsing process is asked and replies: lines of JSON, so that neither end runs anything of the other's."""

import msgspec

from retrieval.parsing.document import ParsedDocument


class Request(msgspec.Struct, frozen=True):
    """A line that announces `size` bytes of a document, which follow it."""

    media_type: str
    path: str
    size: int


class Reply(msgspec.Struct, frozen=True):
    """A line with what became of the document: it as parsed, or one sentence that says why not."""

    document: ParsedDocument | None = None
    unparsable: str = ""
