"""How guessing is slowed."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.identity.lockout import UNTIL_UNLOCKED, AddressThrottle, locked_until

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)


def test_a_few_mistakes_cost_nothing() -> None:
    assert [locked_until(failures, NOW) for failures in range(5)] == [None] * 5


def test_each_further_failure_doubles_the_wait_up_to_an_hour() -> None:
    waits = [until - NOW for failures in range(5, 14) if (until := locked_until(failures, NOW))]
    assert waits[:3] == [timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)]
    assert waits[-1] == timedelta(hours=1)
    assert waits == sorted(waits)


@pytest.mark.parametrize("failures", [100, 101, 10**9])
def test_after_a_hundred_only_an_operator_helps(failures: int) -> None:
    assert locked_until(99, NOW) == NOW + timedelta(hours=1)
    assert locked_until(failures, NOW) == UNTIL_UNLOCKED


def throttle() -> tuple[AddressThrottle, list[float]]:
    now = [0.0]
    return AddressThrottle(lambda: now[0]), now


def test_an_address_has_so_many_tries_and_gets_more_with_time() -> None:
    tries, now = throttle()
    assert [tries.take("203.0.113.7") for _ in range(40)].count(True) == 30
    assert tries.take("203.0.113.8")
    now[0] = 5.0
    assert [tries.take("203.0.113.7") for _ in range(3)] == [True, False, False]


def test_success_gives_the_try_back() -> None:
    tries, _ = throttle()
    for _ in range(100):
        assert tries.take("203.0.113.7")
        tries.give_back("203.0.113.7")


def test_a_whole_ipv6_site_counts_as_one() -> None:
    tries, _ = throttle()
    assert [tries.take(f"2001:db8::{number:x}") for number in range(40)].count(True) == 30
    assert tries.take("2001:db8:0:1::1")
    assert [tries.take("::ffff:203.0.113.7") for _ in range(30)] == [True] * 30
    assert not tries.take("203.0.113.7")


def test_many_addresses_take_a_bounded_room() -> None:
    tries, _ = throttle()
    for number in range(12_000):
        tries.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(tries._left) == 10_000
