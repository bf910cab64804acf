"""A model on trial answers some questions once more, after their answers have left; nobody sees what it says.

It is shown exactly what the model that answered was shown: the same passages, pseudonymised, under the same access
domain. What it writes is compared and let go of; the trail holds figures alone. Nobody waits for a comparison: few
questions wait for one, it begins when nobody is being answered, and what does not fit is left out.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence

from gateway.chat.service import Chats, Draft, Run
from gateway.chat.support import SupportedSentence
from gateway.models.served import ServedModel, ServedModels
from gateway.recording import Recorder
from models.errors import ModelsError
from policies.audit.events import ModelCompared
from policies.context import Channel
from policies.errors import PoliciesError

_log = logging.getLogger(__name__)
_MOST_WAITING = 4
_PATIENCE_SECONDS = 30.0
"""How long a comparison waits for a moment in which nobody is being answered, before it is left out."""


class Shadow:
    """Compares a model with the one in use. Used from one event loop.

    Args:
        chats: Whose answers are looked at.
        served: All models; `served.shadow` is the one that is compared.
        recorder: Where figures go.
        chosen: Whether a request is in the share that is compared, by its name.
    """

    def __init__(self, chats: Chats, served: ServedModels, recorder: Recorder, chosen: Callable[[str], bool]) -> None:
        self._chats = chats
        self._served = served
        self._recorder = recorder
        self._chosen = chosen
        self._waiting: asyncio.Queue[tuple[Run, Draft]] = asyncio.Queue(_MOST_WAITING)
        self.left_out = 0

    def offer(self, run: Run, draft: Draft) -> None:
        """Take a question up for comparison, if it is in the share and there is room; none once the trial has ended."""
        if self._served.shadow is None:
            return
        if run.question.context.channel is Channel.EVALUATION or run.model is not self._served.default:
            return
        if not self._chosen(run.id):
            return
        try:
            self._waiting.put_nowait((run, draft))
        except asyncio.QueueFull:
            self.left_out += 1

    async def run(self) -> None:
        """Compare, one question after the other, until this is ended."""
        while True:
            run, draft = await self._waiting.get()
            model = self._served.shadow
            idle = model is not None and await self._served.wait_until_idle(_PATIENCE_SECONDS)
            # Whoever was erased meanwhile may be in it.
            if model is None or not idle or self._recorder.erasures_so_far() != run.since:
                self.left_out += 1
                continue
            try:
                await self._compare(run, draft, model)
            except (ModelsError, PoliciesError) as error:
                _log.warning("shadow_failed model=%s reason=%s", model.id, type(error).__name__)
            except Exception:  # noqa: BLE001 - a defect must not end the comparing
                _log.exception("shadow_defect")

    async def _compare(self, run: Run, draft: Draft, model: ServedModel) -> None:
        again, took_ms = await self._chats.draft_again(run, model)
        figures = ModelCompared(
            request=run.id,
            model=model.id,
            model_sha256=model.sha256,
            other=run.model.id,
            agreed=agree(again, draft),
            declined=not again.suffices,
            declined_other=not draft.suffices,
            words=len(again.text.split()),
            words_other=len(draft.text.split()),
            took_ms=round(took_ms),
            took_ms_other=round(run.timings_ms["answered"] - run.timings_ms["retrieved"]),
            supported_percent=_supported(again.sentences),
            supported_percent_other=_supported(draft.sentences),
        )
        await self._recorder.record(figures)


def agree(one: Draft, other: Draft) -> bool:
    """Whether two drafts come to the same: neither suffices, or both do, by a common passage and with equal numbers."""
    if not (one.suffices and other.suffices):
        return one.suffices == other.suffices
    passages = [{sentence.passage for sentence in draft.sentences} for draft in (one, other)]
    return not passages[0].isdisjoint(passages[1]) and _numbers(one) == _numbers(other)


def _numbers(draft: Draft) -> list[str]:
    return sorted(set(re.findall(r"\d+(?:[.,]\d+)*", draft.text)))


def _supported(sentences: Sequence[SupportedSentence]) -> int:
    return round(100 * sum(sentence.supported for sentence in sentences) / len(sentences)) if sentences else 0
