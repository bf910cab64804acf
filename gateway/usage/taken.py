"""What a question takes: known while it is answered, at most before, and what that costs. Nothing here looks outside.

Money is counted in billionths of the currency, as whole numbers, and each answer's is rounded up.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from gateway.usage.options import Measure, PriceOptions
from models.engine import Chunk, Odds, Turn

BILLION = 10**9
_MILLION = Decimal(10**6)
_HOUR_SECONDS = Decimal(3600)
_MOST_SECONDS = 120.0
"""Reserved of a model's time for each question, where that has a price: what takes longer counts when it ends."""
_CHARACTERS_PER_TOKEN = 3.5
"""Of English prose: for the prompts of answers that were broken off, of which no engine says how long they were."""


@dataclass(frozen=True, slots=True)
class Demand:
    """So much of each thing that limits count."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0

    def of(self, what: Measure) -> int:
        """How much of one of them."""
        return {Measure.REQUESTS: self.requests, Measure.TOKENS: self.tokens, Measure.COST: self.cost}[what]


@dataclass(frozen=True, slots=True)
class Bound:
    """The most tokens that a question is expected to take."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(slots=True)
class Tally:
    """What one answer has taken so far, and of which model.

    Tokens are those of the text that the model wrote, as its engine counts them; `checks` are the questions put to it
    besides, whose tokens are not. `told_seconds` are the shares of its time that the engine tells of both,
    `elapsed_seconds` the time that passed, in which it may have worked for others too.
    """

    model: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    checks: int = 0
    told_seconds: float = 0.0
    elapsed_seconds: float = 0.0
    abstained: bool = False

    def generated(self, last: Chunk) -> None:
        """The model wrote its text."""
        self.prompt_tokens += last.prompt_tokens
        self.cached_tokens += last.cached_tokens
        self.completion_tokens += last.completion_tokens
        self.told_seconds += last.compute_seconds

    def broken_off(self, turns: Iterable[Turn], pieces: int) -> None:
        """Whoever asked left while the model wrote: a prompt of about this length, and a token for each piece."""
        characters = sum(len(part) for turn in turns for part in turn.parts)
        self.prompt_tokens += round(characters / _CHARACTERS_PER_TOKEN)
        self.completion_tokens += pieces

    def checked(self, odds: Mapping[str, float]) -> None:
        """The model was asked for the odds of a reply."""
        self.checks += 1
        self.told_seconds += odds.compute_seconds if isinstance(odds, Odds) else 0.0

    @contextmanager
    def elapsing(self) -> Iterator[None]:
        """The model works."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.elapsed_seconds += time.perf_counter() - started

    @property
    def compute_seconds(self) -> float:
        """How long the model worked: what its engine tells, or else the time that passed."""
        return self.told_seconds or self.elapsed_seconds

    @property
    def worked(self) -> bool:
        """Whether the model did anything."""
        return bool(self.prompt_tokens or self.checks)


class Prices:
    """What models cost."""

    def __init__(self, prices: Iterable[PriceOptions]) -> None:
        self._prices: Mapping[str, PriceOptions] = {price.model: price for price in prices}

    def has(self, model: str) -> bool:
        """Whether a model has a price; one of 0 is one."""
        return model in self._prices

    def cost(self, tally: Tally) -> int:
        """What an answer cost, in billionths; 0 where its model has no price."""
        price = self._prices.get(tally.model)
        if price is None:
            return 0
        cached = price.prompt if price.cached is None else price.cached
        tokens = (
            (tally.prompt_tokens - tally.cached_tokens) * price.prompt
            + tally.cached_tokens * cached
            + tally.completion_tokens * price.completion
        )
        hours = Decimal(str(tally.compute_seconds)) / _HOUR_SECONDS
        return _billionths(tokens / _MILLION + hours * price.compute_hour)

    def demand(self, models: Iterable[str], bound: Bound) -> Demand:
        """The most that a question may take, whichever of these models answers it: what is reserved for it."""
        read, written = bound.prompt_tokens, bound.completion_tokens
        most = [
            Tally(model, read, cached, written, elapsed_seconds=_MOST_SECONDS)
            for model in models
            for cached in (0, read)
        ]
        return Demand(1, read + written, max(map(self.cost, most)))

    def taken(self, tally: Tally) -> Demand:
        """What an answer took."""
        return Demand(1, tally.prompt_tokens + tally.completion_tokens, self.cost(tally))


def amount(cost: int) -> Decimal:
    """Billionths as money."""
    return Decimal(cost) / BILLION


def counted(what: Measure, most: Decimal) -> int:
    """A limit as the whole number that it is counted in."""
    return int(most * BILLION) if what is Measure.COST else int(most)


def told(what: Measure, number: int) -> str:
    """Such a whole number as people are told it: money in full, without zeros at its end."""
    return f"{amount(number).normalize():f}" if what is Measure.COST else str(number)


def _billionths(money: Decimal) -> int:
    return int((money * BILLION).to_integral_value(ROUND_CEILING))
