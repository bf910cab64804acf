"""What a recognising process is asked and replies: lines of JSON, so that neither end runs anything of the other's."""

from collections.abc import Iterable, Sequence

import msgspec

from policies.personal_data import Span, SpanRecord
from policies.redaction.scanner import Memory


class Request(msgspec.Struct, frozen=True):
    """A line that announces texts of so many bytes each, which follow it, and the processor time they may take.

    With a `memory` there is one text, the next segment of a longer one. `everything` asks for what `recognise` gives.
    """

    sizes: list[int]
    seconds: float
    memory: Memory | None = None
    everything: bool = False


class Reply(msgspec.Struct, frozen=True):
    """A line with what was found in each text and is remembered of a segment, or one sentence that says why not."""

    found: list[list[SpanRecord]] | None = None
    memory: Memory | None = None
    failed: str = ""


def to_bytes(text: str) -> bytes:
    """A text as it travels: half characters, which hostile input may hold, are to be searched and not to fail."""
    return text.encode("utf-8", "surrogatepass")


def to_text(content: bytes) -> str:
    """The text that was sent."""
    return content.decode("utf-8", "surrogatepass")


def to_records(found: Iterable[Sequence[Span]]) -> list[list[SpanRecord]]:
    """Spans as they are sent."""
    return [
        [SpanRecord(span.start, span.end, str(span.type), span.score, span.recogniser) for span in spans]
        for spans in found
    ]
