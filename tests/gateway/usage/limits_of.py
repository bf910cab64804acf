"""Settings with one limit."""

from decimal import Decimal
from typing import Any

from gateway.usage.options import LimitOptions, Measure, Period, UsageOptions


def one_limit(most: int, what: Measure = Measure.REQUESTS, per: Period = Period.DAY, **more: Any) -> UsageOptions:
    """So much of something in each period."""
    return UsageOptions(limits=(LimitOptions(name="only", what=what, most=Decimal(most), per=per, **more),))
