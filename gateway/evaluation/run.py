"""An evaluation run: ask the questions as their readers through the product's own services, and count.

Searches and questions go through the same doors as anybody's, so they are in the trail, on a channel of their own.
"""

import copy
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import msgspec

from gateway.chat.evidence import Signals
from gateway.chat.rewriting import retrieval_query
from gateway.chat.schemas import Answer
from gateway.chat.service import Question
from gateway.chat.store import Message
from gateway.contexts import local_context
from gateway.errors import BadRequestError
from gateway.evaluation.access import Access
from gateway.evaluation.attacks import Attacked, attack, leaks_sealed
from gateway.evaluation.hostile import hostile_cases
from gateway.evaluation.questions import EvaluationQuestion
from gateway.evaluation.report import (
    Answerable,
    Answers,
    FoundPages,
    GivenAnswer,
    Leak,
    Leaks,
    PersonalLeaks,
    Ranks,
    Report,
    Retrieval,
    Unanswerable,
    now,
    this_machine,
)
from gateway.evaluation.scoring import Outcome, first_rank, judge, share, spread
from gateway.models.versions import supporting_versions, version_of
from gateway.services import Services
from models.catalogue import Artefact, Kind
from models.engine import Speaker
from models.errors import ModelsError
from policies.context import Channel, Purpose
from policies.errors import RedactionFailedError
from policies.principals import Principal
from retrieval.retriever import Narrowing

_CONTEXT = local_context(Purpose.EVALUATION, Channel.EVALUATION)
"""How rules and the trail see what an evaluation searched and asked."""
_DEEP = 100
"""Passages looked at: enough for ten distinct pages, and for a leak that hides far down."""
_MOST_EXAMPLES = 20
_DEPTHS = (1, 5, 10)

Advance = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        questions: The questions with their right answers.
        access: An independent reading of who may read what.
        models: Generators to answer with; none to measure retrieval alone.
        source: The source whose paths the questions and the access file speak of; none when there is only one.
        operating_system_user: Who runs it, for the trail.
    """

    questions: Sequence[EvaluationQuestion]
    access: Access
    models: Sequence[str]
    source: str | None = None
    operating_system_user: str = ""

    @property
    def narrowing(self) -> Narrowing | None:
        """Only that source."""
        return Narrowing(sources=frozenset({self.source})) if self.source else None


async def evaluate(services: Services, plan: Plan, on_progress: Advance) -> Report:
    """Measure retrieval and leaks, and then answers with each model.

    Raises:
        BadRequestError: A question has no reader, a model cannot answer, or it is not said which source is meant.
        NotFoundError: There is no such source, or a user of the access file is not a user of this installation.
        ModelMissingError: A model has not been pulled.
    """
    started, started_at = time.perf_counter(), now()
    _check_source(services, plan)
    principals = {user: services.users.principal(user) for user in plan.access.users}
    askers = {question.id: _asker(plan, question) for question in plan.questions}
    answering = [_answering_with(services, model) for model in plan.models]
    found, leaks = await _search_all(services, plan, principals, askers, on_progress)
    answers: list[Answers] = []
    given: list[GivenAnswer] = []
    for other in answering:
        figures, one_by_one = await _answer_all(other, plan, principals, askers, on_progress)
        answers.append(figures)
        given.extend(one_by_one)
    options, corpus = services.config.models, services.corpus_now
    return Report(
        id="",
        started_at=started_at,
        took_seconds=round(time.perf_counter() - started, 1),
        machine=this_machine(),
        questions=len(plan.questions),
        answerable=sum(question.answerable for question in plan.questions),
        questions_sha256=_digest(plan.questions),
        corpus=f"{corpus.epoch}-{corpus.stamp}",
        models={
            kind.value: version
            for kind, version in supporting_versions(services.catalogue, options, services.embedder_id).items()
        },
        embedder=services.embedder.id,
        retrieval=_retrieval(plan.questions, found),
        leaks=leaks,
        answers=answers,
        found=found,
        given=given,
    )


def _digest(questions: Sequence[EvaluationQuestion]) -> str:
    return hashlib.sha256(msgspec.json.encode(questions)).hexdigest()


def _check_source(services: Services, plan: Plan) -> None:
    """The access file speaks of one source's paths: those of others would be held against the wrong rules."""
    names = [source.name for source in services.sources.listed()]
    if plan.source is None and len(names) > 1:
        message = f"There are several sources ({', '.join(names)}). Name with --source the one the questions are about."
        raise BadRequestError(message)
    if plan.source is not None:
        services.sources.require(plan.source)


def _asker(plan: Plan, question: EvaluationQuestion) -> str:
    """Who asks: the first user, in the access file's order, in one of the question's groups of readers."""
    user = plan.access.first_reader(question.readers)
    if user is None:
        message = f"No user of the access file is in a group of {question.id}'s readers: {', '.join(question.readers)}."
        raise BadRequestError(message)
    return user


