"""Copies of checkpoints, kept where whoever holds this machine cannot change them.

The writer hands over each signed checkpoint and goes on at once; a thread for each place delivers. The newest
checkpoint vouches for all before it, so a place that was away gets the newest; a file gets every line it can.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from policies.audit.chain import timestamp
from policies.audit.checkpoints import SignedCheckpoint, digest, last_exported
from policies.audit.sinks.backoff import Backoff
from policies.audit.sinks.options import FileSink, Sink
from policies.audit.sinks.positions import Position, PositionFile
from policies.audit.sinks.transports import Line, Transport
from policies.errors import DeliveryFailedError, PoliciesError

_log = logging.getLogger(__name__)

_MOST_LINES = 10_000
"""Checkpoints that wait for a file, 5 MB of them: at one a second, those of almost three hours."""
_KIND = "checkpoint"
_SLOW_SECONDS = 30.0
"""After so long a checkpoint that was not taken is worth a word, though nothing has failed yet."""


@dataclass(frozen=True, slots=True)
class CopyHealth:
    """How a place does: the last checkpoint it took, since when (UTC) it lacks one, and what is wrong (or empty)."""

    name: str
    number: int
    behind_since: datetime | None
    detail: str


@dataclass(frozen=True, slots=True)
class _Waiting:
    signed: SignedCheckpoint
    since: datetime
    unless_there: bool


class Keeper:
    """One place, and what it is known to have."""

    def __init__(self, sink: Sink, transport: Transport, position: PositionFile, home: Path) -> None:
        self.name = sink.name
        self._file = home / sink.path if isinstance(sink, FileSink) else None
        self._transport = transport
        self._position = position
        self.most = _MOST_LINES if self._file else 1

    def deliver(self, checkpoints: Sequence[SignedCheckpoint]) -> None:
        """Bring checkpoints there, and remember it.

        Raises:
            PoliciesError: They were not taken.
        """
        self._transport.deliver([_line(signed) for signed in checkpoints])
        newest = checkpoints[-1]
        place = newest.checkpoint
        hash_ = digest(newest.body, newest.signature)
        self._position.write(Position(place.log, place.number, hash_, sent=timestamp(datetime.now(UTC))))

    def found_lacking(self, newest: SignedCheckpoint) -> str | None:
        """What is to be said of a place that `newest` is not brought to; none where it is to be brought.

        A place that speaks of more, or of another trail, is left as it is: that is what it is kept for.

        Raises:
            PoliciesError: What it has cannot be found out.
        """
        had = self._had()
        ours = newest.checkpoint
        if had.at == 0 or (had.log == ours.log and had.at < ours.number):
            return None
        if (had.log, had.at, had.hash) == (ours.log, ours.number, digest(newest.body, newest.signature)):
            return ""
        return (
            f"{self.name} was given checkpoint {had.at} of the trail {had.log}, which this one does not hold: it was "
            "replaced or rolled back. Keep a copy of it and run `muniment audit verify`."
        )

    def _had(self) -> Position:
        if self._file is None:
            return self._position.read()
        try:
            kept = last_exported(self._file)
        except FileNotFoundError:
            return Position()
        except OSError:
            return self._position.read()  # A file that may only be added to.
        if kept is None:
            return Position()
        return Position(kept.checkpoint.log, kept.checkpoint.number, digest(kept.body, kept.signature))


class _Worker:
    """The thread of one place."""

    def __init__(self, keeper: Keeper, backoff: Backoff) -> None:
        self._keeper = keeper
        self._backoff = backoff
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque(maxlen=keeper.most)
        self._behind_since: datetime | None = None
        self._behind_from = 0.0
        self._number = 0
        self._problem = ""
        self._warning = ""
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"checkpoints-{keeper.name}", daemon=True)
        self._thread.start()

    def offer(self, signed: SignedCheckpoint, since: datetime, *, unless_there: bool) -> None:
        now = time.monotonic()
        with self._changed:
            if self._behind_since is None:
                self._behind_since = since
                self._behind_from = now - max(0.0, (datetime.now(UTC) - since).total_seconds())
            self._waiting.append(_Waiting(signed, since, unless_there))
            self._changed.notify_all()

    def behind_seconds(self) -> float:
        with self._changed:
            return 0.0 if self._behind_since is None else time.monotonic() - self._behind_from

    @property
    def health(self) -> CopyHealth:
        behind = self.behind_seconds()
        with self._changed:
            detail = self._problem or self._warning
            if not detail and behind > _SLOW_SECONDS:
                detail = f"{self._keeper.name} does not take a checkpoint, and does not refuse it either."
            return CopyHealth(self._keeper.name, self._number, self._behind_since, detail)

    def settle(self, seconds: float) -> None:
        """Wait until all was taken, or something failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._behind_since is None or bool(self._problem), seconds)

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self._bring(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the thread must live
                self._failed(error)
            else:
                self._taken(batch)

    def _next(self) -> list[_Waiting] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._waiting)
            if self._closing and not self._waiting:
                return None
            first = self._waiting[0]
            return [first] if first.unless_there else list(self._waiting)

    def _bring(self, batch: Sequence[_Waiting]) -> None:
        newest = batch[-1]
        if newest.unless_there:
            said = self._keeper.found_lacking(newest.signed)
            if said is not None:
                self._warn(said)
                return
        self._keeper.deliver([one.signed for one in batch])

    def _taken(self, batch: Sequence[_Waiting]) -> None:
        self._backoff.reset()
        number = batch[-1].signed.checkpoint.number
        with self._changed:
            while self._waiting and self._waiting[0].signed.checkpoint.number <= number:
                self._waiting.popleft()
            self._number = number
            self._behind_since = self._waiting[0].since if self._waiting else None
            self._behind_from = time.monotonic()
            had_problem, self._problem = self._problem, ""
            self._changed.notify_all()
        if had_problem:
            _log.info("checkpoint_copy_accepted place=%s", self._keeper.name)

    def _failed(self, error: Exception) -> None:
        said = str(error) or type(error).__name__
        with self._changed:
            had_problem, self._problem = self._problem, said
            self._changed.notify_all()
        if not had_problem:
            if isinstance(error, PoliciesError):
                _log.error("checkpoint_copy_refused place=%s detail=%s", self._keeper.name, said)
            else:
                _log.exception("checkpoint_copy_defect place=%s", self._keeper.name)
        asked = error.retry_seconds if isinstance(error, DeliveryFailedError) else 0.0
        wait = self._backoff.next_seconds(asked)
        with self._changed:
            self._changed.wait_for(lambda: self._closing, wait)
            if self._closing:
                self._waiting.clear()

    def _warn(self, said: str) -> None:
        with self._changed:
            self._warning = said
        if said:
            _log.error("checkpoint_copy_contradicts place=%s detail=%s", self._keeper.name, said)


