"""The engine the gateway asks: starts the worker, talks to it, and starts it anew when it falls.

A crash of the worker fails the answers that were running, with `EngineUnavailableError`, and nothing else.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from models.catalogue import Artefact
from models.engine import Choice, Chunk, EngineHealth, Generation, Odds, Turn, check_turns
from models.errors import EngineUnavailableError, ModelCorruptError, ModelMissingError
from models.llama.client import GONE_TEXT, Worker
from models.llama.cores import usable_cores
from models.llama.protocol import Ask, Count, Counted, Forget, Generate, Load, Loaded, Piece, Ping, Pong, Weighed

_log = logging.getLogger(__name__)

_CONTEXTS_HELD = 4
_STARTING_TEXT = "The model's worker is not running; it is being started. Retry in a moment."


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How the worker is run; times are in seconds.

    Attributes:
        log_level: From which level llama.cpp's own messages reach standard error: debug, info, warning or error.
        load: How long to wait for the model to be hashed and loaded; large files on slow disks take minutes.
        silence: How long to wait for the next piece of an answer, others before it included.
        step: How long one step may take before the worker counts as hung and is killed.
        health: How long to wait for a sign of life.
        restart: The pauses before the first, second, ... new start; the last one repeats.
        settled: A worker that lived this long starts the count of restarts' waits over.
    """

    log_level: str = "error"
    load: float = 600.0
    silence: float = 300.0
    step: float = 120.0
    health: float = 0.9
    restart: tuple[float, ...] = (0.1, 1.0, 5.0, 30.0)
    settled: float = 60.0


