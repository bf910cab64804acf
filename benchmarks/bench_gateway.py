"""Measure what the gateway adds to the time of an answer: signing in, policy, search, and a trail on disk.

Each server is a process of its own, asked over loopback HTTP, one request after the other, all servers in turns. The
model is an echo that answers at once, so what is left is the gateway. Embedder and recogniser are stand-ins without a
model, too: `bench_redaction.py` and `bench_search.py` measure these.

Compared with a bare echo server, which is subtracted from all others:
    pass-through     a server that checks a key and asks the echo server over a connection it keeps
    commit each      the same, with two rows committed for each request: what was asked, what was answered
    gateway          Muniment with its trail on a file system in memory, where committing costs nothing
    gateway, disk    Muniment with its trail on this disk
"4 ms disk" adds 4 ms to each commit, as on a disk that does not answer from a cache.
"""

import asyncio
import json
import multiprocessing
import os
import socket
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException  # noqa: TID251 - to servers of our own
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from _machine import ROOT, about_this_run, write_result

sys.path.insert(0, str(ROOT))

from gateway.app import create_app
from policies.audit.writer import ChainWriter
from tests.access import product
from tests.access.oracle import Document
from tests.access.parrot import Parrot

ROUNDS = 300
REPEATS = 3
WARM_UP = 30
SLOW_SECONDS = 0.004
MEMORY = "/dev/shm"  # noqa: S108 - where Linux keeps a file system in memory
PATH, KEY = "/v1/chat/completions", "Bearer pass-through"
QUESTION = json.dumps({"model": "muniment", "messages": [{"role": "user", "content": "what is the travel allowance"}]})
TEXT = "The travel allowance is 480 kroner a day, and exceptions are approved by the head of department."
DOCUMENT = Document("wiki", "travel", TEXT, allow_groups=frozenset({"staff"}))
ECHO = json.dumps({"choices": [{"message": {"content": TEXT}}], "padding": "x" * 2000}).encode()

Application = Callable[..., Awaitable[None]]


async def respond(send: Any, body: bytes, status: int = 200) -> None:
    """Answer an ASGI request with JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read(receive: Any) -> bytes:
    """The whole body of an ASGI request."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message.get("more_body", False)
    return body


async def echo(_scope: Any, receive: Any, send: Any) -> None:
    """The model behind all of them: answers the same at once."""
    await read(receive)
    await respond(send, ECHO)


def pass_through(upstream: int, trail: Path | None = None, commit_seconds: float = 0) -> Application:
    """A server that checks a key and hands on; with a `trail` it commits what is asked and what is answered."""
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{upstream}")
    keys = {KEY: "alice"}
    connection = sqlite3.connect(trail, isolation_level=None, check_same_thread=False) if trail else None
    if connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE entries (id INTEGER PRIMARY KEY, at REAL, who TEXT, what TEXT)")

    def commit(connection: sqlite3.Connection, who: str, what: str) -> None:
        time.sleep(commit_seconds)
        connection.execute("INSERT INTO entries (at, who, what) VALUES (?, ?, ?)", (time.time(), who, what))

    async def application(scope: Any, receive: Any, send: Any) -> None:
        who = keys.get(dict(scope["headers"]).get(b"authorization", b"").decode())
        body = await read(receive)
        if who is None:
            await respond(send, b"{}", 401)
            return
        if connection:
            await asyncio.to_thread(commit, connection, who, "asked")
        answer = await client.post(PATH, content=body)
        if connection:
            await asyncio.to_thread(commit, connection, who, "answered")
        await respond(send, answer.content)

    return application


def serve(application: Application, listening: socket.socket) -> None:
    """Serve until ended."""
    config = uvicorn.Config(application, log_level="error", access_log=False, lifespan="auto")
    uvicorn.Server(config).run(sockets=[listening])


def serve_pass_through(listening: socket.socket, upstream: int, trail: Path | None, commit_seconds: float) -> None:
    """A process."""
    serve(pass_through(upstream, trail, commit_seconds), listening)


def serve_echo(listening: socket.socket) -> None:
    """A process."""
    serve(echo, listening)


def serve_gateway(listening: socket.socket, home: Path, commit_seconds: float) -> None:
    """A process: the product as it is, with each commit of its trail taking so much longer."""
    commit = ChainWriter.append

    def append(self: ChainWriter, bodies: Any) -> Any:
        time.sleep(commit_seconds)
        return commit(self, bodies)

    ChainWriter.append = append  # type: ignore[method-assign]
    with product.open_home(home, Parrot()) as services:
        serve(create_app(services), listening)


