"""What is acknowledged is on disk; what is not on disk is not acknowledged, and says so."""

import json
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait as wait_for
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from policies.audit.chain import encode
from policies.audit.checkpoints import Checkpoint, last_exported, sign_checkpoint
from policies.audit.events import SearchAsked, UserAdded
from policies.audit.places import TrailPlace
from policies.audit.reader import EntryQuery, read_entries
from policies.audit.store import EntryRef, Trail
from policies.audit.verifier import verify
from policies.audit.writer import ChainWriter
from policies.errors import TrailUnavailableError, TrailUnreadableError
from policies.keys import Keys, create_keys
from tests.policies.trails import administrating, kept_in, rows

WAIT_SECONDS = 20.0


def asked(number: int = 0, principal: str = "ada") -> SearchAsked:
    return SearchAsked(f"r{number}", principal, "test", "0" * 64, "1" * 64)


@pytest.fixture
def trail(place: TrailPlace, keys: Keys) -> Iterator[Trail]:
    with Trail.open(place, keys) as opened:
        yield opened


@pytest.fixture
def file_trail(trail_file: Path, keys: Keys) -> Iterator[Trail]:
    with Trail.open(trail_file, keys) as opened:
        yield opened


def test_an_entry_is_on_disk_when_it_is_acknowledged(trail: Trail, place: TrailPlace) -> None:
    entry = trail.record(asked(), WAIT_SECONDS)
    assert (entry.seq, re.fullmatch("[0-9a-f]{64}", entry.hash) is not None) == (1, True)
    stored = rows(place, "SELECT writer, seq, hex(hash) FROM entries")
    assert stored == [(entry.writer, 1, entry.hash.upper())]


def test_entries_are_numbered_in_the_order_they_were_handed_over(trail: Trail) -> None:
    futures = [trail.submit(asked(number)) for number in range(500)]
    assert [future.result(WAIT_SECONDS).seq for future in futures] == list(range(1, 501))


