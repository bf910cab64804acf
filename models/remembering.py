"""An engine that remembers, for a short while, what the model said to the very same prompt of the very same person.

The prompt holds everything that shapes an answer: instructions, passages, history, question. Whoever asks again has
their passages searched and checked anew, and only if exactly the same ones come of it is the prompt the same. So what
is remembered has passed today's checks, and a right that was taken away changes the prompt. The access domain is part
of the key: nobody's answer, nor how fast it comes, tells of somebody else's question.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from models.engine import Choice, Chunk, Engine, EngineHealth, FinishReason, Generation

_MOST = 2048
"""Replies remembered: an answer takes three, each a few hundred bytes."""
_Said = tuple[Chunk, ...] | dict[str, float]


class RememberingEngine:
    """Wraps an engine (`models.engine.Engine`); sampled answers, with a temperature, are never remembered.

    Args:
        engine: Asked where nothing is remembered.
        seconds: How long a reply is remembered; 0 remembers nothing.
        clock: Seconds that only grow.
        since: Something that changes when all that is remembered must be forgotten.
    """

    def __init__(
        self,
        engine: Engine,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        since: Callable[[], object] = lambda: None,
    ) -> None:
        self._engine = engine
        self._since = since
        self._seen = self._engine_seen = since()
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._remembered: OrderedDict[bytes, tuple[float, _Said]] = OrderedDict()

    async def start(self) -> None:
        """See `models.engine.Engine`."""
        await self._engine.start()

    async def stop(self) -> None:
        """See `models.engine.Engine`."""
        await self._engine.stop()

    async def stream(self, generation: Generation) -> AsyncGenerator[Chunk, None]:
        """See `models.engine.Engine`; a remembered answer comes at once, its prompt counted as cached."""
        key = _key(generation) if generation.temperature == 0 else None
        known = self._recall(key)
        if isinstance(known, tuple):
            for chunk in known:
                yield replace(chunk, cached_tokens=chunk.prompt_tokens, compute_seconds=0.0)
            return
        said: list[Chunk] = []
        async with aclosing(self._engine.stream(generation)) as chunks:
            async for chunk in chunks:
                said.append(chunk)
                yield chunk
        if said and said[-1].finish in {FinishReason.STOP, FinishReason.LENGTH}:
            self._remember(key, tuple(said))

    async def odds(self, choice: Choice) -> dict[str, float]:
        """See `models.engine.Engine`."""
        key = _key(choice)
        known = self._recall(key)
        if isinstance(known, dict):
            return dict(known)
        found = await self._engine.odds(choice)
        self._remember(key, dict(found))
        return found

    async def count_tokens(self, text: str) -> int:
        """See `models.engine.Engine`."""
        return await self._engine.count_tokens(text)

    async def forget(self) -> None:
        """See `models.engine.Engine`."""
        with self._lock:
            self._remembered.clear()
        await self._engine.forget()

    async def health(self) -> EngineHealth:
        """See `models.engine.Engine`."""
        return await self._engine.health()

    async def forget_if_due(self) -> None:
        """Forget everything, and let the engine do so, where something changed since the last time."""
        self._drop_if_due()
        if (now := self._since()) != self._engine_seen:
            self._engine_seen = now
            await self._engine.forget()

    def _drop_if_due(self) -> None:
        now = self._since()
        with self._lock:
            if now != self._seen:
                self._seen = now
                self._remembered.clear()

    def _recall(self, key: bytes | None) -> _Said | None:
        if key is None or not self._seconds:
            return None
        self._drop_if_due()
        with self._lock:
            at, said = self._remembered.get(key, (float("-inf"), None))
            if self._clock() - at > self._seconds:
                self._remembered.pop(key, None)
                return None
            return said

    def _remember(self, key: bytes | None, said: _Said) -> None:
        if key is None or not self._seconds:
            return
        self._drop_if_due()
        with self._lock:
            self._remembered[key] = (self._clock(), said)
            self._remembered.move_to_end(key)
            if len(self._remembered) > _MOST:
                self._remembered.popitem(last=False)


def _key(asked: Generation | Choice) -> bytes:
    """A digest of the whole request, domain included; `repr` writes strings so that no two requests look alike."""
    return hashlib.sha256(repr(asked).encode("utf-8", "surrogatepass")).digest()
