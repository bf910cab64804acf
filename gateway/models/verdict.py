"""Whether a model on trial has to be given up: a pure function of what came of both models' questions so far.

It is judged again and again, so each look spends a part of one allowance for being wrong: the k-th of them
`ALPHA / (k (k + 1))`, which all together never exceeds `ALPHA`, however long a trial goes on. A share counts as higher
where the intervals of both do not meet, and by more than the settings let pass.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

from gateway.evaluation.scoring import wilson
from gateway.models.options import TrialOptions
from gateway.models.served import Told

ALPHA = 0.05
"""The chance that a model which is as good as the other is given up all the same, over a whole trial."""
FAILURES_IN_A_ROW = 5
"""So many are no chance and no load: there is no need to wait for more."""
_STEP = 1.1
"""Durations are counted in classes that are a tenth apart: a median within 10 % is enough here."""
_SHARES = 4


@dataclass(slots=True)
class Counts:
    """What came of one model's questions. Counts alone: no question, no user."""

    answers: int = 0
    failed: int = 0
    declined: int = 0
    unsupported: int = 0
    failed_in_a_row: int = 0
    times: Counter[int] = field(default_factory=Counter)

    def add(self, told: Told) -> None:
        """Count one more."""
        self.failed += told.failed
        self.failed_in_a_row = self.failed_in_a_row + 1 if told.failed else 0
        if told.failed:
            return
        self.answers += 1
        self.declined += told.declined
        self.unsupported += told.unsupported
        self.times[_class_of(told.took_ms)] += 1

    @property
    def asked(self) -> int:
        """All questions."""
        return self.answers + self.failed


def is_due(options: TrialOptions, trial: Counts, other: Counts, looks: int) -> bool:
    """Whether both have enough for the next look, or the model on trial fails without end."""
    return trial.failed_in_a_row >= FAILURES_IN_A_ROW or min(trial.asked, other.asked) >= options.least_answers * (
        looks + 1
    )


def verdict(options: TrialOptions, trial: Counts, other: Counts, looks: int) -> str:
    """Why the model on trial has to be given up, with the figures; empty while it may go on. `looks` went before."""
    if trial.failed_in_a_row >= FAILURES_IN_A_ROW:
        return f"failures: {trial.failed_in_a_row} in a row"
    if min(trial.asked, other.asked) < options.least_answers:
        return ""
    z = _deviations(looks + 1)
    slow = _slow_from(other.times, options.latency_ratio_most)
    shares = {
        "failures": (trial.failed, trial.asked, other.failed, other.asked),
        "declined": (trial.declined, trial.answers, other.declined, other.answers),
        "unsupported": (trial.unsupported, trial.answers, other.unsupported, other.answers),
        "latency": (_slower(trial.times, slow), trial.answers, _slower(other.times, slow), other.answers),
    }
    for name, (count, of, count_other, of_other) in shares.items():
        low, high = wilson(count, of, z)[0], wilson(count_other, of_other, z)[1]
        if low > high + options.worse_most:
            return f"{name}: {count} of {of}, with the model in use {count_other} of {of_other}"
    return ""


def _deviations(look: int) -> float:
    """How many standard deviations an interval is wide at this look, for a part of the allowance, on four shares."""
    alpha = ALPHA / (look * (look + 1)) / _SHARES
    return NormalDist().inv_cdf(1 - alpha / 2)


def _class_of(milliseconds: float) -> int:
    return int(math.log(max(milliseconds, 1.0), _STEP))


def _slow_from(times: Mapping[int, int], ratio: float) -> int:
    """The class from which on an answer is slow: so many times the median."""
    left = (sum(times.values()) + 1) // 2
    for class_ in sorted(times):
        left -= times[class_]
        if left <= 0:
            return class_ + math.ceil(math.log(ratio, _STEP))
    return 0


def _slower(times: Mapping[int, int], slow: int) -> int:
    return sum(count for class_, count in times.items() if class_ > slow)
