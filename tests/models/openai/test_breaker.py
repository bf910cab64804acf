"""When a server that fails is left alone: pure steps, with the times given."""

import pytest

from models.openai.breaker import Breaker, BreakerRules, State, failed, probed, succeeded

RULES = BreakerRules(failures=3, rest_seconds=2.0, most_rest_seconds=10.0)


def after_failures(count: int, breaker: Breaker | None = None, now: float = 0.0) -> Breaker:
    breaker = breaker or Breaker()
    for _ in range(count):
        breaker = failed(breaker, now, RULES)
    return breaker


def test_it_opens_with_so_many_failures_in_a_row() -> None:
    assert [after_failures(count).state for count in (0, 1, 2, 3)] == [State.CLOSED] * 3 + [State.OPEN]
    assert not after_failures(3).admits(0)


def test_an_answer_in_between_begins_the_count_anew() -> None:
    assert after_failures(2, succeeded()).state is State.CLOSED
    assert succeeded() == Breaker()


def test_it_rests_before_it_is_probed_and_failures_from_before_make_no_rest_longer() -> None:
    opened = after_failures(3, now=5.0)
    assert not opened.due(6.9)
    assert opened.due(7.0)
    assert failed(opened, 6.0, RULES) == opened


def test_one_that_answers_a_probe_gets_one_question_whose_end_decides() -> None:
    trial = probed(after_failures(3), 2.0, RULES, answered=True)
    assert trial.state is State.HALF_OPEN
    assert trial.admits(0)
    assert not trial.admits(1)
    assert succeeded().admits(7)
    again = failed(trial, 2.5, RULES)
    assert (again.state, again.until) == (State.OPEN, 6.5)


def test_rests_grow_to_a_bound() -> None:
    breaker, rests = after_failures(3), list[float]()
    for _ in range(5):
        now = breaker.until
        breaker = probed(breaker, now, RULES, answered=False)
        rests.append(breaker.until - now)
    assert rests == [4.0, 8.0, 10.0, 10.0, 10.0]


@pytest.mark.parametrize("breaker", [Breaker(), Breaker(State.HALF_OPEN, 3, 1)])
def test_a_probe_of_one_that_is_asked_changes_nothing(breaker: Breaker) -> None:
    assert probed(breaker, 1.0, RULES, answered=False) == breaker
    assert probed(breaker, 1.0, RULES, answered=True) == breaker