def test_who_waits_together_shares_a_commit(place: TrailPlace, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    append = ChainWriter.append

    def counting(self: ChainWriter, bodies: list[str]) -> list[EntryRef]:
        groups.append(len(bodies))
        return append(self, bodies)

    monkeypatch.setattr(ChainWriter, "append", counting)
    with Trail.open(place, keys) as trail:
        wait_for([trail.submit(asked(number)) for number in range(300)], WAIT_SECONDS)
    assert sum(groups) == 300
    assert len(groups) < 30


def test_many_threads_write_one_chain(trail: Trail, place: TrailPlace, keys: Keys) -> None:
    entries: list[EntryRef] = []

    def work(name: str) -> None:
        entries.extend(trail.record(asked(number, name), WAIT_SECONDS) for number in range(25))

    threads = [threading.Thread(target=work, args=(f"user-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.seq for entry in entries) == list(range(1, 201))
    assert verify(place, keys.public_key_pem()).ok


def test_closing_writes_what_waits_and_signs_it(place: TrailPlace, keys: Keys) -> None:
    trail = Trail.open(place, keys)
    futures = [trail.submit(asked(number)) for number in range(100)]
    trail.close()
    trail.close()
    assert all(future.done() and future.result().seq for future in futures)
    report = verify(place, keys.public_key_pem())
    assert (report.ok, report.entries, report.sealed) == (True, 100, 100)


def test_entries_are_signed_within_about_a_second(trail: Trail, place: TrailPlace, keys: Keys) -> None:
    trail.record(asked(), WAIT_SECONDS)
    deadline = time.monotonic() + WAIT_SECONDS
    while not verify(place, keys.public_key_pem()).sealed and time.monotonic() < deadline:
        time.sleep(0.05)
    assert verify(place, keys.public_key_pem()).sealed == 1


def test_many_entries_are_signed_with_their_commit(place: TrailPlace, keys: Keys) -> None:
    """What 64 entries and more are worth is signed at once, whoever of the writers wrote them."""
    one, other = ChainWriter(place, keys), ChainWriter(place, keys)
    body = encode(asked(), datetime.now(UTC))
    one.append([body] * 63)
    assert rows(place, "SELECT count(*) FROM checkpoints") == [(0,)]
    other.append([body])
    one.append([body] * 63)
    other.append([body] * 200)
    counts = rows(place, "SELECT number, json_extract(body, '$.count') FROM checkpoints")
    assert counts == [(1, 64), (2, 327)]
    one.close()
    other.close()
    assert verify(place, keys.public_key_pem()).sealed == 327


def test_a_failed_commit_leaves_no_signature(place: TrailPlace, keys: Keys) -> None:
    chain = ChainWriter(place, keys)
    body = encode(asked(), datetime.now(UTC))
    sound = chain._storage._connection  # type: ignore[attr-defined]
    fail_to_sync(SimpleNamespace(_writer=chain), Path())  # type: ignore[arg-type]
    with pytest.raises(TrailUnavailableError):
        chain.append([body] * 64)
    sound.close()
    chain.append([body] * 64)
    chain.close()
    assert verify(place, keys.public_key_pem()).sealed == 64
    assert rows(place, "SELECT count(*) FROM checkpoints") == [(1,)]


def test_a_quiet_trail_says_that_nothing_happened(place: TrailPlace, keys: Keys, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.jsonl"
    with Trail(ChainWriter(place, keys, kept_in(copy)), quiet_seconds=0.05) as trail:
        until(lambda: rows(place, "SELECT count(*) FROM checkpoints") >= [(2,)])
        trail.record(asked(), WAIT_SECONDS)
        newest = "SELECT json_extract(body, '$.count') FROM checkpoints ORDER BY number DESC LIMIT 1"
        until(lambda: rows(place, newest) == [(1,)])
        signed = rows(place, "SELECT count(*) FROM checkpoints")
        until(lambda: rows(place, "SELECT count(*) FROM checkpoints") > signed)
    report = verify(place, keys.public_key_pem(), last_exported(copy))
    assert (report.ok, report.entries, report.sealed) == (True, 1, 1)
    assert report.checkpoints >= 4


def test_checkpoints_are_copied_elsewhere(place: TrailPlace, keys: Keys, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.jsonl"
    for _ in range(2):
        with Trail.open(place, keys, kept_in(copy)) as trail:
            trail.record(asked(), WAIT_SECONDS)
    copied = [json.loads(line)["checkpoint"]["count"] for line in copy.read_text(encoding="utf-8").splitlines()]
    assert copied == [1, 1, 2], "at opening the one that is there is told of again"
    with copy.open("a", encoding="utf-8") as file:
        file.write('{"checkpoint":{"at":"20')
    last = last_exported(copy)
    assert last is not None
    assert last.checkpoint.count == 2
    assert verify(place, keys.public_key_pem(), last).ok


def test_the_trail_is_its_owners_alone(file_trail: Trail, trail_file: Path) -> None:
    file_trail.record(asked(), WAIT_SECONDS)
    modes = {(file.is_dir(), file.stat().st_mode & 0o777) for file in trail_file.parent.rglob("*")}
    assert modes == {(False, 0o600), (True, 0o700)}


@pytest.mark.parametrize("statement", ["DELETE FROM entries", "UPDATE entries SET seq = 9", "DELETE FROM checkpoints"])
def test_rows_are_not_changed_by_accident(trail_file: Path, keys: Keys, statement: str) -> None:
    with Trail.open(trail_file, keys) as trail:
        trail.record(asked(), WAIT_SECONDS)
    with closing(sqlite3.connect(trail_file)) as connection, pytest.raises(sqlite3.IntegrityError, match="only grows"):
        connection.execute(statement)


def as_bytes(place: TrailPlace, content: bytes) -> str:
    return f"x'{content.hex()}'" if isinstance(place, Path) else f"'\\x{content.hex()}'"


def put_in_a_checkpoint(place: TrailPlace, keys: Keys, other_keys: Keys, forgery: str) -> None:
    """A newest checkpoint far ahead of the entries: noise, one of another key, or our own under another count."""
    ours = rows(place, "SELECT body, signature FROM checkpoints")[0]
    log = str(rows(place, "SELECT id FROM log")[0][0])
    forged = sign_checkpoint(
        Checkpoint(log, 10**12, 1, 10**12, "0" * 64, "", "", other_keys.key_id()), other_keys.signing
    )
    foreign = sign_checkpoint(Checkpoint("another", 10**12, 1, 10**12, "0" * 64, "", "", keys.key_id()), keys.signing)
    made = {
        "noise": ("x", b""),
        "other key": (forged.body, forged.signature),
        "other trail": (foreign.body, foreign.signature),
        "other count": ours,
    }
    body, signature = made[forgery]
    with administrating(place) as connection:
        connection.execute(f"INSERT INTO checkpoints VALUES ({10**12}, '{body}', {as_bytes(place, signature)})")


@pytest.mark.parametrize("forgery", ["noise", "other key", "other trail", "other count"])
@pytest.mark.parametrize("running", [True, False])
def test_a_newest_checkpoint_that_is_not_ours_is_said(
    place: TrailPlace, keys: Keys, other_keys: Keys, tmp_path: Path, forgery: str, *, running: bool
) -> None:
    """Were it trusted, nothing would be signed or copied any more, and entries cut after it would not be missed."""
    copy = tmp_path / "elsewhere.jsonl"
    with Trail.open(place, keys, kept_in(copy)) as trail:
        trail.record(asked(1), WAIT_SECONDS)
        until(copy.exists)
        if running:
            put_in_a_checkpoint(place, keys, other_keys, forgery)
            trail.record(asked(2), WAIT_SECONDS)
            until(lambda: "audit verify" in trail.health.detail)
            assert trail.health.ready, "entries are still durable"
    if not running:
        put_in_a_checkpoint(place, keys, other_keys, forgery)
        with Trail.open(place, keys, kept_in(copy)) as trail:
            trail.record(asked(2), WAIT_SECONDS)
            until(lambda: "did not sign" in trail.health.detail)
    assert rows(place, "SELECT count(*) FROM checkpoints") == [(2,)], "nothing is signed after it"


def test_signed_entries_that_are_gone_are_said(place: TrailPlace, keys: Keys) -> None:
    with Trail.open(place, keys) as trail:
        trail.record(asked(1), WAIT_SECONDS)
        trail.record(asked(2), WAIT_SECONDS)
        trail.record(asked(3), WAIT_SECONDS)
    with administrating(place) as connection:
        connection.execute("DELETE FROM entries WHERE id > 1")
    with Trail.open(place, keys) as trail:
        trail.record(asked(4), WAIT_SECONDS)
        until(lambda: "lacks entries 3 to 3" in trail.health.detail)


# Faults: every waiter hears of them, and the chain goes on when they are over.


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "this should have happened by now"
        time.sleep(0.02)


def fill_the_disk(trail: Trail, _: Path) -> Callable[[], None]:
    connection = trail._writer._storage._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    big = UserAdded("root", "x", tuple(f"group-{number}" * 20 for number in range(2000)), ())
    with pytest.raises(TrailUnavailableError, match="full"):
        trail.record(big, WAIT_SECONDS)
    return lambda: None


def lock_the_file(trail: Trail, file: Path) -> Callable[[], None]:
    trail._writer._storage._connection.execute("PRAGMA busy_timeout = 10")
    blocker = sqlite3.connect(file, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")

    def release() -> None:
        blocker.execute("ROLLBACK")
        blocker.close()

    return release


def move_it_away(_: Trail, file: Path) -> Callable[[], None]:
    elsewhere = file.parent.with_name("moved")
    file.parent.rename(elsewhere)

    def bring_back() -> None:
        elsewhere.rename(file.parent)

    return bring_back


def replace_it(trail: Trail, file: Path) -> Callable[[], None]:
    bring_back = move_it_away(trail, file)
    ChainWriter(file, create_keys(file.parent / "keys")).close()

    def take_out() -> None:
        shutil.rmtree(file.parent)
        bring_back()

    return take_out


def make_it_read_only(trail: Trail, _: Path) -> Callable[[], None]:
    trail._writer._storage._connection.execute("PRAGMA query_only = ON")
    return lambda: None


def close_the_connection(trail: Trail, _: Path) -> Callable[[], None]:
    trail._writer._storage._connection.close()
    return lambda: None


def io_error(connection: object) -> Exception:
    kind = sqlite3.OperationalError if isinstance(connection, sqlite3.Connection) else psycopg.OperationalError
    return kind("disk I/O error")


def connection_like(sound: Any, execute: Callable[..., object], *, in_transaction: bool) -> Any:
    """A connection that executes statements otherwise."""
    executemany = getattr(sound, "executemany", None)
    return SimpleNamespace(execute=execute, executemany=executemany, close=sound.close, in_transaction=in_transaction)


def fail_to_sync(trail: Trail, _: Path) -> Callable[[], None]:
    """The statement that makes entries durable fails, as it does when the disk reports an error."""
    sound = trail._writer._storage._connection

    def execute(statement: str, *values: object, **named: object) -> object:
        if statement == "COMMIT":
            raise io_error(sound)
        return sound.execute(statement, *values, **named)

    trail._writer._storage._connection = connection_like(sound, execute, in_transaction=True)
    return lambda: None


FAULTS = [
    fill_the_disk,
    lock_the_file,
    move_it_away,
    replace_it,
    close_the_connection,
    make_it_read_only,
    fail_to_sync,
]
PASSING = (close_the_connection, make_it_read_only, fail_to_sync)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_reaches_every_waiter_and_ends_with_its_cause(
    trail_file: Path, keys: Keys, fault: Callable[[Trail, Path], Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("policies.audit.database._LOCK_WAIT_SECONDS", 0.05)
    with Trail.open(trail_file, keys) as trail:
        before = trail.record(asked(1), WAIT_SECONDS)
        end = fault(trail, trail_file)
        if fault is not fill_the_disk:
            futures = [trail.submit(asked(number)) for number in range(2, 12)]
            failures = {type(future.exception(WAIT_SECONDS)) for future in futures}
            # What ends with the broken connection hits those who wait for one commit; the next may fare better.
            assert failures == {TrailUnavailableError} or (fault in PASSING and TrailUnavailableError in failures)
        end()
        until(lambda: trail.health.ready)
        after = trail.record(asked(12), WAIT_SECONDS)
        assert after.seq > before.seq
    report = verify(trail_file, keys.public_key_pem())
    assert report.ok, report.findings
    assert report.entries == after.seq


def test_a_fault_that_goes_on_keeps_the_door_closed(file_trail: Trail, trail_file: Path) -> None:
    trail = file_trail
    trail.record(asked(1), WAIT_SECONDS)
    replace_it(trail, trail_file)
    for number in range(2, 5):
        with pytest.raises(TrailUnavailableError, match="moved or replaced"):
            trail.record(asked(number), WAIT_SECONDS)
    assert not trail.health.ready
    assert rows(trail_file, "SELECT count(*) FROM entries") == [(0,)], "nothing is written into a foreign file"


def test_acknowledged_entries_that_vanish_close_the_door(trail: Trail, place: TrailPlace) -> None:
    """Somebody puts an earlier state of the trail back while the service runs."""
    trail.record(asked(1), WAIT_SECONDS)
    trail.record(asked(2), WAIT_SECONDS)
    with administrating(place) as connection:
        connection.execute("DELETE FROM entries WHERE seq = 2")
    close_the_connection(trail, Path())
    for _ in range(2):
        with pytest.raises(TrailUnavailableError):
            trail.record(asked(3), WAIT_SECONDS)
    assert not trail.health.ready


def test_a_commit_that_only_seemed_to_fail_does_not_break_the_chain(place: TrailPlace, keys: Keys) -> None:
    chain = ChainWriter(place, keys)
    sound = chain._storage._connection

    def execute(statement: str, *values: object, **named: object) -> object:
        result = sound.execute(statement, *values, **named)
        if statement == "COMMIT":
            raise io_error(sound)
        return result

    chain._storage._connection = connection_like(sound, execute, in_transaction=False)
    with pytest.raises(TrailUnavailableError):
        chain.append(['{"n":1}'])
    assert [entry.seq for entry in chain.append(['{"n":2}'])] == [2]
    chain.close()
    assert verify(place, keys.public_key_pem()).ok


def test_a_fault_is_logged_once_and_its_end_once(
    file_trail: Trail, trail_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trail = file_trail
    caplog.set_level("INFO", logger="policies.audit.store")
    trail.record(asked(1), WAIT_SECONDS)
    bring_back = move_it_away(trail, trail_file)
    for number in range(2, 7):
        assert trail.submit(asked(number)).exception(WAIT_SECONDS)
    bring_back()
    until(lambda: trail.health.ready)
    trail.record(asked(7), WAIT_SECONDS)
    until(lambda: len(caplog.messages) > 1)
    assert [message.split()[0] for message in caplog.messages] == ["audit_entries_refused", "audit_entries_accepted"]


def test_a_closed_trail_takes_nothing(place: TrailPlace, keys: Keys) -> None:
    trail = Trail.open(place, keys)
    trail.close()
    with pytest.raises(TrailUnavailableError, match="closed"):
        trail.submit(asked())
    assert not trail.health.ready


class StuckWriter:
    """A disk that does not answer until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.entered = threading.Event()

    def append(self, bodies: list[str]) -> list[EntryRef]:
        self.entered.set()
        self.let_go.wait(WAIT_SECONDS)
        return [EntryRef("log", "writer", number, "") for number, _ in enumerate(bodies, start=1)]

    def seal(self, *, though_quiet: bool = False) -> bool:
        return False

    def recover(self) -> None:
        pass

    def close(self, *, settled: bool = True) -> None:
        pass


@pytest.fixture
def stuck() -> Iterator[tuple[Trail, StuckWriter]]:
    disk = StuckWriter()
    trail = Trail(disk, most_waiting=5)  # type: ignore[arg-type]
    yield trail, disk
    disk.let_go.set()
    trail.close()


def test_a_queue_that_is_full_refuses_at_once(stuck: tuple[Trail, StuckWriter]) -> None:
    trail, disk = stuck
    first = trail.submit(asked(0))
    disk.entered.wait(WAIT_SECONDS)
    taken = [trail.submit(asked(number)) for number in range(1, 6)]
    with pytest.raises(TrailUnavailableError, match="5 entries behind"):
        trail.submit(asked(6))
    assert trail.health.waiting == 5
    disk.let_go.set()
    assert all(future.result(WAIT_SECONDS) for future in [first, *taken])


def test_a_disk_that_hangs_is_not_waited_for_for_ever(stuck: tuple[Trail, StuckWriter]) -> None:
    trail, _ = stuck
    with pytest.raises(TrailUnavailableError, match=r"within 0.05 s"):
        trail.record(asked(), timeout_seconds=0.05)


def test_a_waiter_that_gave_up_is_recorded_all_the_same(stuck: tuple[Trail, StuckWriter]) -> None:
    trail, disk = stuck
    trail.submit(asked(0))
    disk.entered.wait(WAIT_SECONDS)
    given_up, other = trail.submit(asked(1)), trail.submit(asked(2))
    assert given_up.cancel()
    disk.let_go.set()
    assert other.result(WAIT_SECONDS).seq == 2, "the entry that nobody waits for stands before it"


def test_an_unforeseen_error_fails_the_waiters_and_not_the_thread(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(ChainWriter, "append", lambda *_: 1 / 0)
        with pytest.raises(TrailUnavailableError, match="division"):
            trail.record(asked(), WAIT_SECONDS)
    until(lambda: trail.health.ready)
    assert trail.record(asked(), WAIT_SECONDS).seq == 1


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000, None], ids=["empty", "noise", "folder"])
def test_what_is_no_trail_is_not_opened(trail_file: Path, keys: Keys, content: bytes | None) -> None:
    trail_file.parent.mkdir()
    trail_file.mkdir() if content is None else trail_file.write_bytes(content)
    if content == b"":
        Trail.open(trail_file, keys).close()  # An empty file is where a new trail begins.
        return
    with pytest.raises(TrailUnavailableError, match="cannot be written"):
        Trail.open(trail_file, keys)
    with pytest.raises(TrailUnreadableError, match="cannot be read"):
        read_entries(trail_file, EntryQuery())


def test_another_kind_of_database_is_no_trail(trail_file: Path, keys: Keys) -> None:
    trail_file.parent.mkdir()
    with closing(sqlite3.connect(trail_file)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(TrailUnavailableError, match="no such table"):
        Trail.open(trail_file, keys)
