"""The trail as the rest of the product sees it: submit an event, and the future resolves once it is on disk.

One thread writes. While it waits for the disk the next events gather, and it commits them together: the disk's latency
is paid once for all who wait, with no timer. Any failure reaches every waiter; what is acknowledged is durable.
"""

import logging
import threading
import time
from concurrent.futures import CancelledError, Future
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from policies.audit.chain import body_of
from policies.audit.checkpoints import OnCheckpoint
from policies.audit.events import AnswerFailed, AnswerGiven, AnswerUnknown, ClockBehind, Event, QuestionAsked
from policies.audit.people import Names, hidden
from policies.audit.places import TrailPlace, open_to_write
from policies.audit.presence import unfinished
from policies.audit.seen import SeenFile
from policies.audit.storage import Selecting, StorageError
from policies.audit.writer import ChainWriter, EntryRef
from policies.clock import SteadyClock
from policies.errors import TrailUnavailableError
from policies.keys import Keys

__all__ = ["EntryRef", "Trail", "TrailHealth"]

_log = logging.getLogger(__name__)

_MOST_WAITING = 10_000
"""Events that may wait for the disk; at a few thousand a second this is a few seconds' worth."""
_MOST_TOGETHER = 512
"""Entries in one commit; beyond this the disk's latency is no longer what costs."""
_SEAL_SECONDS = 1.0
"""The longest that entries stay without a signature while the process lives."""
_QUIET_SECONDS = 3600.0
"""After so long without entries a checkpoint says that there were none: a trail that stays silent is missed."""
_CLOCK_TOLERANCE = timedelta(seconds=60)
"""How far clocks of machines that share a trail may differ."""
_CLOSE_SECONDS = 15.0
"""How long closing waits for the disk; longer than a wait for another process's lock."""


@dataclass(frozen=True, slots=True)
class TrailHealth:
    """Whether entries are being accepted, how many wait, and what is wrong (empty when nothing is)."""

    ready: bool
    waiting: int
    detail: str


@dataclass(slots=True)
class _Waiting:
    body: str
    due: float
    future: Future[EntryRef] = field(default_factory=Future)


