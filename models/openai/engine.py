"""A model on servers of the OpenAI protocol: which one is asked, how often, and what becomes of failures."""

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from models.engine import Choice, Chunk, EngineHealth, FinishReason, Generation, Turn
from models.errors import EngineUnavailableError, PromptTooLongError
from models.llama.templates import check_turns
from models.openai import breaker, budget
from models.openai.breaker import BreakerRules, State
from models.openai.budget import BudgetRules
from models.openai.endpoints import Endpoint, choose, pause
from models.openai.exchange import Deadlines, answers, ask_once, stream_deltas
from models.openai.faults import PromptRefusedError, TryFailedError
from models.openai.messages import Message, messages_of, most_prompt_tokens, most_tokens
from models.openai.options import Upstream
from models.openai.replies import Counts, Delta, read_odds
from policies.egress import host_of
from policies.egress_async import AsyncClient, open_async_client
from policies.errors import SecretUnusableError
from policies.private_files import read_secret

_log = logging.getLogger(__name__)
_ALTERNATIVES = 20
"""As many as the protocol gives at most."""
_BUSY, _UNREACHED = "has too much to do", "cannot be reached"
_WORD_TOKENS = 4
_CHARACTERS_PER_TOKEN = 16
"""Four times what prose has: a stream with more in it than this is not what was asked for."""
_NO_LOGPROBS = frozenset({400, 422, 500, 501})
"""How servers refuse to tell probabilities; llama-cpp-python's answers 500."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How failures are dealt with; times are in seconds.

    Attributes:
        tries: How often one question is sent at most.
        pause: What tries wait for at most after the first failure; doubled with each further one.
        most_pause: The longest that a question waits before another try.
        look: How often servers that were left alone are looked at.
    """

    breaker: BreakerRules = field(default_factory=BreakerRules)
    budget: BudgetRules = field(default_factory=BudgetRules)
    tries: int = 3
    pause: float = 0.1
    most_pause: float = 5.0
    look: float = 0.5


@dataclass(slots=True)
class _Tries:
    """What became of one question so far, and when all of it must be over."""

    ends: float
    faults: int = 0
    tried: list[Endpoint] = field(default_factory=list)
    blamed: list[Endpoint] = field(default_factory=list)


