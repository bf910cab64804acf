"""Whatever a field holds, an entry is one record in every format, and says what the entry says."""

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import ocsf_json_schema
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded

from policies.audit import formats
from policies.audit.chain import encode, timestamp
from policies.audit.events import Event
from policies.audit.formats import Class, Format, record
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


def schema_of(class_: str) -> jsonschema_rs.Draft202012Validator:
    """The published schema of a class in version 1.6.0: whatever it does not name is refused."""
    folder = Path(ocsf_json_schema.__file__).parent / "ocsf"
    published = json.loads((folder / "1.6.0.json").read_text(encoding="utf-8"))
    schema = OcsfJsonSchemaEmbedded(published).get_class_schema(class_, ["host"])
    return jsonschema_rs.Draft202012Validator(schema)


@pytest.fixture(scope="session")
def ocsf() -> dict[int, jsonschema_rs.Draft202012Validator]:
    """The published schemas of the classes that we write."""
    names = ("web_resources_activity", "application_lifecycle", "api_activity", "application_error")
    return dict(zip(Class, map(schema_of, names), strict=True))


def problems(ocsf: dict[int, jsonschema_rs.Draft202012Validator], line: str) -> list[str]:
    """What the schema, and what it says in words alone, find wrong with a record."""
    event = json.loads(line)
    found = [str(error.message) for error in ocsf[event["class_uid"]].iter_errors(event)]
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append("type_uid is not that of class and activity")
    if event["category_uid"] != event["class_uid"] // 1000:
        found.append("category_uid is not that of the class")
    if event.get("metadata", {}).get("version") != "1.6.0":
        found.append("another version")
    return found


def require_no_forgery(ocsf: dict[int, jsonschema_rs.Draft202012Validator], given: Entry) -> None:
    """One record of each format, which says what the entry says."""
    lines = {format_: record(given, LOG, format_) for format_ in Format}
    for line in lines.values():
        assert line.isascii()
        assert line.isprintable()
    assert json.loads(lines[Format.JSON])["event"] == given.event
    assert problems(ocsf, lines[Format.OCSF]) == []
    assert json.loads(lines[Format.OCSF])["unmapped"] == given.event
    header, extension = parse_cef(lines[Format.CEF])
    assert header == ["CEF:0", "Muniment", "Muniment", "1", given.kind, given.kind, header[6]]
    assert set(extension) <= CEF_NAMES
    assert (extension["externalId"], extension["cs2"], extension["deviceExternalId"]) == ("7", "e" * 64, LOG)
    assert len(extension["msg"]) <= 1023
    assert all(len(extension.get(name, "")) <= 255 for name in ("suser", "duser", "cs1"))


def hostile_entries(count: int) -> Iterator[Entry]:
    """Entries of all kinds, in turn, with hostile text wherever text goes."""
    draw = random.Random(count)

    def fill() -> str:
        text = draw.choice([*HOSTILE, *FORGERIES])
        return text if draw.random() < 0.5 else "".join(draw.sample(text, len(text)))[:200]

    return (entry(filled(EVENTS[number % len(EVENTS)], fill)) for number in range(count))


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.deep)])
def test_hostile_values_forge_nothing(ocsf: dict[int, jsonschema_rs.Draft202012Validator], count: int) -> None:
    for given in hostile_entries(count):
        require_no_forgery(ocsf, given)


