"""The engines that are compared, each behind the same few words: start it, have it answer a chat, stop it.

Ours is asked as the gateway asks it, over its worker's socket; the others are servers, asked over HTTP on loopback as
their clients do. All get the same model, threads, number of sequences and room for tokens.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
from _machine import ROOT, model_folder

sys.path.insert(0, str(ROOT))

from models.catalogue import Artefact
from models.engine import Generation, Speaker, Turn
from models.llama.cores import usable_cores
from models.llama.engine import LlamaEngine

COMPARATORS = ROOT / ".bench"
MODEL = "qwen2.5-coder-0.5b-instruct-q4_k_m"
SEQUENCES = 8
TOKENS_EACH = 3072
CELLS = SEQUENCES * TOKENS_EACH
_START_SECONDS = 120.0
_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Chat:
    """A system text, then what user and assistant say in turn; who may share the work on it."""

    system: str
    said: tuple[str, ...]
    max_tokens: int
    domain: str = "everybody"


class Contender(Protocol):
    """An engine."""

    name: str

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def stream(self, chat: Chat) -> AsyncGenerator[str, None]:
        """The pieces of an answer as they come, about one for each token."""
        ...


class Ours:
    """Muniment's worker."""

    name = "muniment"

    def __init__(self, artefact: Artefact) -> None:
        self._engine = LlamaEngine(
            lambda: model_file(artefact),
            artefact=artefact,
            context_tokens=TOKENS_EACH,
            cache_tokens=CELLS,
            at_once=SEQUENCES,
        )

    async def start(self) -> None:
        await self._engine.start()

    async def stop(self) -> None:
        await self._engine.stop()

    async def stream(self, chat: Chat) -> AsyncGenerator[str, None]:
        speakers = (Speaker.USER, Speaker.ASSISTANT)
        turns = [Turn(speakers[number % 2], (text,)) for number, text in enumerate(chat.said)]
        system = Turn(Speaker.SYSTEM, (chat.system,))
        async for chunk in self._engine.stream(Generation((system, *turns), chat.domain, chat.max_tokens)):
            if chunk.text:
                yield chunk.text


@dataclass
class Server:
    """A server with OpenAI's chat completions."""

    name: str
    command: Sequence[str]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)

    async def start(self) -> None:
        log = (COMPARATORS / f"{self.name}.log").open("w")
        self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - ours, from a list
            list(self.command), stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **self.environment}
        )
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=600)
        ends = time.monotonic() + _START_SECONDS
        while True:
            try:
                if (await self._client.get("/v1/models")).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            if self._process.poll() is not None or time.monotonic() > ends:
                message = f"{self.name} does not start; see {log.name}"
                raise RuntimeError(message)
            await asyncio.sleep(0.1)
        async for _ in self.stream(Chat("Be brief.", ("Say yes.",), 1)):
            pass

    async def stop(self) -> None:
        await self._client.aclose()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()

    async def stream(self, chat: Chat) -> AsyncGenerator[str, None]:
        roles = ("user", "assistant")
        messages = [{"role": "system", "content": chat.system}]
        messages += [{"role": roles[number % 2], "content": text} for number, text in enumerate(chat.said)]
        body = {
            "model": "model",
            "messages": messages,
            "stream": True,
            "max_tokens": chat.max_tokens,
            "temperature": 0,
            "cache_prompt": True,
        }
        async with self._client.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                message = f"{self.name} answers {response.status_code}: {(await response.aread())[:300]!r}"
                raise RuntimeError(message)
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                choices = json.loads(line[6:]).get("choices") or [{}]
                if text := choices[0].get("delta", {}).get("content"):
                    yield text


def model_file(artefact: Artefact) -> Path:
    """The model all of them load."""
    return model_folder(artefact.id) / artefact.files[0].path


def contenders(artefact: Artefact) -> list[Contender]:
    """Ours, and those that were built."""
    if not (COMPARATORS / "venv").exists():
        print("Run `make bench-engine`, which builds what is compared.")
        sys.exit(1)
    path, threads = str(model_file(artefact)), str(usable_cores())
    python = str(COMPARATORS / "venv/bin/python")
    ports = [_free_port() for _ in range(3)]
    # The example server at its best, as its author sets it: one cache for all, batches of 128.
    example = COMPARATORS / "example_server.json"
    options = {
        "path": path,
        "alias": "model",
        "n_ctx": CELLS,
        "n_seq_max": SEQUENCES,
        "n_batch": 128,
        "n_ubatch": 128,
        "threads": int(threads),
        "threads_batch": int(threads),
        "flash_attn": True,
        "kv_unified": True,
        "store_logits": False,
        "max_output_tokens": 256,
    }
    example.write_text(json.dumps({"server": {"host": _HOST, "port": ports[2]}, "model": options}))
    return [
        Ours(artefact),
        Server(
            "llama-server",
            [
                str(COMPARATORS / "llama-server"),
                *_flags(m=path, c=CELLS, np=SEQUENCES, t=threads, fa="on", host=_HOST, port=ports[0]),
                "--offline",
                "--no-webui",
            ],
            ports[0],
        ),
        Server(
            "llama_cpp.server",
            [
                *(python, "-m", "llama_cpp.server"),
                *_flags(model=path, n_ctx=TOKENS_EACH, n_threads=threads, n_threads_batch=threads),
                *_flags(flash_attn="true", interrupt_requests="false", host=_HOST, port=ports[1]),
            ],
            ports[1],
        ),
        Server("example server", [python, str(COMPARATORS / "example_server.py"), "-C", str(example)], ports[2]),
    ]


def _flags(**options: object) -> list[str]:
    """Options of a command; those of one or two letters have one dash."""
    pairs = ((f"{'-' if len(name) < 3 else '--'}{name}", str(value)) for name, value in options.items())
    return [word for pair in pairs for word in pair]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((_HOST, 0))
        port: int = found.getsockname()[1]
        return port
