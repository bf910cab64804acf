"""A time stamp counts when it is the authority's, about this checkpoint, and for this request; else it is refused."""

import random
import shutil
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from policies.audit import stamps as stamping
from policies.audit.checkpoints import SignedCheckpoint
from policies.audit.sinks.backoff import Backoff
from policies.audit.sinks.positions import PositionFile
from policies.audit.stamps import Authority as Stamping
from policies.audit.stamps import Stamp, Stamper, StampFile, ask_for_stamp, verify_stamp
from policies.errors import StampRefusedError
from policies.keys import Keys
from tests.policies.sinks.authority import Authority
from tests.policies.sinks.test_copies import checkpoint, until
from tests.policies.sinks.tsa import OTHER_POLICY, POLICY, Tsa, running_tsa

pytestmark = [
    pytest.mark.network,
    pytest.mark.enable_socket,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="the tests' authority is openssl's"),
]


@pytest.fixture
def signed(keys: Keys) -> SignedCheckpoint:
    return checkpoint(keys, 3)


def held_to(tsa: Tsa, authority: Authority, policy: str = "") -> Stamping:
    return Stamping(tsa.url, authority.file.read_bytes(), policy, deadline_seconds=30.0)


def test_a_checkpoint_is_stamped_and_the_stamp_can_be_held_to_it_later(
    tmp_path: Path, authority: Authority, signed: SignedCheckpoint
) -> None:
    with running_tsa(tmp_path / "tsa", authority) as tsa:
        stamp = ask_for_stamp(held_to(tsa, authority, POLICY), signed)
    at = verify_stamp(stamp, authority.file.read_bytes(), POLICY)
    assert abs(datetime.now(UTC) - at) < timedelta(hours=1)
    file = StampFile(tmp_path / "stamps" / "stamps.jsonl")
    assert file.read() == []
    file.add(stamp)
    with (tmp_path / "stamps" / "stamps.jsonl").open("a") as opened:
        opened.write('{"half')
    assert file.read() == [stamp]


def test_openssl_agrees(tmp_path: Path, authority: Authority, signed: SignedCheckpoint) -> None:
    """An auditor needs nothing of ours."""
    with running_tsa(tmp_path / "tsa", authority) as tsa:
        stamp = ask_for_stamp(held_to(tsa, authority), signed)
    (tmp_path / "stamped").write_bytes(stamp.stamped)
    (tmp_path / "stamp.tsr").write_bytes(stamp.response)
    command = ["openssl", "ts", "-verify", "-data", "stamped", "-in", "stamp.tsr", "-CAfile", str(authority.file)]
    assert b"OK" in subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
    (tmp_path / "stamped").write_bytes(stamp.stamped + b" ")
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode != 0


def other_imprint(_: bytes) -> bytes:
    return TimestampRequestBuilder().data(b"something else").hash_algorithm(HashAlgorithm.SHA256).build().as_bytes()


def test_a_stamp_of_something_else_is_refused(tmp_path: Path, authority: Authority, signed: SignedCheckpoint) -> None:
    with running_tsa(tmp_path / "tsa", authority) as tsa:
        asked = held_to(tsa, authority)
        tsa.twist_request = other_imprint
        with pytest.raises(StampRefusedError, match="does not hold"):
            ask_for_stamp(asked, signed)
        tsa.twist_request = lambda request: request
        assert ask_for_stamp(asked, signed)  # The same set-up, without the twist.


def test_an_older_stamp_of_the_same_is_refused(tmp_path: Path, authority: Authority, signed: SignedCheckpoint) -> None:
    """Played again by whoever stands between: its signature and imprint hold, its nonce is not ours."""
    with running_tsa(tmp_path / "tsa", authority) as tsa:
        asked = held_to(tsa, authority)
        old = ask_for_stamp(asked, signed)
        tsa.twist_response = lambda _: old.response
        with pytest.raises(StampRefusedError, match="Nonce"):
            ask_for_stamp(asked, signed)
    assert verify_stamp(old, asked.certificates), "by itself it is a good stamp"


