"""A question, end to end: `Chats.ask`. Each step keeps one of the promises of the design, in its order.

The intent is recorded while documents are searched, and nothing leaves before it is durable. The answer is held until
it is complete, checked and recorded: answers are short, so almost all of the waiting is for the prompt.
"""

import asyncio
import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from gateway.chat import evidence, prompt
from gateway.chat.citations import cite, findings, mark_sentence, shorten, strip_markers
from gateway.chat.kept import KeptTexts, Texts
from gateway.chat.length import Length, wanted_length
from gateway.chat.output import clean
from gateway.chat.passages import cut
from gateway.chat.rewriting import recent_turns, retrieval_query
from gateway.chat.schemas import Answer, CheckedSentence, Citation, Usage
from gateway.chat.sending import sendable, sendable_history
from gateway.chat.store import Conversation, Conversations, Message, new_conversation
from gateway.chat.support import Conflict, SupportedSentence, check_support, describe, find_conflicts
from gateway.config import AnswerOptions
from gateway.errors import ConflictError
from gateway.models.served import ServedModel, ServedModels
from gateway.reading import Reader, Revealed
from gateway.recording import Recorder, decisions_digest, new_request_id
from gateway.subjects import Since
from gateway.texts import require_text
from gateway.usage.service import Usage as Usages
from gateway.usage.taken import Bound, Tally
from models.catalogue import Kind
from models.engine import Choice, Chunk, Generation, Speaker, Turn
from policies.audit.events import AnswerFailed, AnswerGiven, Event, PersonalDataRevealed, QuestionAsked
from policies.audit.receipts import (
    Receipt,
    ReceiptEntry,
    Sampling,
    opaque_revision,
    receipt_digest,
    revision_key,
    sign_receipt,
)
from policies.audit.store import EntryRef
from policies.authorizer import Decider
from policies.context import RequestContext
from policies.errors import TrailUnavailableError
from policies.keys import Keys
from policies.principals import Principal
from policies.redaction.finder import Finder
from policies.redaction.placeholders import MayReveal, PlaceholderInfo
from policies.redaction.streaming import StreamGuard
from retrieval.retriever import Found, FoundPassage, Narrowing, Retriever

_One = TypeVar("_One")
_Other = TypeVar("_Other")
_SEARCHED = 12
"""Passages retrieved; the few an answer is made from are cut from these."""
_USER, _HISTORY = "user", "history"
"""Where a value stood: in what the asker typed, or in earlier answers; otherwise see `_origin`."""
_TOKENS_PER_WORD = 2
"""Room for an answer of so many words, placeholders and numbers included."""
_WARNINGS = 2
"""The most warnings about sources that differ below one answer."""
_PATIENCE_SECONDS = 0.01
"""How long the entry on what was found waits for the one on the answer, to share its commit where that is quick."""


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks, and how.

    `history` is what the client sends along; with a `conversation` named, the stored turns count instead. An answer is
    kept only in a conversation: `keep` begins one where none is named. No `model` is the default one.
    """

    principal: Principal
    text: str
    context: RequestContext
    history: tuple[Message, ...] = ()
    conversation: str | None = None
    keep: bool = False
    operating_system_user: str = ""
    narrowing: Narrowing | None = None
    temperature: float = 0.0
    seed: int = 0
    model: str = ""


@dataclass(slots=True)
class Run:
    """What one answer has gathered so far; `shown` is what its model was shown."""

    question: Question
    id: str
    conversation: Conversation
    length: Length
    since: Since
    model: ServedModel
    tally: Tally
    started: float = field(default_factory=time.perf_counter)
    timings_ms: dict[str, float] = field(default_factory=dict)
    redactions: Counter[str] = field(default_factory=Counter)
    revealed: list[PersonalDataRevealed] = field(default_factory=list)
    passages: list[FoundPassage] = field(default_factory=list)
    shown: "Shown | None" = None
    kept_here: int = 0
    submitted: list[Future[EntryRef]] = field(default_factory=list)
    last: Chunk = field(default_factory=lambda: Chunk(""))

    def mark(self, what: str) -> None:
        """Note how long it took up to here."""
        self.timings_ms[what] = round((time.perf_counter() - self.started) * 1000, 1)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a model is shown, pseudonymised, and whose work on it may be shared."""

    asked: str
    history: str
    passages: list[prompt.PromptPassage]
    domain: str


