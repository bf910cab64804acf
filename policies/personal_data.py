"""The kinds of personal data, and the spans where they stand in a text.

Finding them is the work of `policies/redaction`; this module is the vocabulary that storage and policy share. Kinds
are the built-in ones and those that a site's settings add, of its own or of `MentionType`; what is stored may also name
kinds that a site once had.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType, TypeAlias

import msgspec


class EntityType(StrEnum):
    """A kind of personal data or secret, named as Presidio names it where Presidio has a name."""

    ADDRESS = "ADDRESS"
    BANK_ACCOUNT = "BANK_ACCOUNT"
    BIRTH_DATE = "BIRTH_DATE"
    CREDIT_CARD = "CREDIT_CARD"
    CRYPTO = "CRYPTO"
    EMAIL_ADDRESS = "EMAIL_ADDRESS"
    IBAN_CODE = "IBAN_CODE"
    IDENTIFIER = "IDENTIFIER"
    IP_ADDRESS = "IP_ADDRESS"
    NATIONAL_ID = "NATIONAL_ID"
    PERSON = "PERSON"
    PHONE_NUMBER = "PHONE_NUMBER"
    SECRET = "SECRET"  # noqa: S105 - the name of a category, not a credential


class MentionType(StrEnum):
    """What is recognised and by policy no personal data: listed on request, masked where a site's settings say so."""

    AGE = "AGE"
    DATE_TIME = "DATE_TIME"
    LOCATION = "LOCATION"
    NRP = "NRP"
    """Nationalities, religions and political groups, as Presidio calls them."""
    ORGANIZATION = "ORGANIZATION"
    TITLE = "TITLE"
    """Forms of address and occupations."""
    URL = "URL"


class Sensitivity(StrEnum):
    """How the default policy treats a kind of personal data."""

    CONTACT = "contact"
    """Names and ways to reach people: whoever may read the document may see them."""
    SEALED = "sealed"
    """Cards, accounts, national identifiers, secrets: masked until a policy reveals them."""


SENSITIVITY: dict[EntityType, Sensitivity] = {
    EntityType.ADDRESS: Sensitivity.CONTACT,
    EntityType.BANK_ACCOUNT: Sensitivity.SEALED,
    EntityType.BIRTH_DATE: Sensitivity.CONTACT,
    EntityType.CREDIT_CARD: Sensitivity.SEALED,
    EntityType.CRYPTO: Sensitivity.SEALED,
    EntityType.EMAIL_ADDRESS: Sensitivity.CONTACT,
    EntityType.IBAN_CODE: Sensitivity.SEALED,
    EntityType.IDENTIFIER: Sensitivity.CONTACT,
    EntityType.IP_ADDRESS: Sensitivity.CONTACT,
    EntityType.NATIONAL_ID: Sensitivity.SEALED,
    EntityType.PERSON: Sensitivity.CONTACT,
    EntityType.PHONE_NUMBER: Sensitivity.CONTACT,
    EntityType.SECRET: Sensitivity.SEALED,
}


SiteType = NewType("SiteType", str)
"""A kind that a site's settings add, or added once: its name. A `MentionType` is one where a site masks it."""
SpanType: TypeAlias = EntityType | SiteType
"""Any kind of personal data; all of them are texts."""

_BUILT_IN = {kind.value: kind for kind in EntityType}


def span_type(name: str) -> SpanType:
    """The kind of a name, as it was stored; one that is not built in is a site's, whether or not it still has it."""
    return _BUILT_IN.get(name) or SiteType(name)


@dataclass(frozen=True, slots=True)
class KnownTypes:
    """The kinds that an installation knows: the built-in ones, and `site`, its own with what each is."""

    site: tuple[tuple[SiteType, Sensitivity], ...] = ()

    def __iter__(self) -> Iterator[SpanType]:
        yield from EntityType
        yield from (name for name, _ in self.site)

    def __contains__(self, kind: object) -> bool:
        return kind in _BUILT_IN or any(name == kind for name, _ in self.site)

    def sensitivity(self, kind: SpanType) -> Sensitivity:
        """How policy treats a kind; one that is not known, or no longer, is sealed."""
        if isinstance(kind, EntityType):
            return SENSITIVITY[kind]
        return next((found for name, found in self.site if name == kind), Sensitivity.SEALED)


@dataclass(frozen=True, slots=True)
class Span:
    """Personal data at `text[start:end]` (code points), with who recognised it and how sure (0 to 1)."""

    start: int
    end: int
    type: SpanType
    score: float
    recogniser: str


class SpanRecord(msgspec.Struct, frozen=True):
    """A span as it is stored or sent; its kind may be one that the settings no longer have."""

    start: int
    end: int
    type: str
    score: float
    recogniser: str

    def span(self) -> Span:
        """The span."""
        return Span(self.start, self.end, span_type(self.type), self.score, self.recogniser)
