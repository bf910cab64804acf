"""The signing key in a process of its own: what it signs, what it refuses, and what becomes of a trail meanwhile."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from policies.audit.chain import canonical
from policies.audit.checkpoints import CHECKPOINT_PURPOSE, SignedCheckpoint
from policies.audit.events import Event, SearchAsked
from policies.audit.receipts import RECEIPT_PURPOSE, ReceiptEntry, sign_receipt, verify_receipt
from policies.audit.rotation import rotate_signing_key
from policies.audit.storage import StorageError
from policies.audit.store import Trail
from policies.audit.verifier import verify
from policies.audit.writer import ChainWriter
from policies.errors import KeysUnusableError, SignatureRefusedError, SignerUnavailableError, TrailUnavailableError
from policies.keys import Keys, create_keys, open_keys, public_keys
from policies.signing import FileSigner, key_id
from policies.signing_socket import Notary, SocketSigner, serve_signatures
from tests.policies.test_audit_receipts import RECEIPT
from tests.policies.test_audit_verifier import alone

WAIT_SECONDS = 20.0


def search(number: int) -> Event:
    return SearchAsked(f"s{number}", "bob", "http", "0" * 64, "1" * 64)


@contextmanager
def running(folder: Path, path: Path, users: set[int] | None = None) -> Iterator[Notary]:
    notary = Notary(folder)
    server = serve_signatures(notary, path, users or {os.getuid()})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield notary
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A home's keys, with the signing key moved to the signer's folder."""
    create_keys(tmp_path / "keys")
    (tmp_path / "signer").mkdir(mode=0o700)
    (tmp_path / "keys" / "signing.pem").rename(tmp_path / "signer" / "signing.pem")
    return tmp_path


@pytest.fixture
def apart(place: Path) -> Keys:
    return open_keys(place / "keys", SocketSigner(place / "s"))


@pytest.fixture
def notary(place: Path) -> Iterator[Notary]:
    with running(place / "signer", place / "s") as started:
        yield started


def write(trail: Path, keys: Keys, count: int) -> None:
    with Trail.open(trail, keys) as opened:
        for number in range(count):
            opened.record(search(number), WAIT_SECONDS)


def intact(trail: Path, keys: Keys) -> bool:
    pem = keys.public_key_pem()
    ok = verify(trail, pem).ok
    assert (alone(trail, pem, []) == []) == ok
    return ok


def test_a_trail_is_signed_by_it_and_verifies(notary: Notary, trail_file: Path, apart: Keys) -> None:
    write(trail_file, apart, 130)
    report = verify(trail_file, apart.public_key_pem())
    assert (report.ok, report.sealed) == (True, 130)
    write(trail_file, apart, 3)
    assert intact(trail_file, apart)


def test_receipts_of_its_trail_are_signed(notary: Notary, trail_file: Path, apart: Keys) -> None:
    with pytest.raises(SignerUnavailableError, match="neither"):
        sign_receipt(RECEIPT, apart)
    write(trail_file, apart, 1)
    log = verify(trail_file, apart.public_key_pem()).log
    receipt = sign_receipt(replace(RECEIPT, intent=ReceiptEntry(log, "0" * 64)), apart)
    assert verify_receipt(receipt.to_dict(), apart.public_key_pem())
    with pytest.raises(SignerUnavailableError, match="neither"):
        sign_receipt(replace(RECEIPT, intent=ReceiptEntry("f" * 16, "0" * 64)), apart)


def last(notary: Notary) -> SignedCheckpoint:
    assert notary._last is not None
    return notary._last


def test_no_second_history_is_signed(notary: Notary, trail_file: Path, apart: Keys) -> None:
    write(trail_file, apart, 3)
    said = last(notary).checkpoint
    forks = [
        said,
        replace(said, root="0" * 64),
        replace(said, number=1, first=1, previous=""),
        replace(said, number=said.number + 1),
        replace(said, number=said.number + 1, first=said.count + 1, count=said.count + 9, previous="0" * 64),
        replace(said, log="f" * 16, number=1, first=1, previous=""),
    ]
    for fork in forks:
        body = SignedCheckpoint(fork, b"").body
        with pytest.raises(SignatureRefusedError):
            apart.signing.sign(CHECKPOINT_PURPOSE + body.encode())
    assert last(notary).checkpoint == said
    assert intact(trail_file, apart)


def test_a_key_in_a_file_would_sign_them(place: Path, trail_file: Path) -> None:
    """Negative control: whoever holds the process that has the key can have anything signed."""
    signer = FileSigner(place / "signer" / "signing.pem")
    assert len(signer.sign(CHECKPOINT_PURPOSE + b"{}")) == 64


