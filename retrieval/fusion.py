"""Several scores of each candidate into one.

Each kind of score is standardised over the candidates and the sum squeezed between 0 and 1. Ranks alone (reciprocal
rank fusion) throw away how far ahead the first is: on the handbook's 50 single-turn questions the page came first for
25 with ranks and for 32 with scores (`docs/decisions/0010-score-fusion.md`).
"""

import math
from collections.abc import Mapping


def summed(*weighed: tuple[Mapping[int, float], float]) -> dict[int, float]:
    """The weighed sum of standardised scores of the same passages.

    Sums are exact (`math.fsum`), so the order in which passages are stored changes no bit of a score.
    """
    kinds = [(_standardised(scores), weight) for scores, weight in weighed]
    return {id_: sum(weight * of[id_] for of, weight in kinds) for id_ in kinds[0][0]}


def squeezed(score: float) -> float:
    """A score between 0 and 1 in its place."""
    return 1 / (1 + math.exp(-score))


def fuse(*weighed: tuple[Mapping[int, float], float]) -> dict[int, float]:
    """The same sum between 0 and 1."""
    return {id_: squeezed(score) for id_, score in summed(*weighed).items()}


def _standardised(scores: Mapping[int, float]) -> dict[int, float]:
    # All equal: their mean may be off by its last bit, and that bit over itself would count as a whole deviation.
    if len(set(scores.values())) <= 1:
        return dict.fromkeys(scores, 0.0)
    mean = math.fsum(scores.values()) / len(scores)
    deviation = math.sqrt(math.fsum((score - mean) ** 2 for score in scores.values()) / len(scores))
    return {id_: (score - mean) / deviation if deviation else 0.0 for id_, score in scores.items()}
