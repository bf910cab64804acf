"""Whether there is room, as pure functions: who falls under what, periods, sentences, and the pace of questions."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from gateway.usage.limits import Count, Pace, applying, current, period_at, period_end, refusal, span, too_fast
from gateway.usage.options import LimitOptions, Measure, Period
from policies.principals import Principal

NOW = datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC)
BOB = Principal("bob", frozenset({"everyone", "sales"}))


def limit(**more: Any) -> LimitOptions:
    given: Mapping[str, Any] = {
        "name": "daily", "what": Measure.REQUESTS, "most": Decimal(5), "per": Period.DAY, **more
    }  # fmt: skip
    return LimitOptions(**given)


@pytest.mark.parametrize(
    ("given", "falls_under"),
    [
        ({}, True),
        ({"user": "bob"}, True),
        ({"user": "alice"}, False),
        ({"group": "sales"}, True),
        ({"group": "finance", "together": True}, False),
        ({"together": True}, True),
        ({"model": "small"}, True),
        ({"model": "large"}, False),
    ],
)
def test_who_falls_under_a_limit(given: dict[str, Any], falls_under: bool) -> None:  # noqa: FBT001
    assert (applying([limit(**given)], BOB, ("small", "other")) != []) == falls_under


@pytest.mark.parametrize(
    ("per", "start", "end"),
    [
        (Period.MINUTE, datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.HOUR, datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.DAY, datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.MONTH, datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_periods_are_those_of_clock_and_calendar_in_utc(per: Period, start: datetime, end: datetime) -> None:
    assert period_at(per, NOW) == start.timestamp()
    assert period_end(per, period_at(per, NOW)) == end
    assert period_at(per, end) == end.timestamp()
    assert period_at(per, end - timedelta(microseconds=1)) == start.timestamp()


def test_february_ends_when_it_does() -> None:
    assert period_end(Period.MONTH, int(datetime(2028, 2, 1, tzinfo=UTC).timestamp())) == datetime(
        2028, 3, 1, tzinfo=UTC
    )


@pytest.mark.parametrize("per", Period)
def test_a_clock_that_is_set_back_gives_nothing_back(per: Period) -> None:
    used = Count(period_at(per, NOW), 5)
    for earlier in (timedelta(hours=2), timedelta(days=40), timedelta(days=4000)):
        assert current(used, per, NOW - earlier) == used
    assert current(used, per, period_end(per, used.period)).used == 0


def test_a_new_period_begins_with_what_is_in_progress() -> None:
    before = Count(period_at(Period.DAY, NOW), used=4, reserved=2)
    after = current(before, Period.DAY, NOW + timedelta(minutes=1))
    assert (after.used, after.reserved) == (0, 2)


def test_what_fits_to_the_last_is_let_in_and_one_more_is_not() -> None:
    count = Count(period_at(Period.DAY, NOW), used=3, reserved=1)
    assert refusal(limit(), count, 1, NOW) is None
    assert refusal(limit(), count, 2, NOW) is not None


def test_a_refusal_says_what_whose_and_when() -> None:
    day = period_at(Period.DAY, NOW)
    found = refusal(limit(), Count(day, used=5), 1, NOW)
    assert found
    assert found.message == (
        "Your limit daily of 5 questions a day is used up. "
        "It begins anew at 2027-01-01 00:00 UTC, in 30 seconds; ask again then."
    )
    assert (found.retry_after_seconds, found.most, found.left) == (30, 5, 0)
    shared = refusal(limit(what=Measure.COST, group="sales", together=True), Count(day, 5 * 10**9), 10, NOW)
    assert shared
    assert shared.message.startswith("The limit daily, which group sales shares, of 5 in money a day is used up.")


def test_what_is_only_reserved_may_come_back_soon() -> None:
    found = refusal(limit(), Count(period_at(Period.DAY, NOW), used=1, reserved=4), 1, NOW)
    assert found
    assert found.retry_after_seconds == 5
    assert "in progress" in found.message


def test_a_limit_below_one_question_says_so() -> None:
    found = refusal(limit(what=Measure.TOKENS), Count(period_at(Period.DAY, NOW)), 2000, NOW)
    assert found
    assert "One question may take 2000" in found.message


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1, "1 second"), (60, "60 seconds"), (61, "2 minutes"), (3601, "2 hours"), (90_000, "2 days"), (7200, "2 hours")],
)
def test_spans_are_told_in_words(seconds: int, said: str) -> None:
    assert span(seconds) == said


def test_the_pace_lets_a_burst_in_and_then_one_at_a_time() -> None:
    pace, until, let_in = Pace(60, burst=3), 0, []
    for now in range(100_000, 110_000, 250):
        until, wait = pace.next(until, now)
        if not wait:
            let_in.append(now)
    assert let_in[:3] == [100_000, 100_250, 100_500]
    assert {later - sooner for sooner, later in itertools.pairwise(let_in[3:])} == {1000}


@pytest.mark.parametrize("seed", range(20))
def test_in_no_span_of_time_is_more_let_in_than_pace_and_burst(seed: int) -> None:
    random, pace, until, let_in, now = Random(seed), Pace(30, burst=4), 0, list[int](), 0
    for _ in range(500):
        now += random.randrange(3000)
        until, wait = pace.next(until, now)
        let_in += [] if wait else [now]
    for first, begun in enumerate(let_in):
        for count, ended in enumerate(let_in[first:], start=1):
            assert count <= 4 + (ended - begun) / 2000


def test_the_wait_that_a_pace_names_is_enough_and_no_longer_than_needed() -> None:
    pace, until = Pace(60, burst=1), 0
    until, _ = pace.next(until, 5000)
    _, wait = pace.next(until, 5300)
    assert wait == 700
    assert pace.next(until, 5300 + wait)[1] == 0
    assert pace.next(until, 5300 + wait - 1)[1] == 1
    assert too_fast(pace, wait).retry_after_seconds == 1


def test_a_clock_that_jumps_gives_no_burst_and_locks_nobody_out() -> None:
    pace = Pace(60, burst=3)
    until = 0
    for _ in range(3):
        until, wait = pace.next(until, 10_000_000)
        assert wait == 0
    assert pace.next(until, 9_000_000)[1], "set back: nothing is given back"
    assert 0 < pace.next(until, 9_000_000)[1] <= 1000, "and an hour ahead costs no hour"
