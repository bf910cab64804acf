"""Two scores of each candidate into one.

Each kind of score is standardised over the candidates and the sum squeezed between 0 and 1. Ranks alone (reciprocal
rank fusion) throw away how far ahead the first is: on the handbook's 50 single-turn questions the page came first for
25 with ranks and for 32 with scores (`docs/decisions/0010-score-fusion.md`).
"""

import math
from collections.abc import Mapping


def fuse(one: Mapping[int, float], other: Mapping[int, float], weight: float) -> dict[int, float]:
    """The standardised sum of both scores of the same passages, the other one weighed, between 0 and 1.

    Sums are exact (`math.fsum`), so the order in which passages are stored changes no bit of a score.
    """
    first, second = _standardised(one), _standardised(other)
    return {id_: 1 / (1 + math.exp(-(first[id_] + weight * second[id_]))) for id_ in one}


def _standardised(scores: Mapping[int, float]) -> dict[int, float]:
    # All equal: their mean may be off by its last bit, and that bit over itself would count as a whole deviation.
    if len(set(scores.values())) <= 1:
        return dict.fromkeys(scores, 0.0)
    mean = math.fsum(scores.values()) / len(scores)
    deviation = math.sqrt(math.fsum((score - mean) ** 2 for score in scores.values()) / len(scores))
    return {id_: (score - mean) / deviation if deviation else 0.0 for id_, score in scores.items()}
