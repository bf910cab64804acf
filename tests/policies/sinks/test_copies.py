"""Each place gets the newest checkpoint as soon as it takes one, and none of them holds anybody up."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policies.audit.chain import timestamp
from policies.audit.checkpoints import Checkpoint, SignedCheckpoint, digest, sign_checkpoint
from policies.audit.events import SearchAsked
from policies.audit.sinks import copies as copying
from policies.audit.sinks.backoff import Backoff
from policies.audit.sinks.copies import Copies, Keeper
from policies.audit.sinks.options import FileSink, HttpSink, Sink
from policies.audit.sinks.positions import PositionFile
from policies.audit.sinks.transports import FileTransport, Line, Transport
from policies.audit.store import Trail
from policies.audit.verifier import verify
from policies.errors import DeliveryFailedError, TrailUnavailableError
from policies.keys import Keys

WAIT_SECONDS = 20.0


class Place:
    """A place that takes lines, refuses them, or hangs."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.deliveries = 0
        self.refuses = ""
        self.hangs = False
        self.let_go = threading.Event()

    def deliver(self, lines: Sequence[Line]) -> None:
        self.deliveries += 1
        if self.hangs:
            self.let_go.wait(WAIT_SECONDS)
        if self.refuses:
            raise DeliveryFailedError(self.refuses)
        self.lines += [line.text for line in lines]


def checkpoint(keys: Keys, number: int, log: str = "0" * 16, at: datetime | None = None) -> SignedCheckpoint:
    when = timestamp(at or datetime.now(UTC))
    return sign_checkpoint(Checkpoint(log, number, number, number, "1" * 64, when, "", keys.key_id()), keys.signing)


def web(name: str = "siem") -> Sink:
    return HttpSink(name=name, url="https://siem.example/")


def keeper(folder: Path, transport: Transport, sink: Sink | None = None) -> Keeper:
    sink = sink or web()
    return Keeper(sink, transport, PositionFile(folder / "copies", sink.name), folder)


@contextmanager
def running(*keepers: Keeper, require_seconds: float = 0.0) -> Iterator[Copies]:
    copies = Copies(keepers, require_seconds, lambda: Backoff(0.02, 0.02))
    try:
        yield copies
    finally:
        copies.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "this should have happened by now"
        time.sleep(0.01)


def test_every_place_gets_each_checkpoint(tmp_path: Path, keys: Keys) -> None:
    first, second = Place(), Place()
    signed = [checkpoint(keys, number) for number in (1, 2, 3)]
    with running(keeper(tmp_path, first, web("a")), keeper(tmp_path, second, web("b"))) as copies:
        for one in signed:
            copies(one)
            copies.settle(WAIT_SECONDS)
        assert [(health.number, health.behind_since, health.detail) for health in copies.health] == [(3, None, "")] * 2
    assert first.lines == second.lines == [one.line() for one in signed]


def test_a_place_that_was_away_gets_the_newest_and_a_file_every_line(tmp_path: Path, keys: Keys) -> None:
    place, disk = Place(), Place()
    place.refuses = disk.refuses = "away"
    file = FileSink(name="disk", path="copy.jsonl")
    with running(keeper(tmp_path, place), keeper(tmp_path, disk, file)) as copies:
        for number in range(1, 51):
            copies(checkpoint(keys, number))
        until(lambda: all(health.detail == "away" for health in copies.health))
        assert all(health.behind_since for health in copies.health)
        place.refuses = disk.refuses = ""
        copies_health: Callable[[], list[int]] = lambda: [health.number for health in copies.health]  # noqa: E731
        until(lambda: copies_health() == [50, 50])
        assert [health.detail for health in copies.health] == ["", ""]
    assert [SignedCheckpoint.from_line(line).checkpoint.number for line in place.lines] == [50]
    assert [SignedCheckpoint.from_line(line).checkpoint.number for line in disk.lines] == list(range(1, 51))