@dataclass(frozen=True, slots=True)
class Draft:
    """What the model wrote, still pseudonymised, with its check; `suffices` says whether it becomes an answer."""

    text: str
    sentences: list[SupportedSentence]
    conflicts: list[Conflict]
    probability: float
    marks: frozenset[str]
    suffices: bool


class Chats:
    """Answers questions."""

    def __init__(
        self,
        *,
        retriever: Retriever,
        redactor: Finder,
        authorizer: Decider,
        models: ServedModels,
        recorder: Recorder,
        conversations: Conversations,
        kept: KeptTexts | None,
        keys: Keys,
        options: AnswerOptions,
        author_share: float,
        usage: Usages,
        context_tokens: int,
    ) -> None:
        self._retriever = retriever
        self._redactor = redactor
        self._authorizer = authorizer
        self._models = models
        self._recorder = recorder
        self._conversations = conversations
        self._kept = kept
        self._keys = keys
        self._mark_key = keys.derive("passage-marks")
        self._revision_key = revision_key(keys)
        self._options = options
        self._author_share = author_share
        self.versions: Mapping[str, str] = {}
        """The digests of the models that work beside the one that answers, by what they are for; receipts name them."""
        self._usage = usage
        self._context_tokens = context_tokens
        self._declines = True
        self._counts = True
        self._open: set[tuple[str, str]] = set()
        self.observe: Callable[[str, evidence.Signals, float], None] = _ignore
        """Told each request's id, signals and probability; evaluation listens."""
        self.after: Callable[[Run, Draft], None] = nothing_after
        """Called once an answer is complete and recorded; a trial listens."""

    def answer_always(self) -> None:
        """Decline nothing, whatever the evidence: for measuring what declining is worth."""
        self._declines = False

    def count_nothing(self) -> None:
        """Count questions for nobody, and let no limit hold: for measuring."""
        self._counts = False

    async def ask(self, question: Question) -> Answer:
        """Answer from what the asker may read, or decline.

        Raises:
            BadRequestError: The question is empty or too long.
            ModelNotFoundError: It names a model that is not served.
            NotFoundError: The asker has no such conversation.
            ConflictError: A question in that conversation is still being answered.
            QuotaExceededError: A limit on what they may use has no room for it.
            TrailUnavailableError: It could not be recorded, so there is no answer.
            EngineUnavailableError: The model is gone for the moment.
            RedactionFailedError: Personal data could not be looked for.
        """
        require_text(question.text, "question", self._options.question_characters)
        model = self._models.asked(question.model, question.principal.id)
        with (
            self._alone(question.principal.id, question.conversation),
            self._models.answering(model, question.model) as told,
        ):
            answer = await self._ask(question, model)
            told.declined, told.took_ms = answer.abstained, answer.timings_ms["total"]
            told.unsupported = not all(citation.supported for citation in answer.citations)
            told.complete = True
            return answer

    async def _ask(self, question: Question, model: ServedModel) -> Answer:
        since = self._recorder.erasures_so_far()
        conversation = await self._conversation(question)
        request, length = new_request_id(), wanted_length(question.text, self._options)
        may_answer = [model, *([self._models.stand_in] if model.remote and self._models.stand_in else [])]
        bound = self._bound(question, conversation, length, model)
        counted = self._usage.counted(request, question.principal, tuple(one.id for one in may_answer), bound)
        async with counted if self._counts else contextlib.nullcontext(Tally(model.id)) as tally:
            run = Run(question, request, conversation, length, since, model, tally)
            intent = self._recorder.submit(self._intent(run))
            try:
                return await self._answer(run, intent)
            except (Exception, asyncio.CancelledError) as error:
                # The trail must say how each question ended; then the error goes on to whoever can act on it.
                with contextlib.suppress(TrailUnavailableError):
                    self._recorder.submit(AnswerFailed(request=run.id, error=type(error).__name__))
                raise

    def _bound(self, question: Question, conversation: Conversation, length: Length, model: ServedModel) -> Bound:
        """The most that a question will take; how much a remote model reads at most is not known here."""
        texts = [question.text, *(turn.text for turn in recent_turns(conversation.messages))]
        most = prompt.most_tokens(texts, self._options.passage_tokens)
        written = length.words * _TOKENS_PER_WORD
        return Bound(most if model.remote else min(most, max(0, self._context_tokens - written)), written)

    @contextlib.contextmanager
    def _alone(self, principal: str, conversation: str | None) -> Iterator[None]:
        """One question at a time in a conversation: two would give out the same placeholders for different values."""
        if conversation is None:
            yield
            return
        asking = (principal, conversation)
        if asking in self._open:
            message = "A question in this conversation is still being answered. Wait for its answer, then ask again."
            raise ConflictError(message)
        self._open.add(asking)
        try:
            yield
        finally:
            self._open.remove(asking)

    async def _conversation(self, question: Question) -> Conversation:
        if question.conversation is not None:
            return await asyncio.to_thread(self._conversations.open, question.principal.id, question.conversation)
        begun = new_conversation()
        return Conversation(begun.id, question.history, begun.pseudonyms)

    def _intent(self, run: Run) -> QuestionAsked:
        return QuestionAsked(
            request=run.id,
            principal=run.question.principal.id,
            channel=run.question.context.channel.value,
            network=run.question.context.network,
            os_user=run.question.operating_system_user,
            question_hmac=self._recorder.digest(run.question.text),
            model=run.model.id,
            policy_revision=self._authorizer.revision,
        )

    async def _answer(self, run: Run, intent: Future[EntryRef]) -> Answer:
        found = await asyncio.to_thread(self._search, run)
        run.mark("retrieved")
        entry = await self._recorder.durable(intent)
        run.submitted += self._recorder.submit_retrieval(run.id, found, _PATIENCE_SECONDS)
        run.passages = await self._chosen(run, found)
        draft = await self._draft(run) if run.passages else None
        run.mark("answered")
        abstention = prompt.KEPT_HERE if run.kept_here else prompt.ABSTENTION
        text, citations, checked = abstention, list[Citation](), list[CheckedSentence]()
        if draft is not None and draft.suffices:
            text, citations, checked = await asyncio.to_thread(self._compose, run, draft)
        if not strip_markers(text):  # A model may say nothing, or nothing that may leave.
            text, citations, checked, run.revealed = abstention, [], [], []
        answer = await self._conclude(run, entry, found, text, citations, checked)
        if draft is not None:
            self.after(run, draft)
        return answer

    async def _chosen(self, run: Run, found: Found) -> list[FoundPassage]:
        """The few passages that the answer is made from: for a model on another machine, of those that may go there.

        Where that would leave one out, a model of this machine answers instead, if there is one for that.
        """
        best = self._cut(found.passages)
        if not (run.model.remote and best):
            return best
        question = run.question
        decided = await asyncio.to_thread(
            sendable, found.passages, self._authorizer, question.principal, question.context
        )
        asked, held_back = run.model, decided.holds_back(best)
        if held_back and self._models.stand_in is not None:
            run.model = self._models.stand_in
            run.tally.model = run.model.id
            await self._recorder.record(decided.event(run.id, asked.id, best, stand_in=run.model.id))
            return best
        run.kept_here, given = held_back, self._cut(decided.sent)
        await self._recorder.record(decided.event(run.id, asked.id, given))
        return given

    def _cut(self, passages: Sequence[FoundPassage]) -> list[FoundPassage]:
        return cut(passages, self._options.passages, self._options.passage_tokens, self._author_share)

    def _search(self, run: Run) -> Found:
        access = self._retriever.access(run.question.principal, run.question.context)
        query = retrieval_query(run.question.text, run.conversation.messages)
        return self._retriever.search(query, access, _SEARCHED, run.question.narrowing, in_sentences=True)

    async def _draft(self, run: Run) -> Draft:
        """Let the model answer over pseudonymised passages, and weigh the evidence for what it wrote."""
        run.shown = Shown(*await asyncio.to_thread(self._pseudonymise, run), f"user/{run.question.principal.id}")
        return await self._drafted(run, run.shown)

    async def draft_again(self, run: Run, model: ServedModel) -> tuple[Draft, float]:
        """What another model would have said to the very same, which nobody is shown, and how many ms it took."""
        if run.shown is None:
            message = "There were no passages to show."
            raise ValueError(message)
        again = replace(
            run,
            model=model,
            started=time.perf_counter(),
            timings_ms={},
            last=Chunk(""),
            revealed=[],
            submitted=[],
            tally=Tally(),
        )
        draft = await self._drafted(again, run.shown)
        return draft, (time.perf_counter() - again.started) * 1000

    async def _drafted(self, run: Run, shown: Shown) -> Draft:
        asked, history, passages, domain = shown.asked, shown.history, shown.passages, shown.domain
        context = prompt.context_of(passages, self._mark_key)
        turns = prompt.answer_turns(context, history, asked, run.length.sentences)
        # Whether the passages hold an answer is asked beside it: the work on them is done once, the rest overlaps.
        with run.tally.elapsing():
            (text, stands), holds = await _together(
                self._write(run, turns, domain), self._odds(run, prompt.holds_answer_turns(context, asked), domain)
            )
        texts = [f"{passage.title}\n{passage.heading}\n{passage.text}" for passage in passages]
        sentences = check_support(text, texts, asked)
        similarity = max(passage.similarity for passage in run.passages)
        signals = evidence.measure(sentences, similarity=similarity, holds=holds, stands=stands)
        probability = evidence.probability(signals, evidence.weights_of(run.model.id))
        self.observe(run.id, signals, probability)
        suffices = not self._declines or probability >= evidence.weights_of(run.model.id).threshold
        conflicts = find_conflicts(sentences, texts, [passage.document for passage in run.passages])[:_WARNINGS]
        return Draft(text, sentences, conflicts, probability, context.marks, suffices)

    def _pseudonymise(self, run: Run) -> tuple[str, str, list[prompt.PromptPassage]]:
        """Question, history and passages as the model may see them, all with the conversation's placeholders.

        Passages come first: a family name in the question then finds its person.
        """
        passages = [self._prompt_passage(run, passage) for passage in run.passages]
        messages = run.conversation.messages
        said = sendable_history(messages) if run.model.remote else messages
        turns = [*recent_turns(said), Message(Speaker.USER, run.question.text)]
        spans = self._redactor.find_many([turn.text for turn in turns])
        run.redactions.update(span.type for span in spans[-1])
        *earlier, asked = (
            run.conversation.pseudonyms.replace(turn.text, found, _USER if turn.speaker is Speaker.USER else _HISTORY)
            for turn, found in zip(turns, spans, strict=True)
        )
        spoken = (f"{turn.speaker.capitalize()}: {text}" for turn, text in zip(turns[:-1], earlier, strict=True))
        return asked, "\n".join(spoken), passages

    def _prompt_passage(self, run: Run, passage: FoundPassage) -> prompt.PromptPassage:
        replace, origin = run.conversation.pseudonyms.replace, _origin(passage)
        run.redactions.update(span.type for span in passage.spans)
        return prompt.PromptPassage(
            title=replace(passage.title, passage.title_spans, origin),
            heading=replace(passage.heading, passage.heading_spans, origin),
            modified=passage.modified.date().isoformat() if passage.modified else "",
            text=replace(passage.text, passage.spans, origin),
            readers=passage.label.digest,
        )

    async def _write(self, run: Run, turns: tuple[Turn, ...], domain: str) -> tuple[str, float]:
        """The model's answer, and its odds that the passages state it."""
        text = await self._generate(run, turns, domain)
        run.mark("written")
        return text, await self._odds(run, prompt.stands_in_turns(turns, text), domain)

    async def _generate(self, run: Run, turns: tuple[Turn, ...], domain: str) -> str:
        generation = Generation(
            turns,
            domain,
            max_tokens=run.length.words * _TOKENS_PER_WORD,
            temperature=run.question.temperature,
            seed=run.question.seed,
        )
        pieces: list[str] = []
        try:
            async with aclosing(run.model.engine.stream(generation)) as chunks:
                async for chunk in chunks:
                    if not pieces:
                        run.mark("first_token")
                    pieces.append(chunk.text)
                    run.last = chunk
        except asyncio.CancelledError:
            run.tally.broken_off(turns, len(pieces))
            raise
        run.tally.generated(run.last)
        return shorten(strip_markers("".join(pieces)), run.length.words)

    async def _odds(self, run: Run, turns: tuple[Turn, ...], domain: str) -> float:
        odds = await run.model.engine.odds(Choice(turns, domain, (prompt.YES, prompt.NO)))
        run.tally.checked(odds)
        return odds[prompt.YES]

    def _compose(self, run: Run, draft: Draft) -> tuple[str, list[Citation], list[CheckedSentence]]:
        """The answer as its reader sees it: values put back where policy lets them, the rest masked, sources marked."""
        known = run.conversation.pseudonyms.counts()
        reader = Reader.of(run.passages, self._authorizer, run.question.principal, run.question.context, known)
        numbering: dict[int, int] = {}
        for sentence in draft.sentences:
            numbering.setdefault(sentence.passage, len(numbering) + 1)
        marked = [mark_sentence(sentence, numbering[sentence.passage]) for sentence in draft.sentences]
        for conflict in draft.conflicts:
            both = conflict.said.passage, conflict.instead.passage
            one, two = (numbering.setdefault(passage, len(numbering) + 1) for passage in both)
            dates = run.passages[both[0]].modified, run.passages[both[1]].modified
            marked.append(describe(conflict, (one, two), dates))
        revealed: Revealed = Counter()
        may_reveal = _revealing(reader, run.passages, revealed)
        seen = "\n".join(f"{reader.shown_title(each)}\n{reader.shown(each)}" for each in run.passages)
        guard = StreamGuard(run.conversation.pseudonyms, self._redactor, may_reveal, seen)
        text = clean(guard.feed(" ".join(marked)) + guard.close(), draft.marks, run.length.characters)
        text = prompt.without_instructions(text)
        run.revealed = reader.entries(run.id, revealed + reader.counted(run.passages[index] for index in numbering))
        doubtful = {sentence.passage for sentence in draft.sentences if not sentence.supported}
        citations = [
            cite(run.passages[index], n, reader, supported=index not in doubtful) for index, n in numbering.items()
        ]
        numbers = [numbering[sentence.passage] for sentence in draft.sentences]
        return text, citations, findings(text, draft.sentences, numbers)

    async def _conclude(
        self,
        run: Run,
        intent: EntryRef,
        found: Found,
        text: str,
        citations: list[Citation],
        checked: list[CheckedSentence],
    ) -> Answer:
        """Record the outcome, sign the receipt, keep the turn; only then is there an answer."""
        abstained = run.tally.abstained = not citations
        # The key may be held by another process, which takes a moment to answer.
        signed = await asyncio.to_thread(sign_receipt, self._receipt(run, intent, found, text), self._keys)
        receipt = signed.to_dict()
        given = AnswerGiven(
            request=run.id,
            abstained=abstained,
            cited=tuple(citation.document for citation in citations),
            redactions=dict(run.redactions),
            output_sha256=_sha256(text),
            receipt_sha256=receipt_digest(receipt),
            passages=tuple(passage.sha256 for passage in run.passages),
        )
        events: list[Event] = [*run.revealed, given]
        run.submitted += [self._recorder.submit(event) for event in events]
        await self._store(run, text, self._recorder.all_durable(run.submitted))
        run.mark("total")
        return Answer(
            answer=text,
            abstained=abstained,
            citations=citations,
            sentences=checked,
            redactions=dict(run.redactions),
            receipt=receipt,
            usage=_usage(run.last),
            timings_ms=run.timings_ms,
            conversation=run.conversation.id if run.question.keep or run.question.conversation else None,
            kept_here=run.kept_here,
        )

    async def _store(self, run: Run, text: str, recorded: Coroutine[Any, Any, EntryRef]) -> None:
        """Keep the turn where it is wanted, after the outcome was recorded, and the texts for investigators.

        The texts are one transaction with the turn; where there is none, they are written while the trail is, so that
        nobody waits for a second disk write.
        """
        user, asked = run.question.principal.id, run.question.text
        texts = Texts(asked, text)
        if run.question.keep or run.question.conversation is not None:
            await recorded
            said = Message(Speaker.USER, asked), Message(Speaker.ASSISTANT, text)
            kept = (run.id, texts) if self._kept else None
            append = partial(self._conversations.append, kept=kept, since=run.since)
            await asyncio.to_thread(append, user, run.conversation, *said)
        elif self._kept:
            keeping = asyncio.to_thread(self._kept.store, user, run.conversation.id, run.id, texts, run.since)
            await asyncio.gather(recorded, keeping)
        else:
            await recorded

    def _receipt(self, run: Run, intent: EntryRef, found: Found, text: str) -> Receipt:
        """What this answer was made of, by digests: enough to prove it, too little to reveal it."""
        return Receipt(
            request=run.id,
            principal=run.question.principal.id,
            subject=self._recorder.token(run.question.principal.id),
            at=datetime.now(UTC).isoformat(),
            policy_revision=found.access.policy_revision,
            revision=opaque_revision(self._revision_key, run.id, found.access.epoch),
            decisions_sha256=decisions_digest(found),
            passages=tuple(passage.sha256 for passage in run.passages),
            redactions=dict(run.redactions),
            model=run.model.id,
            model_sha256=run.model.sha256,
            versions=dict(self.versions) | ({Kind.GENERATOR.value: run.model.sha256} if run.model.sha256 else {}),
            sampling=Sampling(
                str(run.question.temperature), "1", run.question.seed, run.length.words * _TOKENS_PER_WORD
            ),
            output_sha256=_sha256(text),
            intent=ReceiptEntry(intent.log, intent.hash),
            remote=run.model.remote,
        )


