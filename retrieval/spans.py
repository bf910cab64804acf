"""Personal-data spans as they are stored beside the text they were found in."""

from collections.abc import Iterable

import msgspec

from policies.personal_data import Span, SpanRecord

_encoder = msgspec.json.Encoder()


_decoder = msgspec.json.Decoder(list[SpanRecord])


def write_spans(spans: Iterable[Span]) -> str:
    """Spans as JSON text."""
    return _encoder.encode(list(spans)).decode()


def read_spans(text: str) -> tuple[Span, ...]:
    """The spans that `write_spans` wrote."""
    return tuple(record.span() for record in _decoder.decode(text))


def spans_within(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """The parts of spans that lie in `[start, end)`, with offsets counted from `start`."""
    return [
        Span(max(span.start, start) - start, min(span.end, end) - start, span.type, span.score, span.recogniser)
        for span in spans
        if span.start < end and span.end > start
    ]
