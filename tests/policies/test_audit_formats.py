"""Whatever a field holds, an entry is one record in every format, and says what the entry says."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from policies.audit import formats
from policies.audit.chain import encode, timestamp
from policies.audit.events import Event
from policies.audit.formats import Format, record
from policies.audit.reader import Entry
from tests.policies.test_audit_events import HOSTILE, example, field_types

EVENTS: tuple[type[Event], ...] = get_args(Event)
LOG = "0123456789abcdef"
AT = datetime(2026, 11, 24, 9, 5, 7, 123_456, tzinfo=UTC)
FORGERIES = [
    "x\nCEF:0|Muniment|Muniment|1|answer:given|answer:given|1|rt=1",
    "x\\\nCEF:0|a|b|c|d|e|1|",
    "a|b\\|c=d\\=e outcome=failure suser=eve",
    '"},{"at":"2026"}',
    '"}\n{"activity_id":1}',
    "<14>1 2026-11-24T00:00:00Z host muniment - - - forged",
    "\r\n\r\n",
    "\x1b]0;title\x07",
    "\u2028forged\u2029",
    "\x85next",
    "a" * 5000,
]


def entry(event: Event) -> Entry:
    said = json.loads(encode(event, AT))
    return Entry(7, "f" * 16, 3, "e" * 64, AT, said["kind"], said["event"])


def filled(event: type[Event], fill: Callable[[], str]) -> Event:
    """An event of a type, with hostile text wherever text goes."""

    def value(type_: Any) -> Any:
        given = example(type_)
        if isinstance(given, str):
            return fill()
        if isinstance(given, tuple):
            return tuple(fill() for _ in given)
        return {fill(): count for count in given.values()} if isinstance(given, dict) else given

    return event(**{name: value(type_) for name, type_ in field_types(event).items()})


def parse_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """A record as its readers take it apart: seven fields, then names and values."""
    *header, extension = re.split(r"(?<!\\)(?:(?<=\\\\)|(?<!\\))\|", line, maxsplit=7)
    places = [*re.finditer(r"(?:^|(?<= ))([A-Za-z0-9]+)=", extension)]
    ends = [place.start() for place in places[1:]] + [len(extension) + 1]
    pairs = {place[1]: extension[place.end() : end - 1] for place, end in zip(places, ends, strict=True)}
    return [unescape(part) for part in header], {name: unescape(value) for name, value in pairs.items()}


def unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), text)


CEF_NAMES = set("rt externalId deviceExternalId suser duser outcome cs1Label cs1 cs2Label cs2 msg".split())
OCSF_REQUIRED = {
    "activity_id": int,
    "actor": dict,
    "api": dict,
    "category_uid": int,
    "class_uid": int,
    "metadata": dict,
    "severity_id": int,
    "src_endpoint": dict,
    "time": int,
    "type_uid": int,
}
"""What version 1.6.0 requires of API Activity; of each object, one of the attributes that identify it."""


def require_ocsf(event: dict[str, Any]) -> None:
    assert {name: type(event[name]) for name in OCSF_REQUIRED} == OCSF_REQUIRED
    assert (event["category_uid"], event["class_uid"]) == (6, 6003)
    assert event["type_uid"] == 600_300 + event["activity_id"]
    assert event["activity_id"] in {0, 1, 2, 3, 4, 99}
    assert event["severity_id"] in {0, 1, 2, 3, 4, 5, 6, 99}
    assert event["status_id"] in {0, 1, 2, 99}
    assert event["metadata"]["version"] == "1.6.0"
    assert event["metadata"]["product"]["vendor_name"]
    assert event["api"]["operation"]
    assert event["src_endpoint"]["name"]
    assert event["actor"].get("app_name") or event["actor"]["user"]["uid"]
    assert all(set(resource) == {"type", "uid"} for resource in event["resources"])
    known = {*OCSF_REQUIRED, "resources", "status_id", "unmapped"}
    assert set(event) == known


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.deep)])
def test_hostile_values_forge_nothing(count: int) -> None:
    draw = random.Random(count)

    def fill() -> str:
        text = draw.choice([*HOSTILE, *FORGERIES])
        return text if draw.random() < 0.5 else "".join(draw.sample(text, len(text)))[:200]

    for number in range(count):
        given = entry(filled(EVENTS[number % len(EVENTS)], fill))
        lines = {format_: record(given, LOG, format_) for format_ in Format}
        for line in lines.values():
            assert line.isascii()
            assert line.isprintable()
        assert json.loads(lines[Format.JSON])["event"] == given.event
        event = json.loads(lines[Format.OCSF])
        require_ocsf(event)
        assert event["unmapped"] == given.event
        header, extension = parse_cef(lines[Format.CEF])
        assert header == ["CEF:0", "Muniment", "Muniment", "1", given.kind, given.kind, header[6]]
        assert set(extension) <= set(
            "rt externalId deviceExternalId suser duser outcome cs1Label cs1 cs2Label cs2 msg".split()
        )
        assert (extension["externalId"], extension["cs2"], extension["deviceExternalId"]) == ("7", "e" * 64, LOG)
        assert len(extension["msg"]) <= 1023


def test_a_writer_that_does_not_escape_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(formats, "_cef_value", lambda value: value)
    with pytest.raises(AssertionError):
        test_hostile_values_forge_nothing(400)


def test_all_that_an_entry_holds_is_in_json() -> None:
    [event] = [event for event in EVENTS if event.kind == "question:asked"]
    given = entry(filled(event, lambda: "x"))
    told = json.loads(record(given, LOG, Format.JSON))
    assert told == {
        "at": timestamp(AT), "entry": 7, "event": given.event, "hash": "e" * 64, "kind": "question:asked",
        "log": LOG, "seq": 3, "writer": "f" * 16,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "activity", "status"),
    [
        ("question:asked", 2, 1),
        ("access:denied", 99, 2),
        ("sign-in:failed", 99, 2),
        ("user:added", 1, 1),
        ("user:groups-changed", 3, 1),
        ("home:parts-made", 1, 1),
        ("key:revoked", 4, 1),
        ("sync:started", 99, 1),
    ],
)
def test_kinds_are_told_in_the_terms_of_ocsf(kind: str, activity: int, status: int) -> None:
    [event] = [event for event in EVENTS if event.kind == kind]
    told = json.loads(record(entry(filled(event, lambda: "x")), LOG, Format.OCSF))
    assert (told["activity_id"], told["status_id"], told["metadata"]["event_code"]) == (activity, status, kind)


def test_every_kind_that_reads_or_changes_something_has_its_activity() -> None:
    """What OCSF has no word for is listed here, so that a new event is thought about."""
    without = {event.kind for event in EVENTS if formats._activity(entry(filled(event, lambda: "x"))) == 99}
    assert without == {
        "access:denied", "answer:failed", "answer:unknown", "directory:failed", "policy:refused", "sign-in:failed",
        "sign-in:locked", "sync:failed", "sync:finished", "sync:started",
    }  # fmt: skip


def test_actor_and_resources_are_named() -> None:
    [event] = [event for event in EVENTS if event.kind == "answer:given"]
    assert json.loads(record(entry(filled(event, lambda: "d1")), LOG, Format.OCSF))["resources"] == [
        {"type": "document", "uid": "d1"}
    ]
    named = [event for event in EVENTS if {"principal", "by"} & {field.name for field in fields(event)}]
    assert len(named) > 20
    for event in named:
        assert json.loads(record(entry(filled(event, lambda: "ada")), LOG, Format.OCSF))["actor"] == {
            "user": {"uid": "ada"}
        }
