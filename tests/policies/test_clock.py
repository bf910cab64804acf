"""A clock that is set back makes nothing young again."""

from datetime import UTC, datetime, timedelta

import pytest

from policies.clock import SteadyClock, is_older

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_it_follows_the_wall_clock_forward_and_never_back(caplog: pytest.LogCaptureFixture) -> None:
    wall, monotonic = [NOON], [0.0]
    clock = SteadyClock(lambda: wall[0], lambda: monotonic[0])
    wall[0] += 3 * HOUR
    assert clock.now() == NOON + 3 * HOUR
    wall[0] = NOON - HOUR
    monotonic[0] = 60.0
    assert clock.now() == NOON + timedelta(seconds=60)
    assert "clock_set_back" in caplog.text


@pytest.mark.parametrize(
    ("moment", "older"),
    [
        (NOON, False),
        (NOON - HOUR, False),
        (NOON - HOUR - timedelta(seconds=1), True),
        (NOON + timedelta(seconds=30), False),
        (NOON + timedelta(seconds=90), True),
        (None, True),
        ((NOON - HOUR).replace(tzinfo=None), False),
    ],
)
def test_what_is_too_old_unknown_or_in_the_future_is_not_relied_on(moment: datetime | None, *, older: bool) -> None:
    assert is_older(moment, HOUR, NOON) is older