class UpstreamEngine:
    """Asks servers; implements `models.engine.Engine`.

    Args:
        options: What the settings say.
        keys: The folder of files that hold keys and certificates.
        rules: How failures are dealt with.
        clock: Seconds that only grow.
        chance: A number between 0 and 1, to spread tries in time.
    """

    def __init__(
        self,
        options: Upstream,
        keys: Path,
        *,
        rules: Rules | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._options = options
        self._keys = keys
        self._rules = rules or Rules()
        self._clock = clock
        self._chance = chance
        self._deadlines = Deadlines(options.first_token_seconds, options.between_tokens_seconds, options.total_seconds)
        self._budget = budget.opened(clock(), self._rules.budget)
        self._client: AsyncClient | None = None
        self._watching: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._gives_logprobs = True
        self._returned = 0
        self.endpoints = tuple(map(Endpoint, options.urls))
        """How each server does; for reports."""
        self.retries = 0
        """How often a question was sent again."""

    async def start(self) -> None:
        """Open the connections, and see that a server is there; may be called again after it failed.

        Raises:
            EngineUnavailableError: None is, or the key or the certificates cannot be read.
        """
        if self._client is not None:
            return
        client = self._opened_client()
        there = await asyncio.gather(*(self._answers(client, endpoint) for endpoint in self.endpoints))
        if not any(there):
            await client.aclose()
            raise self._unavailable(_UNREACHED)
        for endpoint, is_there in zip(self.endpoints, there, strict=True):
            endpoint.breaker = breaker.succeeded()
            endpoint.fault = ""
            if not is_there:
                for _ in range(self._rules.breaker.failures):
                    self._note_fault(endpoint, TryFailedError(_UNREACHED))
        self._client = client
        self._watching = asyncio.create_task(self._watch(), name="upstream-watch")

    async def stop(self) -> None:
        """Close the connections; running answers fail."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def stream(self, generation: Generation) -> AsyncGenerator[Chunk, None]:
        """Produce the answer piece by piece; closing the iterator early closes the connection, too.

        A failure before the first piece may be followed by another try; one after it is the answer's end.

        Raises:
            EngineUnavailableError: No server gave an answer, or not the whole of it.
            PromptTooLongError: The turns do not fit the context.
            ValueError: The turns do not begin with the system's.
        """
        client = self._ready(generation.turns, generation.max_tokens)
        body = self._body(
            generation.turns,
            generation.max_tokens,
            temperature=generation.temperature,
            top_p=generation.top_p,
            seed=generation.seed,
            stream=True,
            stream_options={"include_usage": True},
            **({"stop": list(generation.stop)} if generation.stop else {}),
        )
        tries = self._tries()
        while True:
            begun = False
            endpoint = await self._next(tries)
            deadlines = replace(self._deadlines, total=tries.ends - self._clock())
            try:
                with self._using(endpoint, tries):
                    deltas = stream_deltas(client, _completions(endpoint), body, deadlines, generation.max_tokens)
                    async with aclosing(_as_chunks(deltas, generation)) as chunks:
                        async for chunk in chunks:
                            begun = True
                            yield chunk
            except TryFailedError as fault:
                await self._wait_or_raise(fault, tries, may_try=not begun)
            else:
                return

    async def odds(self, choice: Choice) -> dict[str, float]:
        """The probability of each reply's first token, scaled so that they add up to 1.

        Of a server that tells no probabilities, the reply that it gives has all of it.

        Raises:
            EngineUnavailableError: No server gave an answer.
            PromptTooLongError: The turns do not fit the context.
            ValueError: The turns do not begin with the system's.
        """
        client = self._ready(choice.turns, _WORD_TOKENS)
        if self._gives_logprobs:
            try:
                wanted = self._body(choice.turns, 1, temperature=0, logprobs=True, top_logprobs=_ALTERNATIVES)
                odds, told = await self._odds_of(client, wanted, choice.replies, passing=_NO_LOGPROBS)
            except _PassedError:
                told = False
            if told:
                return odds
        word = self._body(choice.turns, _WORD_TOKENS, temperature=0)
        odds, _ = await self._odds_of(client, word, choice.replies)
        if self._gives_logprobs:
            self._gives_logprobs = False
            _log.info("upstream_without_logprobs model=%s", self._options.name)
        return odds

    async def count_tokens(self, text: str) -> int:
        """An estimate that errs high: the vocabulary is the server's."""
        return most_tokens(text)

    async def health(self) -> EngineHealth:
        """Whether a server takes questions, by what the last ones found; nobody is asked."""
        asked = [endpoint for endpoint in self.endpoints if endpoint.breaker.state is not State.OPEN]
        faults = [f"{endpoint.host}: {endpoint.fault}" for endpoint in self.endpoints if endpoint.fault]
        ready = self._client is not None and bool(asked)
        detail = "; ".join(faults) if self._client is not None else "No server has answered so far."
        return EngineHealth(ready, self._options.name, self._options.context_tokens, self._returned, detail)

    async def _odds_of(
        self, client: AsyncClient, body: bytes, replies: Sequence[str], passing: frozenset[int] = frozenset()
    ) -> tuple[dict[str, float], bool]:
        """`read_odds` of what a server replies; a refusal with one of the `passing` statuses is the caller's."""
        tries = self._tries()
        while True:
            endpoint = await self._next(tries)
            seconds = min(self._deadlines.first_token, tries.ends - self._clock())
            try:
                with self._using(endpoint, tries, passing):
                    return read_odds(await ask_once(client, _completions(endpoint), body, seconds), replies)
            except TryFailedError as fault:
                await self._wait_or_raise(fault, tries, may_try=True)

    def _tries(self) -> _Tries:
        return _Tries(self._clock() + self._deadlines.total)

    async def _next(self, tries: _Tries) -> Endpoint:
        """The server to ask. Where all that work are busy, it is waited for one as long as for a first word."""
        waits_until = self._clock() + min(self._deadlines.first_token, tries.ends - self._clock())
        while True:
            now = self._clock()
            found = choose(self.endpoints, tries.tried, now, self._options.connections)
            if found is not None:
                if not tries.tried:
                    self._budget = budget.asked(self._budget, now, self._rules.budget)
                tries.tried.append(found)
                return found
            if all(endpoint.breaker.state is State.OPEN for endpoint in self.endpoints):
                raise self._unavailable(_UNREACHED)
            seconds = pause(self.endpoints, now, min(waits_until, now + self._rules.most_pause), waits_until)
            if seconds is None:
                raise self._unavailable(_BUSY)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)

    def _tell_waiting(self) -> None:
        """A place is free, or more: whoever waits looks again, in the order they came."""
        told, self._changed = self._changed, asyncio.Event()
        told.set()

    async def _wait_or_raise(self, fault: TryFailedError, tries: _Tries, *, may_try: bool) -> None:
        """Wait before another try, or say that there is none."""
        if isinstance(fault, PromptRefusedError):
            raise self._too_long() from None
        tries.faults += 1
        if not (may_try and fault.again and tries.faults < self._rules.tries):
            raise self._unavailable(str(fault)) from None
        left = budget.spent(self._budget, self._clock(), self._rules.budget)
        if left is None:
            raise self._unavailable(str(fault)) from None
        self._budget = left
        self.retries += 1
        most = min(self._rules.pause * 2.0 ** (tries.faults - 1), self._rules.most_pause)
        await asyncio.sleep(self._chance() * most)

    @contextlib.contextmanager
    def _using(self, endpoint: Endpoint, tries: _Tries, passing: frozenset[int] = frozenset()) -> Iterator[None]:
        """Count a question that is with a server, and note how it ended there.

        One question speaks against a server once, however often it is tried: it may be the question.
        """
        endpoint.outstanding += 1
        try:
            yield
        except TryFailedError as fault:
            if fault.status in passing:
                raise _PassedError from None
            self._note_fault(endpoint, fault, again=endpoint in tries.blamed)
            tries.blamed.append(endpoint)
            raise
        else:
            self._note_answer(endpoint)
        finally:
            endpoint.outstanding -= 1
            self._tell_waiting()

    def _note_answer(self, endpoint: Endpoint) -> None:
        if endpoint.breaker.state is not State.CLOSED:
            self._returned += 1
            _log.warning("upstream_back model=%s server=%s", self._options.name, endpoint.host)
        endpoint.breaker, endpoint.fault = breaker.succeeded(), ""

    def _note_fault(self, endpoint: Endpoint, fault: TryFailedError, *, again: bool = False) -> None:
        if fault.wait:
            endpoint.busy_until = self._clock() + fault.wait
        if again or not fault.counts:
            return
        was = endpoint.breaker.state
        endpoint.breaker = breaker.failed(endpoint.breaker, self._clock(), self._rules.breaker)
        endpoint.fault = str(fault)
        if was is State.CLOSED and endpoint.breaker.state is State.OPEN:
            _log.error("upstream_down model=%s server=%s reason=%s", self._options.name, endpoint.host, fault)

    async def _watch(self) -> None:
        """Look at servers that are left alone; one that is there again gets a question on trial."""
        while True:
            await asyncio.sleep(self._rules.look)
            due = [endpoint for endpoint in self.endpoints if endpoint.breaker.due(self._clock())]
            if self._client is not None:
                await asyncio.gather(*(self._probe(self._client, endpoint) for endpoint in due))

    async def _probe(self, client: AsyncClient, endpoint: Endpoint) -> None:
        answered = await self._answers(client, endpoint)
        endpoint.breaker = breaker.probed(endpoint.breaker, self._clock(), self._rules.breaker, answered=answered)
        self._tell_waiting()

    async def _answers(self, client: AsyncClient, endpoint: Endpoint) -> bool:
        return await answers(client, f"{endpoint.url}/models", self._options.connect_seconds)

    def _ready(self, turns: Sequence[Turn], max_tokens: int) -> AsyncClient:
        check_turns(turns)
        if self._client is None:
            raise self._unavailable(_UNREACHED)
        # A server may cut what is too long without a word, so what might be is not sent.
        if most_prompt_tokens(turns) + max_tokens > self._options.context_tokens:
            raise self._too_long()
        return self._client

    def _body(self, turns: Sequence[Turn], max_tokens: int, **more: object) -> bytes:
        messages: list[Message] = messages_of(turns)
        return msgspec.json.encode(
            {"model": self._options.model, "messages": messages, "max_tokens": max_tokens} | more
        )

    def _opened_client(self) -> AsyncClient:
        options = self._options
        try:
            key = read_secret(self._keys / options.api_key_file, "API key") if options.api_key_file else ""
            certificates = ssl.create_default_context(cafile=self._keys / options.ca_file if options.ca_file else None)
        except (SecretUnusableError, OSError, ssl.SSLError) as error:
            message = f"The model {options.name} cannot be asked: {error} Correct its section [[models.upstreams]]."
            raise EngineUnavailableError(message) from error
        if not key.isascii():  # It is sent in a header.
            message = f"The API key {options.api_key_file} is not ASCII. Put it there as it was given out."
            raise EngineUnavailableError(message)
        return open_async_client(
            {host_of(url) for url in options.urls},
            connect_seconds=options.connect_seconds,
            connections=(options.connections + 1) * len(options.urls),
            certificates=certificates,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            only_loopback=not options.remote,
        )

    def _unavailable(self, what: str) -> EngineUnavailableError:
        message = f"The model {self._options.name} {what}. Retry in a moment."
        return EngineUnavailableError(message)

    def _too_long(self) -> PromptTooLongError:
        message = (
            f"The prompt may not fit the {self._options.context_tokens} tokens of the model {self._options.name}. "
            "Ask a shorter question, or begin a new conversation."
        )
        return PromptTooLongError(message)


