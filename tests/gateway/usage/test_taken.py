"""What answers cost, to the last billionth, and what settings are refused."""

import contextlib
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.usage.options import Measure, PriceOptions, UsageOptions
from gateway.usage.taken import Bound, Prices, Tally, amount, counted, told
from models.engine import Chunk, Odds, Speaker, Turn

PRICES = Prices(
    [
        PriceOptions(
            model="small",
            prompt=Decimal("0.15"),
            cached=Decimal("0.075"),
            completion=Decimal("0.6"),
            compute_hour=Decimal("0.36"),
        ),
        PriceOptions(model="free"),
        PriceOptions(model="plain", prompt=Decimal(1)),
    ]
)


def test_an_answer_costs_what_its_parts_do() -> None:
    tally = Tally("small", prompt_tokens=1000, cached_tokens=400, completion_tokens=50, elapsed_seconds=2.5)
    parts = [600 * Decimal("0.15e-6"), 400 * Decimal("0.075e-6"), 50 * Decimal("0.6e-6"), Decimal("2.5") / 10_000]
    assert amount(PRICES.cost(tally)) == sum(parts) == Decimal("0.00040")
    assert PRICES.cost(replace(tally, model="plain")) == 10**6, (
        "without a price of their own, cached tokens cost as others do"
    )


def test_money_is_exact_where_fractions_would_not_be() -> None:
    tenth = Prices([PriceOptions(model="m", prompt=Decimal("0.1"))])
    assert amount(sum(tenth.cost(Tally("m", prompt_tokens=10**6)) for _ in range(3))) == Decimal("0.3")
    assert sum(0.1 for _ in range(3)) != 0.3, "the control"


def test_what_is_left_of_a_billionth_is_rounded_up() -> None:
    dear = Prices([PriceOptions(model="m", prompt=Decimal("0.0001"))])
    assert dear.cost(Tally("m", prompt_tokens=1)) == 1
    assert dear.cost(Tally("m")) == 0


def test_no_price_is_not_a_price_of_nothing() -> None:
    assert (PRICES.has("free"), PRICES.has("unheard-of")) == (True, False)
    assert PRICES.cost(Tally("unheard-of", prompt_tokens=10**6)) == 0


def test_the_demand_covers_whatever_comes_of_it() -> None:
    bound = Bound(1500, 160)
    most = PRICES.demand(("small", "plain"), bound)
    for model in ("small", "plain"):
        for cached in (0, 700, 1500):
            taken = PRICES.taken(Tally(model, 1500, cached, 160, elapsed_seconds=119.0))
            assert all(taken.of(what) <= most.of(what) for what in Measure)


def test_an_engines_own_seconds_come_before_the_time_that_passed() -> None:
    tally = Tally(elapsed_seconds=9.0)
    tally.checked({"Yes": 0.5, "No": 0.5})
    assert (tally.compute_seconds, tally.checks) == (9.0, 1)
    tally.generated(Chunk("", None, 10, 4, 3, compute_seconds=0.5))
    tally.checked(Odds({"Yes": 0.5, "No": 0.5}, compute_seconds=0.25))
    assert (tally.prompt_tokens, tally.cached_tokens, tally.completion_tokens) == (10, 4, 3)
    assert (tally.compute_seconds, tally.checks) == (0.75, 2)


def test_of_what_was_broken_off_the_prompt_is_estimated() -> None:
    tally = Tally()
    assert not tally.worked
    with contextlib.suppress(ZeroDivisionError), tally.elapsing():
        tally.broken_off([Turn(Speaker.SYSTEM, ("x" * 35, "y" * 35))], pieces=4)
        _ = 1 / 0
    assert (tally.prompt_tokens, tally.completion_tokens) == (20, 4)
    assert tally.worked
    assert tally.compute_seconds > 0


def test_limits_are_counted_in_whole_numbers_and_told_as_people_write_them() -> None:
    assert counted(Measure.COST, Decimal("0.1")) == 10**8
    assert counted(Measure.TOKENS, Decimal(1000)) == 1000
    assert told(Measure.COST, 1_500_000_000) == "1.5"
    assert told(Measure.COST, 100 * 10**9) == "100"
    assert told(Measure.COST, 0) == "0"
    assert told(Measure.TOKENS, 1000) == "1000"


LIMIT: dict[str, Any] = {"name": "daily", "what": "requests", "most": 5, "per": "day"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prices": [{"model": "m", "prompt": "NaN"}]}, "must be a number from 0"),
        ({"prices": [{"model": "m", "prompt": "Infinity"}]}, "must be a number from 0"),
        ({"prices": [{"model": "m", "prompt": -1}]}, "must be a number from 0"),
        ({"prices": [{"model": "m"}, {"model": "m"}]}, "the model m twice"),
        ({"limits": [LIMIT, LIMIT]}, "the name daily twice"),
        ({"limits": [{**LIMIT, "most": "1.5"}]}, "no whole number"),
        ({"limits": [{**LIMIT, "most": 10**12}]}, "must be a number from 0"),
        ({"limits": [{**LIMIT, "user": "bob", "together": True}]}, "leave out group and together"),
        ({"limits": [{**LIMIT, "what": "cost"}]}, "there is no price"),
        ({"limits": [{**LIMIT, "what": "cost", "model": "n"}], "prices": [{"model": "m"}]}, "there is no price"),
        ({"limits": [{**LIMIT, "name": "(pace)"}]}, "matching regex"),
        ({"limits": [{**LIMIT, "per": "week"}]}, "week"),
        ({"currency": "euro"}, "matching regex"),
        ({"weights": {"staff": 0}}, "> 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(settings, UsageOptions)


def test_a_budget_in_settings_is_read_as_it_is_written() -> None:
    text = '[[prices]]\nmodel = "m"\nprompt = 0.15\n[[limits]]\nname = "budget"\nwhat = "cost"\nmost = "0.10"\n'
    options = msgspec.toml.decode(text + 'per = "month"\n', type=UsageOptions)
    assert options.prices[0].prompt == Decimal("0.15")
    assert counted(Measure.COST, options.limits[0].most) == 10**8