def test_a_trail_that_was_rolled_back_is_not_signed_on(
    notary: Notary, place: Path, trail_file: Path, apart: Keys
) -> None:
    write(trail_file, apart, 3)
    shutil.copyfile(trail_file, place / "yesterday.db")
    write(trail_file, apart, 3)
    shutil.copyfile(place / "yesterday.db", trail_file)
    writer = ChainWriter(trail_file, apart)
    with pytest.raises(SignatureRefusedError, match="does not follow"):
        writer.seal(though_quiet=True)
    writer.close()


def test_a_signer_that_is_gone_is_told_and_found_again(place: Path, trail_file: Path, apart: Keys) -> None:
    writer = ChainWriter(trail_file, apart)
    writer.append(["{}"])
    with pytest.raises(TrailUnavailableError, match="Nothing is answered until it can"):
        writer.seal()
    with pytest.raises(SignerUnavailableError):
        sign_receipt(RECEIPT, apart)
    with running(place / "signer", place / "s"):
        assert writer.seal()
    with pytest.raises(TrailUnavailableError):
        writer.seal(though_quiet=True)
    with running(place / "signer", place / "s"):
        assert writer.seal(though_quiet=True)
    writer.close()
    assert intact(trail_file, apart)


def test_one_that_hangs_is_not_waited_for(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(place / "s"))
        silent.listen()
        with pytest.raises(SignerUnavailableError, match="timed out"):
            SocketSigner(place / "s", deadline_seconds=0.05).public_key()