def test_a_nonce_that_nobody_checks_is_noticed(
    tmp_path: Path, authority: Authority, signed: SignedCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the test above."""
    real = stamping.verify_stamp
    monkeypatch.setattr(stamping, "verify_stamp", lambda stamp, known, policy, nonce: real(stamp, known, policy))
    with pytest.raises(pytest.fail.Exception):
        test_an_older_stamp_of_the_same_is_refused(tmp_path, authority, signed)


def test_a_stamp_by_another_policy_is_refused(tmp_path: Path, authority: Authority, signed: SignedCheckpoint) -> None:
    with running_tsa(tmp_path / "tsa", authority) as tsa:
        with pytest.raises(StampRefusedError, match="Policy"):
            ask_for_stamp(held_to(tsa, authority, OTHER_POLICY), signed)


def test_a_stamp_that_leads_elsewhere_is_refused(
    tmp_path: Path, authority: Authority, signed: SignedCheckpoint
) -> None:
    foreign = Authority(tmp_path / "foreign", "foreign")
    same_name = Authority(tmp_path / "same")
    for other in (foreign, same_name):
        with running_tsa(tmp_path / "tsa", other) as tsa:
            with pytest.raises(StampRefusedError, match="does not hold"):
                ask_for_stamp(held_to(tsa, authority), signed)
            assert ask_for_stamp(held_to(tsa, other), signed)


def signed_again(folder: Path, response: bytes, certificate: Path, key: Path) -> bytes:
    """The same statement, signed with another certificate, as any program can."""
    token, info, made = folder / "token", folder / "info", folder / "made"
    (folder / "response").write_bytes(response)

    def openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    openssl("ts", "-reply", "-in", folder / "response", "-token_out", "-out", token)
    openssl("cms", "-verify", "-noverify", "-inform", "DER", "-in", token, "-out", info, "-binary")
    kind = ["-econtent_type", "1.2.840.113549.1.9.16.1.4", "-nodetach", "-binary", "-cades", "-md", "sha256"]
    with_key = ["-signer", certificate, "-inkey", key, "-outform", "DER"]
    openssl("cms", "-sign", "-in", info, *kind, *with_key, "-out", made)
    granted = b"\x30\x03\x02\x01\x00" + made.read_bytes()
    return b"\x30\x82" + len(granted).to_bytes(2, "big") + granted


@pytest.mark.parametrize(
    "usage",
    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CODE_SIGNING, None, ExtendedKeyUsageOID.TIME_STAMPING],
)
def test_a_certificate_for_something_else_stamps_nothing(
    tmp_path: Path, authority: Authority, signed: SignedCheckpoint, usage: x509.ObjectIdentifier | None
) -> None:
    """Whoever runs a server has a certificate by the company's authority; that is none for saying what time it is."""
    with running_tsa(tmp_path / "tsa", authority) as tsa:
        good = ask_for_stamp(held_to(tsa, authority), signed)
    certificate, key = authority.issue("somebody", usage=usage)
    forged = replace(good, response=signed_again(tmp_path, good.response, certificate, key))
    if usage is ExtendedKeyUsageOID.TIME_STAMPING:  # The same set-up with one that is.
        assert verify_stamp(forged, authority.file.read_bytes())
        return
    with pytest.raises(StampRefusedError, match="does not hold"):
        verify_stamp(forged, authority.file.read_bytes())


def test_a_stamp_from_after_its_certificate_ended_is_refused(
    tmp_path: Path, authority: Authority, signed: SignedCheckpoint
) -> None:
    with running_tsa(tmp_path / "tsa", authority, days=-1) as tsa:
        with pytest.raises(StampRefusedError, match="does not hold"):
            ask_for_stamp(held_to(tsa, authority), signed)


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.deep)])
def test_no_forged_stamp_is_taken(tmp_path: Path, authority: Authority, signed: SignedCheckpoint, count: int) -> None:
    """One byte is another, some are missing, or too many: never a stamp, and never anything but a refusal."""
    with running_tsa(tmp_path / "tsa", authority) as tsa:
        good = ask_for_stamp(held_to(tsa, authority), signed)
        certificates = authority.file.read_bytes()
    draw, told = random.Random(count), verify_stamp(good, certificates)
    taken = 0
    for _ in range(count):
        forged = bytearray(good.response)
        match draw.randint(0, 3):
            case 0:
                del forged[draw.randrange(len(forged)) :]
            case 1:
                place = draw.randrange(len(forged))
                forged[place:place] = draw.randbytes(draw.randint(1, 9))
            case _:
                place = draw.randrange(len(forged))
                forged[place] ^= 1 << draw.randrange(8)
        try:
            at = verify_stamp(replace(good, response=bytes(forged)), certificates)
        except StampRefusedError:
            continue
        taken += 1
        assert at == told, "bytes that nobody signs may change, what is said may not"
    assert taken < count / 5


