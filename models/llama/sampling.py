"""From the scores of all tokens to one token, and to the odds of a few replies."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]

# The rest of the vocabulary carries noise; the usual figure, and what makes sampling cheap.
_CANDIDATES = 40
_SEED_BITS = 2**64 - 1


class Sampler:
    """Picks tokens. With temperature 0 always the likeliest; else repeatably for the same seed."""

    def __init__(self, temperature: float, top_p: float, seed: int) -> None:
        self._temperature = temperature
        self._top_p = top_p
        # Any whole number is a seed; the generator itself takes no negative one, and raising here would end the worker.
        self._random = np.random.default_rng(seed & _SEED_BITS)

    def pick(self, logits: Logits) -> int:
        """The next token."""
        if self._temperature <= 0:
            return int(logits.argmax())
        candidates = likeliest(logits, _CANDIDATES)
        chances = softmax(logits[candidates] / self._temperature)
        kept = nucleus(chances, self._top_p)
        reached = np.cumsum(chances[:kept])
        return int(candidates[np.searchsorted(reached, self._random.random() * reached[-1], side="right")])


def likeliest(logits: Logits, count: int) -> npt.NDArray[np.intp]:
    """The tokens of the highest scores, best first, equal ones by number."""
    count = min(count, len(logits))
    top = np.sort(np.argpartition(logits, -count)[-count:])
    return top[np.argsort(-logits[top], kind="stable")]


def softmax(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Scores as probabilities that add up to 1."""
    raised = np.exp(scores.astype(np.float64) - scores.max())
    chances: npt.NDArray[np.float64] = raised / raised.sum()
    return chances


def nucleus(chances: npt.NDArray[np.float64], top_p: float) -> int:
    """How many of the descending chances are kept so that they make up `top_p`; at least one."""
    return int(np.searchsorted(np.cumsum(chances), min(top_p, 1.0) - 1e-9)) + 1


def reply_odds(logits: Logits, first_tokens: Sequence[int]) -> tuple[float, ...]:
    """The probability of each reply, judged by its first token among those of all replies.

    Raises:
        ValueError: Two replies begin with the same token, which says nothing about either.
    """
    if len(set(first_tokens)) != len(first_tokens):
        message = "two replies begin with the same token; choose replies that differ at once"
        raise ValueError(message)
    return tuple(float(chance) for chance in softmax(logits[list(first_tokens)]))
