"""Readiness: what takes long to load is loaded in the background, and each part is asked when a probe asks.

The service listens at once, so that a probe can tell "starting" from "gone". Until all parts have loaded, questions
and searches are refused. A part that cannot load is tried again, so that pulling a missing model is enough. The
database and the trail are opened before (`gateway/app.py`): without them there is no service.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy import text

from gateway.errors import NotReadyError
from gateway.health.schemas import Part, PartHealth
from gateway.services import Services

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 15.0
_STARTING = "It is still being loaded."


class Readiness:
    """Loads the parts of an installation and tells how they are."""

    def __init__(self, services: Services, retry_seconds: float = _RETRY_SECONDS) -> None:
        self._services = services
        self._retry_seconds = retry_seconds
        self._lacking: dict[Part, str] = dict.fromkeys((Part.REDACTION, Part.INDEX, Part.MODEL), _STARTING)

    def require(self) -> None:
        """Let a request go on when everything has been loaded.

        Raises:
            NotReadyError: It has not.
        """
        if self._lacking:
            message = f"The service is still starting ({', '.join(sorted(self._lacking))}). Try again in a moment."
            raise NotReadyError(message)

    def has(self, part: Part) -> bool:
        """Whether a part has been loaded."""
        return part not in self._lacking

    async def load(self) -> None:
        """Load everything, each part in its own thread, and keep trying what fails."""
        loading: dict[Part, Callable[[], Awaitable[object]]] = {
            # A lambda in a lambda: finding the model's file reads all of it, which belongs into the thread too.
            Part.REDACTION: lambda: asyncio.to_thread(lambda: self._services.redactor.load()),  # noqa: PLW0108
            Part.INDEX: lambda: asyncio.to_thread(lambda: self._services.retriever),
            Part.MODEL: self._start_engine,
        }
        others = asyncio.create_task(self._services.served.start_others(self._retry_seconds))
        try:
            await asyncio.gather(*(self._load(part, load) for part, load in loading.items()))
            _log.info("ready")
            await others
        finally:
            others.cancel()

    async def stop(self) -> None:
        """Stop the engines, where they were begun."""
        if "served" in vars(self._services):
            await self._services.served.stop()

    async def check(self) -> list[PartHealth]:
        """How every part is now."""
        return [await self._check(part) for part in Part]

    async def _load(self, part: Part, load: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await load()
            except Exception as error:  # noqa: BLE001 - whatever it is, this part is not ready and is tried again.
                reason = str(error) or type(error).__name__
                if self._lacking[part] != reason:
                    _log.error("part_not_ready part=%s reason=%s", part, reason)
                self._lacking[part] = reason
                await asyncio.sleep(self._retry_seconds)
            else:
                self._lacking.pop(part, None)
                return

    async def _start_engine(self) -> None:
        engine = await asyncio.to_thread(lambda: self._services.engine)
        await engine.start()

    async def _check(self, part: Part) -> PartHealth:
        if part in self._lacking:
            return PartHealth(part, ready=False, detail=self._lacking[part])
        if part is Part.TRAIL:
            trail, overdue = self._services.trail.health, self._services.copies.overdue
            # What stops no answer must not go unseen either: entries that cannot be signed, copies that are not taken.
            copies = [f"{health.name}: {health.detail}" for health in self._services.copies.health if health.detail]
            said = " ".join(filter(None, [overdue or trail.detail, *copies, self._services.stamper.problem]))
            return PartHealth(part, ready=trail.ready and not overdue, detail=said or None)
        detail = await self._trouble(part)
        return PartHealth(part, ready=detail is None, detail=detail)

    async def _trouble(self, part: Part) -> str | None:
        """What is wrong with a loaded part; none when it works."""
        try:
            if part is Part.DATABASE:
                await asyncio.to_thread(self._read_database)
            elif part is Part.MODEL:
                engine = await self._services.served.default.engine.health()
                return None if engine.ready else engine.detail or "The model's worker does not answer."
        except Exception as error:  # noqa: BLE001 - a check that fails says that the part does not work.
            return str(error) or type(error).__name__
        return None

    def _read_database(self) -> None:
        with self._services.database.connect() as connection:
            connection.execute(text("SELECT 1"))