class Copies:
    """All places that checkpoints are copied to. Safe across threads."""

    def __init__(
        self, keepers: Sequence[Keeper], require_seconds: float = 0.0, backoff: Callable[[], Backoff] = Backoff
    ) -> None:
        self._workers = [_Worker(keeper, backoff()) for keeper in keepers]
        self._require_seconds = require_seconds
        self._begun = False

    def __call__(self, signed: SignedCheckpoint) -> None:
        """Take over the newest checkpoint. Never waits, never fails.

        The first is what the trail held when it was opened: it is brought to those places alone that lack it.
        """
        now = datetime.now(UTC)
        since = now if self._begun else min(datetime.fromisoformat(signed.checkpoint.at), now)
        for worker in self._workers:
            worker.offer(signed, since, unless_there=not self._begun)
        self._begun = True

    def settle(self, seconds: float) -> None:
        """Wait until each place has taken what there is, or has failed to, at most so long in all."""
        ends = time.monotonic() + seconds
        for worker in self._workers:
            worker.settle(max(0.0, ends - time.monotonic()))

    @property
    def health(self) -> list[CopyHealth]:
        """How every place does, without asking it."""
        return [worker.health for worker in self._workers]

    @property
    def overdue(self) -> str:
        """Why nothing may be answered: no place took a checkpoint for too long. Empty where it may."""
        if not self._require_seconds:
            return ""
        behind = min((worker.behind_seconds() for worker in self._workers), default=0.0)
        if behind <= self._require_seconds:
            return ""
        return (
            f"No other place took a checkpoint of the audit trail for {behind:.0f} s, and audit.require_copy_seconds "
            f"is {self._require_seconds:g}. Nothing is answered until one does; `muniment doctor` says what ails them."
        )

    def close(self, seconds: float = 0.0) -> None:
        """Deliver what waits within so long, and end. A place that hangs is left to itself."""
        self.settle(seconds)
        for worker in self._workers:
            worker.close()


def _line(signed: SignedCheckpoint) -> Line:
    return Line(signed.line(), datetime.fromisoformat(signed.checkpoint.at), _KIND)
