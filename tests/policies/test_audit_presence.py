"""What a process that is gone left without an end is said by the next, once; what is under way goes on."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from policies.audit.database import FileWriter
from policies.audit.events import AnswerFailed, QuestionAsked, SearchAsked
from policies.audit.places import TrailPlace
from policies.audit.reader import EntryQuery, read_entries
from policies.audit.store import Trail
from policies.errors import TrailUnavailableError
from policies.keys import Keys

WAIT_SECONDS = 20.0


def asked(request: str, principal: str = "ada") -> QuestionAsked:
    return QuestionAsked(request, principal, "http", "0" * 64, "model", "1" * 64)


def unknown(place: TrailPlace) -> list[tuple[str, str]]:
    entries = read_entries(place, EntryQuery(kind="answer:unknown"))
    return sorted((entry.event["request"], entry.event["principal"]) for entry in entries)


def vanish(trail: Trail) -> None:
    """What is left of a process that was killed: its lock is free, and nothing was closed."""
    storage = trail._writer._storage
    if isinstance(storage, FileWriter):
        assert storage._presence
        os.close(storage._presence._file)
        storage._presence._file = -1
    else:
        storage.close()


def left_by_a_killed_process(place: TrailPlace, keys: Keys) -> Iterator[Trail]:
    """A process that was killed with two questions under way and two that had ended."""
    trail = Trail.open(place, keys)
    for event in (asked("r1"), asked("r2", "bob"), asked("r3"), SearchAsked("s1", "ada", "http", "0" * 64, "1" * 64)):
        trail.record(event, WAIT_SECONDS)
    trail.record(AnswerFailed("r3", "SomeError"), WAIT_SECONDS)
    vanish(trail)
    yield trail
    trail.close()


@pytest.fixture
def killed(place: TrailPlace, keys: Keys) -> Iterator[Trail]:
    yield from left_by_a_killed_process(place, keys)


@pytest.fixture
def file_killed(trail_file: Path, keys: Keys) -> Iterator[Trail]:
    yield from left_by_a_killed_process(trail_file, keys)


def test_questions_of_a_process_that_is_gone_are_said_to_be_unknown(
    killed: Trail, place: TrailPlace, keys: Keys
) -> None:
    assert unknown(place) == []
    for _ in range(2):
        Trail.open(place, keys).close()
        assert unknown(place) == [("r1", "ada"), ("r2", "bob")]


def test_questions_of_a_running_process_are_left_alone(place: TrailPlace, keys: Keys) -> None:
    with Trail.open(place, keys) as running:
        running.record(asked("r1"), WAIT_SECONDS)
        Trail.open(place, keys).close()
        assert unknown(place) == []
    Trail.open(place, keys).close()
    assert unknown(place) == [("r1", "ada")], "it was closed with the question under way"


def test_a_process_that_ended_well_leaves_nothing(trail_file: Path, keys: Keys) -> None:
    with Trail.open(trail_file, keys) as trail:
        trail.record(asked("r1"), WAIT_SECONDS)
        trail.record(AnswerFailed("r1", "SomeError"), WAIT_SECONDS)
    assert list(trail_file.with_name("audit.db.writers").iterdir()) == []


def test_what_could_not_be_said_is_said_the_next_time(
    killed: Trail, place: TrailPlace, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        message = "The disk is full."
        raise TrailUnavailableError(message)

    with monkeypatch.context() as broken:
        broken.setattr(Trail, "submit", fails)
        with pytest.raises(TrailUnavailableError):
            Trail.open(place, keys)
    assert unknown(place) == []
    Trail.open(place, keys).close()
    assert unknown(place) == [("r1", "ada"), ("r2", "bob")]


def test_a_question_whose_end_is_lost_is_noticed(file_killed: Trail, trail_file: Path, keys: Keys) -> None:
    """Negative control: without the files nobody knows of the process, and the check above finds nothing."""
    for file in trail_file.with_name("audit.db.writers").iterdir():
        file.unlink()
    Trail.open(trail_file, keys).close()
    assert unknown(trail_file) == []
    with closing(sqlite3.connect(trail_file)) as connection:
        assert connection.execute("SELECT count(*) FROM entries WHERE kind = 'question:asked'").fetchone() == (3,)
