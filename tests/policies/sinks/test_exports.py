"""Another system gets every entry, in order, as often as it takes and never a made-up one."""

import itertools
import json
import logging
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from policies.audit.events import AnswerFailed, Event, ExportSent, SearchAsked
from policies.audit.formats import Format
from policies.audit.places import TrailPlace
from policies.audit.reader import EntryQuery, read_entries, read_on
from policies.audit.sinks import exports as exporting
from policies.audit.sinks.backoff import Backoff
from policies.audit.sinks.exports import Exporter, Exporters
from policies.audit.sinks.following import last_number, newest_checkpoint
from policies.audit.sinks.options import Export, HttpExport, SyslogExport
from policies.audit.sinks.positions import Position, PositionFile
from policies.audit.sinks.transports import Line, Transport
from policies.audit.store import Trail
from policies.errors import DeliveryFailedError, TrailUnavailableError
from policies.keys import Keys
from tests.policies.sinks.receivers import Post, http_receiver

WAIT_SECONDS = 60.0
PROCESS = Path(__file__).with_name("export_process.py")


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(exporting, "_TURN_SECONDS", 0.05)


@pytest.fixture
def trail(trail_file: Path, keys: Keys) -> Iterator[Trail]:
    with Trail.open(trail_file, keys) as opened:
        yield opened


def write(trail: Trail, count: int, begin: int = 0) -> None:
    futures = [
        trail.submit(SearchAsked(f"r{number}", "ada", "test", "0" * 64, "1" * 64))
        for number in range(begin, begin + count)
    ]
    for future in futures:
        future.result(WAIT_SECONDS)


class Place:
    """A place that takes lines, refuses them, or hangs."""

    def __init__(self) -> None:
        self.batches: list[list[Line]] = []
        self.refuses = ""
        self.attempts = 0

    def deliver(self, lines: Sequence[Line]) -> None:
        self.attempts += 1
        if self.refuses:
            raise DeliveryFailedError(self.refuses)
        self.batches.append(list(lines))

    @property
    def numbers(self) -> list[int]:
        return [json.loads(line.text)["entry"] for batch in self.batches for line in batch]


def web(**more: Any) -> Export:
    return HttpExport(**{"name": "siem", "url": "https://siem.example/"} | more)


@contextmanager
def sending(
    trail_file: Path,
    transport: Transport,
    tell: Callable[[Event], object] = lambda _: None,
    export: Export | None = None,
) -> Iterator[PositionFile]:
    position = PositionFile(trail_file.parent / "exports", "siem")
    made = Exporters([Exporter(export or web(), transport, position, trail_file, tell, backoff=Backoff(0.01, 0.02))])
    made.start()
    try:
        yield position
    finally:
        made.close(WAIT_SECONDS)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "this should have happened by now"
        time.sleep(0.01)


def test_every_entry_is_sent_once_and_in_order(trail: Trail, trail_file: Path) -> None:
    place = Place()
    write(trail, 1200)
    with sending(trail_file, place) as position:
        until(lambda: position.read().at == 1200)
        write(trail, 5, 1200)
        until(lambda: position.read().at == 1205)
    assert place.numbers == list(range(1, 1206))
    assert max(map(len, place.batches)) <= 500
    log, entries = read_on(trail_file, 0, 2000)
    told = [json.loads(line.text) for batch in place.batches for line in batch]
    assert [(one["log"], one["entry"], one["hash"]) for one in told] == [(log, one.id, one.hash) for one in entries]


def test_entries_are_sent_wherever_the_trail_is(place: TrailPlace, keys: Keys, tmp_path: Path) -> None:
    receiver, position = Place(), PositionFile(tmp_path / "exports", "siem")
    with Trail.open(place, keys) as trail:
        write(trail, 700)
        for begin in (700, 710):
            exporter = Exporter(web(), receiver, position, place, lambda _: None)
            exporter.start()
            write(trail, 10, begin)
            until(lambda upto=begin + 10: position.read().at == upto)  # type: ignore[misc]
            exporter.stop()
            exporter.join(WAIT_SECONDS)
        position.write(msgspec.structs.replace(position.read(), hash="0" * 64))
        exporter = Exporter(web(), receiver, position, place, lambda _: None)
        exporter.start()
        until(lambda: "not in it any more" in str(position.read().trouble))
        exporter.stop()
        exporter.join(WAIT_SECONDS)
        newest = newest_checkpoint(place)
    assert receiver.numbers == list(range(1, 721))
    assert newest
    assert last_number(place) == 720


