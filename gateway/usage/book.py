"""The one thread that writes what is used: whatever has come meanwhile goes into one transaction.

What a question may take is reserved before it is worked on, and whether there is room is decided under the database's
write lock, so that questions at the same time, of any process, cannot have together more than there is. Processes that
live renew what they reserved; what one reserved that was killed expires.
"""

import contextlib
import logging
import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Engine
from sqlmodel import Session

from gateway.errors import GatewayError, NotReadyError
from gateway.usage.limits import PACE, Count, Pace, Refusal, applying, current, refusal, too_fast
from gateway.usage.options import LimitOptions, UsageOptions
from gateway.usage.store import (
    NOBODY,
    Place,
    add_totals,
    read_count,
    release,
    renew,
    reserve,
    write_count,
)
from gateway.usage.taken import Demand
from policies.errors import PoliciesError
from policies.principals import Principal
from retrieval.sessions import writing

_log = logging.getLogger(__name__)
_TOTALS_SECONDS = 0.5
"""How long totals may wait for more of them: nobody waits for these."""
EXPIRE_SECONDS = 180
"""How long a killed process keeps what it had reserved from others."""
_RENEW_SECONDS = 60.0
_RETRY_SECONDS = 1.0
_ENDS_SECONDS = 30.0
"""How long closing waits for the last transaction, which may wait for another process's."""
_MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is held for a question: of which limits, each for whom."""

    id: str
    held: tuple[tuple[LimitOptions, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Wish:
    principal: Principal
    models: tuple[str, ...]
    demand: Demand
    reply: Future[Reservation | Refusal] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Batch:
    wishes: list[_Wish]
    settled: list[tuple[Reservation, Demand, str]]
    totals: dict[Place, Counter[str]]


class Book:
    """Reserves, settles and adds up; `token` is what the trail calls somebody by. Safe across threads."""

    def __init__(
        self,
        database: Callable[[], Engine],
        options: UsageOptions,
        token: Callable[[str], str],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._options = options
        self._token = token
        self._now = now
        self._changed = threading.Condition()
        self._waiting = _Batch([], [], {})
        self._live: set[str] = set()
        self._due = math.inf
        self._thread: threading.Thread | None = None
        self._writing = False
        self._closing = False

    def wish(self, principal: Principal, models: tuple[str, ...], demand: Demand) -> Future[Reservation | Refusal]:
        """Ask for room for a question that one of these models will answer.

        The future raises what the database or the trail does where it cannot be decided.
        """
        wish = _Wish(principal, models, demand)
        with self._changed:
            if self._closing:
                wish.reply.set_exception(NotReadyError("The service is stopping. Try again in a moment."))
                return wish.reply
            self._waiting.wishes.append(wish)
            self._wake(0.0)
        return wish.reply

    def settle(self, reservation: Reservation, taken: Demand, model: str = "") -> None:
        """Say what a question took in the end, and of which model; what was reserved beyond that is free again."""
        with self._changed:
            self._waiting.settled.append((reservation, taken, model))
            self._wake(0.0)

    def add(self, user: str, day: str, model: str, counts: Mapping[str, int]) -> None:
        """Add to somebody's totals, soon."""
        with self._changed:
            self._waiting.totals.setdefault(Place(day, user, model), Counter()).update(counts)
            self._wake(_TOTALS_SECONDS)

    def flush(self, within_seconds: float) -> None:
        """Have everything written that has come so far; where that takes longer, it goes on unwaited for."""
        with self._changed:
            if not (self._writing or self._waiting.settled or self._waiting.totals):
                return  # No reader waits for the write lock of nothing.
            done = self.wish(_NOBODY, (), Demand())
        with contextlib.suppress(TimeoutError, NotReadyError):
            done.result(within_seconds)

    def close(self) -> None:
        """Write what is left and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_ENDS_SECONDS)

    def _wake(self, within_seconds: float) -> None:
        self._due = min(self._due, time.monotonic() + within_seconds)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="usage", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _work(self) -> None:
        told = ""
        while True:
            batch, last = self._next()
            try:
                self._write(batch)
                told = ""
            except Exception as error:  # noqa: BLE001 - whatever it is: who waits is told, the rest is tried again.
                ours = isinstance(error, GatewayError | PoliciesError)  # Others' texts may hold names.
                if (reason := str(error) if ours else type(error).__name__) != told:
                    told = reason
                    _log.error("usage_not_written reason=%s", reason)
                for wish in batch.wishes:
                    if wish.reply.running():
                        wish.reply.set_exception(error)
                self._put_back(batch)
            finally:
                self._writing = False
            if last:
                return

    def _next(self) -> tuple[_Batch, bool]:
        """What is to be done, once it is due, and whether it is the last."""
        with self._changed:
            while not self._closing and (pause := self._due - time.monotonic()) > 0:
                self._changed.wait(None if math.isinf(pause) else pause)
            batch, self._waiting = self._waiting, _Batch([], [], {})
            self._due = time.monotonic() + _RENEW_SECONDS if self._live else math.inf
            self._writing = True
            return batch, self._closing

    def _put_back(self, batch: _Batch) -> None:
        with self._changed:
            self._waiting.settled.extend(batch.settled)
            for place, counts in batch.totals.items():
                self._waiting.totals.setdefault(place, Counter()).update(counts)
            if batch.settled or batch.totals or self._live:
                self._due = min(self._due, time.monotonic() + _RETRY_SECONDS)

    def _write(self, batch: _Batch) -> None:
        wishes = [wish for wish in batch.wishes if wish.reply.set_running_or_notify_cancel()]
        users = {place.token for place in batch.totals} | {wish.principal.id for wish in wishes} - {NOBODY}
        tokens = {user: self._token(user) for user in users}  # Before the lock: one may have to be made.
        totals = {Place(place.day, tokens[place.token], place.model): found for place, found in batch.totals.items()}
        over = {reservation.id for reservation, *_ in batch.settled}
        with writing(self._database()) as session:
            now = self._now()
            seconds = int(now.timestamp())
            release(session, over, seconds)
            for reservation, taken, model in batch.settled:
                held = [(limit, token) for limit, token in reservation.held if limit.model in ("", model)]
                _charge(session, held, taken, now)
            add_totals(session, totals)
            live = self._live - over
            if live:
                renew(session, live, seconds + EXPIRE_SECONDS)
            replies = [self._admit(session, wish, tokens.get(wish.principal.id, NOBODY), now) for wish in wishes]
            session.commit()
        made = {reply.id for reply in replies if isinstance(reply, Reservation)}
        with self._changed:
            self._live = live | made
            if self._live:
                self._due = min(self._due, time.monotonic() + _RENEW_SECONDS)
        for wish, reply in zip(wishes, replies, strict=True):
            wish.reply.set_result(reply)

    def _admit(self, session: Session, wish: _Wish, token: str, now: datetime) -> Reservation | Refusal:
        """Reserve for a question where every limit has room for it."""
        if wish.principal is _NOBODY:
            return Refusal("", "", 0)
        asked = Asked(wish.principal, token, wish.models)
        if (found := find_refusal(session, self._options, asked, wish.demand, now)) is not None:
            return found
        if self._options.questions_per_minute:
            pace, until = _pace(self._options), read_count(session, PACE, token, 0).used
            until, wait_ms = pace.next(until, _milliseconds(now))
            if wait_ms:
                return too_fast(pace, wait_ms)
            write_count(session, PACE, token, Count(0, until))
        held = tuple((limit, whose(limit, token)) for limit in asked.limits(self._options.limits))
        made = Reservation(secrets.token_hex(8), held)
        amounts = {(limit.name, of): wish.demand.of(limit.what) for limit, of in held}
        reserve(session, made.id, amounts, int(now.timestamp()) + EXPIRE_SECONDS)
        return made


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, what the trail calls them by, and which models may answer."""

    principal: Principal
    token: str
    models: tuple[str, ...]

    def limits(self, limits: Iterable[LimitOptions]) -> list[LimitOptions]:
        """The limits that this falls under."""
        return applying(limits, self.principal, self.models)


