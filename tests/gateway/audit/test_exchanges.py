"""Entries of one request, put together: who asked, what became of each passage, how it ended."""

from dataclasses import asdict
from datetime import UTC, datetime
from itertools import count
from typing import get_args

import pytest

from gateway.audit.exchanges import How, exchanges, outdated, seen
from gateway.audit.sentences import SENTENCES, sentence
from gateway.audit.timeline import documents_in, groups
from policies.audit import events
from policies.audit.events import (
    AccessDenied,
    AnswerFailed,
    AnswerGiven,
    AnswerUnknown,
    Event,
    PassagesRetrieved,
    QuestionAsked,
    SearchAsked,
    UserAdded,
)
from policies.audit.reader import Entry

AT = datetime(2026, 12, 1, tzinfo=UTC)
ASKED = QuestionAsked("r1", "bob", "http", "0" * 64, "model", "1" * 64, network="office")
FOUND = PassagesRetrieved(
    "r1",
    1,
    "1" * 64,
    2,
    1,
    ("p1", "p2", "p3", "p4"),
    ("d1", "d1", "d2", "d3"),
    ("l1", "l2", "l1", "l1"),
    ("rule",),
    "3",
)
GIVEN = AnswerGiven("r1", False, ("d1",), {}, "0" * 64, "1" * 64, ("p1", "p3"))


def entries(*events_: Event) -> list[Entry]:
    numbers = count(1)
    return [Entry(next(numbers), "w", 1, "0", AT, event.kind, as_read(event)) for event in events_]


def as_read(event: Event) -> dict[str, object]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(event).items()}


def test_an_answer_tells_what_was_cited_read_and_only_found() -> None:
    (found,) = exchanges(entries(ASKED, FOUND, GIVEN))
    assert (found.request, found.principal, found.question, found.outcome) == ("r1", "bob", True, "answered")
    assert (found.rules, found.network, found.at) == (["rule"], "office", AT)
    assert [(one.passage, one.document, one.label, one.how) for one in found.passages] == [
        ("p1", "d1", "l1", How.CITED),
        ("p2", "d1", "l2", How.FOUND),
        ("p3", "d2", "l1", How.READ),
        ("p4", "d3", "l1", How.FOUND),
    ]
    assert [seen(found.about(document)) for document in ("d1", "d2", "d3", "d4")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (AnswerGiven("r1", True, (), {}, "0", "1", ("p1",)), "declined"),
        (AnswerFailed("r1", "EngineUnavailableError"), "failed"),
        (AnswerUnknown("r1", "bob"), "unknown"),
        (AccessDenied("eve", "audit:read", "no", (), "r2"), "running"),
    ],
)
def test_nobody_was_shown_anything_of_a_question_without_an_answer(end: Event, outcome: str) -> None:
    (found,) = exchanges(entries(ASKED, FOUND, end))
    assert found.outcome == outcome
    assert {one.how for one in found.passages} == {How.FOUND}
    assert not seen(found)


def test_a_search_shows_all_that_it_found() -> None:
    (found,) = exchanges(entries(SearchAsked("r1", "bob", "http", "0", "1"), FOUND))
    assert (found.question, found.outcome, {one.how for one in found.passages}) == (False, "answered", {How.SHOWN})
    (cut,) = exchanges(entries(SearchAsked("r1", "bob", "http", "0", "1")))
    assert (cut.outcome, cut.passages) == ("running", [])


def test_entries_of_before_say_by_document_what_was_cited() -> None:
    before = entries(ASKED, FOUND, GIVEN)
    del before[2].event["passages"]  # type: ignore[attr-defined]
    (found,) = exchanges(before)
    assert [one.how for one in found.passages] == [How.CITED, How.CITED, How.FOUND, How.FOUND]


def test_the_newest_comes_first_and_what_is_no_exchange_is_left_out() -> None:
    later = SearchAsked("r0", "alice", "http", "0", "1")
    found = exchanges(entries(ASKED, UserAdded("root", "bob", (), ()), later, GIVEN))
    assert [one.request for one in found] == ["r0", "r1"]


def test_an_answer_rests_on_an_old_version_when_a_passage_it_was_made_from_is_gone() -> None:
    (found,) = exchanges(entries(ASKED, FOUND, GIVEN))
    assert outdated(found, "d1", {"p1", "p2"}) is None
    assert outdated(found, "d1", {"p1"}) is None, "p2 was found, and no answer was made from it"
    old = outdated(found, "d1", {"p2", "p9"})
    assert old is not None
    assert [one.passage for one in old.passages] == ["p1"]
    assert outdated(found, "d2", set()) is not None
    assert outdated(found, "d3", set()) is None
    (declined,) = exchanges(entries(ASKED, FOUND, AnswerGiven("r1", True, (), {}, "0", "1", ("p1",))))
    assert outdated(declined, "d1", set()) is None


@pytest.mark.parametrize("event", get_args(events.Event), ids=lambda event: event.__name__)
def test_every_kind_of_entry_has_a_sentence_of_its_own_fields(event: type[Event]) -> None:
    fields = {name: "x" for name in event.__dataclass_fields__ if name != "kind"}
    told = sentence(Entry(1, "w", 1, "0", AT, event.kind, fields), {})
    assert event.kind in SENTENCES
    assert told != event.kind
    assert " - " not in f" {told} ", "a field that the event does not have"


def test_there_is_no_sentence_for_what_does_not_exist() -> None:
    assert SENTENCES.keys() == {event.kind for event in get_args(events.Event)}
    assert sentence(Entry(1, "w", 1, "0", AT, "some:thing", {}), {}) == "some:thing"


def test_a_timeline_goes_by_request_and_names_documents_by_their_paths() -> None:
    told = entries(ASKED, UserAdded("root", "eve", ("staff",), ()), FOUND, GIVEN)
    assert documents_in(told) == {"d1", "d2", "d3"}
    grouped = groups(told, {"d1": "handbook/travel.md"})
    assert [(group.request, [one.entry for one in group.happened]) for group in grouped] == [
        ("r1", [1, 3, 4]),
        ("", [2]),
    ]
    assert "handbook/travel.md, d2, d3" in grouped[0].happened[1].sentence
    assert grouped[1].happened[0].sentence == "root gave eve groups staff and roles nothing"


def test_a_value_of_an_entry_is_no_template() -> None:
    hostile = entries(UserAdded("{user}", "{0.__class__}", ("%s", "{by}"), ()))
    assert sentence(hostile[0], {}) == "{user} gave {0.__class__} groups %s, {by} and roles nothing"
