"""A delivery is over when the other side has it; whatever else happens is said within the deadline."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from policies import egress
from policies.audit.sinks.options import FileSink, HttpSink, SyslogSink
from policies.audit.sinks.transports import FileTransport, HttpTransport, Line, SyslogTransport, open_transport
from policies.errors import DeliveryFailedError
from tests.policies.sinks.authority import Authority
from tests.policies.sinks.conftest import tls_of
from tests.policies.sinks.receivers import http_receiver, read_all, syslog_receiver

pytestmark = [pytest.mark.network, pytest.mark.enable_socket]

AT = datetime(2026, 11, 24, 9, 5, 7, 123_456, tzinfo=UTC)
WIDE_SECONDS = 60.0


def lines(*texts: str) -> list[Line]:
    return [Line(text, AT, "question:asked") for text in texts]


def many(count: int) -> list[Line]:
    return lines(*(f'{{"n":{number}}}' for number in range(count)))


# Files.


def test_lines_are_added_and_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(file), real(file)))
    file = tmp_path / "out.jsonl"
    FileTransport(file).deliver(lines("a", "b"))
    FileTransport(file).deliver(lines("c"))
    assert file.read_text() == "a\nb\nc\n"
    assert len(synced) == 3, "the file twice, and the folder when the file was new"
    assert file.stat().st_mode & 0o077 == 0


def test_a_file_that_was_moved_away_is_begun_again(tmp_path: Path) -> None:
    """As logrotate does it."""
    file = tmp_path / "out.jsonl"
    transport = FileTransport(file)
    transport.deliver(lines("a"))
    file.rename(tmp_path / "out.jsonl.1")
    transport.deliver(lines("b"))
    assert (file.read_text(), (tmp_path / "out.jsonl.1").read_text()) == ("b\n", "a\n")


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    file.write_text('{"half')
    FileTransport(file).deliver(lines("a"))
    assert file.read_text() == '{"half\na\n'


def put_a_folder_there(file: Path) -> None:
    file.mkdir()


def put_a_pipe_there(file: Path) -> None:
    os.mkfifo(file)


def put_a_device_there(file: Path) -> None:
    file.symlink_to("/dev/full")


def take_its_folder_away(file: Path) -> None:
    file.parent.rmdir()


@pytest.mark.parametrize("spoil", [put_a_folder_there, put_a_pipe_there, put_a_device_there, take_its_folder_away])
def test_what_is_no_file_is_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    file = tmp_path / "there" / "out.jsonl"
    file.parent.mkdir()
    spoil(file)
    with pytest.raises(DeliveryFailedError, match="cannot be written"):
        FileTransport(file).deliver(lines("a"))


# Syslog.


def syslog(port: int, authority: Authority | None = None, **more: object) -> SyslogSink:
    given: dict[str, Any] = {"ca_file": str(authority.file)} if authority else {"tls": False}
    usual = {"name": "siem", "host": "localhost", "port": port, "deadline_seconds": WIDE_SECONDS}
    return SyslogSink(**usual | given | more)


@pytest.mark.parametrize("encrypted", [True, False])
def test_messages_arrive_as_they_were_sent(
    tmp_path: Path, authority: Authority, server_tls: ssl.SSLContext, *, encrypted: bool
) -> None:
    with syslog_receiver(server_tls if encrypted else None) as receiver:
        transport = SyslogTransport(syslog(receiver.port, authority if encrypted else None), tmp_path)
        transport.deliver(many(2000))
        transport.deliver(lines("last"))
    assert receiver.fault == ""
    assert [message.rpartition(" ")[2] for message in receiver.messages] == [
        *(line.text for line in many(2000)), "last",
    ]  # fmt: skip
    head = receiver.messages[0].split(" ")
    assert (head[0], head[1], head[3:7]) == (
        "<109>1", "2026-11-24T09:05:07.123456Z", ["muniment", "-", "question:asked", "-"],
    )  # fmt: skip


def end_at_once(_: socket.socket) -> None:
    """Goes away with everything unread: its system breaks the connection off."""


def read_half(connection: socket.socket) -> None:
    connection.recv(100_000)


def never_end(connection: socket.socket) -> None:
    read_all(connection)
    time.sleep(WIDE_SECONDS)


def end_without_a_signature(connection: socket.socket) -> None:
    """The bare connection is ended, as anybody between the two could."""
    read_all(connection)
    os.close(connection.detach())


@pytest.mark.parametrize(
    ("handle", "encrypted"),
    [
        (end_at_once, True), (end_at_once, False), (read_half, True), (read_half, False),
        (never_end, True), (never_end, False), (end_without_a_signature, True),
    ],
)  # fmt: skip
def test_what_nobody_has_read_to_the_end_is_not_delivered(
    tmp_path: Path,
    authority: Authority,
    server_tls: ssl.SSLContext,
    handle: Callable[[socket.socket], None],
    *,
    encrypted: bool,
) -> None:
    with syslog_receiver(server_tls if encrypted else None, handle) as receiver:
        seconds = 0.5 if handle is never_end else WIDE_SECONDS
        sink = syslog(receiver.port, authority if encrypted else None, deadline_seconds=seconds)
        with pytest.raises(DeliveryFailedError, match="did not take it"):
            SyslogTransport(sink, tmp_path).deliver(many(20_000))


def test_what_only_left_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a transport that takes sending for delivery says that all is well."""
    monkeypatch.setattr(egress.Stream, "end", lambda _: None)
    with syslog_receiver(handle=end_at_once) as receiver:
        SyslogTransport(syslog(receiver.port), tmp_path).deliver(lines("lost"))


