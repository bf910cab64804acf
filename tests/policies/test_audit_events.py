"""Events say enough to follow what happened, in a form that is the same everywhere and cannot be broken out of."""

import dataclasses
import inspect
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from policies.audit import events
from policies.audit.chain import canonical, encode, entry_hash, genesis, new_id, timestamp
from policies.audit.events import Event, KeyRevoked, UserAdded

EVENTS: tuple[type[Event], ...] = get_args(Event)
NOW = datetime(2026, 11, 24, 9, 5, 7, 123, tzinfo=UTC)
HOSTILE = [
    '"}\n{"at":"',
    "\r\n",
    "\x00\x1f\x7f",
    "\u2028\u2029\u202e",
    "\ud800",
    "é" * 3,
    "\\",
    "</script>",
    "=cmd()",
    "𝄞",
]


def field_types(event: type[Event]) -> dict[str, Any]:
    hints = get_type_hints(event)
    return {field.name: hints[field.name] for field in dataclasses.fields(event)}


def example(type_: Any) -> Any:
    """A value of an event's field."""
    if get_origin(type_) is Mapping:
        return {"PERSON": 2, "EMAIL_ADDRESS": 1}
    if get_origin(type_) is tuple:
        return ("b", "a")
    return {str: "x", int: 3, bool: True}[type_]


def test_every_event_of_the_module_is_listed() -> None:
    defined = {value for value in vars(events).values() if inspect.isclass(value) and dataclasses.is_dataclass(value)}
    assert defined == set(EVENTS)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_an_event_is_documented_unchangeable_and_plain(event: type[Event]) -> None:
    assert event.__doc__
    assert not event.__doc__.startswith(f"{event.__name__}(")
    assert event.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert re.fullmatch(r"[a-z-]+:[a-z-]+", event.kind)
    assert set(field_types(event).values()) <= {str, int, bool, tuple[str, ...], Mapping[str, int]}
    assert not {"text", "question", "query", "answer", "passage", "secret", "password"} & set(field_types(event))


def test_no_two_events_share_a_kind() -> None:
    assert len({event.kind for event in EVENTS}) == len(EVENTS)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_an_event_is_written_with_its_kind_its_time_and_all_its_fields(event: type[Event]) -> None:
    values = {name: example(type_) for name, type_ in field_types(event).items()}
    written = json.loads(encode(event(**values), NOW))
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    assert written == {"at": "2026-11-24T09:05:07.000123Z", "event": plain, "kind": event.kind}


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_stays_inside_its_field(value: str) -> None:
    body = encode(UserAdded("root", value, (value, "staff"), ()), NOW)
    assert body.isascii()
    assert body.isprintable()
    assert json.loads(body)["event"] == {"by": "root", "user": value, "groups": [value, "staff"], "roles": []}


def test_there_is_one_way_to_write_an_entry() -> None:
    body = encode(KeyRevoked(by="root", user="ada", key_id="k1"), NOW)
    assert body == (
        '{"at":"2026-11-24T09:05:07.000123Z","event":{"by":"root","key_id":"k1","user":"ada"},"kind":"key:revoked"}'
    )
    assert canonical({"b": 1, "a": [True, None]}) == canonical({"a": (True, None), "b": 1})


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}, NOW])
def test_what_is_not_plain_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical({"value": value})


def test_times_are_utc_and_sort_as_text() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-7)))
    assert timestamp(elsewhere) == timestamp(NOW)
    times = [NOW + timedelta(microseconds=10**exponent) for exponent in range(12)]
    assert [timestamp(time) for time in times] == sorted(timestamp(time) for time in times)
    assert len({len(timestamp(time)) for time in times}) == 1


def test_a_chain_belongs_to_one_writer_of_one_trail() -> None:
    log, writer = new_id(), new_id()
    others = [genesis(new_id(), writer), genesis(log, new_id()), genesis(writer, log), genesis(log + "\n" + writer, "")]
    assert genesis(log, writer) == genesis(log, writer)
    assert genesis(log, writer) not in others


def test_hashes_are_those_of_the_specification() -> None:
    """Pinned: a trail written by one version must verify with every later one."""
    log, writer = "0123456789abcdef", "fedcba9876543210"
    assert genesis(log, writer).hex() == "bd589102b4557a663f0eea7d4244f14708f3c0c1f211f03310123912bfd8152a"
    assert entry_hash(bytes(32), b'{"a":1}').hex() == "b06a229070741292512e8760f470dd7a4c46ccfdf253df781d88dabe58c1ccb1"
