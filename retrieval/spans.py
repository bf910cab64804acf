"""Personal-data spans as they are stored beside the text they were found in."""

from collections.abc import Iterable

import msgspec

from policies.personal_data import Span, span_type

_encoder = msgspec.json.Encoder()


class _StoredSpan(msgspec.Struct, frozen=True):
    """A span as it is stored; its kind may be one that the settings no longer have."""

    start: int
    end: int
    type: str
    score: float
    recogniser: str


_decoder = msgspec.json.Decoder(list[_StoredSpan])


def write_spans(spans: Iterable[Span]) -> str:
    """Spans as JSON text."""
    return _encoder.encode(list(spans)).decode()


def read_spans(text: str) -> tuple[Span, ...]:
    """The spans that `write_spans` wrote."""
    return tuple(
        Span(found.start, found.end, span_type(found.type), found.score, found.recogniser)
        for found in _decoder.decode(text)
    )


def spans_within(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """The parts of spans that lie in `[start, end)`, with offsets counted from `start`."""
    return [
        Span(max(span.start, start) - start, min(span.end, end) - start, span.type, span.score, span.recogniser)
        for span in spans
        if span.start < end and span.end > start
    ]
