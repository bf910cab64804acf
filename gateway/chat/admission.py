"""How many questions are answered at once: a few for each person, some for all; more wait, and not for long.

An answer takes seconds of the whole machine, so a queue without end would only make everyone wait for nothing.
"""

import asyncio

from gateway.chat.schemas import Answer
from gateway.chat.service import Question
from gateway.config import ServerOptions
from gateway.errors import QuotaExceededError, TooManyRequestsError
from gateway.fair_places import FairPlaces, Room
from gateway.health.service import Readiness
from gateway.metrics import Metrics
from gateway.recording import new_request_id
from gateway.services import Services
from policies.principals import Principal

_PLACES = "(places)"
"""What the bounds on questions at once are called where limits have names; no limit of the settings can have it."""


class Admission:
    """Lets questions in, and counts what becomes of them. Used from one event loop."""

    def __init__(self, services: Services, readiness: Readiness, metrics: Metrics, options: ServerOptions) -> None:
        self._services = services
        self._readiness = readiness
        self._metrics = metrics
        room = Room(options.questions_at_once, options.questions_each, options.questions_waiting, options.wait_seconds)
        self._places = FairPlaces("questions", room)
        self._metrics.questions_waiting.set_function(lambda: self._places.waiting)

    async def ask(self, question: Question) -> Answer:
        """Answer a question, if there is room for it, or will be soon.

        Raises:
            NotReadyError: The service is still starting.
            QuotaExceededError: A limit of this person's is used up.
            TooManyRequestsError: All of this person's places are taken, or others wait already.
        """
        self._readiness.require()
        person = question.principal
        try:
            model = self._services.served.named(question.model).id
            await self._services.usage.require_room(new_request_id(), person, model)
            async with self._places.taken(person.id, self._weight(person)):
                with self._metrics.questions_running.track_inprogress():
                    answer = await self._services.chats.ask(question)
        except (Exception, asyncio.CancelledError) as error:
            self._metrics.questions.labels(_outcome(error)).inc()
            if isinstance(error, TooManyRequestsError) and not isinstance(error, QuotaExceededError):
                self._metrics.refusals.labels(_PLACES).inc()
            raise
        self._metrics.count_answer(answer)
        return answer

    def _weight(self, person: Principal) -> float:
        """The share of somebody: the largest of their groups'."""
        weights = self._services.config.usage.weights
        return max((weights[group] for group in person.groups & weights.keys()), default=1.0)


def _outcome(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return "refused" if isinstance(error, TooManyRequestsError) else "failed"
