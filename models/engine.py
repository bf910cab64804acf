"""What a language model is to the rest of the product: turns in, text out, and the odds of a short reply.

The llama.cpp worker (`models/llama`) implements it; tests use `tests/fakes/scripted_model.py`.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Speaker(StrEnum):
    """Who says a turn."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation.

    The text is content: however it is spelt, no part of it ever becomes a control token. Each part is tokenised by
    itself, so that a prompt which begins with the same parts begins with the same tokens and their work is reused.

    Attributes:
        speaker: Who says it.
        parts: What is said.
        shared: For each part, from the first, who may share the work done on it: an access domain. Parts without one
            belong to the request's own domain. Work is reused as far as tokens *and* domains are the same.
    """

    speaker: Speaker
    parts: tuple[str, ...]
    shared: tuple[str, ...] = ()


def check_turns(turns: Sequence[Turn]) -> None:
    """Refuse a conversation without instructions of ours; models trained with a default would otherwise follow that.

    Raises:
        ValueError: The first turn is not the system's.
    """
    if not turns or turns[0].speaker is not Speaker.SYSTEM:
        message = "a conversation begins with a system turn"
        raise ValueError(message)


class FinishReason(StrEnum):
    """Why a model stopped."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Generation:
    """A request for text.

    Attributes:
        turns: The conversation; the model speaks next.
        domain: Who may share the work done on this prompt, where a part of it names nobody else.
        max_tokens: The most tokens to produce.
        temperature: 0 takes the likeliest token each time.
        top_p: Nucleus of the sampled distribution; 1 keeps all.
        seed: Makes sampling repeatable.
        stop: Texts that end the answer; they are not part of it.
        grammar: What the answer must look like, in llama.cpp's GBNF; empty for anything.
    """

    turns: tuple[Turn, ...]
    domain: str
    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    grammar: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer; the last one has a finish reason and counts.

    `cached_tokens` of the `prompt_tokens` were not computed again. `compute_seconds` is this answer's share of the time
    that all threads worked; 0 where its engine does not tell.
    """

    text: str
    finish: FinishReason | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    compute_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A question whose reply is one of a few short texts, such as `Yes` and `No`."""

    turns: tuple[Turn, ...]
    domain: str
    replies: tuple[str, ...]


class Odds(dict[str, float]):
    """The probability of each reply, with `compute_seconds` as in `Chunk`; a plain mapping says nothing of these."""

    def __init__(self, odds: Mapping[str, float], compute_seconds: float = 0.0) -> None:
        super().__init__(odds)
        self.compute_seconds = compute_seconds


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """Whether the engine answers, with what model, and how often its worker was started anew."""

    ready: bool
    model: str
    context_tokens: int
    restarts: int
    detail: str = ""


class Engine(Protocol):
    """A model that can be asked."""

    async def start(self) -> None:
        """Load the model.

        Raises:
            EngineUnavailableError: It cannot be loaded.
        """
        ...

    async def stop(self) -> None:
        """End the worker; running answers fail."""
        ...

    def stream(self, generation: Generation) -> AsyncGenerator[Chunk, None]:
        """Produce the answer piece by piece; closing the iterator early cancels the work.

        Raises:
            EngineUnavailableError: The worker is gone; retry in a moment.
            PromptTooLongError: The turns do not fit the context.
        """
        ...

    async def odds(self, choice: Choice) -> dict[str, float]:
        """The probability of each reply's first token, scaled so that they add up to 1.

        Raises:
            EngineUnavailableError: The worker is gone; retry in a moment.
            PromptTooLongError: The turns do not fit the context.
        """
        ...

    async def count_tokens(self, text: str) -> int:
        """How many tokens a text takes as content."""
        ...

    async def forget(self) -> None:
        """Let go of everything that is kept of earlier requests; an engine that is gone keeps nothing."""
        ...

    async def health(self) -> EngineHealth:
        """How the engine is, within a second, also while it works."""
        ...
