"""The models that questions can go to, side by side; one of them is the default.

Each has an engine of its own, so that a model that falls takes no other with it.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from gateway.config import MODEL_ALIAS as MODEL_ALIAS
from gateway.errors import ModelNotFoundError
from models.engine import Engine
from models.errors import ModelsError
from models.remembering import RememberingEngine

_PAUSE_SECONDS = 10.0
"""How long a model on trial is left out after it could not be asked; the default answers meanwhile."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that answers: its name, the digest of its weights (empty where nobody tells), and what asks it.

    A `remote` one is on another machine: what is sent to it is decided by policy.
    """

    id: str
    sha256: str
    engine: Engine
    remote: bool = False


@dataclass(slots=True)
class Told:
    """What came of one question, for whoever watches; `complete` once there is an answer.

    Attributes:
        failed: The model broke off or could not be asked.
        declined: There was no answer to give.
        unsupported: A sentence of it is not stated where it is cited.
        took_ms: How long it took.
    """

    failed: bool = False
    declined: bool = False
    unsupported: bool = False
    took_ms: float = 0.0
    complete: bool = False


@dataclass(slots=True)
class Canary:
    """A model that answers some users in place of the default.

    Attributes:
        model: It.
        chosen: Whether it answers this user; always the same for each.
        watch: Told what came of each question that named no model, and of which model; none is of a user.
        paused_until: It is left out until then, since it could not be asked a moment ago.
    """

    model: ServedModel
    chosen: Callable[[str], bool]
    watch: Callable[[ServedModel, Told], None]
    paused_until: float = field(default=float("-inf"))


class ServedModels:
    """All models of an installation, the default first. Used from one event loop.

    With `fallback_local`, the first that is not remote stands in for remote ones that a question may not be sent to.
    """

    def __init__(
        self, default: ServedModel, others: Iterable[ServedModel] = (), *, fallback_local: bool = False
    ) -> None:
        self.default = default
        self.others = tuple(others)
        self.canary: Canary | None = None
        self.shadow: ServedModel | None = None
        self._fallback_local = fallback_local
        self._answering: Counter[int] = Counter()
        self._ended = asyncio.Event()

    def __iter__(self) -> Iterator[ServedModel]:
        tried = (self.canary.model if self.canary else None, self.shadow)
        return iter((self.default, *self.others, *(model for model in tried if model is not None)))

    @property
    def stand_in(self) -> ServedModel | None:
        """Who answers what may not be sent to a remote model."""
        here = (model for model in (self.default, *self.others) if not model.remote)
        return next(here, None) if self._fallback_local else None

    @property
    def names(self) -> list[str]:
        """What a request may name."""
        return [MODEL_ALIAS, self.default.id, *(model.id for model in self.others)]

    def named(self, name: str) -> ServedModel:
        """The model that a request names; no name, or the alias, is the default.

        Raises:
            ModelNotFoundError: It is not among them.
        """
        if name in ("", MODEL_ALIAS):
            return self.default
        for model in (self.default, *self.others):
            if model.id == name:
                return model
        message = f"There is no model {name[:80]!r}. GET /v1/models lists what there is; `{MODEL_ALIAS}` always works."
        raise ModelNotFoundError(message)

    def asked(self, name: str, user: str) -> ServedModel:
        """The model that answers a user's question: where it names none, some users have the one on trial.

        Raises:
            ModelNotFoundError: It names a model that is not among them.
        """
        canary = self.canary
        if name not in {"", MODEL_ALIAS} or canary is None or time.monotonic() < canary.paused_until:
            return self.named(name)
        return canary.model if canary.chosen(user) else self.default

    @contextlib.contextmanager
    def answering(self, model: ServedModel, name: str) -> Iterator[Told]:
        """While a model answers: it is not stopped meanwhile, and what comes of it is told to whoever watches."""
        told = Told()
        self._answering[id(model)] += 1
        try:
            yield told
        except ModelsError:
            told.failed = True
            raise
        finally:
            self._answering[id(model)] -= 1
            self._ended.set()
            if name in {"", MODEL_ALIAS} and (told.failed or told.complete):
                self._tell(model, told)

    def _tell(self, model: ServedModel, told: Told) -> None:
        canary = self.canary
        if canary is None or model not in {self.default, canary.model}:
            return
        if told.failed and model is canary.model:
            canary.paused_until = time.monotonic() + _PAUSE_SECONDS
        canary.watch(model, told)

    def put_first(self, model: ServedModel) -> None:
        """Make a model that has started the default, from the next question on."""
        self.others = tuple(other for other in self.others if other is not model)
        if self.canary is not None and self.canary.model is model:
            self.canary = None
        if self.shadow is model:
            self.shadow = None
        self.default = model

    async def retire(self, model: ServedModel, patience_seconds: float) -> None:
        """Stop a model that gets no more questions, once those it has are answered; after so long in any case."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                while self._answering[id(model)]:
                    await self._next_end()
        await model.engine.stop()

    async def wait_until_idle(self, patience_seconds: float) -> bool:
        """Whether there came a moment at which nobody was being answered."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                while self._answering.total():
                    await self._next_end()
                return True
        return False

    async def _next_end(self) -> None:
        self._ended.clear()
        await self._ended.wait()

    async def start_others(self, retry_seconds: float) -> None:
        """Start all but the default, and keep trying what fails; nobody waits for them."""
        await asyncio.gather(*(_start(model, retry_seconds) for model in self.others))

    async def stop(self) -> None:
        """Stop every engine; running answers fail."""
        await asyncio.gather(*(model.engine.stop() for model in self))

    async def forget_if_due(self) -> None:
        """Let go of remembered answers and computed prompts where something says that they must go."""
        for model in self:
            if isinstance(model.engine, RememberingEngine):
                await model.engine.forget_if_due()


async def _start(model: ServedModel, retry_seconds: float) -> None:
    told = ""
    while True:
        try:
            await model.engine.start()
        except Exception as error:  # noqa: BLE001 - whatever it is, this model is not there and is tried again.
            reason = str(error) or type(error).__name__
            if reason != told:
                _log.error("model_not_ready model=%s reason=%s", model.id, reason)
            told = reason
            await asyncio.sleep(retry_seconds)
        else:
            return
