"""A server that hangs, lies or sends garbage costs one answer, in time; never memory, or a leak of what it said."""

import asyncio
import gzip
import time
import tracemalloc
from contextlib import aclosing
from dataclasses import replace

import pytest

from models.engine import Choice
from models.errors import EngineUnavailableError, PromptTooLongError
from tests.fakes.upstream_server import (
    DONE,
    HEAD,
    Behaviour,
    event,
    half_closes,
    hangs,
    odds_of,
    repeats,
    resets,
    says,
    serving,
    whole,
    writes,
)
from tests.models.openai.conftest import ENGINE, FAST, GENERATION, SHORT, all_of, until

pytestmark = [pytest.mark.network, pytest.mark.enable_socket]

SECRET = "SECRET-OF-THE-PROMPT"
ONCE = replace(FAST, tries=1)
WORD = event({"content": "word "})
CHUNKED = HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked")
BOMB = gzip.compress(b"data: x\n" * 4_000_000)

HOSTILE: dict[str, Behaviour] = {
    "says nothing": hangs(),
    "hangs in the head": hangs(b"HTTP/1.1 200 OK\r\nContent-"),
    "hangs before the first word": hangs(HEAD),
    "hangs with only a role": hangs(HEAD, event({"role": "assistant"})),
    "hangs after a word": hangs(HEAD, WORD),
    "hangs in an event": hangs(HEAD, WORD[:30]),
    "comments without end": repeats(HEAD, b": still here\n\n", 0.01),
    "empty events without end": repeats(HEAD, event({}), 0.01),
    "blank lines without end": repeats(HEAD, b"\n" * 5000),
    "a byte at a time": repeats(HEAD + b"data: ", b"x", 0.01),
    "head a byte at a time": repeats(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.01),
    "a line without end": repeats(HEAD + b"data: ", b"x" * 65_536),
    "head without end": repeats(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 1000 + b"\r\n"),
    "informational responses without end": repeats(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.001),
    "garbage": writes(b"\x00\xff" * 500 + SECRET.encode()),
    "garbage for a stream": writes(HEAD, SECRET.encode() * 100 + b"\n\n", b"data: " + SECRET.encode() + b"\n\n"),
    "no JSON": writes(HEAD, b'data: {"choices": [' + SECRET.encode() + b"\n\n"),
    "other JSON": writes(HEAD, b'data: ["' + SECRET.encode() + b'"]\n\n'),
    "invalid UTF-8": writes(HEAD, event({"content": "@@"}).replace(b"@@", b"\xff\xfe")),
    "an error in the stream": writes(HEAD, b'data: {"error": {"message": "' + SECRET.encode() + b'"}}\n\n'),
    "an error after a word": writes(HEAD, WORD, b'data: {"error": {"message": "' + SECRET.encode() + b'"}}\n\n'),
    "a reason nobody knows": writes(HEAD, WORD, event(finish=SECRET)),
    "closes without a word": writes(),
    "closes after the head": writes(HEAD),
    "closes after a word": writes(HEAD, WORD, WORD),
    "closes within an event": writes(HEAD, WORD, event({"content": "x"})[:20]),
    "half closes after a word": half_closes(HEAD, WORD),
    "resets": resets(),
    "resets after a word": resets(HEAD, WORD),
    "promises more bytes": writes(HEAD.replace(b"Connection", b"Content-Length: 9999\r\nConnection"), WORD),
    "promises fewer bytes": writes(HEAD.replace(b"Connection", b"Content-Length: 9\r\nConnection"), WORD * 3),
    "a negative length": writes(HEAD.replace(b"Connection", b"Content-Length: -5\r\nConnection"), WORD),
    "two lengths": writes(HEAD.replace(b"Connection", b"Content-Length: 5\r\nContent-Length: 6\r\nConnection"), WORD),
    "chunks that are none": writes(CHUNKED, b"zz\r\n" + WORD + b"\r\n"),
    "a chunk without end": repeats(CHUNKED + b"ffffffffff\r\n", b"x" * 65_536),
    "compressed": writes(HEAD.replace(b"Connection", b"Content-Encoding: gzip\r\nConnection"), BOMB),
    "compressed without a word": writes(HEAD, BOMB),
    "no stream": writes(whole({"choices": [{"message": {"content": SECRET}}]})),
    "a redirect": writes(b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"),
    "a redirect elsewhere": writes(
        b"HTTP/1.1 302 Found\r\nLocation: https://example.org/\r\nContent-Length: 0\r\n\r\n"
    ),
    "bad request": writes(whole({"error": {"message": SECRET}}, "400 Bad Request")),
    "bad request without end": repeats(b"HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n", b"x" * 65_536),
    "no key": writes(whole({"error": {"message": SECRET}}, "401 Unauthorized")),
    "not found": writes(whole({"detail": SECRET}, "404 Not Found")),
    "server error": writes(whole({"error": SECRET}, f"500 {SECRET}")),
    "a status that is none": writes(b"HTTP/1.1 999 " + SECRET.encode() + b"\r\nContent-Length: 0\r\n\r\n"),
    "HTTP/0.9": writes(SECRET.encode()),
    "another protocol": writes(b"SSH-2.0-OpenSSH_9.2\r\n" + SECRET.encode()),
}


def everything_of(error: BaseException | None) -> str:
    """What a log with a trace would show."""
    told = []
    while error is not None:
        told.append(repr(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(told)


@pytest.mark.parametrize("behaviour", HOSTILE.values(), ids=HOSTILE)
async def test_it_is_an_error_in_time_that_says_nothing_of_what_was_sent(behaviour: Behaviour, engine: ENGINE) -> None:
    async with serving(behaviour) as servers, engine(servers, ONCE, **SHORT) as asked:
        started = time.monotonic()
        with pytest.raises(EngineUnavailableError, match="The model big") as caught:
            await all_of(asked)
        assert time.monotonic() - started < 15, "good servers have twenty seconds"
        assert SECRET not in everything_of(caught.value)
        assert (await asked.health()).detail.count(SECRET) == 0
        assert asked.servers.endpoints[0].outstanding == 0
        await until(lambda: servers[0].open == 0)


@pytest.mark.parametrize("behaviour", HOSTILE.values(), ids=HOSTILE)
async def test_odds_fail_the_same_way(behaviour: Behaviour, engine: ENGINE) -> None:
    async with serving(behaviour) as servers, engine(servers, ONCE, **SHORT) as asked:
        started = time.monotonic()
        choice = Choice(GENERATION.turns, "user/bob", ("Yes", "No"))
        (found,) = await asyncio.gather(asked.odds(choice), return_exceptions=True)
        if isinstance(found, BaseException):
            assert isinstance(found, EngineUnavailableError)
            assert SECRET not in everything_of(found)
        else:
            assert found == {"Yes": 0.5, "No": 0.5}, "it answered, and no reply that was offered"
        assert time.monotonic() - started < 15, "good servers have twenty seconds"


async def test_a_good_server_is_no_error(engine: ENGINE) -> None:
    """Negative control: the same engine, deadlines and setup."""
    async with serving(odds_of({"Yes": -0.1}, says("a ", "b"))) as servers, engine(servers, ONCE) as asked:
        assert (await all_of(asked))[0] == "a b"


async def test_an_answer_without_end_is_cut_where_it_was_to_end(engine: ENGINE) -> None:
    async with serving(repeats(HEAD, WORD)) as servers, engine(servers, ONCE) as asked:
        text, last = await all_of(asked)
        assert text == "word " * GENERATION.max_tokens
        assert (last.finish, last.completion_tokens) == ("length", GENERATION.max_tokens)


async def test_one_long_piece_is_cut_too(engine: ENGINE) -> None:
    async with serving(repeats(HEAD, event({"content": "w" * 100_000}))) as servers, engine(servers, ONCE) as asked:
        text, last = await all_of(asked)
        assert (len(text), last.finish) == (0, "length")


@pytest.mark.parametrize("counts", [(10**12, 10**12), (-1, -1), ("many", None), (1.5, True), None])
async def test_counts_that_cannot_be_are_ours(counts: tuple[object, object] | None, engine: ENGINE) -> None:
    async with serving(says("a ", "b", counts=counts)) as servers, engine(servers, ONCE) as asked:
        _, last = await all_of(asked)
        assert last.completion_tokens == 2
        assert 0 < last.prompt_tokens < 60
        assert last.cached_tokens == 0


async def test_nothing_fills_the_memory(engine: ENGINE) -> None:
    names = ["a line without end", "a chunk without end", "head without end", "compressed", "blank lines without end"]
    async with serving(*(HOSTILE[name] for name in names)) as servers:
        tracemalloc.start()
        try:
            for server in servers:
                async with engine([server], ONCE, **SHORT) as asked:
                    with pytest.raises(EngineUnavailableError):
                        await all_of(asked)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 12_000_000


async def test_closing_early_closes_the_connection(engine: ENGINE) -> None:
    async with serving(hangs(HEAD, WORD)) as servers, engine(servers) as asked:
        async with aclosing(asked.stream(GENERATION)) as chunks:
            assert (await anext(chunks)).text == "word "
            assert asked.servers.endpoints[0].outstanding == 1
        await until(lambda: servers[0].closed_early == 1)
        assert asked.servers.endpoints[0].outstanding == 0


async def test_cancelling_who_asks_closes_the_connection(engine: ENGINE) -> None:
    async with serving(hangs(HEAD)) as servers, engine(servers) as asked:
        asking = asyncio.create_task(all_of(asked))
        await until(lambda: bool(servers[0].asked))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: servers[0].closed_early == 1)
        assert asked.servers.endpoints[0].outstanding == 0


async def test_a_slow_reader_is_no_fault_of_the_server(engine: ENGINE) -> None:
    """A time-out around a piece would otherwise end whoever reads it."""
    async with serving(says(*["w "] * 5)) as servers, engine(servers, between_tokens_seconds=0.3) as asked:
        async with aclosing(asked.stream(GENERATION)) as chunks:
            async for _ in chunks:
                await asyncio.sleep(0.35)
        assert asked.servers.endpoints[0].fault == ""


async def test_no_end_and_no_reason(engine: ENGINE) -> None:
    """`[DONE]` alone ends an answer, and so does a reason alone; nothing at all does not."""
    done_alone, reason_alone = writes(HEAD, WORD, DONE), writes(HEAD, WORD, event(finish="stop"))
    hanging = hangs(HEAD, WORD, event(finish="stop"))
    for behaviour in (done_alone, reason_alone, hanging):
        async with serving(behaviour) as servers, engine(servers, ONCE) as asked:
            text, last = await all_of(asked)
            assert (text, last.finish) == ("word ", "stop")


async def test_a_prompt_that_may_not_fit_is_not_sent(engine: ENGINE) -> None:
    async with serving(says("x")) as servers, engine(servers, context_tokens=20) as asked:
        with pytest.raises(PromptTooLongError, match="20 tokens of the model big"):
            await all_of(asked)
        assert servers[0].asked == []


async def test_a_prompt_that_the_server_finds_too_long_is_told_as_such(engine: ENGINE) -> None:
    refusal = {"error": {"code": "context_length_exceeded", "message": SECRET}}
    async with serving(writes(whole(refusal, "400 Bad Request"))) as servers, engine(servers) as asked:
        with pytest.raises(PromptTooLongError) as caught:
            await all_of(asked)
        assert SECRET not in everything_of(caught.value)
        assert len(servers[0].asked) == 1
        assert asked.servers.endpoints[0].fault == ""


async def test_a_grammar_is_refused_and_not_passed_over(engine: ENGINE) -> None:
    async with serving(says("x")) as servers, engine(servers) as asked:
        with pytest.raises(ValueError, match="grammar"):
            await all_of(asked, replace(GENERATION, grammar='root ::= "a"'))
        assert servers[0].asked == []
