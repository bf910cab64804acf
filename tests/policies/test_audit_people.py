"""Entries hold tokens in the place of names, whatever the event; readers see names as far as somebody knows them."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, make_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from policies.audit import people
from policies.audit.chain import encode
from policies.audit.events import Event, Owners, Person, QuestionAsked, SourceOwnersChanged, UserAdded
from policies.audit.people import hidden, is_token, shown
from policies.audit.reader import EntryQuery, read_entries, read_on
from policies.audit.store import Trail
from policies.keys import Keys

EVENTS: tuple[type[Event], ...] = get_args(Event)
NOW = datetime(2026, 11, 24, 9, 5, 7, 123, tzinfo=UTC)
WAIT_SECONDS = 20.0
SOMEBODY = "ada.brandt"
NAME_NOBODY = {
    "access_sha256", "action", "address_hmac", "backup", "cause", "change", "channel", "cited", "conversation",
    "counts", "covers", "decisions", "decisions_sha256", "document", "documents", "ends", "entries", "error",
    "expires", "failed", "filters", "first_day", "group", "grouping", "groups", "hold", "investigation", "issuer",
    "kept", "kept_decisions", "kept_labels", "key", "key_id", "kind", "label", "labels", "labels_before", "last_day",
    "limit", "made_at", "master", "method", "model", "model_sha256", "models", "models_sha256", "network", "of",
    "open_until", "operation", "origin", "other", "output_sha256", "parent", "parts", "passages", "policies",
    "policy_revision", "previous", "public_key", "purpose", "query_hmac", "question_hmac", "reason", "reason_hmac",
    "receipt_sha256", "report", "request", "reveal", "role", "roles", "scopes", "session", "sink", "source",
    "stand_in", "subject", "subject_hmac", "target", "trail", "type", "version",
}  # fmt: skip
"""Fields of text that never hold a person's name. A new field is put here, or given the type `Person` or `Owners`."""
NAME_NOBODY_IN = {
    ("policy:changed", "added"), ("policy:changed", "changed"), ("policy:changed", "removed"),
    ("user:groups-changed", "added"), ("user:groups-changed", "removed"),
}  # fmt: skip
"""Names of rules and groups, in fields that hold owners elsewhere."""


class Known:
    """Names in memory."""

    def __init__(self) -> None:
        self.token_of: dict[str, str] = {}
        self.erased: set[str] = set()

    def tokens(self, names: Collection[str]) -> Mapping[str, str]:
        for name in names:
            self.token_of.setdefault(name, f"p{len(self.token_of):016x}")
        return self.token_of

    def find(self, name: str) -> str | None:
        return self.token_of.get(name)

    def names(self, tokens: Collection[str]) -> Mapping[str, str]:
        known = {token: name for name, token in self.token_of.items() if name not in self.erased}
        return {token: known[token] for token in tokens if token in known}


def texts_of(event: type[Any]) -> Iterator[tuple[str, Any]]:
    """The fields of an event that hold text, with their types."""
    hints = get_type_hints(event, include_extras=True)
    for field in fields(event):
        if hints[field.name] in {Owners, Person, str, tuple[str, ...]}:
            yield field.name, hints[field.name]


def undecided(events: Collection[type[Any]]) -> list[str]:
    """Fields of text of which nobody has said whether they hold somebody's name."""
    return [
        f"{event.kind}: {name}"
        for event in events
        for name, type_ in texts_of(event)
        if type_ not in {Person, Owners} and name not in NAME_NOBODY and (event.kind, name) not in NAME_NOBODY_IN
    ]


def full_of(event: type[Event], person: str) -> Event:
    """An event that holds a name wherever one can stand."""
    values: dict[str, Any] = {}
    for name, type_ in get_type_hints(event, include_extras=True).items():
        if name == "kind":
            continue
        if type_ == Person:
            values[name] = person
        elif type_ == Owners:
            values[name] = (f"user:{person}", "group:staff")
        elif get_origin(type_) is Mapping:
            values[name] = {"PERSON": 1}
        else:
            values[name] = {str: "x", int: 3, bool: True}.get(type_, ("a", "b"))
    return event(**values)


def test_each_field_of_text_says_whether_it_names_somebody() -> None:
    assert undecided(EVENTS) == []


