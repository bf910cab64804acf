"""The kinds of personal data, and the spans where they stand in a text.

Finding them is the work of `policies/redaction`; this module is the vocabulary that storage and policy share.
"""

from dataclasses import dataclass
from enum import StrEnum


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


@dataclass(frozen=True, slots=True)
class Span:
    """Personal data at `text[start:end]` (code points), with who recognised it and how sure (0 to 1)."""

    start: int
    end: int
    type: EntityType
    score: float
    recogniser: str
