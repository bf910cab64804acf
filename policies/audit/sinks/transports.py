"""Ways out of the trail: each delivers lines to one place within a deadline, or says why it could not.

A delivery that failed may have arrived all the same, in part or as a whole; it is made again as it was.
"""

import hashlib
import os
import platform
import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Protocol, assert_never

from policies import egress
from policies.audit.sinks.options import FileSink, HttpSink, SyslogSink
from policies.audit.sinks.syslog import Severity, syslog_frame
from policies.errors import DeliveryFailedError, EgressRefusedError, SecretUnusableError
from policies.private_files import read_secret, sync_folder

_MOST_WAIT_SECONDS = 3600.0
"""The longest that a server may ask us to wait; one that says more is asked again after this."""
_SHOWN_CHARS = 200
_OTHERS_MAY = 0o077


@dataclass(frozen=True, slots=True)
class Line:
    """A record, one line of ASCII without its end, and what syslog says of it outside of the line."""

    text: str
    at: datetime
    kind: str
    severity: Severity = Severity.NOTICE


class Transport(Protocol):
    """A way to one place."""

    def deliver(self, lines: Sequence[Line]) -> None:
        """Bring lines there, in order; when this returns, the other side has them.

        Raises:
            DeliveryFailedError: It does not have them, or did not say so in time.
        """


class FileTransport:
    """Adds lines to a file, durably. It is opened anew each time, so that one moved away is begun again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, lines: Sequence[Line]) -> None:
        """Write and sync; a line that was cut off before gets its end first, so that it spoils no other."""
        text = "".join(f"{line.text}\n" for line in lines).encode("ascii")
        try:
            file = self._open()
            try:
                _write_all(file, b"\n" + text if _ends_within_a_line(file) else text)
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            message = f"{self._path} cannot be written: {error.strerror or error}."
            raise DeliveryFailedError(message) from error

    def _open(self) -> int:
        # Whoever puts a pipe there must not have us wait for a reader.
        flags = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        is_new = not self._path.exists()
        try:
            file = os.open(self._path, os.O_RDWR | flags, 0o600)
        except PermissionError:  # A file that may only be added to.
            file = os.open(self._path, os.O_WRONLY | flags, 0o600)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            message = "it is no file"
            raise OSError(message)
        if is_new:
            sync_folder(self._path.parent)
        return file


class SyslogTransport:
    """Sends lines to a syslog server, over a connection for each delivery.

    Syslog acknowledges nothing. What is taken for it is that the server, told that nothing follows, has read everything
    and ends the connection too (`egress.Stream.end`).
    """

    def __init__(self, options: SyslogSink, keys: Path) -> None:
        self._options = options
        self._keys = keys
        self._host = platform.node()

    def deliver(self, lines: Sequence[Line]) -> None:
        """Send them as messages of RFC 5424."""
        options = self._options
        deadline = egress.Deadline(options.deadline_seconds)
        try:
            certificates = certificates_of(options, self._keys) if options.tls else None
            with egress.open_stream(options.host, options.port, deadline, certificates) as stream:
                frames = (syslog_frame(line.text, line.at, line.kind, line.severity, self._host) for line in lines)
                stream.send(b"".join(frames))
                stream.end()
        except (EgressRefusedError, OSError) as error:
            message = f"{options.host} port {options.port} did not take it: {_said(error)}."
            raise DeliveryFailedError(message) from error


class HttpTransport:
    """Posts lines to an address."""

    def __init__(self, options: HttpSink, keys: Path) -> None:
        self._options = options
        self._keys = keys

    def deliver(self, lines: Sequence[Line]) -> None:
        """Post them; the same lines have the same `Idempotency-Key` each time."""
        options = self._options
        body = "".join(f"{line.text}\n" for line in lines).encode("ascii")
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": hashlib.sha256(body).hexdigest()}
        deadline = egress.Deadline(options.deadline_seconds)
        try:
            if options.token_file:
                token = _token(self._keys / options.token_file)
                headers["Authorization"] = f"{options.token_scheme} {token}"
            certificates = certificates_of(options, self._keys)
            hosts = [egress.host_of(options.url)]
            with (
                egress.open_client(
                    hosts, options.deadline_seconds, certificates=certificates, deadline=deadline
                ) as client,
                # What else it says is not read: its status is all that counts.
                client.stream("POST", options.url, content=body, headers=headers) as response,
            ):
                _require_taken(options.url, response)
        except (egress.HTTPError, egress.InvalidURL, OSError) as error:
            message = f"{options.url} did not take it: {_said(error)}."
            raise DeliveryFailedError(message) from error


def open_transport(sink: FileSink | SyslogSink | HttpSink, keys: Path, home: Path) -> Transport:
    """The way to a place; files without a whole path are in the home folder. Nothing is opened yet."""
    match sink:
        case FileSink():
            return FileTransport(home / sink.path)
        case SyslogSink():
            return SyslogTransport(sink, keys)
        case HttpSink():
            return HttpTransport(sink, keys)
        case _:
            assert_never(sink)


def certificates_of(options: SyslogSink | HttpSink, keys: Path) -> ssl.SSLContext:
    """What a server is checked against, and what is shown to it.

    Raises:
        DeliveryFailedError: A file of these cannot be used.
    """
    file = options.ca_file
    try:
        made = ssl.create_default_context(cafile=keys / file if file else None)
        if options.certificate_file:
            file = options.certificate_file
            key = keys / options.key_file if options.key_file else None
            if key:
                _require_private(key)
            made.load_cert_chain(keys / file, key)
    except (OSError, ssl.SSLError) as error:
        message = f"{file} cannot be used: {error}. Give certificates, and a key of one's own, in PEM form."
        raise DeliveryFailedError(message) from error
    return made


def _token(path: Path) -> str:
    try:
        token = read_secret(path, "secret")
    except SecretUnusableError as error:
        raise DeliveryFailedError(str(error)) from error
    if not token.isascii():  # It is sent in a header.
        message = f"The secret {path} cannot be read as ASCII. Put it there as it was given out."
        raise DeliveryFailedError(message)
    return token


def _require_private(path: Path) -> None:
    if path.stat().st_mode & _OTHERS_MAY:
        message = f"{path} can be read by others. Run: chmod 600 {path}"
        raise DeliveryFailedError(message)


def _require_taken(url: str, response: egress.Response) -> None:
    if not response.is_success:
        message = f"{url} did not take it: it answered {response.status_code}."
        raise DeliveryFailedError(message, _wait_asked_for(response.headers.get("Retry-After", "")))


def _wait_asked_for(retry_after: str) -> float:
    """The seconds that a header asks us to wait: a number of them or a date (RFC 9110, 10.2.3); else none."""
    try:
        if retry_after.isdecimal():
            seconds = float(retry_after)
        else:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # No date, or one without a zone.
        return 0.0
    return min(max(seconds, 0.0), _MOST_WAIT_SECONDS)


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:_SHOWN_CHARS]


def _write_all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _ends_within_a_line(file: int) -> bool:
    try:
        size = os.fstat(file).st_size
        return size > 0 and os.pread(file, 1, size - 1) != b"\n"
    except OSError:  # It may only be added to.
        return False
