"""What questions take: room for it is made before, and counted is what it was, however the question ended."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import Engine
from sqlmodel import Session

from gateway.errors import ConfigurationError, QuotaExceededError
from gateway.recording import Recorder
from gateway.usage.book import Asked, Book, Reservation, find_refusal
from gateway.usage.limits import Refusal, applying
from gateway.usage.options import Measure, UsageOptions
from gateway.usage.taken import Bound, Demand, Prices, Tally
from policies.audit.events import UsageRefused
from policies.principals import Principal

_TOLD_SECONDS = 60.0
"""How often at most the trail takes an entry about one person and one limit: a flood of refusals must not flood it."""
_MOST_TOLD = 10_000
_FLUSH_SECONDS = 5.0
"""Longer than any transaction but a sync's: who reads totals does not wait for that."""
_LEAST = Demand(1, 1, 0)
"""What any question takes."""
_MILLISECONDS = 1000


class Usage:
    """The usage of one installation.

    `observe` is told what each answer took and what that cost; `observe_refusal` by which limit somebody
    was refused.
    """

    def __init__(
        self, *, database: Callable[[], Engine], recorder: Recorder, options: UsageOptions, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._options = options
        self._now = now
        self._prices = Prices(options.prices)
        self._book = Book(database, options, recorder.token, now)
        self._told: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self.observe: Callable[[Tally, int], None] = _ignore
        self.observe_refusal: Callable[[str], None] = _ignore_refusal

    def flush(self, within_seconds: float = _FLUSH_SECONDS) -> None:
        """Have written what has been counted so far, or as much as that time allows."""
        self._book.flush(within_seconds)

    def close(self) -> None:
        """Write what is left and stop."""
        self._book.close()

    async def require_room(self, request: str, principal: Principal, model: str) -> None:
        """Refuse somebody who has used up a limit, before they wait for anything; nothing is reserved.

        Raises:
            QuotaExceededError: They have.
        """
        if not applying(self._options.limits, principal, (model,)):
            return
        if (found := await asyncio.to_thread(self._used_up, principal, model)) is not None:
            raise self._refused(request, principal, model, found)

    def _used_up(self, principal: Principal, model: str) -> Refusal | None:
        asked = Asked(principal, self._recorder.token(principal.id), (model,))
        with Session(self._database()) as session:
            return find_refusal(session, self._options, asked, _LEAST, self._now(), reserved=False)

    @asynccontextmanager
    async def counted(
        self, request: str, principal: Principal, models: tuple[str, ...], bound: Bound
    ) -> AsyncIterator[Tally]:
        """Make room for a question, and count what it took: whoever answers it writes that into the tally.

        The first of the models is asked; where another of them answers, the tally says so. A question that failed costs
        its asker nothing of their limits; one that they left counts as far as it came.

        Raises:
            ConfigurationError: There is a budget, and a model has no price.
            QuotaExceededError: There is no room; nothing may be worked on.
            DatabaseBusyError, DatabaseUnusableError, TrailUnavailableError: It cannot be known, so there is none.
        """
        reservation = await self._reserved(request, principal, models, bound)
        tally = Tally(models[0])
        try:
            yield tally
        except BaseException as error:
            left = isinstance(error, asyncio.CancelledError) and tally.worked
            self._settle(reservation, principal, tally, "failed", charged=left)
            raise
        self._settle(reservation, principal, tally, "abstained" if tally.abstained else "answered", charged=True)

    async def _reserved(
        self, request: str, principal: Principal, models: tuple[str, ...], bound: Bound
    ) -> Reservation | None:
        """What is held for a question; none where nothing is limited."""
        limits = applying(self._options.limits, principal, models)
        if not limits and not self._options.questions_per_minute:
            return None
        unpriced = [model for model in models if not self._prices.has(model)]
        if unpriced and any(limit.what is Measure.COST for limit in limits):
            message = f"There is a budget, and model {unpriced[0]} has no price: add one under [[usage.prices]], or 0."
            raise ConfigurationError(message)
        reply = self._book.wish(principal, models, self._prices.demand(models, bound))
        try:
            found = await asyncio.wrap_future(reply)
        except asyncio.CancelledError:
            reply.add_done_callback(self._give_back)
            raise
        if isinstance(found, Refusal):
            raise self._refused(request, principal, models[0], found)
        return found

    def _give_back(self, reply: Future[Reservation | Refusal]) -> None:
        """Let go of what was reserved for somebody who left meanwhile."""
        if not reply.cancelled() and reply.exception() is None and isinstance(made := reply.result(), Reservation):
            self._book.settle(made, Demand())

    def _settle(
        self, reservation: Reservation | None, principal: Principal, tally: Tally, outcome: str, *, charged: bool
    ) -> None:
        taken = self._prices.taken(tally)
        if reservation is not None:
            self._book.settle(reservation, taken if charged else Demand(), tally.model)
        counts = {
            outcome: 1,
            "unpriced": int(not self._prices.has(tally.model)),
            "prompt_tokens": tally.prompt_tokens,
            "cached_tokens": tally.cached_tokens,
            "completion_tokens": tally.completion_tokens,
            "checks": tally.checks,
            "compute_ms": round(tally.compute_seconds * _MILLISECONDS),
            "cost_billionths": taken.cost,
        }
        self._add(principal, tally.model, counts)
        self.observe(tally, taken.cost)

    def _refused(self, request: str, principal: Principal, model: str, found: Refusal) -> QuotaExceededError:
        """Count a refusal, and record it where none of the same was recorded just now."""
        self._add(principal, model, {"refused": 1})
        self.observe_refusal(found.limit)
        key, now = (principal.id, found.limit), time.monotonic()
        told_at, before = self._told.pop(key, (float("-inf"), 0))
        times = before + 1
        if now - told_at >= _TOLD_SECONDS:
            self._recorder.submit(UsageRefused(request=request, principal=principal.id, limit=found.limit, times=times))
            told_at, times = now, 0
        self._told[key] = (told_at, times)
        if len(self._told) > _MOST_TOLD:
            self._told.popitem(last=False)
        return QuotaExceededError(
            found.message, found.retry_after_seconds, what=found.what.value, most=found.most, left=found.left
        )

    def _add(self, principal: Principal, model: str, counts: Mapping[str, int]) -> None:
        self._book.add(principal.id, self._now().date().isoformat(), model, counts)


def _ignore(_tally: Tally, _cost: int) -> None:
    """Nobody measures."""


def _ignore_refusal(_limit: str) -> None:
    """Nobody counts."""