def make_home(home: Path) -> str:
    """A home with a document and somebody who may read it; returns their key."""
    keys = product.make_home(home, {"alice": ["staff"]})
    with product.open_home(home, Parrot()) as services:
        product.ingest(services, "wiki", product.upsert(DOCUMENT))
    return f"Bearer {keys['alice']}"


class Server:
    """A server in a process, and a connection to it that stays open."""

    def __init__(self, key: str, target: Callable[..., None], *arguments: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
            self.process = multiprocessing.get_context("fork").Process(target=target, args=(listening, *arguments))
            self.process.start()
        self.connection = HTTPConnection("127.0.0.1", self.port)
        self.headers = {"Authorization": key, "Content-Type": "application/json"}

    def ask(self) -> tuple[float, bytes]:
        """How long an answer takes, in seconds, and the answer."""
        started = time.perf_counter()
        self.connection.request("POST", PATH, QUESTION, self.headers)
        response = self.connection.getresponse()
        body = response.read()
        taken = time.perf_counter() - started
        if response.status != 200 or b"480 kroner" not in body:
            message = f"no answer: {response.status} {body[:300]!r}"
            raise RuntimeError(message)
        return taken, body

    def wait(self) -> None:
        """Until it answers."""
        for _ in range(300):
            try:
                self.ask()
            except (OSError, HTTPException, RuntimeError):
                self.connection.close()
                time.sleep(0.1)
            else:
                return
        self.ask()

    def end(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()


@contextmanager
def servers(disk: Path, memory: Path) -> Iterator[dict[str, Server]]:
    """All that are compared; `disk` and `memory` are folders there."""
    with ExitStack() as stack:

        def started(key: str, target: Callable[..., None], *arguments: Any) -> Server:
            server = Server(key, target, *arguments)
            stack.callback(server.end)
            return server

        homes = {
            name: folder / name.replace(" ", "-")
            for name, folder in (("in memory", memory), ("on disk", disk), ("on a slow disk", memory))
        }
        keys = {name: make_home(home) for name, home in homes.items()}
        first = started(KEY, serve_echo)
        found = {
            "echo": first,
            "pass-through": started(KEY, serve_pass_through, first.port, None, 0),
            "commit each, disk": started(KEY, serve_pass_through, first.port, disk / "each.db", 0),
            "commit each, 4 ms disk": started(KEY, serve_pass_through, first.port, memory / "each.db", SLOW_SECONDS),
            "gateway": started(keys["in memory"], serve_gateway, homes["in memory"], 0),
            "gateway, disk": started(keys["on disk"], serve_gateway, homes["on disk"], 0),
            "gateway, 4 ms disk": started(keys["on a slow disk"], serve_gateway, homes["on a slow disk"], SLOW_SECONDS),
        }
        for server in found.values():
            server.wait()
        yield found


def measure(found: dict[str, Server]) -> dict[str, float]:
    """The median time of each, in milliseconds, asked in turns."""
    taken: dict[str, list[float]] = {name: [] for name in found}
    for round_ in range(WARM_UP + ROUNDS):
        for name, server in found.items():
            seconds, _ = server.ask()
            if round_ >= WARM_UP:
                taken[name].append(seconds * 1000)
    return {name: statistics.median(each) for name, each in taken.items()}


def main() -> None:
    added: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory(dir=ROOT) as disk,
        tempfile.TemporaryDirectory(dir=MEMORY if os.path.ismount(MEMORY) else None) as memory,
        servers(Path(disk), Path(memory)) as found,
    ):
        for repeat in range(REPEATS):
            medians = measure(found)
            print(f"run {repeat + 1} of {REPEATS}: echo {medians['echo']:.2f} ms", flush=True)
            for name, median in medians.items():
                if name != "echo":
                    added.setdefault(name, []).append(median - medians["echo"])
    print(f"\n{'added to the time of an answer':32} {'median':>8} {'range':>16}")
    for name, each in added.items():
        print(f"{name:32} {statistics.median(each):6.2f} ms {min(each):7.2f} to {max(each):.2f}")
    write_result(
        "gateway",
        {
            **about_this_run(["litestar", "uvicorn"]),
            "rounds": ROUNDS,
            "added_ms": {
                name: {"median": round(statistics.median(each), 2), "runs": [round(one, 2) for one in each]}
                for name, each in added.items()
            },
        },
    )


if __name__ == "__main__":
    main()
