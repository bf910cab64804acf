"""Retries are a share of the questions, whatever happens."""

from hypothesis import given
from hypothesis import strategies as st

from models.openai.budget import Budget, BudgetRules, asked, opened, spent

RULES = BudgetRules(share=0.2, per_second=0.1, first=3.0, most=10.0)
STEPS = st.lists(st.tuples(st.sampled_from(["asked", "spent"]), st.floats(0, 50)), max_size=200)


def test_a_quiet_installation_may_try_again() -> None:
    budget: Budget | None = opened(0.0, RULES)
    for _ in range(3):
        assert budget is not None
        budget = spent(budget, 0.0, RULES)
    assert budget is not None
    assert spent(budget, 0.0, RULES) is None
    assert spent(budget, 10.0, RULES) is not None, "a little comes back with time"


def test_five_questions_pay_for_one_retry() -> None:
    budget = Budget(0.0, 0.0)
    for number in range(5):
        assert spent(budget, 0.0, RULES) is None, number
        budget = asked(budget, 0.0, RULES)
    assert spent(budget, 0.0, RULES) is not None


@given(STEPS)
def test_retries_never_exceed_their_share(steps: list[tuple[str, float]]) -> None:
    budget, now, questions, retries = opened(0.0, RULES), 0.0, 0, 0
    for step, passed in steps:
        now += passed
        if step == "asked":
            budget, questions = asked(budget, now, RULES), questions + 1
        elif (left := spent(budget, now, RULES)) is not None:
            budget, retries = left, retries + 1
        assert 0 <= budget.retries <= RULES.most
    assert retries <= RULES.first + RULES.share * questions + RULES.per_second * now + 1e-6


def test_a_clock_that_goes_back_gives_nothing() -> None:
    assert spent(Budget(0.5, 100.0), 0.0, RULES) is None
