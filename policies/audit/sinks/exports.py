"""Entries on their way to other systems: a thread for each place follows the trail and sends what is new, in order.

How far a place was sent to is durable, and moves only when it has acknowledged: after a crash the batch that was under
way is sent again as it was, so a place gets every entry at least once. Each record names its entry's number and hash.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from policies.audit.chain import timestamp
from policies.audit.events import Event, ExportSent
from policies.audit.formats import is_failure, record
from policies.audit.people import Names
from policies.audit.places import TrailPlace
from policies.audit.reader import Entry
from policies.audit.sinks.backoff import Backoff
from policies.audit.sinks.following import Stretch, contradiction, position_at, read_after
from policies.audit.sinks.options import Export, SyslogExport
from policies.audit.sinks.positions import Position, PositionFile, Trouble
from policies.audit.sinks.syslog import Severity
from policies.audit.sinks.transports import Line, Transport
from policies.errors import DeliveryFailedError, PoliciesError, PositionUnreadableError, TrailContradictsError

_log = logging.getLogger(__name__)

_MOST_TOGETHER = 500
_MOST_BYTES = 500_000
"""A batch ends with the record that reaches this; receivers usually take a megabyte."""
_HEAD_BYTES = 512
"""The most that syslog's head of a message takes."""
_LOOK_SECONDS = 1.0
"""How often to look for new entries."""
_TURN_SECONDS = 5.0
"""How often to look whether the process that sends has gone."""
_TOLD_EVERY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that are sent together, and the position that their acknowledgement makes."""

    lines: list[Line]
    after: Position
    only_told: bool


class Exporter:
    """One place that entries are sent to."""

    def __init__(
        self,
        export: Export,
        transport: Transport,
        position: PositionFile,
        trail: TrailPlace,
        tell: Callable[[Event], object],
        names: Names | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = export.name
        self._export = export
        self._transport = transport
        self._position_file = position
        self._trail = trail
        self._tell = tell
        self._names = names if export.names else None
        self._backoff = backoff or Backoff()
        self._closing = threading.Event()
        self._failing = False
        self._something_to_tell = False
        self._told_at = datetime.now(UTC)
        self._thread = threading.Thread(target=self._run, name=f"export-{export.name}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Let the batch that is under way be the last, and have the trail say what was sent."""
        self._closing.set()

    def join(self, seconds: float) -> None:
        """Wait for that, at most so long."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with self._position_file.held() as ours:
                    if ours:
                        self._follow()
                self._closing.wait(_TURN_SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the thread must live
                self._failed(error)

    def _follow(self) -> None:
        """Send what is new, for as long as we are the one that sends."""
        position = self._position_file.read()
        self._something_to_tell = position.at > position.told + 1  # One may be what we said of it ourselves.
        while not self._closing.is_set():
            try:
                position = self._restarted(position)
                batch = self._next_batch(position)
                if batch is None:
                    position = self._rest(position)
                    continue
                position = self._begun(position, batch)
                position = self._sent(batch)
            except Exception as error:  # noqa: BLE001 - as above
                position = self._in_trouble(position, error)
                self._failed(error)
        self._say_what_was_sent(position)

    def _restarted(self, position: Position) -> Position:
        """The position that somebody asked to go on from, if they did."""
        after = self._position_file.restart_asked
        if after is None:
            return position
        position = position_at(self._trail, after)
        self._position_file.write(position)
        self._position_file.forget_restart()
        return position

    def _rest(self, position: Position) -> Position:
        """Nothing is to be sent: say what was, if it is time, and wait a little."""
        position = self._daily(self._without_trouble(position))
        self._closing.wait(_LOOK_SECONDS)
        return position

    def _begun(self, position: Position, batch: Batch) -> Position:
        """Keep where the batch ends, so that it can be sent again as it is."""
        if position.sending == batch.after.at:
            return position
        begun = msgspec.structs.replace(position, sending=batch.after.at)
        self._position_file.write(begun)
        return begun

    def _sent(self, batch: Batch) -> Position:
        """Send a batch; the position after it."""
        if batch.lines:
            self._transport.deliver(batch.lines)
        self._something_to_tell |= not batch.only_told
        after = msgspec.structs.replace(batch.after, sent=timestamp(datetime.now(UTC)))
        self._position_file.write(after)
        self._well()
        return after

    def _next_batch(self, position: Position) -> Batch | None:
        """What to send next: what was under way, as it was, else what is new.

        Raises:
            TrailContradictsError: The trail is not what was sent from.
        """
        most = position.sending - position.at if position.sending else _MOST_TOGETHER
        stretch = read_after(self._trail, position, most, self._names)
        if position.sending and (not stretch.rows or stretch.rows[-1].id != position.sending):
            raise TrailContradictsError(contradiction(f"entry {position.sending}, which was being sent, is gone"))
        return self._batch(position, stretch) if stretch.rows else None

    def _batch(self, position: Position, stretch: Stretch) -> Batch:
        """As many entries as fit; all of them where they were under way together."""
        by_number = {entry.id: entry for entry in stretch.entries}
        lines: list[Line] = []
        last, size, only_told = stretch.rows[0], 0, True
        for row in stretch.rows:
            last = row
            entry = by_number.get(row.id)
            if entry is None:
                continue  # What it said was removed before it was sent.
            only_told &= entry.kind == ExportSent.kind
            lines.append(self._line(entry, stretch.log))
            size += len(lines[-1].text)
            if size >= _MOST_BYTES and not position.sending:
                break
        after = msgspec.structs.replace(position, log=stretch.log, at=last.id, hash=last.hash, sending=0, trouble=None)
        return Batch(lines, after, only_told)

    def _line(self, entry: Entry, log: str) -> Line:
        most = self._export.most_bytes - _HEAD_BYTES if isinstance(self._export, SyslogExport) else None
        severity = Severity.WARNING if is_failure(entry.kind) else Severity.NOTICE
        return Line(record(entry, log, self._export.format, most), entry.at, entry.kind, severity)

    def _daily(self, position: Position) -> Position:
        due = datetime.now(UTC) - self._told_at > _TOLD_EVERY
        return self._say_what_was_sent(position) if due else position

    def _say_what_was_sent(self, position: Position) -> Position:
        """Say so in the trail, in one entry for many batches. One that cannot be written is made up for later."""
        if not self._something_to_tell or position.at <= position.told:
            return position
        self._told_at = datetime.now(UTC)
        try:
            self._tell(ExportSent(self.name, position.told + 1, position.at))
            told = msgspec.structs.replace(position, told=position.at)
            self._position_file.write(told)
        except PoliciesError as error:
            _log.warning("export_not_told place=%s reason=%s", self.name, type(error).__name__)
            return position
        self._something_to_tell = False
        return told

    def _failed(self, error: Exception) -> None:
        """Say it once, and wait."""
        if not self._failing:
            known = isinstance(error, PoliciesError)
            _log.error("export_refused place=%s detail=%s", self.name, _said(error), exc_info=not known)
        self._failing = True
        asked = error.retry_seconds if isinstance(error, DeliveryFailedError) else 0.0
        self._closing.wait(self._backoff.next_seconds(asked))

    def _in_trouble(self, position: Position, error: Exception) -> Position:
        """The position with what is wrong, kept for whoever asks how this place does."""
        before = position.trouble
        if before and before.detail == _said(error):
            return position
        since = before.since if before else timestamp(datetime.now(UTC))
        troubled = msgspec.structs.replace(position, trouble=Trouble(since, _said(error)))
        with contextlib.suppress(PositionUnreadableError):
            self._position_file.write(troubled)
        return troubled

    def _without_trouble(self, position: Position) -> Position:
        self._well()
        if position.trouble is None:
            return position
        well = msgspec.structs.replace(position, trouble=None)
        self._position_file.write(well)
        return well

    def _well(self) -> None:
        self._backoff.reset()
        if self._failing:
            _log.info("export_accepted place=%s", self.name)
        self._failing = False


class Exporters:
    """All places that entries are sent to."""

    def __init__(self, exporters: Sequence[Exporter]) -> None:
        self._exporters = exporters

    def start(self) -> None:
        """Begin to send."""
        for exporter in self._exporters:
            exporter.start()

    def close(self, seconds: float) -> None:
        """Stop, within so long in all."""
        ends = time.monotonic() + seconds
        for exporter in self._exporters:
            exporter.stop()
        for exporter in self._exporters:
            exporter.join(max(0.0, ends - time.monotonic()))


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
