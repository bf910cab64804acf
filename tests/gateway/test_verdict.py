"""When a model on trial is given up: soon when it is bad, seldom when it is as good, and never on too few answers."""

import random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.models.options import TrialOptions
from gateway.models.served import Told
from gateway.models.trial import is_chosen
from gateway.models.verdict import ALPHA, Counts, is_due, verdict

OPTIONS = TrialOptions(model="x")
WORLDS = 400
LOOKS = 15


def counts(answers: int, **shares: int) -> Counts:
    made = Counts()
    for number in range(answers):
        failed = number < shares.get("failed", 0)
        made.add(
            Told(
                failed=failed,
                declined=number < shares.get("declined", 0),
                unsupported=number < shares.get("unsupported", 0),
                took_ms=9000.0 if number < shares.get("slow", 0) else 1000.0,
                complete=not failed,
            )
        )
    made.failed_in_a_row = 0
    return made


@pytest.mark.parametrize(
    ("kind", "cause"),
    [("failed", "failures"), ("declined", "declined"), ("unsupported", "unsupported"), ("slow", "latency")],
)
def test_much_worse_in_one_respect_is_given_up_for_it(kind: str, cause: str) -> None:
    assert verdict(OPTIONS, counts(40, **{kind: 30}), counts(40, **{kind: 2}), 0).startswith(f"{cause}: ")
    assert verdict(OPTIONS, counts(40, **{kind: 2}), counts(40, **{kind: 30}), 0) == ""  # Better is no reason.
    assert verdict(OPTIONS, counts(40, **{kind: 9}), counts(40, **{kind: 8}), 0) == ""
    assert verdict(OPTIONS, counts(19, **{kind: 19}), counts(40), 0) == ""  # Too few to say.
    assert verdict(OPTIONS, counts(40, **{kind: 40}), counts(19), 0) == ""


def test_the_cause_says_the_figures() -> None:
    said = verdict(OPTIONS, counts(40, declined=38), counts(60, declined=6), 0)
    assert said == "declined: 38 of 40, with the model in use 6 of 60"


def test_failing_without_end_needs_no_comparison() -> None:
    made = Counts()
    for number in range(5):
        assert verdict(OPTIONS, made, Counts(), 0) == "", number
        made.add(Told(failed=True))
    assert is_due(OPTIONS, made, Counts(), 0)
    assert verdict(OPTIONS, made, Counts(), 0) == "failures: 5 in a row"


def test_a_success_ends_the_row() -> None:
    made = Counts()
    for _ in range(4):
        made.add(Told(failed=True))
    made.add(Told(complete=True, took_ms=1.0))
    made.add(Told(failed=True))
    assert verdict(OPTIONS, made, Counts(), 0) == ""


def test_looks_come_after_as_many_answers_of_each_again() -> None:
    assert not is_due(OPTIONS, counts(40), counts(19), 0)
    assert is_due(OPTIONS, counts(40), counts(20), 0)
    assert not is_due(OPTIONS, counts(40), counts(20), 1)
    assert is_due(OPTIONS, counts(40), counts(40), 1)


def given_up(judge: object, seed: int, declined: float) -> bool:
    """Whether a trial of fifteen looks ends, where the model in use declines every fifth question."""
    dice, trial, other = random.Random(seed), Counts(), Counts()
    for look in range(LOOKS):
        for made, share in ((trial, declined), (other, 0.2)):
            for _ in range(OPTIONS.least_answers):
                took = dice.lognormvariate(7, 0.5)
                made.add(Told(declined=dice.random() < share, took_ms=took, complete=True))
        if judge(OPTIONS, trial, other, look):  # type: ignore[operator]
            return True
    return False


def naive(options: TrialOptions, trial: Counts, other: Counts, _looks: int) -> bool:
    """What one would write first: a test at 5 % at every look, as if it were the only one."""
    first, second = trial.declined / trial.answers, other.declined / other.answers
    pooled = (trial.declined + other.declined) / (trial.answers + other.answers)
    spread = (pooled * (1 - pooled) * (1 / trial.answers + 1 / other.answers)) ** 0.5
    return first - second > NormalDist().inv_cdf(0.95) * spread


def test_an_equal_model_is_seldom_given_up_and_naive_looking_is_noticed() -> None:
    wrong = sum(given_up(verdict, seed, declined=0.2) for seed in range(WORLDS))
    assert wrong / WORLDS <= ALPHA
    # Negative control: fifteen looks at 5 % each are wrong far more often than 5 %.
    assert sum(given_up(naive, seed, declined=0.2) for seed in range(WORLDS)) / WORLDS > 2 * ALPHA


def test_a_worse_model_is_given_up_in_time() -> None:
    found = sum(given_up(verdict, seed, declined=0.6) for seed in range(100))
    assert found >= 95


@given(st.integers(0, 60), st.integers(0, 60), st.integers(20, 60), st.integers(20, 60), st.integers(0, 30))
def test_a_model_that_is_no_worse_than_the_other_is_never_given_up(
    declined: int, declined_other: int, of: int, of_other: int, looks: int
) -> None:
    declined, declined_other = min(declined, of), min(declined_other, of_other)
    said = verdict(OPTIONS, counts(of, declined=declined), counts(of_other, declined=declined_other), looks)
    if declined / of <= declined_other / of_other + OPTIONS.worse_most:
        assert said == ""


def test_the_share_is_sticky_and_of_its_size() -> None:
    users = [f"user-{number}" for number in range(20_000)]
    first = [user for user in users if is_chosen(b"k" * 32, "t1", user, 0.1)]
    assert first == [user for user in users if is_chosen(b"k" * 32, "t1", user, 0.1)]
    assert 0.09 < len(first) / len(users) < 0.11
    more = {user for user in users if is_chosen(b"k" * 32, "t1", user, 0.2)}
    assert set(first) < more  # A larger share keeps those it had.
    assert 0.005 < len(set(first) & {user for user in users if is_chosen(b"k" * 32, "t2", user, 0.1)}) / 20_000 < 0.015
    assert not any(is_chosen(b"k" * 32, "t1", user, 0.0) for user in users)
    assert all(is_chosen(b"k" * 32, "t1", user, 1.0) for user in users)