def test_a_batch_ends_before_it_is_too_large(trail: Trail, trail_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_MOST_BYTES", 2000)
    place = Place()
    write(trail, 100)
    with sending(trail_file, place) as position:
        until(lambda: position.read().at == 100)
    assert place.numbers == list(range(1, 101))
    assert all(sum(len(line.text) for line in batch[:-1]) < 2000 for batch in place.batches)


def test_what_is_not_taken_is_sent_again_as_it_was(trail: Trail, trail_file: Path) -> None:
    place = Place()
    place.refuses = "away"
    write(trail, 10)
    with sending(trail_file, place) as position:
        until(lambda: position.read().trouble)
        trouble = position.read().trouble
        assert trouble
        assert (trouble.detail, position.read().at, position.read().sending) == ("away", 0, 10)
        write(trail, 10, 10)
        until(lambda: place.attempts > 5)
    with sending(trail_file, place) as position:
        place.refuses = ""
        until(lambda: position.read().at == 20)
        assert position.read().trouble is None
    assert [len(batch) for batch in place.batches] == [10, 10], "the batch under way did not grow"


def test_a_failure_is_logged_once_and_its_end_once(
    trail: Trail, trail_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="policies.audit.sinks.exports")
    place = Place()
    place.refuses = "away"
    write(trail, 3)
    with sending(trail_file, place) as position:
        until(lambda: place.attempts > 5)
        place.refuses = ""
        until(lambda: position.read().at == 3)
    assert [message.split()[0] for message in caplog.messages] == ["export_refused", "export_accepted"]


def test_of_several_processes_one_sends(trail: Trail, trail_file: Path) -> None:
    place, other = Place(), Place()
    write(trail, 100)
    with sending(trail_file, place) as position:
        until(lambda: position.read().at == 100)
        with sending(trail_file, other):
            write(trail, 100, 100)
            until(lambda: position.read().at == 200)
            assert other.batches == []
    with sending(trail_file, other) as position:
        write(trail, 1, 200)
        until(lambda: position.read().at == 201)
    assert (place.numbers, other.numbers) == (list(range(1, 201)), [201])


# What the trail says of it.


def told(trail_file: Path) -> list[tuple[int, int]]:
    found = read_entries(trail_file, EntryQuery(kind=ExportSent.kind))[::-1]
    return [(entry.event["first"], entry.event["last"]) for entry in found]


def test_the_trail_says_once_a_run_what_was_sent(trail: Trail, trail_file: Path) -> None:
    place = Place()

    def tell(event: Event) -> object:
        return trail.record(event, WAIT_SECONDS)

    write(trail, 10)
    with sending(trail_file, place, tell) as position:
        until(lambda: position.read().at == 10)
        write(trail, 10, 10)
        until(lambda: position.read().at == 20)
    assert told(trail_file) == [(1, 20)]
    for _ in range(3):  # That entry is sent too, and nothing is said of it.
        with sending(trail_file, place, tell) as position:
            until(lambda: position.read().at == 21)
    assert told(trail_file) == [(1, 20)]
    write(trail, 1, 20)
    with sending(trail_file, place, tell) as position:
        until(lambda: position.read().at == 22)
    assert told(trail_file) == [(1, 20), (21, 22)]
    assert place.numbers == list(range(1, 23))


def test_what_could_not_be_said_is_said_the_next_time(trail: Trail, trail_file: Path) -> None:
    def refuse(_: Event) -> object:
        message = "not now"
        raise TrailUnavailableError(message)

    write(trail, 10)
    with sending(trail_file, Place(), refuse) as position:
        until(lambda: position.read().at == 10)
    with sending(trail_file, Place(), lambda event: trail.record(event, WAIT_SECONDS)) as position:
        write(trail, 1, 10)
        until(lambda: position.read().at == 11)
    assert told(trail_file) == [(1, 11)]


# Another trail in its place.


def restore_yesterday(trail_file: Path) -> None:
    with closing(sqlite3.connect(trail_file)) as connection:
        connection.execute("DROP TRIGGER entries_no_delete")
        connection.execute("DELETE FROM entries WHERE id > 5")
        connection.commit()


def rewrite_the_last(trail_file: Path) -> None:
    with closing(sqlite3.connect(trail_file)) as connection:
        connection.execute("DROP TRIGGER entries_no_update")
        connection.execute("UPDATE entries SET hash = zeroblob(32) WHERE id = 10")
        connection.commit()


def put_in_another(trail_file: Path) -> None:
    keys_folder = trail_file.parent / "other"
    from policies.keys import create_keys  # noqa: PLC0415 - one fault's alone

    trail_file.rename(trail_file.with_name("before.db"))
    with Trail.open(trail_file, create_keys(keys_folder)) as other:
        write(other, 30)


def take_out_the_next(trail_file: Path) -> None:
    with closing(sqlite3.connect(trail_file)) as connection:
        connection.execute("DROP TRIGGER entries_no_delete")
        connection.execute("DELETE FROM entries WHERE id = 12")
        connection.commit()


@pytest.mark.parametrize("swap", [restore_yesterday, rewrite_the_last, put_in_another, take_out_the_next])
def test_a_trail_that_is_another_is_told_and_not_sent(
    trail_file: Path, keys: Keys, swap: Callable[[Path], None]
) -> None:
    place = Place()
    with Trail.open(trail_file, keys) as trail:
        write(trail, 10)
        with sending(trail_file, place) as position:
            until(lambda: position.read().at == 10)
        write(trail, 5, 10)
    swap(trail_file)
    with sending(trail_file, place) as position:
        until(lambda: position.read().trouble)
        assert "replaced or rolled back" in str(position.read().trouble)
        assert place.numbers == list(range(1, 11))
        assert position.read().at == 10
        if swap is not take_out_the_next:
            position.ask_restart(0)
            last = max(entry.id for entry in read_entries(trail_file, EntryQuery(limit=1)))
            until(lambda: position.read().at == last and not position.read().trouble)
            assert place.numbers == [*range(1, 11), *range(1, last + 1)], "somebody who knows why asked for it"


def test_a_batch_under_way_that_is_gone_is_told(trail_file: Path, keys: Keys) -> None:
    place = Place()
    place.refuses = "away"
    with Trail.open(trail_file, keys) as trail:
        write(trail, 10)
        with sending(trail_file, place) as position:
            until(lambda: position.read().sending == 10)
    restore_yesterday(trail_file)
    place.refuses = ""
    with sending(trail_file, place) as position:
        until(lambda: "which was being sent, is gone" in str(position.read().trouble))
    assert place.batches == []


def test_sending_goes_on_behind_an_entry(trail: Trail, trail_file: Path) -> None:
    place = Place()
    write(trail, 20)
    PositionFile(trail_file.parent / "exports", "siem").ask_restart(15)
    with sending(trail_file, place) as position:
        until(lambda: position.read().at == 20)
        position.ask_restart(99)
        until(lambda: "no entry 99" in str(position.read().trouble))
        position.ask_restart(18)
        until(lambda: place.numbers == [*range(16, 21), 19, 20])


def test_entries_whose_content_was_removed_are_passed_over(trail: Trail, trail_file: Path) -> None:
    place = Place()
    write(trail, 10)
    with sending(trail_file, place) as position:
        until(lambda: position.read().at == 10)
    write(trail, 10, 10)
    trail.close()
    with closing(sqlite3.connect(trail_file)) as connection:
        connection.execute("DROP TRIGGER IF EXISTS entries_no_update")
        connection.execute("DROP TRIGGER IF EXISTS entries_only_reduced")
        try:
            connection.execute("UPDATE entries SET body = NULL WHERE id BETWEEN 8 AND 13")
        except sqlite3.DatabaseError:
            pytest.skip("content cannot be removed yet")
        connection.commit()
    with sending(trail_file, place) as position:
        until(lambda: position.read().at == 20)
    assert place.numbers == [*range(1, 11), *range(14, 21)]


def test_a_position_that_is_damaged_sends_nothing(trail: Trail, trail_file: Path) -> None:
    write(trail, 3)
    folder = trail_file.parent / "exports"
    folder.mkdir()
    (folder / "siem.json").write_text('{"at": "many"}')
    place = Place()
    with sending(trail_file, place):
        time.sleep(0.2)
    assert place.batches == []


@pytest.mark.parametrize("format_", Format)
def test_records_for_syslog_keep_within_its_length(trail: Trail, trail_file: Path, format_: Format) -> None:
    place = Place()
    trail.record(AnswerFailed("r" * 5000, "E"), WAIT_SECONDS)
    write(trail, 1)
    export = SyslogExport(name="siem", host="siem.example", format=format_, most_bytes=2048)
    with sending(trail_file, place, export=export) as position:
        until(lambda: position.read().at == 2)
    [long, short] = place.batches[0]
    assert len(long.text) < 2048 - 512
    assert format_ is Format.CEF or "truncated" in long.text, "CEF has limits of its own"
    assert "truncated" not in short.text


class Known:
    """Knows one person."""

    def tokens(self, names: Collection[str]) -> Mapping[str, str]:
        return dict.fromkeys(names, "p" + "0" * 16)

    def find(self, name: str) -> str | None:
        return None

    def names(self, tokens: Collection[str]) -> Mapping[str, str]:
        return dict.fromkeys(tokens, "ada")


@pytest.mark.parametrize("asked_for", [False, True])
def test_names_are_sent_only_where_they_are_asked_for(trail_file: Path, keys: Keys, *, asked_for: bool) -> None:
    place, known = Place(), Known()
    with Trail.open(trail_file, keys, names=known) as trail:
        write(trail, 1)
        position = PositionFile(trail_file.parent / "exports", "siem")
        made = Exporter(web(names=asked_for), place, position, trail_file, lambda _: None, known)
        made.start()
        until(lambda: position.read().at == 1)
        made.stop()
        made.join(WAIT_SECONDS)
    [[line]] = place.batches
    assert json.loads(line.text)["event"]["principal"] == ("ada" if asked_for else "p" + "0" * 16)


def test_positions_are_kept_as_they_were(tmp_path: Path) -> None:
    file = PositionFile(tmp_path / "x", "siem")
    assert file.read() == Position()
    position = Position("0" * 16, 5, "1" * 64, 9, 3, "2026-11-24T09:05:07.000123Z")
    file.write(position)
    assert file.read() == position
    assert (tmp_path / "x").stat().st_mode & 0o077 == 0
    assert msgspec.json.decode((tmp_path / "x" / "siem.json").read_bytes())["at"] == 5
    with file.held() as first, file.held() as second:
        assert (first, second) == (True, False)


# A receiver that fails in every way, and a process that is killed.


@pytest.mark.network
@pytest.mark.enable_socket
@pytest.mark.parametrize(("entries", "kills"), [(2000, 6), pytest.param(20_000, 60, marks=pytest.mark.deep)])
def test_nothing_is_lost_and_order_is_kept_however_it_fails(
    trail: Trail, trail_file: Path, tmp_path: Path, entries: int, kills: int
) -> None:
    draw, hanging = random.Random(entries), threading.Event()
    last = 0

    def answer(_: Post) -> tuple[int, dict[str, str]] | None:
        what = draw.random()
        if what < 0.1:
            return None  # Goes away without a word; in half of these it has kept the lines.
        if what < 0.15:
            hanging.wait(3.0)
            return 200, {}  # To nobody: the other side has given up.
        if what < 0.4:
            return draw.choice([500, 503, 429, 400, 302]), {"Retry-After": "0"}
        return 200, {}

    def sent_up_to() -> int:
        return PositionFile(tmp_path / "position", "siem").read().at

    write(trail, entries // 2)
    with http_receiver(answer) as receiver:
        url = f"http://127.0.0.1:{receiver.port}/"
        command = [sys.executable, str(PROCESS), str(trail_file), str(tmp_path / "position"), url]
        for kill in range(kills):
            process = subprocess.Popen(command, cwd=PROCESS.parents[3])
            try:
                before = len(receiver.posts)
                until(lambda before=before: len(receiver.posts) > before + draw.randint(3, 10))  # type: ignore[misc]
                if kill == kills // 2:
                    write(trail, entries - entries // 2, entries // 2)
                if kill == kills - 1:
                    until(lambda: sent_up_to() == entries)
                    last = sent_up_to()
            finally:
                process.kill()
                process.wait()
        hanging.set()
    assert last == entries
    numbers = [json.loads(line)["entry"] for line in receiver.taken]
    assert set(numbers) == set(range(1, entries + 1)), "nothing is lost"
    first_seen = list(dict.fromkeys(numbers))
    assert first_seen == list(range(1, entries + 1)), "and the order is that of the trail"
    _, stored = read_on(trail_file, 0, entries)
    hashes = {entry.id: entry.hash for entry in stored}
    assert all(hashes[one["entry"]] == one["hash"] for one in map(json.loads, receiver.taken)), "nothing is forged"
    repeated = [post for post in receiver.posts if json.loads(post.lines[0])["entry"] in _begins_twice(receiver.posts)]
    by_begin: dict[int, set[str]] = {}
    for post in repeated:
        by_begin.setdefault(json.loads(post.lines[0])["entry"], set()).add(post.headers["idempotency-key"])
    assert by_begin, "some were sent again"
    assert all(len(ids) == 1 for ids in by_begin.values()), "and each time as the batch that it was"


def _begins_twice(posts: Sequence[Post]) -> set[int]:
    begins = [json.loads(post.lines[0])["entry"] for post in posts]
    return {begin for begin, group in itertools.groupby(sorted(begins)) if len(list(group)) > 1}


def test_an_exporter_that_moves_on_before_it_is_acknowledged_loses_entries(
    trail: Trail, trail_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the same place with a transport that takes sending for delivery."""
    place = Place()
    place.refuses = "away"

    class Hopeful:
        def deliver(self, lines: Sequence[Line]) -> None:
            with pytest.raises(DeliveryFailedError):
                place.deliver(lines)

    write(trail, 10)
    with sending(trail_file, Hopeful()) as position:
        until(lambda: position.read().at == 10)
    place.refuses = ""
    with sending(trail_file, place):
        time.sleep(0.1)
    assert place.numbers == []
    shutil.rmtree(trail_file.parent / "exports")
