"""When a server that fails is left alone, and when it is tried again. Values and functions, without a clock.

Closed: it is asked. Open: it failed so often in a row that it is not. Once it has rested and answers a probe it is half
open: asked one question at a time, whose end decides. Each rest that follows another is longer.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """Whether a server is asked."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """So many failures in a row open it; how long it rests the first time, and at most."""

    failures: int = 3
    rest_seconds: float = 2.0
    most_rest_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """How a server did lately.

    Attributes:
        state: Whether it is asked.
        failures: How many questions in a row it failed.
        rests: How many times in a row it opened.
        until: When it has rested, while it is open.
    """

    state: State = State.CLOSED
    failures: int = 0
    rests: int = 0
    until: float = 0.0

    def admits(self, outstanding: int) -> bool:
        """Whether one more question may go there beside those that are there already."""
        return self.state is State.CLOSED or (self.state is State.HALF_OPEN and outstanding == 0)

    def due(self, now: float) -> bool:
        """Whether it has rested and is to be probed."""
        return self.state is State.OPEN and now >= self.until


def succeeded() -> Breaker:
    """After an answer: whatever was before is over."""
    return Breaker()


def failed(breaker: Breaker, now: float, rules: BreakerRules) -> Breaker:
    """After a failure; one that began before it opened makes no rest longer."""
    if breaker.state is State.OPEN:
        return breaker
    failures = breaker.failures + 1
    if breaker.state is State.HALF_OPEN or failures >= rules.failures:
        return _opened(replace(breaker, failures=failures), now, rules)
    return replace(breaker, failures=failures)


def probed(breaker: Breaker, now: float, rules: BreakerRules, *, answered: bool) -> Breaker:
    """After a probe of one that is open."""
    if breaker.state is not State.OPEN:
        return breaker
    return replace(breaker, state=State.HALF_OPEN) if answered else _opened(breaker, now, rules)


def _opened(breaker: Breaker, now: float, rules: BreakerRules) -> Breaker:
    rest = min(rules.rest_seconds * 2.0 ** min(breaker.rests, 30), rules.most_rest_seconds)
    return replace(breaker, state=State.OPEN, rests=breaker.rests + 1, until=now + rest)
