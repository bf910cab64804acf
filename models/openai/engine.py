"""A model on servers of the OpenAI protocol: conversations go out as messages, replies come back as pieces and odds."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import msgspec

from models.engine import Choice, Chunk, EngineHealth, FinishReason, Generation, Turn, check_turns
from models.errors import EngineUnavailableError, ModelsError, PromptTooLongError
from models.openai.breaker import State
from models.openai.endpoints import Endpoint
from models.openai.exchange import Deadlines, answers, ask_once, stream_deltas
from models.openai.faults import PassedError, PromptRefusedError, TryFailedError
from models.openai.messages import messages_of, most_prompt_tokens, most_tokens
from models.openai.options import Upstream
from models.openai.replies import Counts, Delta, read_odds
from models.openai.servers import UNREACHED, Rules, Servers
from policies.egress import host_of
from policies.egress_async import AsyncClient, open_async_client
from policies.errors import SecretUnusableError
from policies.private_files import read_secret

_log = logging.getLogger(__name__)
_ALTERNATIVES = 20
"""As many as the protocol gives at most."""
_WORD_TOKENS = 4
_CHARACTERS_PER_TOKEN = 16
"""Four times what prose has: a stream with more in it than this is not what was asked for."""
_NO_LOGPROBS = frozenset({400, 422, 500, 501})
"""How servers refuse to tell probabilities."""


class UpstreamEngine:
    """Asks servers; implements `models.engine.Engine`.

    Args:
        options: What the settings say.
        keys: The folder of files that hold keys and certificates.
        rules: How failures are dealt with.
    """

    def __init__(self, options: Upstream, keys: Path, rules: Rules | None = None) -> None:
        self._options = options
        self._keys = keys
        self._client: AsyncClient | None = None
        self._watching: asyncio.Task[None] | None = None
        self._gives_logprobs = True
        self.servers = Servers(options, rules or Rules())
        """How each server does; for reports."""

    async def start(self) -> None:
        """Open the connections, and see that a server is there; may be called again after it failed.

        Raises:
            EngineUnavailableError: None is, or the key or the certificates cannot be read.
        """
        if self._client is not None:
            return
        client = self._opened_client()
        there = await asyncio.gather(*(self._answers(client, endpoint) for endpoint in self.servers.endpoints))
        if not any(there):
            await client.aclose()
            raise self._told(TryFailedError(UNREACHED))
        for endpoint, is_there in zip(self.servers.endpoints, there, strict=True):
            self.servers.begin(endpoint, is_there=is_there)
        self._client = client
        watching = self.servers.watch(lambda endpoint: self._answers(client, endpoint))
        self._watching = asyncio.create_task(watching, name="upstream-watch")

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
            ValueError: The turns do not begin with the system's, or a grammar is asked for.
        """
        if generation.grammar:
            message = "a model on servers takes no grammar: the protocol has none"
            raise ValueError(message)
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
        tries = self.servers.tries()
        while True:
            begun = False
            try:
                endpoint = await self.servers.next(tries)
                with self.servers.using(endpoint, tries):
                    deadlines = self._deadlines(self.servers.left(tries))
                    deltas = stream_deltas(client, _completions(endpoint), body, deadlines, generation.max_tokens)
                    async with aclosing(_as_chunks(deltas, generation)) as chunks:
                        async for chunk in chunks:
                            begun = True
                            yield chunk
            except TryFailedError as fault:
                if begun or not await self.servers.again(fault, tries):
                    raise self._told(fault) from None
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
            wanted = self._body(choice.turns, 1, temperature=0, logprobs=True, top_logprobs=_ALTERNATIVES)
            with contextlib.suppress(PassedError):
                odds, told = await self._odds_of(client, wanted, choice.replies, passing=_NO_LOGPROBS)
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

    async def forget(self) -> None:
        """Nothing is kept here; what the servers keep is theirs."""

    async def health(self) -> EngineHealth:
        """Whether a server takes questions, by what the last ones found; nobody is asked."""
        endpoints, started = self.servers.endpoints, self._client is not None
        faults = [f"{endpoint.host}: {endpoint.fault}" for endpoint in endpoints if endpoint.fault]
        asked = any(endpoint.breaker.state is not State.OPEN for endpoint in endpoints)
        detail = "; ".join(faults) if started else "No server has answered so far."
        options = self._options
        return EngineHealth(started and asked, options.name, options.context_tokens, self.servers.returned, detail)

    async def _odds_of(
        self, client: AsyncClient, body: bytes, replies: Sequence[str], passing: frozenset[int] = frozenset()
    ) -> tuple[dict[str, float], bool]:
        """`read_odds` of what a server replies; a refusal with one of the `passing` statuses is the caller's."""
        tries = self.servers.tries()
        while True:
            try:
                endpoint = await self.servers.next(tries)
                with self.servers.using(endpoint, tries, passing):
                    seconds = min(self._options.first_token_seconds, self.servers.left(tries))
                    return read_odds(await ask_once(client, _completions(endpoint), body, seconds), replies)
            except TryFailedError as fault:
                if not await self.servers.again(fault, tries):
                    raise self._told(fault) from None

    def _deadlines(self, total: float) -> Deadlines:
        return Deadlines(self._options.first_token_seconds, self._options.between_tokens_seconds, total)

    async def _answers(self, client: AsyncClient, endpoint: Endpoint) -> bool:
        return await answers(client, f"{endpoint.url}/models", self._options.connect_seconds)

    def _ready(self, turns: Sequence[Turn], max_tokens: int) -> AsyncClient:
        check_turns(turns)
        if self._client is None:
            raise self._told(TryFailedError(UNREACHED))
        # A server may cut what is too long without a word, so what might be is not sent.
        if most_prompt_tokens(turns) + max_tokens > self._options.context_tokens:
            raise self._told(PromptRefusedError(0))
        return self._client

    def _body(self, turns: Sequence[Turn], max_tokens: int, **more: object) -> bytes:
        asked = {"model": self._options.model, "messages": messages_of(turns), "max_tokens": max_tokens}
        return msgspec.json.encode(asked | more)

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

    def _told(self, fault: TryFailedError) -> ModelsError:
        """What is said of a failure to whoever asked; which server it was is in the log."""
        name = self._options.name
        if isinstance(fault, PromptRefusedError):
            return PromptTooLongError(
                f"The prompt may not fit the {self._options.context_tokens} tokens of the model {name}. "
                "Ask a shorter question, or begin a new conversation."
            )
        return EngineUnavailableError(f"The model {name} {fault}. Retry in a moment.")


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
        completion = min(pieces, generation.max_tokens)
    return Chunk("", finish, prompt_tokens=prompt, cached_tokens=cached, completion_tokens=completion)
