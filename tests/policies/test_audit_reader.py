"""Entries are found by who, what, when and which request; reading needs no right to write."""

import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policies.audit.events import (
    AnswerFailed,
    AnswerGiven,
    Event,
    KeyCreated,
    PassagesRetrieved,
    PersonalDataRevealed,
    QuestionAsked,
    UserAdded,
)
from policies.audit.places import TrailPlace
from policies.audit.reader import EntryQuery, read_entries
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
    child = os.fork()
    if child == 0:
        if os.getuid() == 0:
            os.setuid(65534)
        fine = verify(file, keys.public_key_pem()).ok and len(read_entries(file, EntryQuery())) == 1
        try:
            Trail.open(file, keys)
        except TrailUnavailableError:
            os._exit(0 if fine else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    open_folder.chmod(0o755)
