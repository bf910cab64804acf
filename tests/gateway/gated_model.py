"""A model that says what a test tells it to, when it tells it to, and notes who gave up waiting."""

import asyncio
from collections.abc import AsyncIterator

from models.engine import Choice, Chunk, EngineHealth, FinishReason, Generation, Speaker


class GatedModel:
    """An `Engine`. Each word of an answer is a token."""

    def __init__(self) -> None:
        self.generations: list[Generation] = []
        self.cancelled = 0
        self.working = False
        self.stopped = False
        self._answer = "The documents say so."
        self._error: Exception | None = None
        self._start_error: Exception | None = None
        self._wait_seconds = 0.0
        self._start_seconds = 0.0
        self._ready = False

    def says(self, answer: str) -> None:
        """Answer this from now on."""
        self._answer = answer

    def fails(self, error: Exception) -> None:
        """Raise this instead of answering."""
        self._error = error

    def waits(self, seconds: float) -> None:
        """Take so long before the first token."""
        self._wait_seconds = seconds

    def starts_after(self, seconds: float) -> None:
        """Take so long to start."""
        self._start_seconds = seconds

    def starts_with(self, error: Exception | None) -> None:
        """Raise this instead of starting."""
        self._start_error = error

    def dies(self) -> None:
        """Stop answering health checks well."""
        self._ready = False

    async def start(self) -> None:
        """Start, or fail to."""
        await asyncio.sleep(self._start_seconds)
        if self._start_error is not None:
            raise self._start_error
        self._ready = True

    async def stop(self) -> None:
        """Stop."""
        self.stopped = True

    async def stream(self, generation: Generation) -> AsyncIterator[Chunk]:
        """The answer word by word."""
        self.generations.append(generation)
        self.working = True
        try:
            await asyncio.sleep(self._wait_seconds)
            if self._error is not None:
                raise self._error
            words = self._answer.split(" ")
            for word in words[:-1]:
                yield Chunk(word + " ")
            yield Chunk(words[-1], FinishReason.STOP, prompt_tokens=50, cached_tokens=10, completion_tokens=len(words))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.working = False

    async def odds(self, choice: Choice) -> dict[str, float]:
        """The first reply is likely when the passages hold the answer to the word."""
        await asyncio.sleep(0)
        told = "".join("".join(turn.parts) for turn in choice.turns if turn.speaker is Speaker.USER)
        first = 0.98 if self._answer.rstrip(".") in told else 0.02
        return {reply: first if reply == choice.replies[0] else 1 - first for reply in choice.replies}

    async def count_tokens(self, text: str) -> int:
        """A word is a token."""
        await asyncio.sleep(0)
        return len(text.split())

    async def health(self) -> EngineHealth:
        """Ready once started."""
        await asyncio.sleep(0)
        return EngineHealth(self._ready, "gated", 4096, 0, "" if self._ready else "The worker is gone.")
