"""What is told about policies, as every channel shows it."""

from datetime import datetime
from typing import Any

import msgspec


class ContextUsed(msgspec.Struct, frozen=True):
    """What the rules were told of the request."""

    purpose: str
    network: str
    channel: str


class RuleSaid(msgspec.Struct, frozen=True):
    """A rule that has a say, with its reason; `lacks` says what it would take for it to match."""

    rule: str
    reason: str
    origin: str
    lacks: list[str] = []


class PartExplained(msgspec.Struct, frozen=True):
    """Why somebody may read a restricted part of a document or may not; fields as those of the document.

    `headings` are those it stands under, as they are compared: in small letters.
    """

    headings: list[str]
    passages: int
    allowed: bool
    reason: str
    policies: list[str]
    allowed_by: list[RuleSaid]
    denied_by: list[RuleSaid]
    would_be_allowed_by: list[RuleSaid]
    label: dict[str, Any]
    revealed: list[str]
    masked: list[str]


class Explanation(msgspec.Struct, frozen=True):
    """Why somebody may read a document or may not.

    `parts` are those that fewer may read, each with a decision of its own; the rest is about everything else in it.
    With `access_stale` the source's permissions were read too long ago, at `access_read_at`, and nobody is shown the
    document, whatever the rules say; they are told all the same.

    `policies` are the rules that decided. `allowed_by` and `denied_by` are all that match (a denial wins), and
    `would_be_allowed_by` those that would allow, if the user had what they lack. `revealed` and `masked` are the kinds
    of personal data that they would see in it, and would not.
    """

    user: str
    groups: list[str]
    roles: list[str]
    active: bool
    document: str
    source: str
    path: str
    allowed: bool
    reason: str
    policies: list[str]
    policy_revision: str
    context: ContextUsed
    allowed_by: list[RuleSaid]
    denied_by: list[RuleSaid]
    would_be_allowed_by: list[RuleSaid]
    label: dict[str, Any]
    revealed: list[str]
    masked: list[str]
    parts: list[PartExplained] = []
    access_stale: bool = False
    access_read_at: datetime | None = None
    max_acl_age_seconds: int = 0
