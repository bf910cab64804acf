"""Sending an answer: waiting for it without losing the caller, and giving it up when the caller is gone.

An answer is held until it has been checked and recorded, then sent in pieces. While it is made, comments keep the
connection open; they say nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import msgspec
from litestar import Request

from gateway.chat.schemas import Answer
from gateway.http_errors import describe_error, log_error

HEARTBEAT_SECONDS = 10.0
"""Between two comments: well below the 30 to 60 s after which proxies give up."""
EVENT_STREAM_HEADERS = {"X-Accel-Buffering": "no"}
"""Keeps a proxy from collecting the stream before it passes it on."""
_HEARTBEAT = b": the answer is being prepared\n\n"
_DONE = b"data: [DONE]\n\n"


async def wait_for_answer(
    request: Request[Any, Any, Any], asking: asyncio.Task[Answer], seconds: float | None = None
) -> bool:
    """Wait until there is an answer or an error, at most so long; false when the caller went away before.

    The task is cancelled when the caller, or whoever serves this request, gives up.
    """
    leaving = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({asking, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        asking.cancel()
        raise
    finally:
        leaving.cancel()
    if asking.done() or not leaving.done():
        return True
    await give_up(asking)
    return False


async def event_stream(
    asking: asyncio.Task[Answer],
    pieces: Callable[[Answer], Iterable[msgspec.Struct]],
    request: str,
    heartbeat_seconds: float,
) -> AsyncIterator[bytes]:
    """The server-sent events of an answer. An error that comes after the first byte is an event too."""
    try:
        while not asking.done():
            await asyncio.wait({asking}, timeout=heartbeat_seconds)
            if not asking.done():
                yield _HEARTBEAT
        try:
            answer = asking.result()
        except Exception as error:  # noqa: BLE001 - the status has been sent; the error goes the same way as elsewhere.
            log_error(error, request)
            yield _event(describe_error(error, request)[1])
        else:
            for piece in pieces(answer):
                yield _event(piece)
            yield _DONE
    finally:
        await give_up(asking)


async def give_up(asking: asyncio.Task[Answer]) -> None:
    """Cancel the work on an answer that nobody waits for, and let it end."""
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await asking


async def _disconnected(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _event(value: msgspec.Struct) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