class _PassedError(Exception):
    """A refusal that the caller deals with."""


def _completions(endpoint: Endpoint) -> str:
    return f"{endpoint.url}/chat/completions"


async def _as_chunks(deltas: AsyncGenerator[Delta, None], generation: Generation) -> AsyncGenerator[Chunk, None]:
    """Pieces of an answer, cut where there are more of them than were asked for, and at last its counts."""
    pieces, characters, finish, counts = 0, 0, FinishReason.STOP, Counts()
    most_characters = generation.max_tokens * _CHARACTERS_PER_TOKEN
    async with aclosing(deltas):
        async for delta in deltas:
            counts = delta.counts or counts
            finish = delta.finish or finish
            if delta.text:
                pieces, characters = pieces + 1, characters + len(delta.text)
                if pieces > generation.max_tokens or characters > most_characters:
                    finish = FinishReason.LENGTH
                    break
                yield Chunk(delta.text)
    yield _last_chunk(generation, finish, counts, pieces)


def _last_chunk(generation: Generation, finish: FinishReason, counts: Counts, pieces: int) -> Chunk:
    """The counts as the server gave them, where they can be; else what we make of it."""
    prompt, cached = most_prompt_tokens(generation.turns), 0
    if counts.prompt is not None and counts.prompt <= prompt:
        prompt, cached = counts.prompt, min(counts.cached or 0, counts.prompt)
    completion = counts.completion
    if completion is None or not pieces <= completion <= generation.max_tokens:
        completion = pieces
    return Chunk("", finish, prompt_tokens=prompt, cached_tokens=cached, completion_tokens=completion)
