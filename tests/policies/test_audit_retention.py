"""What old entries say is removed when its time is over, and nothing else; both verifiers agree with what is left."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from policies.audit import events, retention, sealing
from policies.audit.chain import encode
from policies.audit.classes import CLASSES, EntryClass
from policies.audit.copying import copy_trail
from policies.audit.events import (
    AnswerFailed,
    AnswerGiven,
    AnswerUnknown,
    Event,
    QuestionAsked,
    SearchAsked,
    SignInFailed,
    TrailReduced,
    UserAdded,
)
from policies.audit.reader import Entry, EntryQuery, read_entries, read_on
from policies.audit.retention import Removal, plan, remove
from policies.audit.store import Trail
from policies.audit.verifier import FindingKind, verify
from policies.audit.writer import ChainWriter
from policies.errors import TrailUnavailableError, TrailUnwritableError
from policies.keys import Keys
from tests.policies.test_audit_verifier import alone

NOW = datetime(2026, 12, 1, tzinfo=UTC)
OLD, NEW = NOW - timedelta(days=400), NOW - timedelta(days=10)
DAYS = {EntryClass.QUESTIONS: 200, EntryClass.ACCESS: 300}


def asked(request: str, who: str = "ada") -> QuestionAsked:
    return QuestionAsked(request, who, "http", "0" * 64, "m", "1" * 64)


def given(request: str) -> AnswerGiven:
    return AnswerGiven(request, False, (), {}, "0" * 64, "1" * 64)


ENTRIES: list[tuple[Event, datetime]] = [
    (UserAdded("root", "ada", (), ("employee",)), OLD),  # 1
    (asked("r1"), OLD),  # 2
    (given("r1"), OLD),  # 3
    (SignInFailed("http", "wrong"), OLD),  # 4
    (asked("open"), OLD),  # 5: nobody knows how it ended
    (SearchAsked("s1", "bob", "http", "0" * 64, "1" * 64), OLD),  # 6
    (asked("r2", "eve"), OLD),  # 7
    (AnswerFailed("r2", "E"), OLD),  # 8
    (asked("r3"), NOW - timedelta(days=250)),  # 9
    (AnswerUnknown("r3", "ada"), NOW - timedelta(days=250)),  # 10
    (SignInFailed("http", "wrong"), NOW - timedelta(days=250)),  # 11
    (asked("r4"), NEW),  # 12
    (given("r4"), NEW),  # 13
]


@pytest.fixture
def old(trail_file: Path, keys: Keys) -> Path:
    writer = ChainWriter(trail_file, keys)
    for event, at in ENTRIES:
        writer.append([encode(event, at)])
    writer.seal()
    writer.close()
    return trail_file


@pytest.fixture
def trail(old: Path, keys: Keys) -> Iterator[Trail]:
    with Trail.open(old, keys) as opened:
        yield opened


def bare(file: Path) -> list[int]:
    with closing(sqlite3.connect(file)) as connection:
        return [id_ for (id_,) in connection.execute("SELECT id FROM entries WHERE body IS NULL ORDER BY id")]


def reduce(file: Path, keys: Keys, trail: Trail, removal: Removal) -> None:
    remove(file, keys, removal, "root", lambda event: trail.record(event, 20.0))


def test_every_event_is_in_one_class() -> None:
    every = [event for class_ in CLASSES.values() for event in class_]
    assert len(every) == len(set(every))
    assert set(every) == set(get_args(events.Event)), "add it to policies/audit/classes.py"


def test_what_is_old_goes_by_class_and_the_rest_verifies(old: Path, keys: Keys, trail: Trail) -> None:
    found = plan(old, DAYS, NOW)
    assert found == Removal((2, 3, 4, 6, 7, 8, 9, 10), {"questions": 7, "access": 1}, 0)
    assert bare(old) == [], "nothing is removed by asking"
    reduce(old, keys, trail, found)
    trail.close()
    assert bare(old) == list(found.ids)
    report = verify(old, keys.public_key_pem())
    assert (report.ok, report.removed, report.sealed) == (True, 8, 14), report.findings
    assert alone(old, keys.public_key_pem(), []) == []
    [told] = read_entries(old, EntryQuery(kind=TrailReduced.kind))
    assert told.event["entries"] == ["2-4", "6-10"]
    assert {entry.id for entry in read_entries(old, EntryQuery())} == {1, 5, 11, 12, 13, 14}
    assert [entry.id for entry in read_on(old, 0, 3)[1]] == [1, 5, 11]
    assert plan(old, DAYS, NOW).ids == ()


def test_the_removed_is_in_no_file_any_more(old: Path, keys: Keys, trail: Trail) -> None:
    assert any(b'"s1"' in file.read_bytes() for file in old.parent.glob("audit.db*") if file.is_file())
    reduce(old, keys, trail, plan(old, DAYS, NOW))
    trail.close()
    for file in old.parent.glob("audit.db*"):
        assert file.is_dir() or b'"s1"' not in file.read_bytes(), file


def test_removals_add_up_over_rotations_of_writers(old: Path, keys: Keys, trail: Trail) -> None:
    for days in (390, 200, 1):
        reduce(old, keys, trail, plan(old, {EntryClass.QUESTIONS: days}, NOW))
        assert verify(old, keys.public_key_pem()).ok
    assert bare(old) == [2, 3, 6, 7, 8, 9, 10, 12, 13]


def test_what_is_held_stays(old: Path, keys: Keys) -> None:
    def held(entry: Entry) -> str | None:
        return "a proceeding" if entry.event.get("principal") == "eve" or entry.event.get("request") == "r1" else None

    found = plan(old, DAYS, NOW, held)
    assert (found.ids, found.held) == ((4, 6, 8, 9, 10), 3)
    assert set(plan(old, DAYS, NOW).ids) > set(found.ids), "negative control"


def test_what_an_export_has_not_taken_stays(old: Path) -> None:
    assert plan(old, DAYS, NOW, taken=6).ids == (2, 3, 4, 6)
    assert plan(old, DAYS, NOW, taken=0).ids == ()


def test_what_is_not_signed_stays(old: Path, keys: Keys) -> None:
    writer = ChainWriter(old, keys)
    writer.append([encode(SearchAsked("s2", "bob", "http", "0" * 64, "1" * 64), OLD)])
    assert 14 not in plan(old, DAYS, NOW).ids
    with pytest.raises(TrailUnavailableError, match="not signed yet"):
        writer.remove([14])
    writer.seal()
    assert 14 in plan(old, DAYS, NOW).ids
    writer.close()


def test_much_is_removed_in_parts(old: Path, keys: Keys, trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_MOST_AT_ONCE", 3)
    parts = []
    while (found := plan(old, DAYS, NOW)).ids:
        parts.append(len(found.ids))
        reduce(old, keys, trail, found)
    assert parts == [3, 3, 2]
    assert verify(old, keys.public_key_pem()).ok


def test_a_removal_that_cannot_be_announced_is_not_done(old: Path, keys: Keys, trail: Trail) -> None:
    trail.close()
    with pytest.raises(TrailUnavailableError):
        reduce(old, keys, trail, plan(old, DAYS, NOW))
    assert bare(old) == []


def take_out(file: Path, id_: int) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE entries SET body = NULL WHERE id = ?", (id_,))


def test_content_that_somebody_else_took_out_is_never_signed_as_removed(old: Path, keys: Keys, trail: Trail) -> None:
    """The file itself lets content be taken out; what the product signs does not follow."""
    take_out(old, 1)
    with pytest.raises(TrailUnavailableError, match="nobody removed"):
        reduce(old, keys, trail, plan(old, DAYS, NOW))
    trail.close()
    report = verify(old, keys.public_key_pem())
    assert [(found.kind, found.first, found.last) for found in report.findings] == [(FindingKind.NOT_REMOVED, 1, 1)]
    assert alone(old, keys.public_key_pem(), []) != []


def test_a_writer_that_signs_what_it_finds_would_hide_it(
    old: Path, keys: Keys, trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the above."""
    take_out(old, 1)
    monkeypatch.setattr(sealing, "_untouched", lambda *_: True)
    reduce(old, keys, trail, plan(old, DAYS, NOW))
    trail.close()
    assert verify(old, keys.public_key_pem()).ok


def test_a_copy_is_the_same_trail_in_one_file(old: Path, keys: Keys, trail: Trail, tmp_path: Path) -> None:
    reduce(old, keys, trail, plan(old, DAYS, NOW))
    copy = tmp_path / "copy.db"
    assert copy_trail(old, copy) == 14
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(("copy", ".copy"))] == ["copy.db"]
    assert verify(copy, keys.public_key_pem()) == verify(old, keys.public_key_pem())
    assert alone(copy, keys.public_key_pem(), []) == []
    with pytest.raises(TrailUnwritableError, match="not overwritten"):
        copy_trail(old, copy)
    with pytest.raises(TrailUnwritableError, match="Nothing was left"):
        copy_trail(old, tmp_path / "none" / "copy.db")