class Trail:
    """An open audit trail. Safe across threads; other processes may write to the same trail."""

    def __init__(
        self,
        writer: ChainWriter,
        most_waiting: int = _MOST_WAITING,
        quiet_seconds: float = _QUIET_SECONDS,
        names: Names | None = None,
        clock: SteadyClock | None = None,
    ) -> None:
        self._writer = writer
        self._names = names
        self._clock = clock or SteadyClock()
        self._latest = self._clock.now()
        self._most_waiting = most_waiting
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._closing = False
        # What a process before this one left without a signature or a copy is made up for within a second.
        self._unsealed_since: float | None = time.monotonic()
        self._quiet_seconds = quiet_seconds
        self._sealed_at = time.monotonic()
        self._append_problem = ""
        self._refused_at = 0.0
        self._seal_problem = ""
        self._announced: set[str] = set()
        self._open_questions: set[str] = set()
        self._lost_some = False
        self._thread = threading.Thread(target=self._run, name="audit-trail", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        place: TrailPlace,
        keys: Keys,
        on_checkpoint: OnCheckpoint | None = None,
        names: Names | None = None,
        seen: SeenFile | None = None,
    ) -> Self:
        """Open the trail to write, making it when there is none.

        `on_checkpoint` is told of the newest checkpoint within a second of its commit, and at first of the one that is
        there. A trail that lacks what was `seen` in it is not opened.

        Entries hold the tokens that `names` gives people; without it, their names.

        Raises:
            TrailUnavailableError: It cannot be opened or written.
        """
        trail = cls(ChainWriter(place, keys, on_checkpoint, seen), names=names)
        try:
            trail._end_what_was_left(place)
        except BaseException:  # Whatever it is goes on; the thread and the lock must not stay behind.
            trail.close()
            raise
        return trail

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def health(self) -> TrailHealth:
        """How the trail is, without touching the disk."""
        with self._changed:
            waiting, closing = len(self._waiting), self._closing
        detail = "The audit trail is closed." if closing else self._append_problem or self._seal_problem
        return TrailHealth(not closing and not self._append_problem and self._thread.is_alive(), waiting, detail)

    def submit(self, event: Event, patience_seconds: float = 0.0) -> Future[EntryRef]:
        """Hand over an event; the future gives its place in the trail once it is durable, or fails.

        With patience it need not be written at once, but with the next entries or after so long: who is about to record
        another saves a wait for the disk. A future that was cancelled is written all the same: what it announced may
        have begun.

        Raises:
            TrailUnavailableError: The trail is closed, or so far behind that it takes no more; or people's tokens
                cannot be had.
        """
        said = hidden(event, self._names)
        with self._changed:
            if self._closing or not self._thread.is_alive():
                message = "The audit trail is closed, so nothing is answered. Start the service again."
                raise TrailUnavailableError(message)
            if len(self._waiting) >= self._most_waiting:
                message = f"The audit trail is {self._most_waiting} entries behind and takes no more. Try again later."
                raise TrailUnavailableError(message)
            self._latest = max(self._latest, self._clock.now())  # Entries of one chain never run back in time.
            entry = _Waiting(body_of(event.kind, said, self._latest), time.monotonic() + patience_seconds)
            self._waiting.append(entry)
            if isinstance(event, QuestionAsked):
                self._open_questions.add(event.request)
            elif isinstance(event, AnswerGiven | AnswerFailed):
                self._open_questions.discard(event.request)
            self._changed.notify()
        return entry.future

    def record(self, event: Event, timeout_seconds: float) -> EntryRef:
        """Hand over an event and wait until it is durable.

        Raises:
            TrailUnavailableError: It was not durable in time; it may still come to be, but must not be relied on.
        """
        future = self.submit(event)
        try:
            return future.result(timeout_seconds)
        except (TimeoutError, CancelledError) as error:
            raise self.given_up(timeout_seconds) from error

    def given_up(self, seconds: float) -> TrailUnavailableError:
        """What to raise when somebody waited so long in vain.

        A disk or server that hangs reports nothing by itself, so this is what health and log know of it.
        """
        detail = f"The audit trail did not take an entry within {seconds} s. Try again later."
        with self._changed:
            self._append_problem = self._append_problem or detail
            self._refused_at = time.monotonic()
            self._announce("audit_entries", detail)
            self._changed.notify()
        return TrailUnavailableError(detail)

    def close(self) -> None:
        """Write what waits, sign it, and close the file. What the disk does not take in time fails."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_CLOSE_SECONDS)
        with self._changed:
            left, self._waiting = self._waiting, []
        _fail(left, "The audit trail was closed before it took this entry.")

    def _end_what_was_left(self, place: TrailPlace) -> None:
        """Say of each question of a process that is gone that its end is unknown; those of running ones go on."""
        try:
            with closing(open_to_write(place)) as trail, trail.gone() as writers:
                self._say_if_the_clock_is_behind(trail)
                left = [one for writer in writers for one in unfinished(trail, writer)]
                entries = [self.submit(AnswerUnknown(request, principal)) for request, principal in left]
                for entry in entries:
                    entry.result(_CLOSE_SECONDS)
        except (StorageError, TimeoutError, ValueError, TypeError) as error:
            message = (
                f"Questions that were left without an end in {place} could not be looked after: {error}. Run `muniment "
                "audit verify`, which says where the trail is not what was written."
            )
            raise TrailUnavailableError(message) from error

    def _say_if_the_clock_is_behind(self, trail: Selecting) -> None:
        newest = trail.select("SELECT at FROM entries WHERE body IS NOT NULL ORDER BY id DESC LIMIT 1")
        if newest and (behind := datetime.fromisoformat(newest[0][0]) - self._clock.now()) > _CLOCK_TOLERANCE:
            _log.error("clock_behind_the_trail by_seconds=%.0f", behind.total_seconds())
            self.submit(ClockBehind(round(behind.total_seconds()))).result(_CLOSE_SECONDS)

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            if batch:
                self._commit(batch)
            self._look_after()
        if self._unsealed_since is not None:
            self._seal()
        self._writer.close(settled=not self._open_questions and not self._lost_some)

    def _next_batch(self) -> list[_Waiting] | None:
        """What waits; nothing when it is time to look after the trail; None when it is closed and all is written."""
        with self._changed:
            if not self._waiting and not self._closing:
                idle = self._unsealed_since is None and not self._append_problem
                quiet_left = self._sealed_at + self._quiet_seconds - time.monotonic()
                self._changed.wait(max(0.0, quiet_left) if idle else _SEAL_SECONDS)
            while not self._closing and (left := self._patience()) > 0:
                self._changed.wait(left)
            batch, self._waiting = self._waiting[:_MOST_TOGETHER], self._waiting[_MOST_TOGETHER:]
            return None if self._closing and not batch else batch

    def _patience(self) -> float:
        """How many seconds the most urgent of those that wait can still do so."""
        return min((entry.due for entry in self._waiting), default=0.0) - time.monotonic()

    def _commit(self, batch: list[_Waiting]) -> None:
        try:
            refs = self._writer.append([entry.body for entry in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, waiters must hear of it and the thread must live
            self._append_problem, self._refused_at = str(error), time.monotonic()
            self._lost_some = True
            self._announce("audit_entries", self._append_problem)
            _fail(batch, self._append_problem)
            return
        with self._changed:
            self._append_problem = ""
            self._announce("audit_entries", "")
        self._unsealed_since = self._unsealed_since or time.monotonic()
        for entry, ref in zip(batch, refs, strict=True):
            if entry.future.set_running_or_notify_cancel():
                entry.future.set_result(ref)

    def _look_after(self) -> None:
        """Seal when it is due; some time after a failure, find out whether the trail can be written again."""
        now = time.monotonic()
        if self._append_problem:
            if now - self._refused_at >= _SEAL_SECONDS:
                self._recover()
        elif self._unsealed_since is not None and now - self._unsealed_since >= _SEAL_SECONDS:
            self._seal()
        elif self._unsealed_since is None and now - self._sealed_at >= self._quiet_seconds:
            self._seal(though_quiet=True)

    def _recover(self) -> None:
        """Let the health say how it is; that it is well again is announced only by an entry that is taken."""
        self._refused_at = time.monotonic()
        try:
            self._writer.recover()
        except Exception as error:  # noqa: BLE001 - as above
            self._append_problem = str(error)
        else:
            self._append_problem = ""

    def _seal(self, *, though_quiet: bool = False) -> None:
        self._sealed_at = time.monotonic()
        try:
            self._writer.seal(though_quiet=though_quiet)
        except Exception as error:  # noqa: BLE001 - entries are durable without; the next second tries again
            self._seal_problem, self._unsealed_since = str(error), time.monotonic()
        else:
            self._seal_problem, self._unsealed_since = "", None
        self._announce("audit_checkpoints", self._seal_problem)

    def _announce(self, what: str, problem: str) -> None:
        """Log once when something goes wrong, and once when it is well again."""
        if problem and what not in self._announced:
            self._announced.add(what)
            _log.error("%s_refused detail=%s", what, problem)
        elif not problem and what in self._announced:
            self._announced.remove(what)
            _log.info("%s_accepted", what)


def _fail(entries: list[_Waiting], message: str) -> None:
    for entry in entries:
        if entry.future.set_running_or_notify_cancel():
            entry.future.set_exception(TrailUnavailableError(message))