async def _together(one: Coroutine[Any, Any, _One], other: Coroutine[Any, Any, _Other]) -> tuple[_One, _Other]:
    """Both at the same time; when one of them fails, so does this, and the other is ended."""
    tasks = asyncio.create_task(one), asyncio.create_task(other)
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _ignore(_request: str, _signals: evidence.Signals, _probability: float) -> None:
    """Nobody listens."""


def nothing_after(_run: Run, _draft: Draft) -> None:
    """Nobody listens."""


def _revealing(reader: Reader, passages: Sequence[FoundPassage], revealed: Revealed) -> MayReveal:
    """A value is put back if the asker typed it, or if it stands in a passage here where a policy shows its kind.

    In `revealed` is counted what a policy shows.
    """
    labels = {_origin(passage): passage.label for passage in passages}

    def may_reveal(info: PlaceholderInfo) -> bool:
        if _USER in info.origins:
            return True
        stands_under = {labels[origin] for origin in info.origins & labels.keys()}
        shown_by = [(label, info.type) for label in stands_under if reader.shows(label, info.type)]
        revealed.update(shown_by)
        return bool(shown_by)

    return may_reveal


def _origin(passage: FoundPassage) -> str:
    """Where a passage's values stand: parts of one document can have labels of their own, so both are named."""
    return f"{passage.document}/{passage.label.digest}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _usage(last: Chunk) -> Usage:
    return Usage(
        prompt_tokens=last.prompt_tokens,
        cached_tokens=last.cached_tokens,
        completion_tokens=last.completion_tokens,
        total_tokens=last.prompt_tokens + last.completion_tokens,
    )
