"""The trail as services use it: record first, wait until it is durable, and only then let anything leave."""

import asyncio
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from contextvars import ContextVar

from gateway.subjects import Since, Subjects
from policies.audit.events import (
    ConversationRead,
    EmbeddingsMade,
    Event,
    LabelsDecided,
    PassagesRetrieved,
    QuestionAsked,
    SearchAsked,
)
from policies.audit.people import NOBODY_KNOWN
from policies.audit.store import EntryRef, Trail
from policies.errors import CopyOverdueError
from policies.filters import AccessFilter
from policies.keys import Keys
from retrieval.retriever import Found

current_request: ContextVar[str] = ContextVar("current_request", default="")
"""The id of the HTTP request being served; empty where none is."""


_TOGETHER = 64
"""Entries handed over at a time: with so many to a commit, a disk takes 26,000 a second and nobody else waits long."""
_NOBODY_DIGITS = 32
_LABELS_EACH = 1000
"""Labels in one entry: some 90 kB."""
_TELL_AGAIN_SECONDS = 86_400.0
"""Searches name decisions that an entry holds; entries that old may be removed, so it is written again each day."""
_MOST_TOLD = 10_000
"""Decisions remembered as told; people of the same groups share theirs."""


_LETS_OUT = ConversationRead | EmbeddingsMade | QuestionAsked | SearchAsked
"""Events that say that texts are about to leave."""


class Recorder:
    """Writes events and waits for them, within a deadline.

    `observe` is told how many seconds each submitted entry took to become durable. `overdue` says why nothing may be
    answered though entries are durable, or nothing.
    """

    def __init__(
        self,
        trail: Trail,
        keys: Keys,
        deadline_seconds: float,
        subjects: Subjects,
        overdue: Callable[[], str] = lambda: "",
    ) -> None:
        self._trail = trail
        self._subjects = subjects
        self._digest_key = keys.lasting("audit-values")
        self._deadline_seconds = deadline_seconds
        self._overdue = overdue
        self._told: OrderedDict[str, float] = OrderedDict()
        self._telling = threading.Lock()
        self.observe: Callable[[float], None] = _ignore

    def introduce(self, names: Iterable[str]) -> None:
        """Tell the trail of those who are about to become users, so that it has something to call them by.

        Raises:
            TrailUnavailableError: The database cannot be read or written.
        """
        self._subjects.introduce(names)

    def token(self, name: str) -> str:
        """What entries call somebody by.

        Raises:
            TrailUnavailableError: The database cannot be read or written.
        """
        return self._subjects.tokens([name])[name]

    def erasures_so_far(self) -> Since:
        """How far erasures have come: what is answered from now on is kept only if nobody is erased meanwhile."""
        return self._subjects.since()

    def nobody(self, name: str) -> str:
        """What entries hold of a name that is nobody's: a keyed digest, since anybody may have typed anything."""
        return f"{NOBODY_KNOWN}{self.digest(name)[:_NOBODY_DIGITS]}"

    def submit(self, event: Event, patience_seconds: float = 0.0) -> Future[EntryRef]:
        """Hand an event to the trail without waiting; nothing may be shown before `durable` returns.

        With patience it may be written together with entries that come within that time.

        Raises:
            TrailUnavailableError: The trail takes no events.
            CopyOverdueError: Something would leave, and no other place has a checkpoint that is recent enough.
        """
        self._require_a_copy(event)
        started = time.perf_counter()
        entry = self._trail.submit(event, patience_seconds)
        entry.add_done_callback(lambda done: self._observe(done, time.perf_counter() - started))
        return entry

    async def durable(self, entry: Future[EntryRef]) -> EntryRef:
        """Wait until an event is on disk.

        Raises:
            TrailUnavailableError: It is not, within the deadline.
        """
        try:
            return await asyncio.wait_for(asyncio.wrap_future(entry), self._deadline_seconds)
        except TimeoutError as error:
            raise self._trail.given_up(self._deadline_seconds) from error

    async def record(self, event: Event) -> EntryRef:
        """Submit an event and wait until it is durable."""
        return await self.durable(self.submit(event))

    async def record_all(self, events: Sequence[Event]) -> EntryRef:
        """Submit events together, so that they share commits, and wait for all; the last one's place is given back."""
        return await self.all_durable([self.submit(event) for event in events])

    async def all_durable(self, entries: Sequence[Future[EntryRef]]) -> EntryRef:
        """Wait until all of these are on disk; the last one's place is given back.

        Raises:
            TrailUnavailableError: One of them is not, within the deadline.
        """
        *before, last = entries
        for entry in before:
            await self.durable(entry)
        return await self.durable(last)

    async def record_retrieval(self, request: str, found: Found, more: Sequence[Event] = ()) -> EntryRef:
        """Record what was found for somebody, as `submit_retrieval` does, and `more` that goes with it."""
        return await self.all_durable([*self.submit_retrieval(request, found), *map(self.submit, more)])

    def submit_retrieval(self, request: str, found: Found, patience_seconds: float = 0.0) -> list[Future[EntryRef]]:
        """Hand over what was found for somebody, and what was decided on the labels, without waiting.

        The latter only where no entry of this process and day says it already.
        """
        decided = found.access.decided.sha256
        told_at = self._told.get(decided)
        known = told_at is not None and time.monotonic() - told_at < _TELL_AGAIN_SECONDS
        decisions = [] if known else labels_decided(found.access)
        events: list[Event] = [*decisions, passages_retrieved(request, found)]
        entries = [self.submit(event, patience_seconds) for event in events]
        if not known:  # They are committed in order, so with the last one all are done.
            entries[-1].add_done_callback(lambda _: self._note_told(entries, decided))
        return entries

    def _note_told(self, entries: Sequence[Future[EntryRef]], decided: str) -> None:
        if any(entry.cancelled() or entry.exception() is not None for entry in entries):
            return
        with self._telling:
            self._told[decided] = time.monotonic()
            self._told.move_to_end(decided)
            if len(self._told) > _MOST_TOLD:
                self._told.popitem(last=False)

    def record_now(self, event: Event) -> EntryRef:
        """Record an event and wait for it, where no event loop runs.

        Raises:
            TrailUnavailableError: It is not durable within the deadline; what it announces must not be done.
        """
        self._require_a_copy(event)
        return self._trail.record(event, self._deadline_seconds)

    def record_all_now(self, events: Sequence[Event]) -> None:
        """Record many events, sharing commits, and wait for all of them.

        Raises:
            TrailUnavailableError: One is not durable within the deadline; nothing that they announce must be done.
        """
        for start in range(0, len(events), _TOGETHER):
            entries = [self.submit(event) for event in events[start : start + _TOGETHER]]
            try:
                for entry in entries:
                    entry.result(self._deadline_seconds)
            except (TimeoutError, CancelledError) as error:
                raise self._trail.given_up(self._deadline_seconds) from error

    def digest(self, value: str) -> str:
        """A keyed digest: an investigator with the key can test a candidate value, the trail does not hold it."""
        return hmac.digest(self._digest_key, value.encode(), hashlib.sha256).hex()

    def _require_a_copy(self, event: Event) -> None:
        if isinstance(event, _LETS_OUT) and (said := self._overdue()):
            raise CopyOverdueError(said)

    def _observe(self, done: Future[EntryRef], seconds: float) -> None:
        if not done.cancelled() and done.exception() is None:
            self.observe(seconds)