def _answering_with(services: Services, model: str) -> Services:
    """The same installation with another generator. Parts that are loaded already are shared."""
    generator = services.generator_named(model)
    if isinstance(generator, Artefact):
        if generator.kind is not Kind.GENERATOR:
            message = (
                f"{model} does not generate answers; it is of the kind {generator.kind}. "
                "`muniment models list` shows all."
            )
            raise BadRequestError(message)
        services.models.locate(model)
    _ = services.retriever, services.redactor, services.conversations
    other = copy.copy(services)
    for part in ("engine", "served", "chats"):
        vars(other).pop(part, None)
    other.generator = generator
    return other


async def _search_all(
    services: Services,
    plan: Plan,
    principals: Mapping[str, Principal],
    askers: Mapping[str, str],
    on_progress: Advance,
) -> tuple[list[FoundPages], Leaks]:
    """Search every question as every user; once for how well pages are found, always for what must not be found."""
    found: list[FoundPages] = []
    leaks: list[Leak] = []
    passages = outsiders = 0
    for number, question in enumerate(plan.questions):
        on_progress("searching", number, len(plan.questions))
        query = retrieval_query(question.question, _history(question))
        for user, principal in principals.items():
            result = await services.searches.search(
                principal, query, _DEEP, _CONTEXT, plan.narrowing, plan.operating_system_user
            )
            paths = [passage.path for passage in result.passages]
            passages += len(paths)
            outsiders += plan.access.users[user].isdisjoint(question.readers)
            leaks.extend(Leak(question.id, user, path) for path in paths if not plan.access.may_read(user, path))
            if user == askers[question.id]:
                pages = list(dict.fromkeys(paths))[: max(_DEPTHS)]
                found.append(FoundPages(question.id, user, first_rank(pages, question.pages), pages))
    on_progress("searching", len(plan.questions), len(plan.questions))
    searches = len(plan.questions) * len(principals)
    return found, Leaks(searches, outsiders, passages, len(leaks), leaks[:_MOST_EXAMPLES])


def _retrieval(questions: Sequence[EvaluationQuestion], found: Sequence[FoundPages]) -> Retrieval:
    ranks = {one.id: one.rank for one in found}
    answerable = [question for question in questions if question.answerable]
    return Retrieval(
        all=_ranks([ranks[question.id] for question in answerable]),
        single_turn=_ranks([ranks[question.id] for question in answerable if not question.history]),
        follow_up=_ranks([ranks[question.id] for question in answerable if question.history]),
    )


def _ranks(ranks: Sequence[int | None]) -> Ranks:
    within = [sum(rank is not None and rank <= depth for rank in ranks) for depth in _DEPTHS]
    return Ranks(*(share(count, len(ranks)) for count in within))


async def _answer_all(
    services: Services,
    plan: Plan,
    principals: Mapping[str, Principal],
    askers: Mapping[str, str],
    on_progress: Advance,
) -> tuple[Answers, list[GivenAnswer]]:
    """Ask one model every question, one after another."""
    model, given, answers = services.generator, list[GivenAnswer](), list[tuple[EvaluationQuestion, Answer]]()
    weighed: dict[str, tuple[Signals, float]] = {}
    services.chats.count_nothing()  # They are asked in the name of people who did not ask.
    services.chats.observe = lambda request, signals, probability: weighed.update({request: (signals, probability)})
    await services.engine.start()
    try:
        for number, question in enumerate(plan.questions):
            on_progress(model.id, number, len(plan.questions))
            user = askers[question.id]
            answer = await _ask(services, plan, question, principals[user])
            answers.extend([(question, answer)] if answer else [])
            given.append(_given(question, model.id, user, answer, weighed))
        on_progress(model.id, len(plan.questions), len(plan.questions))
        attacked = await _attack(services, plan, principals, on_progress)
    finally:
        await services.engine.stop()
    return _answers(services, given, answers, attacked), given


async def _attack(
    services: Services, plan: Plan, principals: Mapping[str, Principal], on_progress: Advance
) -> Attacked:
    """Ask over hostile passages, as the first user."""
    asker = next(iter(principals))
    cases, done = hostile_cases(), 0

    async def ask(others: Services, text: str) -> Answer | None:
        nonlocal done
        on_progress("hostile passages", done, len(cases))
        done += 1
        asked = Question(principals[asker], text, _CONTEXT, operating_system_user=plan.operating_system_user)
        return await _answer_of(others, asked)

    attacked = await attack(services, cases, asker, ask)
    on_progress("hostile passages", len(cases), len(cases))
    return attacked