def test_a_writer_that_does_not_escape_is_noticed(
    ocsf: dict[int, jsonschema_rs.Draft202012Validator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    monkeypatch.setattr(formats, "_cef_value", lambda value: value)
    with pytest.raises(AssertionError):
        test_hostile_values_forge_nothing(ocsf, 400)


def without(event: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != name}


@pytest.mark.parametrize(
    "spoil",
    [
        *(
            lambda event, name=name: without(event, name)
            for name in ("actor", "api", "metadata", "time", "severity_id")
        ),
        lambda event: event | {"activity_id": 5, "type_uid": 600_305},
        lambda event: event | {"severity_id": 7},
        lambda event: event | {"type_uid": 600_399},
        lambda event: event | {"class_uid": 6002},
        lambda event: event | {"category_uid": 3},
        lambda event: event | {"actor": {}},
        lambda event: event | {"actor": {"user": {}}},
        lambda event: event | {"time": "yesterday"},
        lambda event: event | {"invented": 1},
        lambda event: event | {"resources": [{"type": "document"}]},
        lambda event: event | {"metadata": event["metadata"] | {"version": "1.0.0"}},
    ],
)
def test_what_is_no_ocsf_is_noticed(
    ocsf: dict[int, jsonschema_rs.Draft202012Validator], spoil: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Negative control of the schema."""
    [event] = [event for event in EVENTS if event.kind == "answer:given"]
    sound = json.loads(record(entry(filled(event, lambda: "x")), LOG, Format.OCSF))
    assert problems(ocsf, json.dumps(sound)) == []
    assert problems(ocsf, json.dumps(spoil(sound))) != []


@pytest.mark.parametrize("format_", Format)
def test_a_record_that_is_too_long_is_cut_and_says_so(
    ocsf: dict[int, jsonschema_rs.Draft202012Validator], format_: Format
) -> None:
    for event in EVENTS:
        given = entry(filled(event, lambda: "|=\\\n\x00\u00e9" * 2000))
        whole = record(given, LOG, format_)
        assert record(given, LOG, format_, len(whole)) == whole
        cut = record(given, LOG, format_, len(whole) - 1)
        assert len(cut) < 1000
        assert given.hash in cut
        assert str(len(whole)) in cut
        if format_ is Format.OCSF:
            assert problems(ocsf, cut) == []
            assert json.loads(cut)["metadata"]["is_truncated"] is True


def test_all_that_an_entry_holds_is_in_json() -> None:
    [event] = [event for event in EVENTS if event.kind == "question:asked"]
    given = entry(filled(event, lambda: "x"))
    told = json.loads(record(given, LOG, Format.JSON))
    assert told == {
        "at": timestamp(AT), "entry": 7, "event": given.event, "hash": "e" * 64, "kind": "question:asked",
        "log": LOG, "seq": 3, "writer": "f" * 16,
    }  # fmt: skip


KINDS = {
    Class.WEB_RESOURCES: {2: "conversation:read", 5: "passages:retrieved"},
    Class.APPLICATION_LIFECYCLE: {
        1: "home:created home:parts-made model:pulled",
        3: "service:started",
        4: "service:stopped",
        8: "model:promoted model:rolled-back model:selected policy:changed",
    },
    Class.API: {
        1: "backup:made embeddings:made hold:placed investigation:opened key:created session:begun source:added "
        "user:added",
        2: "answer:given directory:read export:sent labels:decided model:compared model:evaluated model:verified "
        "oversharing:listed passages:sent personal-data:revealed policy:explained question:asked reveal:asked "
        "reveal:opened "
        "search:asked subject:exported trail:read usage:reported",
        3: "backup:restored documents:changed labels:changed export:restarted index:rebuilt "
        "investigation:closed key:rotated "
        "master-key:resealed master-key:rotated reveal:approved trail:loss-accepted group:nested group:unnested "
        "password:changed quarantine:changed source:owners-changed "
        "user:disabled user:enabled user:groups-changed user:linked user:unlocked",
        4: "erasure:begun subject:erased trail:reduced hold:ended key:revoked session:ended source:removed "
        "vectors:dropped",
        99: "access:denied reveal:refused sign-in:failed sign-in:locked sync:finished sync:started usage:refused",
    },
    Class.APPLICATION_ERROR: {
        1: "answer:failed answer:unknown clock:behind directory:failed policy:refused sync:failed",
    },
}
"""What every kind of event is in OCSF: class, activity. A new kind is entered here, so that it is thought about."""


def test_every_kind_has_its_class_and_activity(ocsf: dict[int, jsonschema_rs.Draft202012Validator]) -> None:
    expected = {
        kind: (class_, activity)
        for class_, activities in KINDS.items()
        for activity, kinds in activities.items()
        for kind in kinds.split()
    }
    told = {}
    for event in EVENTS:
        line = record(entry(filled(event, lambda: "x")), LOG, Format.OCSF)
        assert problems(ocsf, line) == []
        said = json.loads(line)
        assert said["metadata"]["event_code"] == event.kind
        told[event.kind] = (said["class_uid"], said["activity_id"])
    assert told == expected


def test_what_failed_is_told_as_such() -> None:
    failures = {event.kind for event in EVENTS if formats.is_failure(event.kind)}
    assert failures == {
        "access:denied", "answer:failed", "answer:unknown", "directory:failed", "policy:refused", "reveal:refused",
        "sign-in:failed", "sign-in:locked", "sync:failed", "usage:refused",
    }  # fmt: skip
    for event in EVENTS:
        given = entry(filled(event, lambda: "x"))
        status = json.loads(record(given, LOG, Format.OCSF))["status_id"]
        assert (status == 2) == ("outcome=failure" in record(given, LOG, Format.CEF)) == (event.kind in failures)


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