def _ignore(_seconds: float) -> None:
    """Nobody measures."""


def new_request_id() -> str:
    """A request's name in trail, receipt, logs and errors; random, so that it counts nothing.

    While an HTTP request is being served it is that request's id, so that all of these say the same.
    """
    return current_request.get() or "r" + secrets.token_hex(10)


def passages_retrieved(request: str, found: Found) -> PassagesRetrieved:
    """The event that says which passages a search found for somebody."""
    access = found.access
    return PassagesRetrieved(
        request=request,
        epoch=found.access.epoch,
        policy_revision=access.policy_revision,
        labels_allowed=len(access.label_ids),
        labels_denied=access.denied,
        passages=tuple(passage.sha256 for passage in found.passages),
        documents=tuple(passage.document for passage in found.passages),
        labels=tuple(passage.label.digest for passage in found.passages),
        policies=access.policies,
        decisions_sha256=decisions_digest(found),
        access_sha256=access.decided.sha256,
    )


def labels_decided(access: AccessFilter) -> list[LabelsDecided]:
    """The events that say what was decided on each label, in parts of bounded size."""
    decided, starts = access.decided, range(0, len(access.decided.labels), _LABELS_EACH)
    return [
        LabelsDecided(
            access_sha256=decided.sha256,
            policy_revision=access.policy_revision,
            labels=decided.labels[start : start + _LABELS_EACH],
            decisions=decided.decisions[start : start + _LABELS_EACH],
            part=part,
            parts=len(starts),
        )
        for part, start in enumerate(starts, start=1)
    ]


def decisions_digest(found: Found) -> str:
    """A digest of the decisions that let passages through: which label, by which rules, under which policies."""
    labels = sorted({passage.label.digest for passage in found.passages})
    told = "\n".join([found.access.policy_revision, *found.access.policies, *labels])
    return hashlib.sha256(told.encode()).hexdigest()
