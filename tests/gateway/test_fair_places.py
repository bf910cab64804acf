"""Places go to whoever used least, waiting is bounded, and whoever leaves takes no place along."""

import asyncio
import contextlib
from collections.abc import Callable
from random import Random

import pytest

from gateway import fair_places
from gateway.errors import TooManyRequestsError
from gateway.fair_places import FairPlaces, Room

ROOM = Room(most=2, most_each=4, most_waiting=3, wait_seconds=60)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """Places, and people who hold one until they are told to go; notes who was served in which order."""

    def __init__(self, room: Room = ROOM, kind: type[FairPlaces] = FairPlaces) -> None:
        self.clock = Clock()
        self.places = kind("questions", room, self.clock)
        self.served: list[str] = []
        self._go: list[asyncio.Event] = []

    async def ask(self, person: str, weight: float = 1.0) -> asyncio.Task[None]:
        """Let somebody come, and get as far as they can."""

        async def hold() -> None:
            async with self.places.taken(person, weight):
                self.served.append(person)
                self._go.append(done := asyncio.Event())
                await done.wait()

        self.clock.now += 0.001
        task = asyncio.create_task(hold())
        await settled()
        return task

    async def finish(self, number: int = 0, after: float = 5.0) -> None:
        """Let one who is served go, after some seconds."""
        self.clock.now += after
        self._go.pop(number).set()
        await settled()

    async def close(self) -> None:
        while self._go:
            await self.finish()
        assert (self.places.running, self.places.waiting) == (0, 0)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class FirstComeFirstServed(FairPlaces):
    """A broken variant: whoever asks most often is served most often."""

    def _standing(self, waiter: fair_places._Waiter) -> tuple[float, float]:
        return 0.0, waiter.since


@pytest.mark.parametrize(("kind", "next_one"), [(FairPlaces, "bob"), (FirstComeFirstServed, "alice")])
async def test_one_with_many_questions_does_not_starve_another(kind: type[FairPlaces], next_one: str) -> None:
    """The second is the negative control."""
    desk = Desk(kind=kind)
    for _ in range(4):
        await desk.ask("alice")
    await desk.ask("bob")
    await desk.finish()
    assert desk.served == ["alice", "alice", next_one]
    await desk.close()


async def test_who_used_least_of_late_is_next_and_old_use_is_forgotten() -> None:
    desk = Desk()
    for person, seconds in (("alice", 100.0), ("bob", 10.0)):
        await desk.ask(person)
        await desk.finish(after=seconds)
    for person in ("carol", "carol", "alice", "bob"):
        await desk.ask(person)
    await desk.finish()
    assert desk.served[-1] == "bob"
    await desk.finish()
    await desk.close()
    desk.clock.now += 100_000
    await desk.ask("dora")
    await desk.finish(after=20)
    for person in ("carol", "carol", "dora", "alice"):
        await desk.ask(person)
    await desk.finish()
    assert desk.served[-1] == "alice", "what Alice used is long ago"
    await desk.close()


async def test_a_larger_share_waits_less() -> None:
    desk = Desk()
    for person, seconds in (("alice", 30.0), ("bob", 20.0)):
        await desk.ask(person)
        await desk.finish(after=seconds)
    for person, weight in (("carol", 1.0), ("carol", 1.0), ("alice", 2.0), ("bob", 1.0)):
        await desk.ask(person, weight)
    await desk.finish()
    assert desk.served[-1] == "alice"
    await desk.close()


async def test_one_persons_questions_are_bounded_with_those_that_wait() -> None:
    desk = Desk()
    asked = [await desk.ask("alice") for _ in range(5)]
    assert desk.places.waiting == 2
    with pytest.raises(TooManyRequestsError, match="You have 4 questions in progress"):
        asked[-1].result()
    await desk.close()


async def test_more_than_may_wait_are_refused_with_a_time_that_follows_the_work() -> None:
    desk = Desk()
    for _ in range(40):
        await desk.ask("warm")
        await desk.finish(after=30)
    for person in ("a", "b", "c", "d", "e"):
        await desk.ask(person)
    late = await desk.ask("f")
    with pytest.raises(TooManyRequestsError, match="Try again in 60 seconds") as refused:
        late.result()
    assert refused.value.retry_after_seconds == 60, "four waits of 30 seconds at two places"
    await desk.close()


async def test_somebody_who_used_little_takes_the_turn_of_who_used_much() -> None:
    desk = Desk()
    asked = [await desk.ask("alice") for _ in range(4)]
    await desk.ask("bob")
    assert desk.places.waiting == ROOM.most_waiting
    await desk.ask("carol")
    with pytest.raises(TooManyRequestsError, match="busy"):
        asked[-1].result()
    await desk.finish()
    await desk.finish()
    assert desk.served[2:] == ["bob", "carol"]
    await desk.close()


async def test_who_has_waited_too_long_is_refused_and_leaves_no_trace() -> None:
    desk = Desk(Room(1, 4, 3, wait_seconds=0.01))
    await desk.ask("alice")
    waiting = await desk.ask("bob")
    with pytest.raises(TooManyRequestsError) as refused:
        await waiting
    assert refused.value.retry_after_seconds
    assert desk.places.waiting == 0
    await desk.close()


class LosesPlaces(FairPlaces):
    """A broken variant: a place that was given to somebody who left just then stays taken."""

    def _leave(self, waiter: fair_places._Waiter) -> None:
        with contextlib.suppress(ValueError):
            self._waiting.remove(waiter)


async def many_leave(kind: type[FairPlaces], count: int, seed: int) -> FairPlaces:
    """People come, hold a place for a moment, and are cut off at any time."""
    random, places = Random(seed), kind("questions", Room(4, 3, 12, wait_seconds=0.002))
    tasks: set[asyncio.Task[None]] = set()

    async def come(person: str) -> None:
        with contextlib.suppress(TooManyRequestsError):
            async with places.taken(person, random.choice((0.5, 1.0, 2.0))):
                for _ in range(random.randrange(4)):
                    await asyncio.sleep(0)

    for _ in range(count):
        tasks.add(asyncio.create_task(come(f"person {random.randrange(12)}")))
        if random.random() < 0.3:
            await asyncio.sleep(0)
        random.choice(sorted(tasks, key=id)).cancel()
        tasks = {task for task in tasks if not task.done()}
    await asyncio.gather(*tasks, return_exceptions=True)
    return places


async def test_a_thousand_who_leave_take_no_place_along() -> None:
    """T19."""
    places = await many_leave(FairPlaces, 1000, seed=7)
    assert (places.running, places.waiting) == (0, 0)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(50))
async def test_many_more_who_leave_take_no_place_along(seed: int) -> None:
    places = await many_leave(FairPlaces, 2000, seed)
    assert (places.running, places.waiting) == (0, 0)


async def test_a_place_that_is_lost_is_noticed() -> None:
    """Negative control of the two above."""
    assert (await many_leave(LosesPlaces, 1000, seed=7)).running > 0


@pytest.mark.parametrize("broken", [lambda: None, lambda: 1 / 0])
async def test_whatever_ends_a_question_frees_its_place(broken: Callable[[], object]) -> None:
    places = FairPlaces("questions", ROOM)
    with contextlib.suppress(ZeroDivisionError):
        async with places.taken("alice"):
            broken()
    assert places.running == 0
