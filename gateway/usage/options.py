"""What an operator may set about prices, limits and shares."""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import msgspec

_MOST = Decimal(10) ** 9
"""Of the currency, or of what is counted: larger ones are slips of the pen, and would not fit the table's integers."""
_Share = Annotated[float, msgspec.Meta(gt=0, le=1000)]


class Measure(StrEnum):
    """What a limit counts."""

    COST = "cost"
    REQUESTS = "requests"
    TOKENS = "tokens"


class Period(StrEnum):
    """How long a limit's count goes on; each begins with the clock or the calendar, in UTC."""

    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"
    MONTH = "month"


class PriceOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a model costs, in the installation's currency: for a million tokens of each kind, and for an hour of work.

    Without `cached`, prompt tokens that were not computed again cost as much as others.
    """

    model: Annotated[str, msgspec.Meta(min_length=1)]
    prompt: Decimal = Decimal(0)
    cached: Decimal | None = None
    completion: Decimal = Decimal(0)
    compute_hour: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        """Refuse what is no price."""
        for amount in (self.prompt, self.cached or Decimal(0), self.completion, self.compute_hour):
            _require_amount(f"the price of {self.model}", amount)


class LimitOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """At most `most` of something in each period: for one user, the members of a group, or everybody.

    Each of them has it for themselves, or all have it `together`. With a `model`, only what goes to that one counts.
    A limit is counted under its name: with another name it begins anew.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,39}$")]
    what: Measure
    most: Decimal
    per: Period
    user: str = ""
    group: str = ""
    together: bool = False
    model: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be counted."""
        _require_amount(f"usage.limits: {self.name}", self.most)
        if self.what is not Measure.COST and self.most != self.most.to_integral_value():
            message = f"usage.limits: {self.name} counts {self.what.value}, of which {self.most} is no whole number"
            raise ValueError(message)
        if self.user and (self.group or self.together):
            message = f"usage.limits: {self.name} is for one user; leave out group and together"
            raise ValueError(message)


class UsageOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What models cost, what everybody may use, and who is served first where not all can be.

    `prices` and `limits` are written as sections [[usage.prices]] and [[usage.limits]]. Each person may ask
    `questions_per_minute` (0: no such limit), and `burst` at once after a pause. A member of a group in `weights` has
    so many times the share of others when questions wait for their turn.
    """

    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")] = "EUR"
    prices: tuple[PriceOptions, ...] = ()
    limits: tuple[LimitOptions, ...] = ()
    questions_per_minute: Annotated[float, msgspec.Meta(ge=0, le=6000)] = 0.0
    burst: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    weights: dict[str, _Share] = {}

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, and a budget where nothing has a price."""
        _require_once("prices", "the model", [price.model for price in self.prices])
        _require_once("limits", "the name", [limit.name for limit in self.limits])
        priced = {price.model for price in self.prices}
        for limit in self.limits:
            if limit.what is Measure.COST and (limit.model or next(iter(priced), "")) not in priced:
                message = f"usage.limits: {limit.name} limits cost, and there is no price: add [[usage.prices]]"
                raise ValueError(message)


def _require_amount(what: str, amount: Decimal) -> None:
    if not amount.is_finite() or not 0 <= amount <= _MOST:
        message = f"{what} is {amount}; it must be a number from 0 to {_MOST:f}"
        raise ValueError(message)


def _require_once(what: str, which: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = f"usage.{what} has {which} {twice[0]} twice"
        raise ValueError(message)
