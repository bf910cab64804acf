"""How a running service follows what was put to use: the new generator is loaded beside the old one, and then answers.

Until the new one has loaded, and if it never does, the old one answers. Answers that are running end with the model
that began them. A canary that is worse than the model in use is given up here.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

from gateway.chat.service import nothing_after
from gateway.chat.shadow import Shadow
from gateway.config import load_config
from gateway.errors import GatewayError
from gateway.models.options import TrialMode
from gateway.models.promoting import end_trial
from gateway.models.served import Canary, ServedModel, Told
from gateway.models.trial import Trial, is_chosen, trial_of
from gateway.models.verdict import Counts, is_due, verdict
from gateway.services import Services
from models.errors import ModelsError
from policies.errors import PoliciesError

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 15.0
_PATIENCE_SECONDS = 300.0
"""How long a model that was replaced may go on with answers it had begun."""
_BY = "serve"


class TakingUp:
    """Holds what is served against what the settings and the history say. Used from one event loop."""

    def __init__(self, services: Services, retry_seconds: float = _RETRY_SECONDS) -> None:
        self._services = services
        self._retry_seconds = retry_seconds
        self._key = services.keys.lasting("trial-shares")
        self._trying: Trial | None = None
        self._given_up: set[str] = set()
        self._retiring: list[ServedModel] = []
        self._failed: dict[str, float] = {}
        self._told: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._shadowing: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """Take up what changed; whatever goes wrong is told once and leaves everything as it is."""
        try:
            options = (await asyncio.to_thread(load_config, self._services.home)).models
            await self._take_up_embedder()
            await self._take_up_default(options.generator)
            trial = trial_of(options, self._services.catalogue)
            if trial is not None and await self._is_over(trial):
                trial = None
            await self._take_up_trial(trial)
        except (GatewayError, ModelsError, PoliciesError) as error:
            self._tell_once(str(error))
        except Exception:  # noqa: BLE001 - a defect must not end the looking
            _log.exception("taking_up_defect")

    async def close(self) -> None:
        """End what runs beside, and stop what was being retired; all else is stopped by whoever stops all models."""
        tasks = [*self._tasks, *([self._shadowing] if self._shadowing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(model.engine.stop() for model in self._retiring))

    async def _is_over(self, trial: Trial) -> bool:
        ended = self._services.history.trial_ended
        return trial.key in self._given_up or await asyncio.to_thread(ended, trial.key) is not None

    async def _retire(self, model: ServedModel) -> None:
        self._retiring.append(model)
        await self._services.served.retire(model, _PATIENCE_SECONDS)
        self._retiring.remove(model)

    async def _take_up_embedder(self) -> None:
        """Search with another embedder once the index of its vectors has been made; until then with the old one."""
        services = self._services
        id_ = (await asyncio.to_thread(lambda: services.embedder_use)).current
        if id_ == services.embedder_id:
            return
        embedder = await asyncio.to_thread(services.embedder_of, id_)
        index = await asyncio.to_thread(services.index_of, embedder, id_, services.index_files)
        await asyncio.to_thread(index.rebuild)
        made_by = (await asyncio.to_thread(lambda: services.embedder_use)).names(id_)
        services.retriever.search_with(index, embedder, made_by)
        services.embedder_id, services.embedder, services.index = id_, embedder, index
        vars(services).pop("ingestion", None)
        services.chats.versions = services.versions_beside
        await asyncio.to_thread(services.save_index, index)
        _log.info("embedder_taken_up model=%s", id_)

    async def _take_up_default(self, id_: str) -> None:
        served = self._services.served
        if id_ == served.default.id:
            return
        new = next((model for model in served if model.id == id_), None)
        if new is None and (new := await self._started(id_)) is None:
            return
        chosen = self._services.config.models
        old, also = served.default, [*chosen.also, *(upstream.name for upstream in chosen.upstreams)]
        if self._trying is not None and self._trying.artefact.id == id_:
            self._trying = None  # What was on trial is in use now.
            await self._end_shadowing()
        served.put_first(new)
        self._services.generator = self._services.generator_named(id_)
        self._services.engine = new.engine
        _log.info("model_taken_up model=%s previous=%s", id_, old.id)
        if old.id in also:
            served.others = (*served.others, old)
        else:
            self.begin(self._retire(old))

    async def _take_up_trial(self, trial: Trial | None) -> None:
        if trial == self._trying:
            return
        if self._trying is not None:
            await self._end_trying()
        if trial is None:
            return
        model = await self._started(trial.artefact.id)
        if model is None:
            return
        self._trying = trial
        if trial.options.mode is TrialMode.CANARY:
            chosen = partial(is_chosen, self._key, trial.key, share=trial.options.share)
            self._services.served.canary = Canary(model, chosen, _Watch(self, trial, model).note)
        else:
            self._begin_shadow(trial, model)
        _log.info("trial_begun model=%s mode=%s", model.id, trial.options.mode)

    def _begin_shadow(self, trial: Trial, model: ServedModel) -> None:
        services = self._services
        chosen = partial(is_chosen, self._key, trial.key, share=trial.options.share)
        shadow = Shadow(services.chats, services.served, services.recorder, chosen)
        services.served.shadow, services.chats.after = model, shadow.offer
        self._shadowing = asyncio.create_task(shadow.run(), name="shadow")

    async def _end_trying(self) -> None:
        """No new question goes to the model on trial; it is stopped once those it has are answered."""
        served = self._services.served
        model = served.canary.model if served.canary else served.shadow
        served.canary = served.shadow = self._trying = None
        await self._end_shadowing()
        if model is not None and model is not served.default:
            self.begin(self._retire(model))

    async def _end_shadowing(self) -> None:
        """Compare nothing any more, and let go of what waits for it."""
        shadowing, self._shadowing = self._shadowing, None
        if shadowing is not None:
            self._services.chats.after = nothing_after
            shadowing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await shadowing

    async def give_up(self, trial: Trial, cause: str) -> None:
        """End a trial for a cause: at once here, and in trail and history for every process and for good."""
        self._given_up.add(trial.key)
        if trial == self._trying:
            await self._end_trying()
        _log.error("trial_given_up model=%s cause=%s", trial.artefact.id, cause)
        try:
            await asyncio.to_thread(end_trial, self._services, _BY, cause)
        except (GatewayError, ModelsError, PoliciesError) as error:
            self._tell_once(str(error))  # It stays ended in this process; the next one would begin it again.

    async def _started(self, id_: str) -> ServedModel | None:
        """A model that answers; none while one that did not load waits for the next attempt."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._failed.get(id_, float("-inf")):
            return None
        generator = self._services.generator_named(id_)
        model = self._services.served_model(generator, self._services.engine_of(generator))
        try:
            await model.engine.start()
        except Exception as error:
            self._failed[id_] = loop.time() + self._retry_seconds
            await model.engine.stop()
            if isinstance(error, ModelsError):
                before = self._services.served.default.id
                self._tell_once(f"{id_} was put to use and does not load; {before} answers on. {error}")
                return None
            raise
        return model

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done beside."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell_once(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            _log.error("model_not_taken_up reason=%s", what)


class _Watch:
    """Counts what comes of the questions of one canary, and gives it up when it has to be."""

    def __init__(self, taking_up: TakingUp, trial: Trial, model: ServedModel) -> None:
        self._taking_up = taking_up
        self._trial = trial
        self._model = model
        self._of_trial, self._of_default = Counts(), Counts()
        self._looks = 0
        self._over = False

    def note(self, model: ServedModel, told: Told) -> None:
        """Count one question; judge where it is time for that."""
        (self._of_trial if model is self._model else self._of_default).add(told)
        options = self._trial.options
        if self._over or not is_due(options, self._of_trial, self._of_default, self._looks):
            return
        cause = verdict(options, self._of_trial, self._of_default, self._looks)
        self._looks += 1
        if cause:
            self._over = True
            self._taking_up.begin(self._taking_up.give_up(self._trial, cause))