def test_a_new_field_that_nobody_thought_about_is_noticed() -> None:
    """Negative control."""
    careless = make_dataclass("Careless", [("by", Person), ("approver", str)], namespace={"kind": "text:shown"})
    assert undecided([careless]) == ["text:shown: approver"]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_no_body_holds_a_name(event: type[Event]) -> None:
    names = Known()
    made = full_of(event, SOMEBODY)
    body = encode(made, NOW, names)
    assert SOMEBODY not in body
    assert (SOMEBODY in encode(made, NOW)) == bool(names.token_of)
    kind, said = json.loads(body)["kind"], json.loads(body)["event"]
    assert shown([(kind, said)], names) == [json.loads(encode(made, NOW))["event"]]


def test_a_field_that_is_not_translated_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    real = people.fields_of

    def forgetful(kind: str) -> tuple[frozenset[str], frozenset[str]]:
        person, owners = real(kind)
        return person - {"os_user"}, owners

    monkeypatch.setattr(people, "fields_of", forgetful)
    with pytest.raises(AssertionError):
        test_no_body_holds_a_name(QuestionAsked)


def test_only_users_among_owners_are_people() -> None:
    names = Known()
    event = SourceOwnersChanged("root", "wiki", ("group:ada", "user:ada"), ())
    said = hidden(event, names)
    assert said["added"] == ["group:ada", f"user:{names.token_of['ada']}"]
    assert shown([(event.kind, said)], names) == [
        {"by": "root", "source": "wiki", "added": ["group:ada", "user:ada"], "removed": []}
    ]


@pytest.mark.parametrize("left", ["", "p0123456789abcdef", "?0123456789abcdef"])
def test_nobody_and_tokens_stay_as_they_are(left: str) -> None:
    names = Known()
    assert hidden(UserAdded("root", left, (), ()), names)["user"] == left
    assert names.token_of.keys() == {"root"}


def test_what_looks_like_a_token_is_one() -> None:
    assert is_token("p0123456789abcdef")
    assert not any(map(is_token, ("p0123456789abcde", "p0123456789abcdeF", "x0123456789abcdef", "p0123456789abcdef ")))


@dataclass(frozen=True, slots=True)
class Written:
    file: Path
    names: Known


@pytest.fixture
def written(trail_file: Path, keys: Keys) -> Written:
    names = Known()
    with Trail.open(trail_file, keys, names=names) as trail:
        trail.record(UserAdded("ops", "ada", ("staff",), ()), WAIT_SECONDS)
        trail.record(QuestionAsked("r1", "ada", "cli", "0" * 64, "small", "1" * 64, os_user="ops"), WAIT_SECONDS)
        trail.record(QuestionAsked("r2", "bob", "http", "0" * 64, "small", "1" * 64), WAIT_SECONDS)
    return Written(trail_file, names)


def test_the_file_holds_no_name_and_readers_see_them(written: Written) -> None:
    everything = b"".join(path.read_bytes() for path in written.file.parent.glob("audit.db*") if path.is_file())
    assert not re.search(rb'"(ada|bob|ops)"', everything)
    assert [entry.event.get("principal") for entry in read_entries(written.file, EntryQuery(), written.names)] == [
        "bob",
        "ada",
        None,
    ]
    _, entries = read_on(written.file, 0, 10, written.names)
    assert entries[0].event == {"by": "ops", "user": "ada", "groups": ["staff"], "roles": []}


def test_people_are_found_by_name_and_by_token(written: Written) -> None:
    token = written.names.token_of["ada"]
    for asked in ("ada", token):
        found = read_entries(written.file, EntryQuery(principal=asked), written.names)
        assert [entry.kind for entry in found] == ["question:asked", "user:added"]
    assert read_entries(written.file, EntryQuery(principal="ada")) == []


def test_whom_nobody_knows_any_more_is_called_by_token(written: Written) -> None:
    written.names.erased.add("ada")
    token = written.names.token_of["ada"]
    found = read_entries(written.file, EntryQuery(principal=token), written.names)
    assert [entry.event.get("principal", entry.event.get("user")) for entry in found] == [token, token]
    assert found[0].event["os_user"] == "ops"


def test_entries_of_before_are_found_by_name(trail_file: Path, keys: Keys) -> None:
    with Trail.open(trail_file, keys) as trail:
        trail.record(UserAdded("ops", "ada", (), ()), WAIT_SECONDS)
    names = Known()
    with Trail.open(trail_file, keys, names=names) as trail:
        trail.record(UserAdded("ops", "ada", ("staff",), ()), WAIT_SECONDS)
    found = read_entries(trail_file, EntryQuery(principal="ada"), names)
    assert [entry.event["groups"] for entry in found] == [["staff"], []]
