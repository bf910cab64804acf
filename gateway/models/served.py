"""The models that questions can go to, side by side; one of them is the default.

Each has an engine of its own, so that a model that falls takes no other with it.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.config import MODEL_ALIAS as MODEL_ALIAS
from gateway.errors import ModelNotFoundError
from models.engine import Engine
from models.remembering import RememberingEngine

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


class ServedModels:
    """All models of an installation, the default first.

    With `fallback_local`, the first that is not remote stands in for remote ones that a question may not be sent to.
    """

    def __init__(
        self, default: ServedModel, others: Iterable[ServedModel] = (), *, fallback_local: bool = False
    ) -> None:
        self.default = default
        self.others = tuple(others)
        self.stand_in = next((model for model in self if not model.remote), None) if fallback_local else None

    def __iter__(self) -> Iterator[ServedModel]:
        return iter((self.default, *self.others))

    @property
    def names(self) -> list[str]:
        """What a request may name."""
        return [MODEL_ALIAS, *(model.id for model in self)]

    def named(self, name: str) -> ServedModel:
        """The model that a request names; no name, or the alias, is the default.

        Raises:
            ModelNotFoundError: It is not among them.
        """
        if name in ("", MODEL_ALIAS):
            return self.default
        for model in self:
            if model.id == name:
                return model
        message = f"There is no model {name[:80]!r}. GET /v1/models lists what there is; `{MODEL_ALIAS}` always works."
        raise ModelNotFoundError(message)

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
