"""Join what several recognisers found into spans that do not overlap, hiding all that any of them hides."""

from collections.abc import Iterable

from policies.personal_data import EntityType, Span

# Where spans overlap, the text is of the first of these types; nothing is left out because of a higher score.
_PRECEDENCE = {
    kind: rank
    for rank, kind in enumerate(
        (
            EntityType.SECRET,
            EntityType.CREDIT_CARD,
            EntityType.IBAN_CODE,
            EntityType.NATIONAL_ID,
            EntityType.BANK_ACCOUNT,
            EntityType.CRYPTO,
            EntityType.EMAIL_ADDRESS,
            EntityType.IP_ADDRESS,
            EntityType.BIRTH_DATE,
            EntityType.IDENTIFIER,
            EntityType.PHONE_NUMBER,
            EntityType.ADDRESS,
            EntityType.PERSON,
        )
    )
}


def union(text: str, found: Iterable[Span]) -> list[Span]:
    """Spans in order that do not overlap and together cover all that was found, letters and digits at least."""
    taken: list[Span] = []
    for span in sorted(found, key=lambda span: (_PRECEDENCE[span.type], span.start - span.end, span.start)):
        taken += _uncovered(text, span, taken)
    return sorted(taken, key=lambda span: span.start)


def _uncovered(text: str, span: Span, taken: Iterable[Span]) -> list[Span]:
    """The pieces of a span that no span taken before covers, without blanks and punctuation at their ends."""
    pieces = [(span.start, span.end)]
    for other in taken:
        if other.start < span.end and other.end > span.start:
            pieces = [
                piece
                for start, end in pieces
                for piece in ((start, min(end, other.start)), (max(start, other.end), end))
            ]
    trimmed = [
        _trimmed(text, start, end) if (start, end) != (span.start, span.end) else (start, end) for start, end in pieces
    ]
    return [Span(start, end, span.type, span.score, span.recogniser) for start, end in trimmed if start < end]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and not text[end - 1].isalnum():
        end -= 1
    return start, end
