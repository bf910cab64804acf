"""A server of the OpenAI protocol that does what a test tells it to, down to the bytes: well behaved, or hostile."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.raw)
        return decoded


Behaviour = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class UpstreamServer:
    """Attributes:
    asked: The requests for completions, in order.
    probes: How many other requests there were.
    behaves: What it does with a completion, unless `then` has something for the next ones.
    closed_early: How many connections were closed by the other side while they were being answered.
    """

    behaves: Behaviour
    then: list[Behaviour] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    probes: int = 0
    answers_probes: bool = True
    open: int = 0
    closed_early: int = 0
    port: int = 0
    tls: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, family=socket.AF_INET, ssl=self.tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As when a machine loses its power: running answers end with a reset."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                reset(writer)
            self._server = None
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.open += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            self.open -= 1
            self._writers.discard(writer)
            with contextlib.suppress(Exception):
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await read_request(reader)
        if not asked.path.endswith("/chat/completions"):
            self.probes += 1
            status = "200 OK" if self.answers_probes else "500 Internal Server Error"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
            await writer.drain()
            return
        self.asked.append(asked)
        behaviour = self.then.pop(0) if self.then else self.behaves
        doing = asyncio.ensure_future(behaviour(asked, writer))
        gone = asyncio.ensure_future(reader.read(1))
        done, _ = await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if doing not in done:
            self.closed_early += 1
            doing.cancel()
        gone.cancel()
        await asyncio.gather(doing, gone, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, raw)


@contextlib.asynccontextmanager
async def serving(*behaviours: Behaviour) -> AsyncIterator[list[UpstreamServer]]:
    """Servers, each with its own behaviour, until the block ends."""
    servers = [UpstreamServer(behaviour) for behaviour in behaviours]
    for server in servers:
        await server.start()
    try:
        yield servers
    finally:
        for server in servers:
            await server.stop()


@contextlib.contextmanager
def serving_beside(behaviour: Behaviour) -> Iterator[UpstreamServer]:
    """A server in a thread of its own, for what has no event loop."""
    server, loop = UpstreamServer(behaviour), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def event(delta: Mapping[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    """One event of a stream."""
    choice = {"index": 0, "delta": dict(delta or {}), "finish_reason": finish}
    return b"data: " + json.dumps({"object": "chat.completion.chunk", "choices": [choice], **more}).encode() + b"\n\n"


def counted(prompt: Any, completion: Any) -> bytes:
    """The event with the counts."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": {"cached_tokens": 1}}
    return b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def says(*words: str, finish: str | None = "stop", counts: tuple[Any, Any] | None = (20, 3)) -> Behaviour:
    """Say this, as a good server does: piece by piece where it is asked to, else as a whole, with no probabilities."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.body.get("stream"):
            writer.write(HEAD + event({"role": "assistant"}))
            for word in words:
                writer.write(event({"content": word}))
                await writer.drain()
            writer.write(event(finish=finish) + (counted(*counts) if counts else b"") + DONE)
        else:
            writer.write(whole({"choices": [{"message": {"content": "".join(words)}}]}))
        await writer.drain()

    return behave


def odds_of(chances: Mapping[str, float], otherwise: Behaviour) -> Behaviour:
    """Tell the logarithms of these probabilities where they are asked for."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if not asked.body.get("logprobs"):
            await otherwise(asked, writer)
            return
        top = [{"token": token, "logprob": logprob} for token, logprob in chances.items()]
        choice = {"message": {"content": "x"}, "logprobs": {"content": [{"top_logprobs": top}]}}
        writer.write(whole({"choices": [choice]}))
        await writer.drain()

    return behave


def whole(body: Any, status: str = "200 OK", headers: Sequence[str] = ()) -> bytes:
    """A response as a whole."""
    raw = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(raw)}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + raw


def writes(*pieces: bytes, pause: float = 0.0) -> Behaviour:
    """Send these bytes and close."""

    async def behave(_: Asked, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


def repeats(first: bytes, piece: bytes, pause: float = 0.0) -> Behaviour:
    """Send this without end."""

    async def behave(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


def hangs(*before: bytes) -> Behaviour:
    """Send this and then nothing more, with the connection open."""

    async def behave(_: Asked, writer: asyncio.StreamWriter) -> None:
        for piece in before:
            writer.write(piece)
        await writer.drain()
        await asyncio.Event().wait()

    return behave


def resets(*before: bytes) -> Behaviour:
    """Send this and break the connection off."""

    async def behave(_: Asked, writer: asyncio.StreamWriter) -> None:
        for piece in before:
            writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
        reset(writer)

    return behave


def half_closes(*before: bytes) -> Behaviour:
    """Send this, say that nothing follows, and keep the other half open."""

    async def behave(_: Asked, writer: asyncio.StreamWriter) -> None:
        for piece in before:
            writer.write(piece)
        await writer.drain()
        writer.write_eof()
        await asyncio.Event().wait()

    return behave


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
