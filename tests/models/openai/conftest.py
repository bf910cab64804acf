"""Engines over servers of a test's own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any

import pytest

from models.engine import Chunk, Engine, Generation, Speaker, Turn
from models.openai.breaker import BreakerRules
from models.openai.engine import UpstreamEngine
from models.openai.options import Upstream
from models.openai.servers import Rules
from tests.fakes.upstream_server import UpstreamServer

TURNS = (Turn(Speaker.SYSTEM, ("Be brief.",)), Turn(Speaker.USER, ("Passage. ", "How much is it?")))
GENERATION = Generation(TURNS, "user/bob", max_tokens=8)
FAST = Rules(breaker=BreakerRules(failures=3, rest_seconds=0.2, most_rest_seconds=1.0), pause=0.01, look=0.02)
SHORT = {"first_token_seconds": 0.5, "between_tokens_seconds": 0.3, "total_seconds": 1.5}
"""Deadlines for servers that do not answer; with good ones a busy machine must not matter."""
ENGINE = Callable[..., AbstractAsyncContextManager[UpstreamEngine]]


async def all_of(engine: Engine, generation: Generation = GENERATION) -> tuple[str, Chunk]:
    """The text of an answer, and its last piece."""
    async with aclosing(engine.stream(generation)) as chunks:
        pieces = [chunk async for chunk in chunks]
    return "".join(chunk.text for chunk in pieces), pieces[-1]


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so; fail when it is not in time."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "what was waited for did not come about"
        await asyncio.sleep(0.01)


@pytest.fixture
def engine(tmp_path: Path) -> ENGINE:
    """Makes engines that are started, and stopped in the end."""

    @contextlib.asynccontextmanager
    async def made(
        servers: Sequence[UpstreamServer], rules: Rules = FAST, **options: Any
    ) -> AsyncIterator[UpstreamEngine]:
        settings = {
            "connect_seconds": 20.0,
            "first_token_seconds": 20.0,
            "between_tokens_seconds": 20.0,
            "total_seconds": 60.0,
            "remote": False,
        }
        urls = tuple(server.url for server in servers)
        upstream = Upstream("big", "served-name", urls, **(settings | options))
        made = UpstreamEngine(upstream, tmp_path, rules)
        await made.start()
        try:
            yield made
        finally:
            await made.stop()

    return made
