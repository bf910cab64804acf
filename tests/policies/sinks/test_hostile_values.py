"""T15: whatever a field holds, each way out carries one record per entry, and no record is anything but an entry."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from policies.audit.formats import Format, record
from policies.audit.reader import Entry
from policies.audit.sinks import syslog as syslogging
from policies.audit.sinks.options import HttpSink, SyslogSink
from policies.audit.sinks.syslog import Severity, syslog_frame
from policies.audit.sinks.transports import FileTransport, HttpTransport, Line, SyslogTransport, Transport
from tests.policies.sinks.authority import Authority
from tests.policies.sinks.receivers import http_receiver, parse_frames, syslog_receiver
from tests.policies.sinks.rsyslog import PROGRAM, rsyslog
from tests.policies.test_audit_formats import LOG, hostile_entries, parse_cef

AT = datetime(2026, 11, 24, 9, 5, 7, 123_456, tzinfo=UTC)
TOGETHER = 500
MOST_BYTES = 7000
COUNTS = [600, pytest.param(10_000, marks=pytest.mark.deep)]
needs_rsyslog = pytest.mark.skipif(
    PROGRAM is None and "CI" not in os.environ, reason="rsyslog is not installed (apt install rsyslog rsyslog-openssl)"
)


def numbered(count: int) -> list[Entry]:
    """Hostile entries, each with a number and hash of its own."""
    return [
        Entry(number, one.writer, one.seq, f"{number:064x}", one.at, one.kind, one.event)
        for number, one in enumerate(hostile_entries(count), start=1)
    ]


def lines_of(entries: Sequence[Entry], format_: Format) -> list[Line]:
    return [Line(record(one, LOG, format_, MOST_BYTES), one.at, one.kind) for one in entries]


def identity(text: str, format_: Format) -> tuple[int, str]:
    """Which entry a record says it is, as a receiver reads it."""
    if format_ is Format.CEF:
        _, extension = parse_cef(text)
        return int(extension["externalId"]), extension["cs2"]
    told = json.loads(text)
    if format_ is Format.JSON:
        return told["entry"], told["hash"]
    return told["metadata"]["sequence"], told["metadata"]["uid"]


def require_the_entries(texts: Sequence[str], entries: Sequence[Entry], format_: Format) -> None:
    assert [identity(text, format_) for text in texts] == [(one.id, one.hash) for one in entries]


def deliver(transport: Transport, lines: Sequence[Line]) -> None:
    for start in range(0, len(lines), TOGETHER):
        transport.deliver(lines[start : start + TOGETHER])


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("format_", Format)
def test_nothing_is_forged_in_a_file(tmp_path: Path, format_: Format, count: int) -> None:
    entries = numbered(count)
    deliver(FileTransport(tmp_path / "out"), lines_of(entries, format_))
    require_the_entries((tmp_path / "out").read_bytes().decode("ascii").split("\n")[:-1], entries, format_)


@pytest.mark.network
@pytest.mark.enable_socket
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("format_", Format)
def test_nothing_is_forged_over_http(tmp_path: Path, format_: Format, count: int) -> None:
    entries = numbered(count)
    with http_receiver() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/"
        deliver(
            HttpTransport(HttpSink(name="siem", url=url, deadline_seconds=60.0), tmp_path), lines_of(entries, format_)
        )
    require_the_entries(receiver.taken, entries, format_)


@pytest.mark.network
@pytest.mark.enable_socket
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("format_", Format)
def test_nothing_is_forged_over_syslog(
    tmp_path: Path, authority: Authority, server_tls: Any, format_: Format, count: int
) -> None:
    entries = numbered(count)
    with syslog_receiver(server_tls) as receiver:
        sink = SyslogSink(
            name="siem", host="localhost", port=receiver.port, ca_file=str(authority.file), deadline_seconds=60.0
        )
        deliver(SyslogTransport(sink, tmp_path), lines_of(entries, format_))
    assert receiver.fault == ""
    texts = [message.split(" ", 7)[7] for message in receiver.messages]
    require_the_entries(texts, entries, format_)
    assert all(len(message.encode()) <= MOST_BYTES + 512 for message in receiver.messages)


@needs_rsyslog
@pytest.mark.network
@pytest.mark.enable_socket
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("format_", Format)
@pytest.mark.parametrize("encrypted", [True, False])
def test_rsyslog_takes_each_entry_for_one_record(
    tmp_path: Path, authority: Authority, format_: Format, count: int, *, encrypted: bool
) -> None:
    """By the time a delivery is over: what rsyslog has read to the end it has also written, but for a moment."""
    entries = numbered(count)
    with rsyslog(tmp_path, authority if encrypted else None) as server:
        sink = SyslogSink(
            name="siem", host="localhost", port=server.port, tls=encrypted, deadline_seconds=60.0,
            ca_file=str(authority.file) if encrypted else "",
        )  # fmt: skip
        deliver(SyslogTransport(sink, tmp_path), lines_of(entries, format_))
        deadline = time.monotonic() + 30
        while len(server.taken()) < count and time.monotonic() < deadline:
            time.sleep(0.1)
        taken = server.taken()
    require_the_entries([message[4].lstrip(" ") for message in taken], entries, format_)
    assert [message[3] for message in taken] == [one.kind for one in entries]
    assert {(message[0], message[2]) for message in taken} == {("109", "muniment")}


# Negative controls.


def hostile_texts() -> Iterator[str]:
    draw = random.Random(7)
    signs = ["\n", "\r\n", "\0", " ", "<14>1 - - - - - - forged", "7 <14>1 a", "\x85", "\u2028", "é", "\ud800", "12 "]
    for _ in range(500):
        yield "".join(draw.choices(signs, k=draw.randint(1, 8)))


def test_a_head_of_a_message_holds_nothing_that_could_end_it() -> None:
    for text in hostile_texts():
        frame = syslog_frame("{}", AT, text, Severity.NOTICE, text)
        [message] = parse_frames(frame)
        head = message.split(" ")
        assert len(head) == 8
        assert (head[0], head[1], head[7]) == ("<109>1", "2026-11-24T09:05:07.123456Z", "{}")
        assert len(head[3]) <= 255
        assert len(head[5]) <= 32
        assert message.isprintable()


def without_escapes(frame: Callable[..., bytes]) -> Callable[..., bytes]:
    """Frames by line ends, as RFC 6587 allows and forgers like."""

    def broken(text: str, at: datetime, kind: str, severity: Severity, host: str) -> bytes:
        return frame("", at, kind, severity, host).partition(b" ")[2] + text.encode("utf-8", "replace") + b"\n"

    return broken


def test_messages_that_end_with_a_line_are_noticed_when_a_value_is_not_escaped() -> None:
    """Negative control: ended by lines and unescaped, a value makes a message of its own; counted, it never does."""
    forged = "x\n<14>1 2026-11-24T00:00:00Z host muniment - - - forged"
    broken = without_escapes(syslogging.syslog_frame)(forged, AT, "question:asked", Severity.NOTICE, "host")
    assert len(broken.decode().splitlines()) == 2
    assert len(parse_frames(syslog_frame(json.dumps(forged), AT, "question:asked", Severity.NOTICE, "host"))) == 1


@pytest.mark.parametrize(
    "unescaped",
    [
        lambda one: f'{{"entry":{one.id},"hash":"{one.hash}","event":"{one.event}"}}',
        lambda one: (
            f"CEF:0|Muniment|Muniment|1|{one.kind}|{one.kind}|1|externalId={one.id} cs2={one.hash} msg={one.event}"
        ),
    ],
)
def test_records_made_of_text_are_noticed(tmp_path: Path, unescaped: Callable[[Entry], str]) -> None:
    """Negative control: records that are put together from text with values in it."""
    entries = numbered(200)
    spoiled = [
        Line("".join(str(value) for value in [unescaped(one), *map(str, one.event.values())]), one.at, one.kind)
        for one in entries
    ]
    format_ = Format.CEF if spoiled[0].text.startswith("CEF") else Format.JSON

    def send_and_read() -> None:
        deliver(FileTransport(tmp_path / "out"), spoiled)
        require_the_entries((tmp_path / "out").read_bytes().decode().split("\n")[:-1], entries, format_)

    with pytest.raises((AssertionError, ValueError, KeyError, UnicodeEncodeError)):
        send_and_read()


def test_a_line_that_is_not_ascii_never_leaves(tmp_path: Path) -> None:
    """What a writer of a format got wrong is refused before it is sent."""
    with pytest.raises(UnicodeEncodeError):
        FileTransport(tmp_path / "out").deliver([Line("schlüssel", AT, "x")])
    with pytest.raises(UnicodeEncodeError):
        syslog_frame("schlüssel", AT, "x", Severity.NOTICE, "host")
