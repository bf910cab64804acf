"""The servers of one model at work: who is asked next, who is left alone, and how often a question is sent again."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from models.openai import breaker, budget
from models.openai.breaker import BreakerRules, State
from models.openai.budget import BudgetRules
from models.openai.endpoints import Endpoint, choose, pause
from models.openai.faults import PassedError, TryFailedError
from models.openai.options import Upstream

_log = logging.getLogger(__name__)
_BUSY, UNREACHED = "has too much to do", "cannot be reached"


@dataclass(frozen=True, slots=True)
class Rules:
    """How failures are dealt with; times are in seconds.

    Attributes:
        tries: How often one question is sent at most.
        pause: What tries wait for at most after the first failure; doubled with each further one.
        most_pause: The longest that a question waits before another try.
        look: How often servers that were left alone are looked at.
        clock: Seconds that only grow.
        chance: A number between 0 and 1, to spread tries in time.
    """

    breaker: BreakerRules = field(default_factory=BreakerRules)
    budget: BudgetRules = field(default_factory=BudgetRules)
    tries: int = 3
    pause: float = 0.1
    most_pause: float = 5.0
    look: float = 0.5
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random


@dataclass(slots=True)
class Tries:
    """What became of one question so far, and when all of it must be over."""

    ends: float
    faults: int = 0
    tried: list[Endpoint] = field(default_factory=list)
    blamed: list[Endpoint] = field(default_factory=list)


class Servers:
    """Shares questions out, in one event loop.

    Attributes:
        endpoints: How each server does.
        retries: How often a question was sent again.
        returned: How often a server came back.
    """

    def __init__(self, options: Upstream, rules: Rules) -> None:
        self._options = options
        self._rules = rules
        self._budget = budget.opened(rules.clock(), rules.budget)
        self._changed = asyncio.Event()
        self.endpoints = tuple(map(Endpoint, options.urls))
        self.retries = 0
        self.returned = 0

    def tries(self) -> Tries:
        """A new question."""
        return Tries(self._rules.clock() + self._options.total_seconds)

    def left(self, tries: Tries) -> float:
        """How many seconds a question has left."""
        return tries.ends - self._rules.clock()

    def down(self) -> bool:
        """Whether all of them are left alone."""
        return all(endpoint.breaker.state is State.OPEN for endpoint in self.endpoints)

    async def next(self, tries: Tries) -> Endpoint:
        """The server to ask. Where all that work are busy, it is waited for one as long as for a first word.

        Raises:
            TryFailedError: There is none.
        """
        waits_until = self._rules.clock() + min(self._options.first_token_seconds, self.left(tries))
        while True:
            now = self._rules.clock()
            found = choose(self.endpoints, tries.tried, now, self._options.connections)
            if found is not None:
                if not tries.tried:
                    self._budget = budget.asked(self._budget, now, self._rules.budget)
                tries.tried.append(found)
                return found
            if self.down():
                raise TryFailedError(UNREACHED, again=False)
            seconds = pause(self.endpoints, now, min(waits_until, now + self._rules.most_pause), waits_until)
            if seconds is None:
                raise TryFailedError(_BUSY, again=False)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)

    async def again(self, fault: TryFailedError, tries: Tries) -> bool:
        """Whether a question that failed is sent once more; if so, a little later."""
        tries.faults += 1
        if not fault.again or tries.faults >= self._rules.tries:
            return False
        left = budget.spent(self._budget, self._rules.clock(), self._rules.budget)
        if left is None:
            return False
        self._budget = left
        self.retries += 1
        most = min(self._rules.pause * 2.0 ** (tries.faults - 1), self._rules.most_pause)
        await asyncio.sleep(self._rules.chance() * most)
        return True

    @contextlib.contextmanager
    def using(self, endpoint: Endpoint, tries: Tries, passing: frozenset[int] = frozenset()) -> Iterator[None]:
        """Count a question that is with a server, and note how it ended there.

        One question speaks against a server once, however often it is tried: it may be the question.

        Raises:
            PassedError: The server refused with one of the statuses that are the caller's to deal with.
        """
        endpoint.outstanding += 1
        try:
            yield
        except TryFailedError as fault:
            if fault.status in passing:
                raise PassedError from None
            self.note_fault(endpoint, fault, again=endpoint in tries.blamed)
            tries.blamed.append(endpoint)
            raise
        else:
            self._note_answer(endpoint)
        finally:
            endpoint.outstanding -= 1
            self._tell_waiting()

    def begin(self, endpoint: Endpoint, *, is_there: bool) -> None:
        """Note whether a server was there when the work began."""
        endpoint.breaker, endpoint.fault = breaker.succeeded(), ""
        if not is_there:
            for _ in range(self._rules.breaker.failures):
                self.note_fault(endpoint, TryFailedError(UNREACHED))

    def note_fault(self, endpoint: Endpoint, fault: TryFailedError, *, again: bool = False) -> None:
        """Note that a server failed; `again`, that this question has said so already."""
        if fault.wait:
            endpoint.busy_until = self._rules.clock() + fault.wait
        if again or not fault.counts:
            return
        was = endpoint.breaker.state
        endpoint.breaker = breaker.failed(endpoint.breaker, self._rules.clock(), self._rules.breaker)
        endpoint.fault = str(fault)
        if was is State.CLOSED and endpoint.breaker.state is State.OPEN:
            _log.error("upstream_down model=%s server=%s reason=%s", self._options.name, endpoint.host, fault)

    def _note_answer(self, endpoint: Endpoint) -> None:
        if endpoint.breaker.state is not State.CLOSED:
            self.returned += 1
            _log.warning("upstream_back model=%s server=%s", self._options.name, endpoint.host)
        endpoint.breaker, endpoint.fault = breaker.succeeded(), ""

    async def watch(self, answers: Callable[[Endpoint], Awaitable[bool]]) -> None:
        """Look at servers that are left alone, for ever; one that is there again gets a question on trial."""
        while True:
            await asyncio.sleep(self._rules.look)
            due = [endpoint for endpoint in self.endpoints if endpoint.breaker.due(self._rules.clock())]
            for endpoint, answered in zip(due, await asyncio.gather(*map(answers, due)), strict=True):
                now = self._rules.clock()
                endpoint.breaker = breaker.probed(endpoint.breaker, now, self._rules.breaker, answered=answered)
                self._tell_waiting()

    def _tell_waiting(self) -> None:
        """A place is free, or more: whoever waits looks again, in the order they came."""
        told, self._changed = self._changed, asyncio.Event()
        told.set()