@pytest.mark.parametrize(
    "answer", [b"", b"no stamp", b"0" * 100_000, b"\x30\x03\x02\x01\x02", b"\x30\x05\x30\x03\x02\x01\x02"]
)
def test_what_is_no_stamp_is_refused(
    tmp_path: Path, authority: Authority, signed: SignedCheckpoint, answer: bytes
) -> None:
    with running_tsa(tmp_path / "tsa", authority) as tsa:
        tsa.twist_response = lambda _: answer
        with pytest.raises(StampRefusedError):
            ask_for_stamp(held_to(tsa, authority), signed)


def test_an_authority_that_refuses_or_is_not_there_is_said(
    tmp_path: Path, authority: Authority, signed: SignedCheckpoint
) -> None:
    with running_tsa(tmp_path / "tsa", authority) as tsa:
        tsa.status = 500
        with pytest.raises(StampRefusedError, match="answered 500"):
            ask_for_stamp(held_to(tsa, authority), signed)
    with pytest.raises(StampRefusedError, match="gave no time stamp"):
        ask_for_stamp(held_to(tsa, authority), signed)
    with pytest.raises(StampRefusedError, match="nothing connects to"):
        ask_for_stamp(replace(held_to(tsa, authority), url="http://169.254.169.254/"), signed)


# Now and then.


def test_the_newest_checkpoint_is_stamped_once_in_a_while(
    tmp_path: Path, authority: Authority, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamping, "_LOOK_SECONDS", 0.02)
    newest: list[SignedCheckpoint] = []
    file, lock = StampFile(tmp_path / "stamps.jsonl"), PositionFile(tmp_path, "stamps")

    def stamper(every: timedelta, asked: Stamping) -> Stamper:
        made = Stamper(lambda: asked, file, lock, lambda: newest[-1] if newest else None, every, Backoff(0.02, 0.02))
        made.start()
        return made

    with running_tsa(tmp_path / "tsa", authority) as tsa:
        hourly, beside = (stamper(timedelta(hours=1), held_to(tsa, authority)) for _ in range(2))
        newest.append(checkpoint(keys, 1))
        until(file.read)
        newest.append(checkpoint(keys, 2))
        time.sleep(0.3)
        assert [stamp.signed for stamp in file.read()] == newest[:1], "and by one process"
        hourly.close(20)
        beside.close(20)
        often = stamper(timedelta(), held_to(tsa, authority))
        until(lambda: [stamp.signed for stamp in file.read()] == newest)
        tsa.status = 500
        newest.append(checkpoint(keys, 3))
        until(lambda: "answered 500" in often.problem)
        tsa.status = 200
        until(lambda: [stamp.signed for stamp in file.read()] == newest)
        until(lambda: not often.problem)
        often.close(20)


@pytest.mark.parametrize("line", ["", "{}", "null", '{"checkpoint": {}, "signature": "", "stamp": ""}', "[1]"])
def test_lines_that_are_no_stamp_are_left_out(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
        Stamp.from_line(line)
    (tmp_path / "stamps.jsonl").write_text(f"{line}\n")
    assert StampFile(tmp_path / "stamps.jsonl").read() == []
