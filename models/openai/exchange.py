"""One try at one server: a request, and what comes back, each step within its deadline and all of it bounded.

Nothing is decompressed, no redirect is followed, and no error holds anything that the server sent.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from models.engine import FinishReason
from models.openai.events import EventReader
from models.openai.faults import PromptRefusedError, TryFailedError
from models.openai.replies import Delta, finds_too_long, read_event
from policies.egress import HTTPError, InvalidURL
from policies.egress_async import AsyncClient, AsyncResponse

_OK, _REDIRECTS = 200, range(300, 400)
_REFUSED, _REFUSES_US, _BUSY = (400, 413, 422), (401, 403), (429, 503)
_PASSES = frozenset({404, 408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses after which another try may do better; 404 is of a server that lacks the model which another has."""
_MOST_REFUSAL_BYTES = 16_384
_MOST_REPLY_BYTES = 262_144
_BYTES_PER_TOKEN = 4096
"""An event of one token with all that servers put into it took up to 700 bytes."""
_MOST_WAIT_SECONDS = 60.0
_LEAST_ERROR = 500
_TAIL_SECONDS = 2.0
"""How long the counts and the end are waited for once the answer has ended."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """In seconds; see `options.Upstream`."""

    first_token: float
    between_tokens: float
    total: float


async def stream_deltas(
    client: AsyncClient, url: str, body: bytes, deadlines: Deadlines, max_tokens: int
) -> AsyncGenerator[Delta, None]:
    """What a server says to a request for a stream, until it is over.

    Raises:
        TryFailedError: It did not, or not to the end.
    """
    clock = asyncio.get_running_loop().time
    last = clock() + deadlines.total
    until = min(clock() + deadlines.first_token, last)
    ended = False
    async with aclosing(_events(client, url, body, until, max_tokens)) as events:
        while True:
            try:
                delta = await _next(events, until)
            except TryFailedError:
                if ended:  # All of the answer is there; only its counts are not.
                    return
                raise
            if delta is None or delta.over:
                break
            yield delta
            ended = ended or delta.finish is not None
            if delta.moves:
                until = min(clock() + (_TAIL_SECONDS if ended else deadlines.between_tokens), last)
    if delta is None and not ended:
        what = "broke off its answer"
        raise TryFailedError(what)
    if not ended:
        yield Delta(finish=FinishReason.STOP)


async def ask_once(client: AsyncClient, url: str, body: bytes, seconds: float) -> bytes:
    """What a server says to a request for a reply as a whole.

    Raises:
        TryFailedError: It did not, or not in time.
    """
    async with _within(asyncio.get_running_loop().time() + seconds), _response(client, url, body) as response:
        return await _bounded(response, _MOST_REPLY_BYTES)


async def answers(client: AsyncClient, url: str, seconds: float) -> bool:
    """Whether a server is there: it says anything at all that is no error of its own."""
    try:
        async with asyncio.timeout(seconds), client.stream("GET", url) as response:
            return response.status_code < _LEAST_ERROR
    except (HTTPError, InvalidURL, TimeoutError):
        return False


async def _next(events: AsyncIterator[Delta], until: float) -> Delta | None:
    """The next event that says something; none at the end. Those that only keep the connection open are passed over."""
    async with _within(until):
        async for delta in events:
            if delta.moves or delta.counts:
                return delta
    return None


async def _events(
    client: AsyncClient, url: str, body: bytes, until: float, max_tokens: int
) -> AsyncGenerator[Delta, None]:
    reader = EventReader(_MOST_REPLY_BYTES + max_tokens * _BYTES_PER_TOKEN)
    async with _opened_within(until, client, url, body) as response:
        if "text/event-stream" not in response.headers.get("content-type", ""):
            what = "does not answer piece by piece"
            raise TryFailedError(what, again=False)
        try:
            async with aclosing(response.aiter_raw()) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    for data in reader.feed(piece):
                        yield read_event(data)
        except HTTPError as error:
            raise _broken(error) from None


@contextlib.asynccontextmanager
async def _opened_within(until: float, client: AsyncClient, url: str, body: bytes) -> AsyncIterator[AsyncResponse]:
    """The deadline is only around the opening: a time-out around a generator's `yield` would cancel who asks."""
    opening = _response(client, url, body)
    async with _within(until):
        response = await opening.__aenter__()
    try:
        yield response
    finally:
        await opening.__aexit__(None, None, None)


@contextlib.asynccontextmanager
async def _response(client: AsyncClient, url: str, body: bytes) -> AsyncIterator[AsyncResponse]:
    """The response, once its head says that it is one; closed in the end, which ends the connection midway."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    try:
        response = await client.send(client.build_request("POST", url, content=body, headers=headers), stream=True)
    except (HTTPError, InvalidURL) as error:
        raise _broken(error) from None
    try:
        await _require_ok(response)
        if response.headers.get("content-encoding", "identity") != "identity":
            what = "compresses what it was asked not to"
            raise TryFailedError(what, again=False)
        yield response
    finally:
        await response.aclose()


async def _require_ok(response: AsyncResponse) -> None:
    status = response.status_code
    if status == _OK:
        return
    if status in _REFUSED:
        if finds_too_long(await _bounded(response, _MOST_REFUSAL_BYTES)):
            raise PromptRefusedError(status)
        what = f"refuses the request ({status})"
        raise TryFailedError(what, status=status, again=False, counts=False)
    if status in _REFUSES_US:
        what = f"does not take the key it was given ({status})"
        raise TryFailedError(what, status=status, again=False)
    if status in _REDIRECTS:
        what = "sends us elsewhere, where nothing follows"
        raise TryFailedError(what, status=status)
    wait = _wait_asked_for(response.headers.get("retry-after", "")) if status in _BUSY else 0.0
    what = "has too much to do" if status == _BUSY[0] else f"answers with an error ({status})"
    # One that is busy is not broken: it is left alone for as long as it asks, and no longer.
    raise TryFailedError(
        what, status=status, again=status in _PASSES, counts=not (status == _BUSY[0] or wait), wait=wait
    )


async def _bounded(response: AsyncResponse, most: int) -> bytes:
    body = bytearray()
    try:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > most:
                what = "sends more than an answer can be"
                raise TryFailedError(what)
    except HTTPError as error:
        raise _broken(error) from None
    return bytes(body)


@contextlib.asynccontextmanager
async def _within(until: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(until):
            yield
    except TimeoutError:
        what = "does not answer in time"
        raise TryFailedError(what) from None


def _broken(error: Exception) -> TryFailedError:
    """What a connection's error means; its text may hold what was sent."""
    name = type(error).__name__
    if "Connect" in name or "Pool" in name:
        return TryFailedError(f"cannot be reached ({name})")
    return TryFailedError(f"broke off its answer ({name})")


def _wait_asked_for(retry_after: str) -> float:
    """The seconds that a header asks us to wait: a number of them or a date (RFC 9110, 10.2.3); else none."""
    try:
        if retry_after.isascii() and retry_after.isdecimal():
            seconds = float(retry_after)
        else:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # No date, or one without a zone.
        return 0.0
    return min(max(seconds, 0.0), _MOST_WAIT_SECONDS)
