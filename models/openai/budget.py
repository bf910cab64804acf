"""How often questions may be sent again. Retries are a share of the questions, so that an outage is not multiplied."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """Each question adds `share` of a retry and each second `per_second`, up to `most`; `first` are there at first."""

    share: float = 0.2
    per_second: float = 0.1
    first: float = 3.0
    most: float = 10.0


@dataclass(frozen=True, slots=True)
class Budget:
    """How many retries are left at a moment."""

    retries: float
    at: float


def opened(now: float, rules: BudgetRules) -> Budget:
    """The budget before the first question."""
    return Budget(rules.first, now)


def asked(budget: Budget, now: float, rules: BudgetRules) -> Budget:
    """After a question was sent for the first time."""
    grown = _grown(budget, now, rules)
    return replace(grown, retries=min(grown.retries + rules.share, rules.most))


def spent(budget: Budget, now: float, rules: BudgetRules) -> Budget | None:
    """After one more retry; none where there is none left."""
    grown = _grown(budget, now, rules)
    return replace(grown, retries=grown.retries - 1) if grown.retries >= 1 else None


def _grown(budget: Budget, now: float, rules: BudgetRules) -> Budget:
    passed = max(0.0, now - budget.at)
    return Budget(min(budget.retries + passed * rules.per_second, rules.most), max(now, budget.at))