def test_a_server_that_is_not_who_it_should_be_gets_nothing(
    tmp_path: Path, authority: Authority, server_files: tuple[Path, Path]
) -> None:
    expired = authority.issue("expired", "localhost", days=-1)
    misnamed = authority.issue("misnamed", "elsewhere.example")
    foreign = Authority(tmp_path / "foreign").issue("foreign", "localhost")
    for files in (expired, misnamed, foreign, server_files):
        got: list[bytes] = []
        with syslog_receiver(tls_of(files), lambda connection, got=got: got.append(read_all(connection))) as receiver:  # type: ignore[misc]
            transport = SyslogTransport(syslog(receiver.port, authority, deadline_seconds=5.0), tmp_path)
            with pytest.raises(DeliveryFailedError) as failed:
                transport.deliver(lines("secret"))
        if files is server_files:  # The same set-up with the right one; this receiver does not end as it should.
            assert b"secret" in b"".join(got)
        else:
            assert "certificate" in str(failed.value).lower()
            assert got == []


def test_a_server_may_ask_who_we_are(tmp_path: Path, authority: Authority, server_tls: ssl.SSLContext) -> None:
    certificate, key = authority.issue("client")
    server_tls.verify_mode = ssl.CERT_REQUIRED
    server_tls.load_verify_locations(authority.file)
    with syslog_receiver(server_tls) as receiver:
        with pytest.raises(DeliveryFailedError):
            SyslogTransport(syslog(receiver.port, authority), tmp_path).deliver(lines("a"))
        (tmp_path / "client.key").write_bytes(key.read_bytes())
        shown = syslog(receiver.port, authority, certificate_file=str(certificate), key_file="client.key")
        with pytest.raises(DeliveryFailedError, match="can be read by others"):
            SyslogTransport(shown, tmp_path).deliver(lines("a"))
        (tmp_path / "client.key").chmod(0o600)
        SyslogTransport(shown, tmp_path).deliver(lines("b"))
    assert [message.rpartition(" ")[2] for message in receiver.messages] == ["b"]


def test_hosts_that_nothing_connects_to_get_nothing(tmp_path: Path) -> None:
    with pytest.raises(DeliveryFailedError, match="nothing connects to"):
        SyslogTransport(syslog(514, host="169.254.169.254"), tmp_path).deliver(lines("a"))
    sink = HttpSink(name="siem", url="http://169.254.169.254/latest/")
    with pytest.raises(DeliveryFailedError, match="nothing connects to"):
        HttpTransport(sink, tmp_path).deliver(lines("a"))


# HTTP.


def post_to(port: int, **more: object) -> HttpSink:
    url = f"http://127.0.0.1:{port}/ingest"
    usual: dict[str, Any] = {"name": "siem", "url": url, "deadline_seconds": WIDE_SECONDS}
    return HttpSink(**usual | more)


def test_lines_are_posted_with_the_token_and_an_id_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "token").chmod(0o600)
    with http_receiver() as receiver:
        transport = HttpTransport(post_to(receiver.port, token_file="token"), tmp_path)
        for texts in (["a", "b"], ["a", "b"], ["c"]):
            transport.deliver(lines(*texts))
    assert receiver.taken == ["a", "b", "a", "b", "c"]
    headers = [post.headers for post in receiver.posts]
    assert {one["authorization"] for one in headers} == {"Bearer s3cret"}
    ids = [one["idempotency-key"] for one in headers]
    assert (ids[0] == ids[1], ids[0] == ids[2]) == (True, False)


