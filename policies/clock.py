"""The present, as decisions about age need it: it never runs back while the process lives.

A machine whose clock is set back would otherwise take old permissions for fresh ones. Set forward, everything looks
older than it is, which denies.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_log = logging.getLogger(__name__)
_TOLERANCE = timedelta(seconds=60)
"""How far clocks of machines that share a database may differ."""


class SteadyClock:
    """Wall time, held up by the monotonic clock. Safe across threads."""

    def __init__(
        self,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._started = wall()
        self._started_monotonic = monotonic()
        self._told = False

    def now(self) -> datetime:
        """The present in UTC: what the wall clock says, and at least what has passed since the process began."""
        wall = self._wall()
        least = self._started + timedelta(seconds=self._monotonic() - self._started_monotonic)
        if wall < least - _TOLERANCE and not self._told:
            self._told = True
            _log.error("clock_set_back by_seconds=%.0f", (least - wall).total_seconds())
        return max(wall, least)


def zoned(moment: datetime) -> datetime:
    """A stored time with its zone: all of ours are UTC, and not every database gives the zone back."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def is_older(moment: datetime | None, most: timedelta, now: datetime) -> bool:
    """Whether something happened longer ago than allowed, never, or in the future: then it is not relied on."""
    if moment is None:
        return True
    age = now - zoned(moment)
    return age > most or age < -_TOLERANCE