def test_what_was_signed_and_lost_is_put_in_its_place(
    notary: Notary, trail_file: Path, apart: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature was given, and the disk did not take the checkpoint: another one would be a second history."""
    writer = ChainWriter(trail_file, apart)
    writer.append(["{}", '{"a":1}'])
    with monkeypatch.context() as broken:
        broken.setattr(writer._storage, "add_checkpoint", fail)
        with pytest.raises(TrailUnavailableError, match="disk"):
            writer.seal()
    writer.append(['{"b":1}'])
    assert writer.seal()
    lost = last(notary)
    assert (lost.checkpoint.number, lost.checkpoint.count) == (1, 2)
    assert writer.seal()
    writer.close()
    assert intact(trail_file, apart)


def fail(*_: object) -> None:
    message = "the disk is full"
    raise StorageError(message)


def test_a_removal_that_was_signed_and_lost_comes_to_its_end(
    notary: Notary, trail_file: Path, apart: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ChainWriter(trail_file, apart)
    writer.append(["{}", '{"a":1}', '{"b":1}'])
    writer.seal()
    with monkeypatch.context() as broken:
        broken.setattr(writer._storage, "add_checkpoint", fail)
        with pytest.raises(TrailUnavailableError, match="disk"):
            writer.remove([1])
    with pytest.raises(SignatureRefusedError):
        writer.remove([1, 2])
    writer.remove([1])
    writer.remove([2])
    writer.close()
    report = verify(trail_file, apart.public_key_pem())
    assert (report.ok, report.removed) == (True, 2)


def rotate(trail_file: Path, keys: Keys) -> str:
    with Trail.open(trail_file, keys) as trail:
        return rotate_signing_key(trail_file, keys, "root", lambda event: trail.record(event, WAIT_SECONDS))


def test_it_hands_over_to_a_key_that_its_own_operator_prepared(
    place: Path, notary: Notary, trail_file: Path, apart: Keys
) -> None:
    write(trail_file, apart, 3)
    first = apart.public_key_pem()
    with pytest.raises(SignerUnavailableError, match="prepare-next"):
        rotate(trail_file, apart)
    prepared = FileSigner(place / "signer" / "signing.pem").prepare_next()
    assert rotate(trail_file, apart) == key_id(prepared)
    write(trail_file, apart, 3)
    assert verify(trail_file, first).ok
    assert alone(trail_file, first, []) == []
    assert public_keys(place / "keys").count("BEGIN") == 2
    assert not (place / "signer" / "signing-next.pem").exists()


def test_it_does_not_hand_over_to_a_key_of_somebody_else(
    place: Path, notary: Notary, trail_file: Path, apart: Keys, other_keys: Keys
) -> None:
    write(trail_file, apart, 3)
    FileSigner(place / "signer" / "signing.pem").prepare_next()
    writer = ChainWriter(trail_file, apart)
    with pytest.raises(SignerUnavailableError, match="not here"):
        writer.hand_over(other_keys.signing.public_key().public_bytes_raw().hex())
    writer.close()


def test_a_hand_over_that_was_signed_and_lost_is_put_in_its_place(
    place: Path, notary: Notary, trail_file: Path, apart: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(trail_file, apart, 3)
    first = apart.public_key_pem()
    prepared = FileSigner(place / "signer" / "signing.pem").prepare_next()
    writer = ChainWriter(trail_file, apart)
    with monkeypatch.context() as broken:
        broken.setattr(writer._storage, "add_checkpoint", fail)
        with pytest.raises(TrailUnavailableError, match="disk"):
            writer.hand_over(prepared.public_bytes_raw().hex())
    assert writer.seal(though_quiet=True)
    assert writer.seal(though_quiet=True)
    writer.close()
    assert verify(trail_file, first).ok
    assert alone(trail_file, first, []) == []


def test_it_remembers_over_a_restart(place: Path, trail_file: Path, apart: Keys) -> None:
    with running(place / "signer", place / "s"):
        write(trail_file, apart, 3)
    with running(place / "signer", place / "s") as again:
        with pytest.raises(SignatureRefusedError):
            apart.signing.sign(CHECKPOINT_PURPOSE + last(again).body.encode())
        write(trail_file, apart, 3)
    assert intact(trail_file, apart)
    (place / "signer" / "last-checkpoint.json").write_text("{")
    with pytest.raises(KeysUnusableError, match="not known what was signed last"):
        Notary(place / "signer")


def test_only_its_users_are_answered(place: Path) -> None:
    with running(place / "signer", place / "s", {os.getuid() + 1}):
        assert (place / "s").stat().st_mode & 0o777 == 0o600
        with pytest.raises(SignerUnavailableError, match="may not ask"):
            SocketSigner(place / "s").public_key()
        with pytest.raises(KeysUnusableError, match="End the process"):
            serve_signatures(Notary(place / "signer"), place / "s", {os.getuid()})
    SocketSigner(place / "s")


NONSENSE: list[dict[str, Any]] = [
    {},
    {"do": "sign"},
    {"do": "sign", "message": "%"},
    {"do": "export"},
    {"do": ["sign"], "message": {}},
]


@pytest.mark.parametrize("asked", NONSENSE)
def test_nonsense_is_refused(notary: Notary, place: Path, asked: dict[str, Any]) -> None:
    with pytest.raises(SignerUnavailableError, match="refuses"):
        SocketSigner(place / "s")._ask(asked)


def test_only_the_one_form_is_signed(notary: Notary, trail_file: Path, apart: Keys) -> None:
    write(trail_file, apart, 1)
    log = verify(trail_file, apart.public_key_pem()).log
    receipt = canonical(asdict(replace(RECEIPT, intent=ReceiptEntry(log, "0" * 64)))).encode()
    next_one = replace(last(notary).checkpoint, number=last(notary).checkpoint.number + 1)
    for message in (
        RECEIPT_PURPOSE + receipt.replace(b",", b", "),
        RECEIPT_PURPOSE + b"{}",
        RECEIPT_PURPOSE + receipt[:-1] + b',"z":1}',
        CHECKPOINT_PURPOSE + SignedCheckpoint(next_one, b"").body.replace(",", ", ").encode(),
        CHECKPOINT_PURPOSE,
        b"muniment-other-1\n{}",
        b"",
    ):
        with pytest.raises(SignerUnavailableError):
            apart.signing.sign(message)
    apart.signing.sign(RECEIPT_PURPOSE + receipt)


def test_what_answers_with_another_signature_is_noticed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(place / "signer", place / "s") as notary:
        monkeypatch.setattr(notary, "_sign", lambda _: {"signature": "AAAA", **notary._public()})
        with pytest.raises(SignerUnavailableError, match="something else than a signature"):
            SocketSigner(place / "s").sign(b"x")


def test_it_is_never_shown_what_is_not_durable(
    notary: Notary, trail_file: Path, apart: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a signature was given for must not be undone by a commit that fails."""
    writer = ChainWriter(trail_file, apart)
    bodies = [f'{{"n":{number}}}' for number in range(70)]
    with monkeypatch.context() as broken:
        broken.setattr(writer._storage, "require_same_place", fail)
        with pytest.raises(TrailUnavailableError):
            writer.append(bodies)
    assert notary._last is None
    writer.append(['{"m":1}'])
    assert last(notary).checkpoint.count == 71, "sixty-four are signed as soon as they are durable"
    writer.close()
    assert intact(trail_file, apart)