@pytest.mark.parametrize("status", [199, 301, 302, 307, 400, 401, 404, 413, 429, 500, 503])
def test_only_success_counts(tmp_path: Path, status: int) -> None:
    if status == 199:
        status = 304
    with http_receiver(lambda _: (status, {"Location": "/elsewhere"})) as receiver:
        with pytest.raises(DeliveryFailedError, match=f"answered {status}"):
            HttpTransport(post_to(receiver.port), tmp_path).deliver(lines("a"))
        receiver.answer = lambda _: (204, {})
        HttpTransport(post_to(receiver.port), tmp_path).deliver(lines("b"))
    assert receiver.taken == ["b"]
    assert len(receiver.posts) == 2, "a redirect is not followed"


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("120", 120, 120),
        ("in 40 minutes", 60, 2400),
        ("99999999999", 3600, 3600),
        ("-5", 0, 0),
        ("soon", 0, 0),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0, 0),
        ("١٢", 0, 3600),
    ],
)
def test_a_server_says_when_to_come_again(tmp_path: Path, said: str, least: float, most: float) -> None:
    if said == "in 40 minutes":
        said = format_datetime(datetime.now(UTC) + timedelta(minutes=40), usegmt=True)
    answer = {"Retry-After": said} if said.isascii() else {}
    with http_receiver(lambda _: (429, answer)) as receiver:
        with pytest.raises(DeliveryFailedError) as failed:
            HttpTransport(post_to(receiver.port), tmp_path).deliver(lines("a"))
    assert least <= failed.value.retry_seconds <= most


def test_a_server_that_keeps_within_every_step_ends_with_the_deadline(tmp_path: Path) -> None:
    """It sends a byte of its answer now and then, for ever."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not over.is_set():
            connection.sendall(b"X")
            time.sleep(0.05)

    with syslog_receiver(handle=drip) as receiver:
        with pytest.raises(DeliveryFailedError, match="did not take it"):
            HttpTransport(post_to(receiver.port, deadline_seconds=0.5), tmp_path).deliver(lines("a"))
        over.set()


def test_an_answer_is_not_read_beyond_what_it_says(tmp_path: Path) -> None:
    def answer_at_length(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        read_all(connection)

    with syslog_receiver(handle=answer_at_length) as receiver:
        HttpTransport(post_to(receiver.port), tmp_path).deliver(lines("a"))


def test_servers_are_checked(tmp_path: Path, authority: Authority, server_tls: ssl.SSLContext) -> None:
    with http_receiver(certificates=server_tls) as receiver:
        url = f"https://localhost:{receiver.port}/"
        with pytest.raises(DeliveryFailedError, match="certificate"):
            HttpTransport(post_to(0, url=url), tmp_path).deliver(lines("a"))
        HttpTransport(post_to(0, url=url, ca_file=str(authority.file)), tmp_path).deliver(lines("b"))
    assert receiver.taken == ["b"]


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0, "cannot be read"),
        ("s3cret", 0o644, "can be read by others"),
        ("", 0o600, "empty"),
        ("a\r\nX-Forged: 1", 0o600, "more than one line"),
        ("schlüssel", 0o600, "cannot be read"),
    ],
)
def test_a_token_that_cannot_be_used_sends_nothing(tmp_path: Path, content: str | None, mode: int, said: str) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content, newline="")
        (tmp_path / "token").chmod(mode)
    with http_receiver() as receiver:
        with pytest.raises(DeliveryFailedError, match=said):
            HttpTransport(post_to(receiver.port, token_file="token"), tmp_path).deliver(lines("a"))
    assert receiver.posts == []


def test_a_place_that_is_not_there_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for transport in (HttpTransport(post_to(port), tmp_path), SyslogTransport(syslog(port), tmp_path)):
        with pytest.raises(DeliveryFailedError, match="refused"):
            transport.deliver(lines("a"))


def test_each_kind_of_place_has_its_way(tmp_path: Path) -> None:
    open_transport(FileSink(name="disk", path="out.jsonl"), tmp_path, tmp_path).deliver(lines("a"))
    assert (tmp_path / "out.jsonl").read_text() == "a\n"
    assert isinstance(open_transport(syslog(1), tmp_path, tmp_path), SyslogTransport)
    assert isinstance(open_transport(post_to(1), tmp_path, tmp_path), HttpTransport)
