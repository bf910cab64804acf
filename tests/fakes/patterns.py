"""A redactor without a model: e-mail addresses, card numbers a few known names, and weekdays."""

import re
from collections.abc import Sequence
from typing import Self

from policies.personal_data import EntityType, MentionType, SiteType, Span
from policies.redaction.site import SiteRedaction
from policies.redaction.spans import union

_PATTERNS = {
    EntityType.EMAIL_ADDRESS: re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    EntityType.CREDIT_CARD: re.compile(r"\b\d{4}(?: ?\d{4}){3}\b"),
    EntityType.PERSON: re.compile(r"\b(?:Ada Brandt|Ravi Okafor)\b"),
}
_WEEKDAY = re.compile(r"\b(?:Mon|Tues|Wednes|Thurs|Fri)day\b")


def _weekdays(text: str) -> list[Span]:
    kind = SiteType(MentionType.DATE_TIME.value)
    return [Span(match.start(), match.end(), kind, 1.0, "pattern") for match in _WEEKDAY.finditer(text)]


class PatternRedactor:
    """Stands in for `policies.redaction.engine.Redactor`, and for the scanner it gives; a site's own types are real."""

    def __init__(self, site: SiteRedaction | None = None) -> None:
        self._site = site or SiteRedaction()
        self.types = self._site.types

    def load(self) -> None:
        """There is nothing to load."""

    def close(self) -> None:
        """Nothing is let go of."""

    def find(self, text: str) -> list[Span]:
        """The personal data in a text."""
        found = [
            Span(match.start(), match.end(), type_, 1.0, "pattern")
            for type_, pattern in _PATTERNS.items()
            for match in pattern.finditer(text)
        ]
        found += _weekdays(text) if MentionType.DATE_TIME in self._site.also else []
        found += (span for recogniser in self._site.recognisers for span in recogniser.find(text, 0))
        return sorted(found, key=lambda span: span.start)

    def find_many(self, texts: Sequence[str]) -> list[list[Span]]:
        """The personal data in each text."""
        return [self.find(text) for text in texts]

    def recognise(self, texts: Sequence[str]) -> list[list[Span]]:
        """What is found, and weekdays, which are not masked unless a site says so."""
        return [
            union(text, [*found, *_weekdays(text)]) for text, found in zip(texts, self.find_many(texts), strict=True)
        ]

    def scanner(self) -> Self:
        """Segments need no memory here."""
        return self
