"""Another signing key: whoever has the first public key can follow, and a crash leaves a trail that goes on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.audit import rotation
from policies.audit.chain import encode
from policies.audit.checkpoints import followed
from policies.audit.events import SigningKeyRotated
from policies.audit.proofs import evidence
from policies.audit.reader import EntryQuery, read_entries
from policies.audit.receipts import ReceiptEntry, sign_receipt, verify_receipt
from policies.audit.rotation import rotate_signing_key
from policies.audit.store import Trail
from policies.audit.verifier import verify
from policies.audit.writer import ChainWriter
from policies.errors import KeysUnusableError, TrailUnavailableError
from policies.keys import Keys, create_keys, open_keys, public_keys, read_public_keys
from policies.signing import FileSigner, key_id, public_pem, read_signing_key, signing_pem
from tests.policies.made_trails import BEGIN
from tests.policies.test_audit_proofs import ALONE, ANSWER, ASKED, FOUND, RECEIPT, given, other
from tests.policies.test_audit_verifier import alone

WAIT_SECONDS = 20.0
BODY = encode(other(1), BEGIN)


@pytest.fixture
def own(tmp_path: Path) -> Keys:
    return create_keys(tmp_path / "keys")


@pytest.fixture
def first(own: Keys) -> str:
    """The public key that an auditor was given in the beginning."""
    return own.public_key_pem()


def rotate(file: Path, keys: Keys) -> str:
    with Trail.open(file, keys) as trail:
        return rotate_signing_key(file, keys, "root", lambda event: trail.record(event, WAIT_SECONDS))


def write(file: Path, keys: Keys) -> None:
    with Trail.open(file, keys) as trail:
        trail.record(other(1), WAIT_SECONDS)


def intact(file: Path, pem: str) -> bool:
    report = verify(file, pem)
    assert (alone(file, pem, []) == []) == report.ok, report.findings
    return report.ok and report.sealed == report.entries


def test_the_first_key_leads_to_all_after_it(trail_file: Path, own: Keys, first: str) -> None:
    write(trail_file, own)
    for _ in range(3):
        rotate(trail_file, own)
        write(trail_file, open_keys(own.public_file.parent))
    assert intact(trail_file, first)
    listed = read_public_keys(public_keys(own.public_file.parent))
    assert (len(listed), key_id(listed[-1])) == (4, own.key_id())
    assert all(intact(trail_file, public_pem(key)) for key in listed)
    told = read_entries(trail_file, EntryQuery(kind=SigningKeyRotated.kind))
    assert [entry.event["key"] for entry in told] == [key_id(key) for key in listed[:0:-1]]
    left = {path.name for path in own.public_file.parent.iterdir()}
    assert left == {"identifiers.key", "master.key", "public.pem", "signing.pem"}


def test_a_process_that_was_running_goes_on_with_the_new_key(trail_file: Path, own: Keys, first: str) -> None:
    running = ChainWriter(trail_file, open_keys(own.public_file.parent))
    running.append([BODY])
    rotate(trail_file, own)
    running.append([BODY])
    assert running.seal()
    running.close()
    assert intact(trail_file, first)


def answered(file: Path, keys: Keys, request: str) -> dict[str, object]:
    with Trail.open(file, keys) as trail:
        entry = trail.record(replace(ASKED, request=request), WAIT_SECONDS)
        unsigned = replace(RECEIPT, request=request, intent=ReceiptEntry(entry.log, entry.hash))
        receipt = sign_receipt(unsigned, keys).to_dict()
        trail.record(replace(FOUND, request=request), WAIT_SECONDS)
        trail.record(replace(given(receipt), request=request), WAIT_SECONDS)
    return receipt


def test_receipts_of_every_key_are_proved_with_the_first(trail_file: Path, own: Keys, first: str) -> None:
    receipts = [answered(trail_file, own, "r0")]
    for number in range(1, 4):
        rotate(trail_file, own)
        receipts.append(answered(trail_file, own, f"r{number}"))
    raw = [key.public_bytes_raw() for key in read_public_keys(first)]
    for receipt in receipts:
        found = evidence(trail_file, receipt, first, ANSWER)
        assert found.problems == ()
        told = json.loads(json.dumps(found.to_dict()))
        assert ALONE["check_answer"](told, raw, ANSWER.encode())[0] == []
        without = told | {"keys": told["keys"][1:]}
        assert (ALONE["check_answer"](without, raw, None)[0] == []) == (receipt is receipts[0])
    assert [verify_receipt(receipt, first) for receipt in receipts] == [True, False, False, False]
    assert all(verify_receipt(receipt, own.public_key_pem()) for receipt in receipts)


class PowerCutError(Exception):
    """The process ends here."""


def cut(*_: object, **__: object) -> None:
    raise PowerCutError


CUTS: list[tuple[object, str]] = [
    (FileSigner, "take_over"),
    (ChainWriter, "hand_over"),
    (ChainWriter, "seal"),
    (rotation, "list_public_key"),
]


@pytest.mark.parametrize(("where", "what"), CUTS, ids=[what for _, what in CUTS])
def test_a_rotation_that_was_broken_off_is_ended_by_whoever_comes_next(
    trail_file: Path, own: Keys, first: str, monkeypatch: pytest.MonkeyPatch, where: object, what: str
) -> None:
    folder = own.public_file.parent
    write(trail_file, own)
    with monkeypatch.context() as broken:
        broken.setattr(where, what, cut)
        with pytest.raises(PowerCutError):
            rotate_signing_key(trail_file, own, "root", lambda _: None)
    again = open_keys(folder)
    write(trail_file, again)
    assert intact(trail_file, first)
    rotate(trail_file, again)
    write(trail_file, again)
    assert intact(trail_file, first)
    assert key_id(read_public_keys(public_keys(folder))[-1]) == again.key_id()
    assert intact(trail_file, public_keys(folder))


def test_a_key_that_the_trail_did_not_hand_over_to_signs_nothing(trail_file: Path, own: Keys) -> None:
    """Somebody who can replace the file of the key has not the trail."""
    write(trail_file, own)
    path = own.public_file.parent / "signing.pem"
    path.write_bytes(signing_pem(Ed25519PrivateKey.generate()))
    writer = ChainWriter(trail_file, open_keys(own.public_file.parent))
    writer.append([BODY])
    with pytest.raises(TrailUnavailableError, match="this installation has"):
        writer.seal()
    writer.close()


def test_followed_stops_at_what_the_trusted_key_did_not_sign(trail_file: Path, own: Keys, other_keys: Keys) -> None:
    rotate(trail_file, own)
    handovers = evidence(trail_file, answered(trail_file, own, "r1"), own.public_key_pem()).handovers
    assert len(handovers) == 1
    [public] = read_public_keys(other_keys.public_key_pem())
    assert followed([public], handovers) == (public,)


@pytest.fixture
def mounted(tmp_path: Path, own: Keys) -> Path:
    """A signing key that is mounted somewhere else."""
    folder = tmp_path / "secret"
    folder.mkdir()
    (own.public_file.parent / "signing.pem").rename(folder / "signing.pem")
    return folder / "signing.pem"


def test_a_mounted_key_signs_and_hands_over(
    trail_file: Path, own: Keys, mounted: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = open_keys(own.public_file.parent, FileSigner(mounted))
    write(trail_file, keys)
    next_key = Ed25519PrivateKey.generate()
    beside = mounted.with_name("signing-next.pem")
    beside.write_bytes(signing_pem(next_key))
    beside.chmod(0o600)
    with monkeypatch.context() as read_only:
        read_only.setattr(Path, "replace", refuse)
        read_only.setattr(rotation, "list_public_key", lambda *_: None)
        assert rotate(trail_file, keys) == key_id(next_key.public_key())
        write(trail_file, keys)
    beside.rename(mounted)
    write(trail_file, open_keys(own.public_file.parent, FileSigner(mounted)))
    assert intact(trail_file, first)


def refuse(*_: object) -> None:
    raise PermissionError(30, "Read-only file system")


def missing(path: Path) -> None:
    path.unlink()


def open_to_others(path: Path) -> None:
    path.chmod(0o644)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


@pytest.mark.parametrize("name", ["master.key", "identifiers.key", "signing.pem"])
@pytest.mark.parametrize("harm", [missing, open_to_others, truncated, empty, a_folder], ids=lambda harm: harm.__name__)
def test_a_key_that_cannot_be_used_is_one_sentence(own: Keys, name: str, harm: Callable[[Path], None]) -> None:
    path = own.public_file.parent / name
    harm(path)
    with pytest.raises(KeysUnusableError, match=r"(Restore it|chmod)") as told:
        open_keys(own.public_file.parent)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


def test_the_public_keys_can_be_read_without_the_private_ones(own: Keys, mounted: Path, first: str) -> None:
    assert public_keys(own.public_file.parent) == first
    with pytest.raises(KeysUnusableError):
        read_signing_key(own.public_file.parent / "signing.pem")
