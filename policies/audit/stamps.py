"""Time stamps (RFC 3161): somebody else's word that a signed checkpoint existed at a time.

A checkpoint says itself when it was signed, by the clock of this machine. A stamp is signed by an authority over the
digest of the signed checkpoint, so not even whoever holds the signing key can date a trail back. Stamps are kept in a
file, a line each with the checkpoint that it is about, so that an auditor needs that line and the authority's
certificate: `docs/audit-format.md` says how.

What stands between us and the authority may say anything. A stamp counts only when its signature leads to the
configured certificates, and it is about this checkpoint, answers this request and follows the configured policy.
"""

import base64
import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from policies import egress
from policies.audit.chain import canonical
from policies.audit.checkpoints import SignedCheckpoint
from policies.audit.sinks.backoff import Backoff
from policies.audit.sinks.positions import PositionFile
from policies.errors import PoliciesError, StampRefusedError

_log = logging.getLogger(__name__)

_MOST_BYTES = 65_536
"""A response has some kilobytes, most of them certificates."""
_LOOK_SECONDS = 5.0
_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Authority:
    """Who stamps, and what its stamps are held to: certificates as PEM, those that sign themselves being trusted.

    An empty `policy` leaves it to the authority by which one it stamps; else it is that object identifier.
    """

    url: str
    certificates: bytes
    policy: str = ""
    deadline_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Stamp:
    """An authority's response about a signed checkpoint, as it came (DER)."""

    signed: SignedCheckpoint
    response: bytes

    @property
    def stamped(self) -> bytes:
        """What the stamp is over: body and signature, whose digest the next checkpoint names as the one before it."""
        return self.signed.body.encode() + self.signed.signature

    def line(self) -> str:
        """Checkpoint, signature and stamp as one line of JSON."""
        signature, response = (base64.b64encode(value).decode() for value in (self.signed.signature, self.response))
        return canonical({"checkpoint": asdict(self.signed.checkpoint), "signature": signature, "stamp": response})

    @classmethod
    def from_line(cls, line: str) -> "Stamp":
        """The stamp that `line` wrote.

        Raises:
            ValueError: The line is none.
        """
        signed = SignedCheckpoint.from_line(line)
        try:
            return cls(signed, base64.b64decode(json.loads(line)["stamp"], validate=True))
        except (KeyError, TypeError) as error:
            message = f"not a time stamp: {error!r}"
            raise ValueError(message) from error


class StampFile:
    """The stamps of an installation, oldest first."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, stamp: Stamp) -> None:
        """Keep a stamp, durably.

        Raises:
            OSError: It cannot be written.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as opened:
            opened.write(f"{stamp.line()}\n")
            opened.flush()
            os.fsync(opened.fileno())

    def read(self) -> list[Stamp]:
        """All of them; lines that are none, or were cut off, are left out.

        Raises:
            OSError: The file cannot be read.
        """
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        found = []
        for line in text.split("\n"):
            try:
                found.append(Stamp.from_line(line))
            except ValueError:
                continue
        return found


def ask_for_stamp(authority: Authority, signed: SignedCheckpoint) -> Stamp:
    """Have a checkpoint stamped.

    Raises:
        StampRefusedError: The authority gave no stamp, or not the one that was asked for.
    """
    unstamped = Stamp(signed, b"")
    request = (
        TimestampRequestBuilder()
        .data(unstamped.stamped)
        .hash_algorithm(HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    stamp = Stamp(signed, _post(authority, request.as_bytes()))
    verify_stamp(stamp, authority.certificates, authority.policy, request.nonce)
    return stamp


def verify_stamp(stamp: Stamp, certificates: bytes, policy: str = "", nonce: int | None = None) -> datetime:
    """When the authority says that the checkpoint existed, in UTC.

    Raises:
        StampRefusedError: It does not say so, or is not one that leads to these certificates.
    """
    try:
        known = x509.load_pem_x509_certificates(certificates)
        response = decode_timestamp_response(stamp.response)
        verifier = VerifierBuilder(
            policy_id=x509.ObjectIdentifier(policy) if policy else None,
            roots=[one for one in known if one.issuer == one.subject],
            intermediates=[one for one in known if one.issuer != one.subject],
            nonce=nonce,
        ).build()
        verifier.verify_message(response, stamp.stamped)
        return _time_of(response)
    except (VerificationError, ValueError, TypeError) as error:
        message = f"The time stamp does not hold: {str(error)[:_SHOWN_CHARS]}."
        raise StampRefusedError(message) from error


class Stamper:
    """Has the newest checkpoint stamped now and then: a thread, in one of several processes."""

    def __init__(
        self,
        authority: Callable[[], Authority],
        file: StampFile,
        lock: PositionFile,
        newest: Callable[[], SignedCheckpoint | None],
        every: timedelta,
        backoff: Backoff | None = None,
    ) -> None:
        self._authority = authority
        self._file = file
        self._lock = lock
        self._newest = newest
        self._every = every
        self._backoff = backoff or Backoff()
        self._closing = threading.Event()
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="time-stamps", daemon=True)

    @property
    def problem(self) -> str:
        """Why there is no newer stamp; empty when all is well."""
        return self._problem

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, seconds: float) -> None:
        """End, within so long."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with self._lock.held() as ours:
                    if ours:
                        self._stamp_if_due()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the thread must live
                self._failed(error)
            else:
                self._well()
                self._closing.wait(_LOOK_SECONDS)

    def _stamp_if_due(self) -> None:
        newest = self._newest()
        if newest is None:
            return
        authority, stamps = self._authority(), self._file.read()
        if stamps:
            last = stamps[-1]
            if last.signed == newest:
                return
            age = datetime.now(UTC) - verify_stamp(last, authority.certificates)
            if timedelta() <= age < self._every:
                return
        self._file.add(ask_for_stamp(authority, newest))

    def _failed(self, error: Exception) -> None:
        said = str(error) or type(error).__name__
        if not self._problem:
            known = isinstance(error, PoliciesError | OSError)
            _log.error("time_stamp_refused detail=%s", said, exc_info=not known)
        self._problem = said
        self._closing.wait(self._backoff.next_seconds())

    def _well(self) -> None:
        self._backoff.reset()
        if self._problem:
            _log.info("time_stamp_accepted")
        self._problem = ""


def _post(authority: Authority, request: bytes) -> bytes:
    headers = {"Content-Type": "application/timestamp-query"}
    deadline = egress.Deadline(authority.deadline_seconds)
    hosts = [egress.host_of(authority.url)]
    try:
        with (
            egress.open_client(hosts, authority.deadline_seconds, deadline=deadline) as client,
            client.stream("POST", authority.url, content=request, headers=headers) as response,
        ):
            body = b""
            for part in response.iter_bytes():
                body += part
                if len(body) > _MOST_BYTES:
                    message = f"{authority.url} answers with more than a time stamp."
                    raise StampRefusedError(message)
            if not response.is_success:
                message = f"{authority.url} gave no time stamp: it answered {response.status_code}."
                raise StampRefusedError(message)
    except (egress.HTTPError, egress.InvalidURL, OSError) as error:
        message = f"{authority.url} gave no time stamp: {str(error) or type(error).__name__}."
        raise StampRefusedError(message) from error
    return body


def _time_of(response: TimeStampResponse) -> datetime:
    at = response.tst_info.gen_time
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
