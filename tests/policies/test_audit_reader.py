"""Entries are found by who, what, when and which request; reading needs no right to write."""

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import policies.audit.reader
from policies.audit.events import (
    AccessDenied,
    AnswerFailed,
    AnswerGiven,
    AnswerUnknown,
    Event,
    KeyCreated,
    PassagesRetrieved,
    PersonalDataRevealed,
    QuestionAsked,
    UserAdded,
)
from policies.audit.places import TrailPlace
from policies.audit.reader import Entry, EntryQuery, Outcome, read_entries, read_page
from policies.audit.store import Trail
from policies.audit.verifier import verify
from policies.errors import TrailUnavailableError, TrailUnreadableError
from policies.keys import Keys

WAIT_SECONDS = 20.0


def asked(request: str, principal: str) -> QuestionAsked:
    return QuestionAsked(request, principal, "test", "0" * 64, "model", "1" * 64)


@pytest.fixture
def history(place: TrailPlace, keys: Keys) -> tuple[TrailPlace, datetime]:
    """What two people did, with the time between the first and the rest."""
    with Trail.open(place, keys) as trail:
        trail.record(UserAdded("root", "ada", ("staff",), ("employee",)), WAIT_SECONDS)
        time.sleep(0.01)
        between = datetime.now(UTC)
        events: list[Event] = [
            asked("r1", "ada"),
            AnswerGiven("r1", False, ("d1",), {"PERSON": 1}, output_sha256="0" * 64, receipt_sha256="1" * 64),
            asked("r2", "bob"),
            AnswerFailed("r2", "EngineUnavailableError"),
            KeyCreated("root", "bob", "k1"),
        ]
        for event in events:
            trail.record(event, WAIT_SECONDS)
    return place, between


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        (EntryQuery(limit=2), ["key:created", "answer:failed"]),
        (EntryQuery(principal="ada"), ["answer:given", "question:asked", "user:added"]),
        (EntryQuery(principal="bob"), ["key:created", "answer:failed", "question:asked"]),
        (EntryQuery(principal="root"), ["key:created", "user:added"]),
        (EntryQuery(principal="' OR 1=1 --"), []),
        (EntryQuery(kind="question:asked"), ["question:asked", "question:asked"]),
        (EntryQuery(request="r2"), ["answer:failed", "question:asked"]),
        (EntryQuery(request="r2", principal="ada"), []),
        (EntryQuery(until=datetime(2020, 1, 1, tzinfo=UTC)), []),
        (EntryQuery(since=datetime.now(UTC) + timedelta(days=1)), []),
    ],
)
def test_entries_are_found_newest_first(
    history: tuple[TrailPlace, datetime], query: EntryQuery, kinds: list[str]
) -> None:
    assert [entry.kind for entry in read_entries(history[0], query)] == kinds


FOUND = PassagesRetrieved("r3", 1, "1" * 64, 2, 1, ("p1", "p2"), ("d1", "d2"), ("l1", "l2"), ("rule-a",), "3" * 64)
SHOWN = PersonalDataRevealed("r3", "ada", "search", "l1", {"IBAN_CODE": 2}, ("rule-b",))


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        (EntryQuery(document="d1"), ["passages:retrieved", "answer:given"]),
        (EntryQuery(document="d2"), ["passages:retrieved"]),
        (EntryQuery(document="d"), []),
        (EntryQuery(label="l1"), ["personal-data:revealed", "passages:retrieved"]),
        (EntryQuery(rule="rule-b"), ["personal-data:revealed"]),
        (EntryQuery(passage="p2"), ["passages:retrieved"]),
        (EntryQuery(entity_type="PERSON"), ["answer:given"]),
        (EntryQuery(entity_type="IBAN_CODE"), ["personal-data:revealed"]),
        (EntryQuery(entity_type='x" OR 1=1'), []),
        (EntryQuery(value_hmac="0" * 64), ["question:asked", "question:asked"]),
        (EntryQuery(value_hmac="0" * 63), []),
        (EntryQuery(document="d1", kind="answer:given"), ["answer:given"]),
    ],
)
def test_entries_are_found_by_what_they_name(
    history: tuple[TrailPlace, datetime], keys: Keys, query: EntryQuery, kinds: list[str]
) -> None:
    with Trail.open(history[0], keys) as trail:
        trail.record(FOUND, WAIT_SECONDS)
        trail.record(SHOWN, WAIT_SECONDS)
    assert [entry.kind for entry in read_entries(history[0], query)] == kinds


@pytest.mark.parametrize(
    ("outcome", "request_"),
    [
        (Outcome.ANSWERED, "r1"),
        (Outcome.DECLINED, "r4"),
        (Outcome.DENIED, "r6"),
        (Outcome.FAILED, "r2"),
        (Outcome.UNKNOWN, "r5"),
    ],
)
def test_entries_are_found_by_how_it_ended(
    history: tuple[Path, datetime], keys: Keys, outcome: Outcome, request_: str
) -> None:
    file, _ = history
    forged = '"abstained":true'
    with Trail.open(file, keys) as trail:
        trail.record(AnswerGiven("r4", True, (), {}, forged, "1" * 64), WAIT_SECONDS)
        trail.record(AnswerUnknown("r5", "bob"), WAIT_SECONDS)
        trail.record(AccessDenied("bob", forged, forged, (), "r6"), WAIT_SECONDS)
        trail.record(AnswerGiven("r1", False, (forged,), {}, forged, "1" * 64), WAIT_SECONDS)
    found = read_entries(file, EntryQuery(outcome=outcome))
    assert {entry.event["request"] for entry in found} == {request_}
    by_bob = read_entries(file, EntryQuery(outcome=outcome, principal="bob"))
    assert [entry.event["request"] for entry in by_bob] == ([request_] if request_ in {"r2", "r5", "r6"} else [])


