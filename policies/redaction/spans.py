"""Join what several recognisers found into spans that do not overlap, hiding all that any of them hides."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from policies.personal_data import EntityType, KnownTypes, MentionType, Sensitivity, Span, SpanType

# Where spans overlap, the text is of the first of these types; nothing is left out because of a higher score. A site's
# own types stand where their sensitivity does: never does what is sealed become a part of what is not.
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
            Sensitivity.SEALED,
            Sensitivity.CONTACT,
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


_MENTIONS = frozenset(map(str, MentionType))
_BUILT_IN_TYPES = KnownTypes()


def union(text: str, found: Iterable[Span], types: KnownTypes = _BUILT_IN_TYPES) -> list[Span]:
    """Spans in order that do not overlap and together cover all that was found, letters and digits at least.

    `types` say which of a site's own types are sealed; without, all of them count as sealed.
    """
    taken: list[Span] = []
    for span in sorted(found, key=lambda span: (_rank(span.type, types), span.start - span.end, span.start)):
        # What is taken stays in order and does not overlap, so what overlaps a span stands side by side.
        first = bisect_right(taken, span.start, key=_end)
        last = bisect_left(taken, span.end, lo=first, key=_start)
        taken[first:last] = sorted([*taken[first:last], *_uncovered(text, span, taken[first:last])], key=_start)
    return taken


def _rank(kind: SpanType, types: KnownTypes) -> int:
    if kind in _MENTIONS:  # These take nothing from what is personal data.
        return len(_PRECEDENCE)
    return _PRECEDENCE[kind if isinstance(kind, EntityType) else types.sensitivity(kind)]


def _start(span: Span) -> int:
    return span.start


def _end(span: Span) -> int:
    return span.end


def _uncovered(text: str, span: Span, others: Sequence[Span]) -> list[Span]:
    """The pieces of a span between others that overlap it, without blanks and punctuation at their ends."""
    if not others:
        return [span] if span.start < span.end else []
    starts = [span.start, *(other.end for other in others)]
    ends = [*(other.start for other in others), span.end]
    pieces = [_trimmed(text, start, end) for start, end in zip(starts, ends, strict=True)]
    return [Span(start, end, span.type, span.score, span.recogniser) for start, end in pieces if start < end]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and not text[end - 1].isalnum():
        end -= 1
    return start, end


def shifted(span: Span, by: int) -> Span:
    """The span so many characters further on."""
    return Span(span.start + by, span.end + by, span.type, span.score, span.recogniser)
