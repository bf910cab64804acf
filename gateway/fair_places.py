"""Places for what runs at the same time, and a bounded wait for them in which nobody is starved.

A place that is free goes to whoever has used the least of late, for their weight, and not to whoever asked most often.
One person has at most so many questions here, waiting ones included, and who has waited too long is refused.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.errors import TooManyRequestsError

_FIRST_SECONDS = 5.0
"""How long one takes, as long as none has been seen."""
_NEWEST = 0.2
"""How much of what is known about that comes from the newest one: the last ten or so count."""
_HALF_SECONDS = 300.0
"""Use counts half after so long."""
_FORGOTTEN_SECONDS = 0.01
_MOST_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Room:
    """How many run at a time, how many of one person are here, how many wait, and for how long."""

    most: int
    most_each: int
    most_waiting: int
    wait_seconds: float


@dataclass(slots=True, eq=False)
class _Waiter:
    person: str
    weight: float
    since: float
    turn: asyncio.Future[float] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FairPlaces:
    """Counts who has a place and who waits for one. Used from one event loop.

    `what` is what takes the places, in the plural, as people are told it.
    """

    def __init__(self, what: str, room: Room, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._room = room
        self._clock = clock
        self._running: dict[str, list[float]] = {}
        self._waiting: list[_Waiter] = []
        self._used: dict[str, tuple[float, float]] = {}
        self._usual_seconds = _FIRST_SECONDS

    @property
    def running(self) -> int:
        """How many have a place."""
        return sum(len(begun) for begun in self._running.values())

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    @asynccontextmanager
    async def taken(self, person: str, weight: float = 1.0) -> AsyncIterator[None]:
        """Hold a place of this person's, after waiting for it where all are taken.

        Raises:
            TooManyRequestsError: This person has enough here already, too many wait, or it took too long.
        """
        begun = await self._begin(person, weight)
        try:
            yield
        finally:
            self._end(person, begun)

    async def _begin(self, person: str, weight: float) -> float:
        here = len(self._running.get(person, ())) + sum(waiter.person == person for waiter in self._waiting)
        if here >= self._room.most_each:
            message = (
                f"You have {self._room.most_each} {self._what} in progress already. "
                f"Wait for one of them to end, for about {self._told(self._usual_seconds)}."
            )
            raise TooManyRequestsError(message, self._seconds(self._usual_seconds))
        if self.running < self._room.most and not self._waiting:
            return self._run(person)
        waiter = _Waiter(person, weight, self._clock())
        self._make_way(waiter)
        self._waiting.append(waiter)
        return await self._turn_of(waiter)

    async def _turn_of(self, waiter: _Waiter) -> float:
        """Wait for a place: whoever gives it has counted it as taken already."""
        try:
            async with asyncio.timeout(self._room.wait_seconds):
                return await waiter.turn
        except TimeoutError as error:
            self._leave(waiter)
            raise self._busy() from error
        except asyncio.CancelledError:
            self._leave(waiter)
            raise

    def _leave(self, waiter: _Waiter) -> None:
        """Wait no longer; a place that was given just then goes to the next."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        elif waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
            self._end(waiter.person, waiter.turn.result(), unused=True)

    def _make_way(self, newcomer: _Waiter) -> None:
        """Let somebody wait where there is room, or where another who waits has used more: that one is refused."""
        if len(self._waiting) < self._room.most_waiting:
            return
        last = max(self._waiting, key=self._standing, default=None)
        if last is None or self._share(last) <= self._share(newcomer):
            raise self._busy()
        self._waiting.remove(last)
        if not last.turn.done():
            last.turn.set_exception(self._busy())

    def _run(self, person: str) -> float:
        begun = self._clock()
        self._running.setdefault(person, []).append(begun)
        return begun

    def _end(self, person: str, begun: float, *, unused: bool = False) -> None:
        """Free a place and give it to whoever is next."""
        self._running[person].remove(begun)
        if not self._running[person]:
            del self._running[person]
        if not unused:
            now = self._clock()
            self._used[person] = (self._used_by(person) + now - begun, now)
            self._usual_seconds += _NEWEST * (now - begun - self._usual_seconds)
        while self._waiting and self.running < self._room.most:
            following = min(self._waiting, key=self._standing)
            self._waiting.remove(following)
            if not following.turn.done():  # Else they have left, and had no time to say so yet.
                following.turn.set_result(self._run(following.person))
        if not self._waiting:
            self._forget()

    def _standing(self, waiter: _Waiter) -> tuple[float, float]:
        """Who is before whom: the smaller share, then the longer wait."""
        return self._share(waiter), waiter.since

    def _share(self, waiter: _Waiter) -> float:
        """What somebody has used of late, and will use with what they have running, for their weight."""
        now = self._clock()
        running = sum(max(now - begun, self._usual_seconds) for begun in self._running.get(waiter.person, ()))
        return (self._used_by(waiter.person) + running) / waiter.weight

    def _used_by(self, person: str) -> float:
        used, at = self._used.get(person, (0.0, 0.0))
        return used * math.exp2((at - self._clock()) / _HALF_SECONDS) if used else 0.0

    def _forget(self) -> None:
        """Drop who has used next to nothing, so that the table does not grow with every name."""
        self._used = {person: self._used[person] for person in self._used if self._used_by(person) > _FORGOTTEN_SECONDS}

    def _busy(self) -> TooManyRequestsError:
        seconds = self._usual_seconds * (len(self._waiting) + 1) / self._room.most
        message = (
            f"The service is busy with as many {self._what} as it can take, and {len(self._waiting)} wait. "
            f"Try again in {self._told(seconds)}."
        )
        return TooManyRequestsError(message, self._seconds(seconds))

    def _told(self, seconds: float) -> str:
        whole = self._seconds(seconds)
        return "a second" if whole == 1 else f"{whole} seconds"

    @staticmethod
    def _seconds(seconds: float) -> int:
        return min(_MOST_SECONDS, max(1, math.ceil(seconds)))
