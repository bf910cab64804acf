"""Against a real server of the protocol: llama-cpp-python's own, in processes, with the small model."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from models.catalogue import load_catalogue
from models.engine import Choice, FinishReason, Generation, Speaker, Turn
from models.errors import EngineUnavailableError, PromptTooLongError
from models.llama.engine import LlamaEngine
from models.openai.breaker import State
from models.openai.engine import UpstreamEngine
from models.openai.options import Upstream
from tests.models.openai.conftest import FAST, all_of

pytestmark = [pytest.mark.models, pytest.mark.network, pytest.mark.enable_socket, pytest.mark.timeout(600)]

SMALL = "qwen2.5-coder-0.5b-instruct-q4_k_m"
CONTEXT = 1024
TURNS = (
    Turn(Speaker.SYSTEM, ("You answer from the passage.",)),
    Turn(
        Speaker.USER, ("The daily allowance in Norway is 480 kroner.\n", "How much is the daily allowance in Norway?")
    ),
)
HOLDS = (
    *TURNS[:1],
    Turn(Speaker.USER, (TURNS[1].parts[0], "Does the passage state the daily allowance? Reply Yes or No.")),
)
LACKS = (
    *TURNS[:1],
    Turn(Speaker.USER, (TURNS[1].parts[0], "Does the passage state the price of a boat? Reply Yes or No.")),
)


@dataclass(slots=True)
class Process:
    """A server in a process."""

    command: list[str]
    port: int
    running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        environment = {key: value for key, value in os.environ.items() if "PROXY" not in key.upper()}
        self.running = subprocess.Popen(
            self.command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ends = time.monotonic() + 180
        while time.monotonic() < ends:
            assert self.running.poll() is None, "the server ended"
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/models", timeout=2):
                return
            time.sleep(0.2)
        pytest.fail("the server did not start")

    def kill(self) -> None:
        if self.running is not None:
            self.running.send_signal(signal.SIGKILL)
            self.running.wait(30)
            self.running = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def servers(model_path: Callable[[str], Path]) -> Iterator[list[Process]]:
    """Two servers with the same model."""
    lacking = [
        name for name in ("fastapi", "sse_starlette", "starlette_context", "pydantic_settings") if not find_spec(name)
    ]
    if lacking:
        told = f"{', '.join(lacking)} not installed: pip install 'llama-cpp-python[server]'"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    made = []
    for port in (free_port(), free_port()):
        options = {"model": model_path(SMALL), "host": "127.0.0.1", "port": port, "n_ctx": CONTEXT, "n_threads": 1}
        arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        made.append(Process([sys.executable, "-m", "llama_cpp.server", *arguments], port))
    try:
        for process in made:
            process.start()
        yield made
    finally:
        for process in made:
            process.kill()


@contextlib.asynccontextmanager
async def started(servers: list[Process], **options: object) -> object:
    settings = {
        "context_tokens": CONTEXT,
        "remote": False,
        "first_token_seconds": 120.0,
        "between_tokens_seconds": 60.0,
    }
    upstream = Upstream("small", "any", tuple(server.url for server in servers), **(settings | options))
    engine = UpstreamEngine(upstream, Path(), FAST)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def test_it_answers(servers: list[Process]) -> None:
    async with started(servers[:1]) as engine:
        text, last = await all_of(engine, Generation(TURNS, "user/bob", max_tokens=24))
    assert "480" in text
    assert last.finish is FinishReason.STOP
    assert 0 < last.completion_tokens <= 24


async def test_an_answer_is_cut_at_its_length(servers: list[Process]) -> None:
    async with started(servers[:1]) as engine:
        _, last = await all_of(engine, Generation(TURNS, "user/bob", max_tokens=3))
    assert (last.finish, last.completion_tokens) == (FinishReason.LENGTH, 3)


async def test_odds_are_those_of_our_own_engine(servers: list[Process], model_path: Callable[[str], Path]) -> None:
    """The same weights asked both ways: over the protocol, and token by token in our own worker."""
    artefact = load_catalogue().artefact(SMALL)
    own = LlamaEngine(lambda: model_path(SMALL), artefact=artefact, context_tokens=CONTEXT, threads=1)
    await own.start()
    try:
        async with started(servers[:1]) as engine:
            for turns in (HOLDS, LACKS):
                choice = Choice(turns, "user/bob", ("Yes", "No"))
                theirs, ours = await engine.odds(choice), await own.odds(choice)
                assert theirs["Yes"] == pytest.approx(ours["Yes"], abs=0.1)
            assert engine._gives_logprobs
    finally:
        await own.stop()


async def test_a_prompt_that_is_too_long_for_the_server_is_told(servers: list[Process]) -> None:
    """The settings promise more context than the server has; where it says so, that is understood.

    This one says nothing in a stream: it breaks off.
    """
    turns = (*TURNS[:1], Turn(Speaker.USER, ("kroner " * 1500,)))
    async with started(servers[:1], context_tokens=32_768) as engine:
        with pytest.raises(PromptTooLongError):
            await engine.odds(Choice(turns, "user/bob", ("Yes", "No")))
        with pytest.raises((PromptTooLongError, EngineUnavailableError)):
            await all_of(engine, Generation(turns, "user/bob", max_tokens=8))
        assert engine.servers.endpoints[0].breaker.state is State.CLOSED


async def test_one_of_two_is_killed_midway(servers: list[Process]) -> None:
    generation = Generation(TURNS, "user/bob", max_tokens=12)
    async with started(servers) as engine:
        begun = [asyncio.create_task(all_of(engine, replace(generation, max_tokens=200))) for _ in range(4)]
        await asyncio.sleep(1.0)
        await asyncio.to_thread(servers[0].kill)
        ended = await asyncio.gather(*begun, return_exceptions=True)
        assert all(isinstance(one, tuple | EngineUnavailableError) for one in ended)
        later = [await all_of(engine, generation) for _ in range(6)]
        assert all("480" in text for text, _ in later), "no new question is lost"
        for _ in range(3):
            await all_of(engine, generation)
        await asyncio.to_thread(servers[0].start)
        for _ in range(100):
            if all(endpoint.breaker.state is not State.OPEN for endpoint in engine.servers.endpoints):
                break
            await asyncio.sleep(0.1)
        assert "480" in (await all_of(engine, generation))[0]
        assert (await engine.health()).ready
