"""What was used, as reports show it. Money is text, so that no program makes a fraction of it that was none."""

from datetime import datetime
from enum import StrEnum

import msgspec

from gateway.usage.options import Measure, Period


class Grouping(StrEnum):
    """What a report has a line for."""

    DAY = "day"
    GROUP = "group"
    MODEL = "model"
    USER = "user"


class UsageLine(msgspec.Struct, frozen=True):
    """What one of them used; `cost` is nothing where no question had a price, and `unpriced` says how many had none.

    `questions` are those that were let in: `failed` and `abstained` ones among them, `refused` ones not.
    """

    name: str
    questions: int
    abstained: int
    failed: int
    refused: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    checks: int
    compute_seconds: float
    cost: str | None
    unpriced: int


class UsageReport(msgspec.Struct, frozen=True):
    """What was used from one day to another, both included, in UTC. Groups overlap, so theirs do not add up."""

    grouping: Grouping
    first_day: str
    last_day: str
    currency: str
    lines: list[UsageLine]
    total: UsageLine


class LimitState(msgspec.Struct, frozen=True):
    """How a limit stands; `reserved` is what questions in progress may still use."""

    name: str
    what: Measure
    per: Period
    model: str
    shared: bool
    most: str
    used: str
    reserved: str
    resets_at: datetime


class OwnUsage(msgspec.Struct, frozen=True):
    """What the caller used, by day and model, and what they may use."""

    first_day: str
    last_day: str
    currency: str
    days: list[UsageLine]
    models: list[UsageLine]
    total: UsageLine
    limits: list[LimitState]
