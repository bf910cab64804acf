"""A scripted model that also waits, fails to start and dies when told to; a test never has to guess how long."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

from models.engine import Choice, Chunk, Generation, Speaker
from tests.fakes.scripted_model import ScriptedModel


class GatedModel(ScriptedModel):
    """It finds an answer stated when the passages hold it to the word.

    Attributes:
        working: How many answers are being made.
        stopped: Whether it was told to stop.
    """

    def __init__(self) -> None:
        super().__init__("The documents say so.", self._held)
        self.working = 0
        self.stopped = False
        self._may_answer = asyncio.Event()
        self._may_answer.set()
        self._may_start = asyncio.Event()
        self._may_start.set()
        self._least_seconds = 0.0
        self._start_error: Exception | None = None

    def says(self, answer: str) -> None:
        """Answer this from now on."""
        self.reply = answer

    def fails(self, error: Exception) -> None:
        """Raise this instead of answering."""
        self.reply = error

    def takes(self, least_seconds: float) -> None:
        """Take at least so long before the first token."""
        self._least_seconds = least_seconds

    def holds(self) -> None:
        """Give no token until let go."""
        self._may_answer.clear()

    def lets_go(self) -> None:
        """Give the answers that were held."""
        self._may_answer.set()

    def holds_start(self) -> None:
        """Do not start until told to."""
        self._may_start.clear()

    def lets_start(self) -> None:
        """Start now."""
        self._may_start.set()

    def starts_with(self, error: Exception | None) -> None:
        """Raise this instead of starting."""
        self._start_error = error

    def dies(self) -> None:
        """Be gone for health checks."""
        self.running = False

    async def start(self) -> None:
        await self._may_start.wait()
        if self._start_error is not None:
            raise self._start_error
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        self.stopped = True

    async def stream(self, generation: Generation) -> AsyncIterator[Chunk]:
        self.working += 1
        try:
            await asyncio.sleep(self._least_seconds)
            await self._may_answer.wait()
            async with aclosing(super().stream(generation)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    yield chunk
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.working -= 1

    def _held(self, choice: Choice) -> Mapping[str, float]:
        told = "".join("".join(turn.parts) for turn in choice.turns if turn.speaker is Speaker.USER)
        chance = 0.98 if str(self.reply).rstrip(".") in told else 0.02
        return dict(zip(choice.replies, (chance, 1 - chance), strict=True))
