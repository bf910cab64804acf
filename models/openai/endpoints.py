"""The servers of one model: how each does, and which one is asked next."""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from models.openai.breaker import Breaker, State
from policies.egress import host_of


@dataclass(slots=True, eq=False)
class Endpoint:
    """One server, and what is known of it.

    Attributes:
        url: Where it is, up to and with `/v1`.
        outstanding: How many questions it is answering for us.
        breaker: How it did lately.
        busy_until: Until when it asked to be left alone.
        fault: What it did the last time that it failed; empty once it answered.
    """

    url: str
    outstanding: int = 0
    breaker: Breaker = field(default_factory=Breaker)
    busy_until: float = 0.0
    fault: str = ""

    @property
    def host(self) -> str:
        """What logs call it."""
        return host_of(self.url)

    def takes(self, now: float, connections: int) -> bool:
        """Whether a question may go there now."""
        return now >= self.busy_until and self.outstanding < connections and self.breaker.admits(self.outstanding)


def choose(
    endpoints: Sequence[Endpoint],
    tried: Collection[Endpoint],
    now: float,
    connections: int,
    pick: Callable[[Sequence[Endpoint]], Endpoint] = random.choice,
) -> Endpoint | None:
    """The server with the least to do of those that take questions, one not tried yet before others; or none."""
    taking = [each for each in endpoints if each.takes(now, connections)]
    fresh = [each for each in taking if each not in tried] or taking
    if not fresh:
        return None
    least = min(each.outstanding for each in fresh)
    # A trial of one that was down must not be starved by others that are as idle.
    idle = [each for each in fresh if each.outstanding == least]
    trials = [each for each in idle if each.breaker.state is State.HALF_OPEN]
    return pick(trials or idle)


def pause(endpoints: Sequence[Endpoint], now: float, soon: float, until: float) -> float | None:
    """How many seconds to wait for a server where none takes a question now; none where none will in time.

    One that asked to be left alone is waited for if that ends `soon`; one that has its hands full, `until` then.
    """
    working = [each for each in endpoints if each.breaker.state is not State.OPEN]
    full = any(each.busy_until <= now for each in working)
    ends = [each.busy_until for each in working if now < each.busy_until <= soon]
    if full and until > now:
        ends.append(until)
    return min(ends) - now if ends else None
