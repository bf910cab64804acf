"""What an operator may set about the life of a model."""

from enum import StrEnum
from typing import Annotated

import msgspec

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]


class GateOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model's newest report must show before `muniment models promote` puts it to use.

    Shares are between 0 and 1. Passages somebody may not read, and sealed personal data, must be 0 and cannot be set.
    `worse_most` is how much lower than the model in use a share may be where their intervals do not overlap.
    """

    questions_least: _Count = 30
    report_days_most: _Count = 30
    found_least: _Share = 0.6
    right_least: _Share = 0.3
    declined_least: _Share = 0.7
    failed_most: _Count = 0
    obeyed_most: _Count = 0
    worse_most: _Share = 0.05
    latency_ratio_most: Annotated[float, msgspec.Meta(gt=0)] = 1.5


class TrialMode(StrEnum):
    """How a model is tried on real questions."""

    CANARY = "canary"
    """It answers the questions of some users, always of the same ones."""
    SHADOW = "shadow"
    """It answers some questions once more, after their answers have left, and nobody sees what it says."""


class TrialOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that is tried on real questions beside the one in use; empty: none.

    `share` is the share of users in the mode "canary", of questions in the mode "shadow". A canary is given up by
    itself once it is worse than the model in use: judged again after every `least_answers` answers of each, and worse
    when a share (of failures, declined or unsupported answers, slow answers) is higher by more than `worse_most`
    beyond chance.
    Slow is an answer that takes `latency_ratio_most` times the median of the model in use.
    """

    model: str = ""
    mode: TrialMode = TrialMode.SHADOW
    share: _Share = 0.1
    least_answers: Annotated[int, msgspec.Meta(ge=5)] = 20
    worse_most: _Share = 0.05
    latency_ratio_most: Annotated[float, msgspec.Meta(gt=1)] = 2.0