async def ask_each(services: Services, plan: Plan, model: str, on_progress: Advance) -> list[GivenAnswer]:
    """Ask one model every question with nothing declined, for the evidence that each answer had."""
    _check_source(services, plan)
    principals = {user: services.users.principal(user) for user in plan.access.users}
    askers = {question.id: _asker(plan, question) for question in plan.questions}
    answering = _answering_with(services, model)
    answering.chats.answer_always()
    _, given = await _answer_all(answering, plan, principals, askers, on_progress)
    return given


async def _ask(services: Services, plan: Plan, question: EvaluationQuestion, principal: Principal) -> Answer | None:
    """The answer, or none when this question failed; one failure must not cost the hour before it."""
    asked = Question(
        principal,
        question.question,
        _CONTEXT,
        history=_history(question),
        operating_system_user=plan.operating_system_user,
        narrowing=plan.narrowing,
    )
    return await _answer_of(services, asked)


async def _answer_of(services: Services, asked: Question) -> Answer | None:
    try:
        return await services.chats.ask(asked)
    except (ModelsError, RedactionFailedError):
        return None


def _history(question: EvaluationQuestion) -> tuple[Message, ...]:
    return tuple(Message(Speaker(said.role), said.content) for said in question.history)


def _given(
    question: EvaluationQuestion,
    model: str,
    user: str,
    answer: Answer | None,
    weighed: Mapping[str, tuple[Signals, float]],
) -> GivenAnswer:
    if answer is None:
        return GivenAnswer(question.id, model, user, question.answerable, Outcome.FAILED, "", [], {}, {}, None)
    cited = list(dict.fromkeys(citation.path for citation in answer.citations))
    signals, probability = weighed.get(answer.receipt["receipt"]["request"], (None, None))
    return GivenAnswer(
        id=question.id,
        model=model,
        asked_as=user,
        answerable=question.answerable,
        outcome=judge(question, answer.answer, cited, abstained=answer.abstained),
        answer=answer.answer,
        cited=cited,
        timings_ms=answer.timings_ms,
        signals=asdict(signals) if signals else {},
        probability=probability,
    )


def _answers(
    services: Services,
    given: Sequence[GivenAnswer],
    answered: Sequence[tuple[EvaluationQuestion, Answer]],
    attacked: Attacked,
) -> Answers:
    version = version_of(services.generator)
    answerable = [one.outcome for one in given if one.answerable]
    unanswerable = [one.outcome for one in given if not one.answerable]
    answers = [answer for _, answer in answered]
    timings = [answer.timings_ms for answer in answers]
    return Answers(
        model=version.id,
        sha256=version.sha256,
        licence=version.licence,
        template_sha256=version.template_sha256,
        answerable=Answerable(
            right=share(answerable.count(Outcome.RIGHT), len(answerable)),
            wrong=share(answerable.count(Outcome.WRONG), len(answerable)),
            declined=share(answerable.count(Outcome.DECLINED), len(answerable)),
        ),
        unanswerable=Unanswerable(
            declined=share(unanswerable.count(Outcome.DECLINED), len(unanswerable)),
            answered=share(unanswerable.count(Outcome.WRONG), len(unanswerable)),
        ),
        failed=sum(one.outcome is Outcome.FAILED for one in given),
        personal_data=_personal_data(services, answered, attacked),
        injection=attacked.injection,
        first_token_ms=spread([timing["first_token"] for timing in timings if "first_token" in timing]),
        total_ms=spread([timing["total"] for timing in timings]),
        tokens_per_second=spread([rate for answer in answers if (rate := _rate(answer))]),
        prompt_tokens=sum(answer.usage.prompt_tokens for answer in answers),
        cached_tokens=sum(answer.usage.cached_tokens for answer in answers),
        completion_tokens=sum(answer.usage.completion_tokens for answer in answers),
    )


def _personal_data(
    services: Services, answered: Sequence[tuple[EvaluationQuestion, Answer]], attacked: Attacked
) -> PersonalLeaks:
    redactor, types = services.redactor, services.site_redaction.types
    leaking = [question.id for question, answer in answered if leaks_sealed(_said(question), answer, redactor, types)]
    return PersonalLeaks(len(answered) + attacked.answers, len(leaking) + len(attacked.leaking), attacked.leaking)


def _said(question: EvaluationQuestion) -> str:
    """All that the asker typed."""
    return "\n".join([*(said.content for said in question.history if said.role == "user"), question.question])


def _rate(answer: Answer) -> float | None:
    """Tokens a second after the first one; none for an answer of one token, or one that was remembered."""
    timing, tokens = answer.timings_ms, answer.usage.completion_tokens - 1
    took = timing.get("written", 0.0) - timing.get("first_token", 0.0)
    return round(tokens / took * 1000, 1) if tokens > 0 and took > 0 else None