@pytest.mark.parametrize("wanted", ["50%", "a_b", "a!b", "a\\b", 'a"b', "é", "D1", "\n"])
def test_what_is_looked_for_is_taken_as_it_is(trail_file: Path, keys: Keys, wanted: str) -> None:
    others = ["500", "axb", "ab", "a!!b", "a/b", "ab", "e", "d1", ""]
    with Trail.open(trail_file, keys) as trail:
        for document in (*others, wanted):
            trail.record(AnswerGiven(f"r-{document}", False, (document,), {}, "0", "1"), WAIT_SECONDS)
    assert [entry.event["cited"] for entry in read_entries(trail_file, EntryQuery(document=wanted))] == [[wanted]]


def paged(file: Path, query: EntryQuery, within_seconds: float) -> tuple[list[Entry], int]:
    """All entries of a query, a page after the other, and how many pages that took."""
    entries: list[Entry] = []
    for pages in range(1, 1000):
        page = read_page(file, query, within_seconds=within_seconds)
        assert len(page.entries) <= query.limit
        entries += page.entries
        if page.next is None:
            return entries, pages
        on = page.next
        query = replace(query, after=on) if query.oldest_first else replace(query, before=on)
    pytest.fail("it never ends")


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 7, 100])
@pytest.mark.parametrize("window", [1, 3, 100_000])
@pytest.mark.parametrize("within_seconds", [0.0, 60.0])
def test_pages_together_are_everything_once(
    long_trail: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    oldest_first: bool,
    limit: int,
    window: int,
    within_seconds: float,
) -> None:
    monkeypatch.setattr(policies.audit.reader, "_WINDOW", window)
    for asked_for in (EntryQuery(), EntryQuery(document="d3"), EntryQuery(principal="ada"), EntryQuery(document="d")):
        query = replace(asked_for, limit=limit, oldest_first=oldest_first)
        expected = read_entries(long_trail, replace(query, limit=10_000))
        found, pages = paged(long_trail, query, within_seconds)
        assert found == expected
        if window == 1 and within_seconds == 0 and query.document:
            assert pages == 24


def test_a_page_says_how_far_it_looked(long_trail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies.audit.reader, "_WINDOW", 10)
    told: list[tuple[int, int]] = []
    read_page(long_trail, EntryQuery(document="none"), on_progress=lambda done, of: told.append((done, of)))
    assert told == [(10, 24), (20, 24), (24, 24)]


@pytest.fixture(scope="module")
def long_trail(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    file = tmp_path_factory.mktemp("long") / "audit.db"
    with Trail.open(file, keys) as trail:
        for number in range(12):
            trail.record(asked(f"r{number}", "ada" if number % 3 else "bob"), WAIT_SECONDS)
            cited = (f"d{number % 5}",)
            trail.record(AnswerGiven(f"r{number}", False, cited, {}, "0" * 64, "1" * 64), WAIT_SECONDS)
    return file


def test_entries_are_found_by_time(history: tuple[TrailPlace, datetime]) -> None:
    file, between = history
    assert [entry.kind for entry in read_entries(file, EntryQuery(until=between))] == ["user:added"]
    assert len(read_entries(file, EntryQuery(since=between))) == 5


def test_an_entry_is_read_as_it_was_written(place: TrailPlace, keys: Keys) -> None:
    before = datetime.now(UTC)
    with Trail.open(place, keys) as trail:
        reference = trail.record(UserAdded("root", "ada", ("staff", "é\n"), ("employee",)), WAIT_SECONDS)
    (entry,) = read_entries(place, EntryQuery())
    assert (entry.id, entry.writer, entry.seq, entry.hash) == (1, reference.writer, reference.seq, reference.hash)
    assert (entry.kind, entry.event["groups"], entry.event["user"]) == ("user:added", ["staff", "é\n"], "ada")
    assert before <= entry.at <= datetime.now(UTC)
    assert read_entries(place, EntryQuery(hash=reference.hash)) == [entry]
    assert read_entries(place, EntryQuery(hash=reference.hash[:-1])) == []


def test_a_missing_trail_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrailUnreadableError, match="restore"):
        read_entries(tmp_path / "none.db", EntryQuery())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_trail_on_read_only_media_can_be_read(open_folder: Path, keys: Keys) -> None:
    """As whoever may read but not write; permissions do not hold root back, so a child gives root up first."""
    file = open_folder / "audit.db"
    with Trail.open(file, keys) as trail:
        trail.record(asked("r1", "ada"), WAIT_SECONDS)
    file.chmod(0o444)
    open_folder.chmod(0o555)
    pem = keys.public_key_pem()  # Where it lies, nobody but root may look.
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            fine = verify(file, pem).ok and len(read_entries(file, EntryQuery())) == 1
            try:
                Trail.open(file, keys)
            except TrailUnavailableError:
                os._exit(0 if fine else 1)
        finally:
            os._exit(2)  # Whatever happens: the child must not go on as a second pytest.
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    open_folder.chmod(0o755)
