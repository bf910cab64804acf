"""Whether there is room for one more question, and when there will be. Pure functions; `store.py` brings the counts.

Times are whole seconds (in the pace: milliseconds) since 1970, UTC. A count belongs to a period and only ever moves on
to a later one: a clock that is set back gives nobody what they have used already.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.usage.options import LimitOptions, Measure, Period
from gateway.usage.taken import counted, told
from policies.principals import Principal

PACE = "(pace)"
"""What the limit on questions a minute is called where limits have names; no limit of the settings can have it."""
_IN_PROGRESS_SECONDS = 5
"""How long to wait where questions in progress may return what they do not need: about as long as one takes."""
_SPANS = {Period.MINUTE: timedelta(minutes=1), Period.HOUR: timedelta(hours=1), Period.DAY: timedelta(days=1)}
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Count:
    """How a limit stands: of which period, what has been used of it, and what questions in progress may still use."""

    period: int = 0
    used: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no room: the limit's name, a sentence, and in how many seconds to come back."""

    limit: str
    message: str
    retry_after_seconds: int
    what: Measure = Measure.REQUESTS
    most: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """Questions a minute, and how many at once after a pause (the generic cell rate algorithm, GCRA)."""

    per_minute: float
    burst: int

    @property
    def _between_ms(self) -> int:
        return math.ceil(_MINUTE_MS / self.per_minute)

    def next(self, until: int, now: int) -> tuple[int, int]:
        """From when all that was asked for is paid for: the same after one more question, and how long to wait for it.

        Where the wait is not 0, the question is refused and the first stays as it was.
        """
        most = self.burst * self._between_ms
        # What lies farther ahead was written by a clock that was ahead: it counts as an empty bucket, and no more.
        until = min(max(until, now), now + most)
        after = until + self._between_ms
        return (after, 0) if after - now <= most else (until, after - now - most)


def applying(limits: Iterable[LimitOptions], principal: Principal, models: Collection[str]) -> list[LimitOptions]:
    """The limits that a question of this person's to one of these models falls under."""
    return [
        limit
        for limit in limits
        if limit.user in ("", principal.id)
        and (not limit.group or limit.group in principal.groups)
        and (not limit.model or limit.model in models)
    ]


def period_at(per: Period, now: datetime) -> int:
    """When the period began that a moment is in."""
    moment = now.astimezone(UTC).replace(microsecond=0)
    if per is Period.MONTH:
        return int(moment.replace(day=1, hour=0, minute=0, second=0).timestamp())
    return int(moment.timestamp()) // _seconds(per) * _seconds(per)


def period_end(per: Period, start: int) -> datetime:
    """When a period ends."""
    begun = datetime.fromtimestamp(start, UTC)
    if per is Period.MONTH:
        return (begun + timedelta(days=31)).replace(day=1)
    return begun + _SPANS[per]


def current(count: Count, per: Period, now: datetime) -> Count:
    """A count as of now: in a later period nothing has been used yet, in an earlier one it stays."""
    period = period_at(per, now)
    return Count(period, 0, count.reserved) if period > count.period else count


def refusal(limit: LimitOptions, count: Count, wanted: int, now: datetime) -> Refusal | None:
    """Why so much more does not fit; none where it does. The count is that of now."""
    most = counted(limit.what, limit.most)
    if count.used + count.reserved + wanted <= most:
        return None
    end = period_end(limit.per, count.period)
    left = max(0, most - count.used - count.reserved)
    if wanted > most:
        seconds = _until(end, now)
        text = f"One question may take {told(limit.what, wanted)}, more than there ever is: an operator can raise it."
    elif count.used + wanted <= most:
        seconds = _IN_PROGRESS_SECONDS
        text = "Questions that are in progress may need what is left of it. Try again in a moment."
    else:
        seconds = _until(end, now)
        text = f"It begins anew at {end:%Y-%m-%d %H:%M} UTC, in {span(seconds)}; ask again then."
    message = f"{_whose(limit)} of {told(limit.what, most)} {_unit(limit)} a {limit.per.value} is used up. {text}"
    return Refusal(limit.name, message, seconds, limit.what, most, left)


def too_fast(pace: Pace, wait_ms: int) -> Refusal:
    """That somebody asks faster than they may."""
    seconds = math.ceil(wait_ms / 1000)
    message = (
        f"You ask faster than {pace.per_minute:g} questions a minute, {pace.burst} at once. "
        f"Ask again in {span(seconds)}."
    )
    return Refusal(PACE, message, seconds, Measure.REQUESTS, pace.burst)


def span(seconds: int) -> str:
    """A number of seconds in words, rounded up."""
    for name, each in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds > each:
            return _several(math.ceil(seconds / each), name)
    return _several(seconds, "second")


def _several(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _whose(limit: LimitOptions) -> str:
    if limit.together:
        return f"The limit {limit.name}, which {f'group {limit.group}' if limit.group else 'everybody'} shares,"
    return f"Your limit {limit.name}"


def _unit(limit: LimitOptions) -> str:
    words = {Measure.COST: "in money", Measure.REQUESTS: "questions", Measure.TOKENS: "tokens"}
    return words[limit.what] + (f" to model {limit.model}" if limit.model else "")


def _until(end: datetime, now: datetime) -> int:
    return max(1, math.ceil((end - now).total_seconds()))


def _seconds(per: Period) -> int:
    return int(_SPANS[per].total_seconds())