_NOBODY = Principal(NOBODY)
"""Who wants to know only that everything before has been written."""


def find_refusal(
    session: Session, options: UsageOptions, asked: Asked, demand: Demand, now: datetime, *, reserved: bool = True
) -> Refusal | None:
    """Why there is no room for a question; none where every limit has some, or may have when others have ended."""
    for limit in asked.limits(options.limits):
        count = standing(session, limit, asked.token, now)
        if not reserved:
            count = replace(count, reserved=0)
        if (found := refusal(limit, count, demand.of(limit.what), now)) is not None:
            return found
    return None


def standing(session: Session, limit: LimitOptions, token: str, now: datetime) -> Count:
    """How a limit stands for somebody as of now."""
    return current(read_count(session, limit.name, whose(limit, token), int(now.timestamp())), limit.per, now)


def whose(limit: LimitOptions, token: str) -> str:
    """Under whom a limit is counted."""
    return NOBODY if limit.together else token


def _charge(session: Session, held: Iterable[tuple[LimitOptions, str]], taken: Demand, now: datetime) -> None:
    for limit, token in held:
        count = current(read_count(session, limit.name, token, int(now.timestamp())), limit.per, now)
        write_count(session, limit.name, token, Count(count.period, count.used + taken.of(limit.what)))


def _pace(options: UsageOptions) -> Pace:
    return Pace(options.questions_per_minute, options.burst)


def _milliseconds(now: datetime) -> int:
    return int(now.timestamp() * _MILLISECONDS)