def test_memory_is_bounded_while_a_place_is_away(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_MOST_LINES", 10)
    place = Place()
    place.refuses = "away"
    with running(keeper(tmp_path, place, FileSink(name="disk", path="copy.jsonl"))) as copies:
        for number in range(1, 101):
            copies(checkpoint(keys, number))
        assert len(copies._workers[0]._waiting) == 10
        place.refuses = ""
        until(lambda: copies.health[0].number == 100)
    assert [SignedCheckpoint.from_line(line).checkpoint.number for line in place.lines] == list(range(91, 101))


def test_a_place_that_hangs_holds_nobody_up(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_SLOW_SECONDS", 0.0)
    stuck, well = Place(), Place()
    stuck.hangs = True
    with running(keeper(tmp_path, stuck, web("stuck")), keeper(tmp_path, well, web("well"))) as copies:
        for number in range(1, 1001):
            copies(checkpoint(keys, number))
        until(lambda: copies.health[1].number == 1000)
        assert stuck.deliveries == 1
        assert "neither" not in copies.health[0].detail
        assert "does not refuse" in copies.health[0].detail
        stuck.hangs = False
        stuck.let_go.set()
        until(lambda: copies.health[0].number == 1000)
        assert stuck.deliveries <= 3, "what waited meanwhile is one checkpoint"


def test_a_failure_is_logged_once_and_its_end_once(
    tmp_path: Path, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="policies.audit.sinks")
    place = Place()
    place.refuses = "away"
    with running(keeper(tmp_path, place)) as copies:
        copies(checkpoint(keys, 1))
        until(lambda: place.deliveries > 5)
        place.refuses = ""
        copies(checkpoint(keys, 2))
        until(lambda: copies.health[0].number == 2)
        until(lambda: len(caplog.messages) > 1)
    assert [message.split()[0] for message in caplog.messages] == [
        "checkpoint_copy_refused", "checkpoint_copy_accepted",
    ]  # fmt: skip
    assert "away" in caplog.messages[0]


def test_an_unforeseen_error_is_a_failure_like_any_other(tmp_path: Path, keys: Keys) -> None:
    place = Place()
    place.deliver = lambda _: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    with running(keeper(tmp_path, place)) as copies:
        copies(checkpoint(keys, 1))
        until(lambda: "division" in copies.health[0].detail)
        del place.deliver  # type: ignore[method-assign]
        until(lambda: copies.health[0].number == 1)


def test_a_place_is_tried_again_when_it_asked_to_be(tmp_path: Path, keys: Keys) -> None:
    backoff = Backoff(1.0, 60.0)
    assert [backoff.next_seconds() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff.next_seconds(600) == 600
    backoff.reset()
    assert backoff.next_seconds() == 1


# After a restart.


def test_after_a_restart_whichever_place_lacks_the_newest_gets_it(tmp_path: Path, keys: Keys) -> None:
    kept, lost = Place(), Place()
    lost.refuses = "away"
    first, second = checkpoint(keys, 1), checkpoint(keys, 2)
    with running(keeper(tmp_path, kept, web("kept")), keeper(tmp_path, lost, web("lost"))) as copies:
        copies(first)
        copies.settle(WAIT_SECONDS)
        copies(second)
        until(lambda: copies.health[0].number == 2)
    lost.refuses = ""
    with running(keeper(tmp_path, kept, web("kept")), keeper(tmp_path, lost, web("lost"))) as copies:
        copies(second)
        copies.settle(WAIT_SECONDS)
        assert [health.detail for health in copies.health] == ["", ""]
    assert kept.lines == [first.line(), second.line()], "it had it already"
    assert lost.lines == [second.line()]


@pytest.mark.parametrize("way", ["position", "file"])
def test_a_place_that_speaks_of_more_or_of_another_trail_is_left_as_it_is(tmp_path: Path, keys: Keys, way: str) -> None:
    """A trail that was restored from yesterday, or replaced: the copy is what shows it."""
    sink = FileSink(name="disk", path="copy.jsonl") if way == "file" else web()
    place: Transport = FileTransport(tmp_path / "copy.jsonl") if way == "file" else Place()
    with running(keeper(tmp_path, place, sink)) as copies:
        copies(checkpoint(keys, 7))
        copies.settle(WAIT_SECONDS)
    held = (tmp_path / "copy.jsonl").read_text() if way == "file" else ""
    same_number = checkpoint(keys, 7, at=datetime.now(UTC) - timedelta(hours=1))
    for other in (checkpoint(keys, 6), checkpoint(keys, 9, log="f" * 16), same_number):
        with running(keeper(tmp_path, place, sink)) as copies:
            copies(other)
            copies.settle(WAIT_SECONDS)
            assert "replaced or rolled back" in copies.health[0].detail
            assert ((tmp_path / "copy.jsonl").read_text() if way == "file" else "") == held


# Answers that wait for a copy.


def test_without_a_copy_in_time_nothing_may_be_answered(tmp_path: Path, keys: Keys) -> None:
    first, second = Place(), Place()
    first.refuses = second.refuses = "away"
    with running(keeper(tmp_path, first, web("a")), keeper(tmp_path, second, web("b")), require_seconds=0.2) as copies:
        assert copies.overdue == ""
        copies(checkpoint(keys, 1))
        until(lambda: copies.overdue)
        assert "audit.require_copy_seconds is 0.2" in copies.overdue
        second.refuses = ""
        until(lambda: copies.health[1].number == 1)
        assert copies.overdue == "", "one place is enough"
    with running(keeper(tmp_path, first, web("c"))) as copies:
        copies(checkpoint(keys, 1))
        until(lambda: first.deliveries > 20)
        assert copies.overdue == "", "unless it is asked for"


def test_a_place_that_hangs_counts_as_one_that_refuses(tmp_path: Path, keys: Keys) -> None:
    place = Place()
    place.hangs = True
    with running(keeper(tmp_path, place), require_seconds=0.2) as copies:
        copies(checkpoint(keys, 1))
        until(lambda: copies.overdue)
        place.let_go.set()
        until(lambda: not copies.overdue)


def test_a_restart_does_not_begin_the_wait_anew(tmp_path: Path, keys: Keys) -> None:
    place = Place()
    place.refuses = "away"
    old = checkpoint(keys, 1, at=datetime.now(UTC) - timedelta(hours=1))
    with running(keeper(tmp_path, place), require_seconds=600) as copies:
        copies(old)
        copies.settle(WAIT_SECONDS)
        assert copies.overdue
    ahead = checkpoint(keys, 1, at=datetime.now(UTC) + timedelta(hours=1))
    with running(keeper(tmp_path, place), require_seconds=600) as copies:
        copies(ahead)
        copies.settle(WAIT_SECONDS)
        assert copies.overdue == "", "a clock that was set back since is no reason"


def test_a_position_that_cannot_be_kept_is_told(tmp_path: Path, keys: Keys) -> None:
    (tmp_path / "copies").write_text("no folder")
    place = Place()
    with running(keeper(tmp_path, place)) as copies:
        copies(checkpoint(keys, 1))
        until(lambda: "cannot be used" in copies.health[0].detail)
    (tmp_path / "copies").unlink()
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "siem.json").write_text("{}}")
    with running(keeper(tmp_path, place)) as copies:
        copies(checkpoint(keys, 2))
        until(lambda: "cannot be used" in copies.health[0].detail)


def test_what_a_place_has_is_kept(tmp_path: Path, keys: Keys) -> None:
    signed = checkpoint(keys, 3)
    with running(keeper(tmp_path, Place())) as copies:
        copies(signed)
        copies.settle(WAIT_SECONDS)
    kept = PositionFile(tmp_path / "copies", "siem").read()
    assert (kept.log, kept.at, kept.hash) == ("0" * 16, 3, digest(signed.body, signed.signature))
    assert [file.name for file in (tmp_path / "copies").iterdir()] == ["siem.json"], "and nothing is left behind"


# With a trail.


def asked(number: int) -> SearchAsked:
    return SearchAsked(f"r{number}", "ada", "test", "0" * 64, "1" * 64)


def test_entries_become_durable_and_signed_while_a_place_hangs(tmp_path: Path, trail_file: Path, keys: Keys) -> None:
    """Counted, not timed: a thousand entries, one after the other, while a delivery that began first does not end."""
    stuck, well = Place(), Place()
    stuck.hangs = True
    copies = Copies([keeper(tmp_path, stuck, web("stuck")), keeper(tmp_path, well, web("well"))])
    with Trail.open(trail_file, keys, copies) as trail:
        trail.record(asked(0), WAIT_SECONDS)
        until(lambda: stuck.deliveries)
        for number in range(1, 1001):
            assert trail.record(asked(number), WAIT_SECONDS).seq == number + 1
        assert not stuck.lines
        assert not stuck.let_go.is_set()
        assert trail.health.detail == ""
    until(lambda: well.lines and SignedCheckpoint.from_line(well.lines[-1]).checkpoint.count == 1001)
    assert verify(trail_file, keys.public_key_pem(), SignedCheckpoint.from_line(well.lines[-1])).ok
    assert stuck.deliveries == 1
    stuck.let_go.set()
    copies.close()


def test_a_writer_that_delivers_by_itself_is_noticed(tmp_path: Path, trail_file: Path, keys: Keys) -> None:
    """Negative control: where the writer's own thread delivers, a place that hangs keeps entries from the disk."""
    stuck = Place()
    stuck.hangs = True
    with Trail.open(trail_file, keys, lambda signed: stuck.deliver([copying._line(signed)])) as trail:
        trail.record(asked(0), WAIT_SECONDS)
        until(lambda: stuck.deliveries)
        with pytest.raises(TrailUnavailableError):
            trail.record(asked(1), 0.5)
        stuck.let_go.set()