class LlamaEngine:
    """A model in a worker process of its own; implements `models.engine.Engine`.

    Args:
        locate: Says where the GGUF file is, each time it is loaded; the worker checks its digest on the file it opens.
        artefact: Its entry in the catalogue.
        context_tokens: The longest prompt with its answer; at most what the model was trained on.
        cache_tokens: How many tokens all prompts, answers and kept prefixes can hold together; 0 is four times
            `context_tokens`.
        at_once: How many requests are worked on at a time; more wait.
        threads: How many threads compute; 0 is one for each core that this process may use.
        gpu_layers: How many layers a graphics card computes; -1 is all of them, where there is one.
        options: How the worker is run.
    """

    def __init__(
        self,
        locate: Callable[[], Path],
        *,
        artefact: Artefact,
        context_tokens: int = 4096,
        cache_tokens: int = 0,
        at_once: int = 8,
        threads: int = 0,
        gpu_layers: int = -1,
        options: WorkerOptions | None = None,
    ) -> None:
        self._artefact = artefact
        self._context_tokens = min(context_tokens, artefact.context_tokens or context_tokens)
        self._locate = locate
        self._load = Load(
            path="",
            size_bytes=artefact.size_bytes,
            sha256=artefact.sha256,
            template=artefact.template or "",
            context_tokens=self._context_tokens,
            cache_tokens=max(cache_tokens or _CONTEXTS_HELD * self._context_tokens, self._context_tokens),
            at_once=at_once,
            threads=threads or usable_cores(),
            gpu_layers=gpu_layers,
        )
        self._options = options or WorkerOptions()
        self._worker: Worker | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._restarts = 0
        self._detail = "The model's worker has not been started."

    async def start(self) -> None:
        """Load the model; may be called again after it failed.

        Raises:
            EngineUnavailableError: It cannot be loaded.
            ModelCorruptError: The file's bytes are not the publisher's.
            ModelMissingError: There is no such file.
        """
        if self._supervisor is None:
            self._worker = await self._launch()
            self._supervisor = asyncio.create_task(self._supervise(), name="llama-supervisor")

    async def stop(self) -> None:
        """End the worker; running answers fail."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        worker, self._worker = self._worker, None
        self._detail = "The model's worker was stopped."
        if worker is not None:
            await worker.end()

    async def stream(self, generation: Generation) -> AsyncGenerator[Chunk, None]:
        """Produce the answer piece by piece; closing the iterator early cancels the work.

        Raises:
            EngineUnavailableError: The worker is gone; retry in a moment.
            PromptTooLongError: The turns do not fit the context.
            ValueError: The turns do not begin with the system's.
        """
        check_turns(generation.turns)
        worker = self._ready()
        wanted = replace(generation, turns=_clean(generation.turns), stop=tuple(map(_clean_text, generation.stop)))
        with worker.request() as request:
            request.send(Generate(request.id, wanted))
            while True:
                reply = await request.reply(self._options.silence)
                if isinstance(reply, Piece):
                    if reply.chunk.finish is not None:
                        request.done = True
                    yield reply.chunk
                    if reply.chunk.finish is not None:
                        return

    async def odds(self, choice: Choice) -> dict[str, float]:
        """The probability of each reply's first token, scaled so that they add up to 1.

        Raises:
            EngineUnavailableError: The worker is gone; retry in a moment.
            PromptTooLongError: The turns do not fit the context.
            ValueError: Two replies begin with the same token, or the turns do not begin with the system's.
        """
        check_turns(choice.turns)
        worker = self._ready()
        with worker.request() as request:
            request.send(Ask(request.id, replace(choice, turns=_clean(choice.turns))))
            reply = await request.reply(self._options.silence)
            request.done = True
        if not isinstance(reply, Weighed):
            raise EngineUnavailableError(GONE_TEXT)
        return Odds(dict(zip(choice.replies, reply.odds, strict=True)), reply.compute_seconds)

    async def count_tokens(self, text: str) -> int:
        """How many tokens a text takes as content.

        Raises:
            EngineUnavailableError: The worker is gone; retry in a moment.
        """
        with self._ready().request() as request:
            request.send(Count(request.id, _clean_text(text)))
            reply = await request.reply(self._options.silence)
            request.done = True
        if not isinstance(reply, Counted):
            raise EngineUnavailableError(GONE_TEXT)
        return reply.tokens

    async def forget(self) -> None:
        """Let go of everything that is kept of earlier requests."""
        if self._worker is not None:
            with self._worker.request() as request:
                request.send(Forget(request.id))
                request.done = True

    async def health(self) -> EngineHealth:
        """How the engine is, within a second, also while it works."""
        pong = await self._ping()
        if pong is not None:
            return self._health(ready=True)
        return self._health(ready=False, detail=self._detail if self._worker is None else "The worker does not answer.")

    def _health(self, *, ready: bool, detail: str = "") -> EngineHealth:
        return EngineHealth(ready, self._artefact.id, self._context_tokens, self._restarts, detail)

    def _ready(self) -> Worker:
        if self._worker is None:
            raise EngineUnavailableError(_STARTING_TEXT)
        return self._worker

    async def _ping(self) -> Pong | None:
        worker = self._worker
        if worker is None:
            return None
        try:
            with worker.request() as request:
                request.send(Ping(request.id))
                reply = await request.reply(self._options.health)
                request.done = True
        except EngineUnavailableError:
            return None
        return reply if isinstance(reply, Pong) else None

    async def _launch(self) -> Worker:
        """A worker with the model loaded.

        Raises:
            EngineUnavailableError: It cannot be loaded.
            ModelCorruptError: The file's bytes are not the publisher's.
            ModelMissingError: There is no such file.
        """
        path = str((await asyncio.to_thread(self._locate)).absolute())
        worker = await Worker.spawn(self._options.log_level)
        try:
            with worker.request(0) as request:
                request.send(msgspec.structs.replace(self._load, path=path))
                reply = await request.reply(self._options.load)
                request.done = True
        except EngineUnavailableError as error:
            await worker.end()
            if str(error) != GONE_TEXT:
                raise
            message = f"{worker.ending()} while loading {path}."
            raise EngineUnavailableError(message) from error
        except BaseException:
            await worker.end()
            raise
        if not isinstance(reply, Loaded):
            await worker.end()
            raise EngineUnavailableError(GONE_TEXT)
        _log.info(
            "model_loaded model=%s hash_seconds=%.2f load_seconds=%.2f",
            self._artefact.id,
            reply.hash_seconds,
            reply.load_seconds,
        )
        return worker

    async def _supervise(self) -> None:
        """Keep a worker running: start it anew when it ends, end it when it hangs.

        Whatever goes wrong here is told and tried again: were this task to end, no worker would ever come back.
        """
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            if (worker := self._worker) is not None:
                began = loop.time()
                reason = await self._outlive(worker)
                self._worker = None
                if loop.time() - began > self._options.settled:
                    failures = 0
                self._detail = f"{reason}; it is being started again."
                _log.error("model_worker_ended model=%s reason=%s", self._artefact.id, reason)
            await asyncio.sleep(self._options.restart[min(failures, len(self._options.restart) - 1)])
            failures += 1
            self._restarts += 1
            try:
                self._worker = await self._launch()
            except Exception as error:  # noqa: BLE001 - see above.
                known = isinstance(error, EngineUnavailableError | ModelCorruptError | ModelMissingError)
                what = str(error) if known else f"The model's worker cannot be started ({error!r}). It is tried again."
                if what != self._detail:
                    _log.error("model_worker_not_started model=%s reason=%s", self._artefact.id, what)
                self._detail = what

    async def _outlive(self, worker: Worker) -> str:
        """Wait for a worker's end and let go of it; returns how it ended, in words."""
        try:
            await self._watch(worker)
            await worker.end()
            return worker.ending()
        except Exception as error:  # noqa: BLE001 - see `_supervise`.
            worker.kill()
            return f"The model's worker could not be watched ({error!r})"

    async def _watch(self, worker: Worker) -> None:
        """Return when the worker has ended, or has to be ended because it hangs."""
        deaf = 0
        while not await worker.ended(within=self._options.step / 8):
            pong = await self._ping()
            deaf = deaf + 1 if pong is None else 0
            # Once may be a machine out of breath; the reading thread of a sound worker answers within milliseconds.
            if deaf > 2 or (pong is not None and pong.step_seconds > self._options.step):  # noqa: PLR2004
                worker.kill()


def _clean(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    return tuple(replace(turn, parts=tuple(map(_clean_text, turn.parts))) for turn in turns)


def _clean_text(text: str) -> str:
    """Text that UTF-8 can hold: half surrogates, which a parser may let through, become question marks."""
    return text.encode("utf-8", "replace").decode()
