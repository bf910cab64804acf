"""Whatever is done to a trail is found and located; nothing is found in a trail to which nothing was done."""

import random
import runpy
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.audit import verifier
from policies.audit.checkpoints import SignedCheckpoint, last_exported
from policies.audit.verifier import FindingKind, VerificationReport, verify
from policies.audit.writer import ChainWriter
from policies.errors import KeysUnusableError, TrailUnreadableError
from policies.keys import Keys, read_public_keys
from policies.signing import public_pem
from tests.policies.made_trails import as_read, some_trail
from tests.policies.tamperings import (
    PLAIN,
    TAMPERINGS,
    Found,
    Trail,
    alter_a_body,
    body,
    claim_that_more_was_removed_with_another_key,
    cut_the_tail,
    cut_the_tail_with_its_checkpoints,
    delete_everything,
    delete_the_first_entries,
    hand_over_to_another_key,
    hide_entries_from_searches,
    insert_an_entry,
    made,
    put_back_an_older_file,
    remove_a_body,
    rewrite_and_sign_with_another_key,
    rewrite_the_chain,
    say_a_key_twice_in_a_checkpoint,
    sign_with_the_key_before,
    tampering,
)
from tests.policies.trails import kept_in

ALONE = runpy.run_path(str(Path(__file__).parents[2] / "deploy" / "verify_trail.py"))


def write(file: Path, keys: Keys, copy: Path, rng: random.Random, groups: int) -> None:
    """A trail that several processes of the product wrote, in groups of different sizes, and signed now and then."""
    writers = [ChainWriter(file, keys, kept_in(copy)) for _ in range(rng.randint(1, 4))]
    for number in range(groups):
        writer = rng.choice(writers)
        writer.append([body(number * 100 + place) for place in range(rng.randint(1, 6))])
        if rng.random() < 0.4:
            rng.choice(writers).seal(though_quiet=rng.random() < 0.2)
    writers[0].seal()
    if rng.random() < 0.5:
        writers[-1].append([body(1)])
    for writer in writers:
        writer.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Trail:
    """A trail whose key was rotated and from which content was removed."""
    return made(tmp_path_factory.mktemp("written"), keys, random.Random(4), groups=30)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Trail:
    """A trail of one key, with all its content."""
    return made(tmp_path_factory.mktemp("plain"), keys, random.Random(5), groups=30, changed=False)


@pytest.fixture
def trail(written: Trail, tmp_path: Path) -> Trail:
    return copied(written, tmp_path / "audit.db", random.Random(1))


def copied(trail: Trail, to: Path, rng: random.Random) -> Trail:
    for suffix in ("-wal", "-shm"):
        to.with_name(to.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(trail.file, to)
    return replace(trail, file=to, rng=rng)


def is_told(report: VerificationReport, expected: Found) -> bool:
    kinds, id_ = expected
    return any(found.kind in kinds and (not id_ or found.first <= id_ <= found.last) for found in report.findings)


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__)
def test_a_tampering_is_found_and_located(
    written: Trail, plain: Trail, tmp_path: Path, tamper: Callable[[Trail], Found]
) -> None:
    for number, each in enumerate((plain, written)):
        if tamper in PLAIN and each is written:
            continue
        trail = copied(each, tmp_path / f"{number}.db", random.Random(number))
        assert trail.verify().ok
        expected = tamper(trail)
        report = trail.verify()
        assert not report.ok
        assert is_told(report, expected), (expected, report.findings)
        assert second_opinion(trail, [trail.kept])
        assert all(found.detail.endswith(".") for found in report.findings)


@pytest.mark.parametrize("count", [120, pytest.param(10_000, marks=pytest.mark.deep)])
def test_random_tamperings_of_random_trails_are_all_found(tmp_path: Path, keys: Keys, count: int) -> None:
    rng, done = random.Random(count), set()
    for number in range(count):
        if number % 25 == 0:
            plain = made(tmp_path, keys, rng, rng.randint(10, 30), changed=False) if number % 50 else None
            trails = plain or made(tmp_path, keys, rng, rng.randint(10, 30))
        tamper = rng.choice([each for each in TAMPERINGS if plain or each not in PLAIN])
        trail = copied(trails, tmp_path / "tampered.db", rng)
        expected = tamper(trail)
        report = trail.verify()
        assert is_told(report, expected), (number, tamper, expected, report.findings)
        done.add(tamper)
    assert count < 1000 or done == set(TAMPERINGS)


@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=pytest.mark.deep)])
def test_a_trail_to_which_nothing_was_done_gives_no_alarm(tmp_path: Path, keys: Keys, count: int) -> None:
    rng, file = random.Random(count), tmp_path / "clean.db"
    for number in range(count):
        some_keys = [Ed25519PrivateKey.generate() for _ in range(rng.randint(1, 3))]
        trail = some_trail(rng, some_keys, rng.randint(1, 20))
        trail.store(file)
        for kept in (None, rng.choice(trail.signed)):
            report = verify(file, public_pem(some_keys[0].public_key()), kept)
            assert report.findings == (), number
            assert report.removed == len(trail.removed)


@pytest.mark.parametrize("count", [12, pytest.param(1_000, marks=pytest.mark.deep)])
def test_the_second_verifier_agrees_on_clean_and_tampered_trails(tmp_path: Path, keys: Keys, count: int) -> None:
    rng, clean = random.Random(count), 0
    for number in range(count):
        changed = number % 3 > 0
        trail = made(tmp_path, keys, rng, rng.randint(2, 15), changed=changed)
        if rng.random() < 0.5:
            rng.choice([each for each in TAMPERINGS if not changed or each not in PLAIN])(trail)
        ok = trail.verify().ok
        clean += ok
        assert (second_opinion(trail, [trail.kept]) == []) == ok, number
    assert 0.3 * count < clean < 0.7 * count


@pytest.mark.parametrize("count", [5, pytest.param(100, marks=pytest.mark.deep)])
def test_what_the_product_writes_gives_no_alarm(tmp_path: Path, keys: Keys, count: int) -> None:
    rng = random.Random(count)
    for number in range(count):
        file, copy = tmp_path / f"{number}.db", tmp_path / f"{number}.jsonl"
        write(file, keys, copy, rng, groups=rng.randint(1, 20))
        for kept in (None, last_exported(copy)):
            assert verify(file, keys.public_key_pem(), kept).findings == ()
            assert alone(file, keys.public_key_pem(), [kept] if kept else []) == []


def second_opinion(trail: Trail, kept: list[SignedCheckpoint]) -> list[str]:
    """What the verifier that shares no code with ours finds."""
    return alone(trail.file, trail.pem, kept)


def alone(file: Path, pem: str, kept: list[SignedCheckpoint]) -> list[str]:
    keys = [key.public_bytes_raw() for key in read_public_keys(pem)]
    try:
        problems, _ = ALONE["check_trail"](file, keys, [as_read(each) for each in kept])
    except (sqlite3.Error, TypeError, ValueError, LookupError) as error:
        return [f"cannot be read: {error}"]
    return list(problems)


def test_an_empty_trail_is_sound(tmp_path: Path, keys: Keys) -> None:
    ChainWriter(tmp_path / "audit.db", keys).close()
    report = verify(tmp_path / "audit.db", keys.public_key_pem())
    assert (report.ok, report.entries, report.sealed) == (True, 0, 0)


def test_every_earlier_checkpoint_kept_elsewhere_still_fits(trail: Trail) -> None:
    for text, signature in trail.rows("SELECT body, signature FROM checkpoints"):
        assert isinstance(text, str)
        assert isinstance(signature, bytes)
        assert verify(trail.file, trail.pem, SignedCheckpoint.from_parts(text, signature)).ok


def test_whoever_has_a_later_key_can_verify_what_came_before(trail: Trail) -> None:
    """The newest signature is for all before it, by whichever keys they were signed."""
    for private in (*trail.former[1:], None):
        pem = public_pem(private.public_key()) if private else trail.keys.public_key_pem()
        assert verify(trail.file, pem, trail.kept).ok
        assert alone(trail.file, pem, [trail.kept]) == []


def test_a_file_of_all_keys_verifies_and_notices_that_the_last_did_not_sign(trail: Trail) -> None:
    pem = "".join(public_pem(key.public_key()) for key in trail.former) + trail.keys.public_key_pem()
    assert verify(trail.file, pem, trail.kept).ok
    assert alone(trail.file, pem, [trail.kept]) == []
    later = pem + public_pem(trail.other.public_key())
    assert {found.kind for found in verify(trail.file, later).findings} == {FindingKind.BAD_SIGNATURE}
    assert alone(trail.file, later, []) != []


def test_verifying_beside_a_writer_disturbs_nothing(tmp_path: Path, keys: Keys) -> None:
    chain = ChainWriter(tmp_path / "audit.db", keys)
    for number in range(1, 6):
        chain.append([body(number)])
        report = verify(tmp_path / "audit.db", keys.public_key_pem())
        assert (report.ok, report.entries) == (True, number)
    chain.close()


def test_another_key_does_not_verify(trail: Trail) -> None:
    report = verify(trail.file, public_pem(trail.other.public_key()))
    assert FindingKind.BAD_SIGNATURE in {found.kind for found in report.findings}
    assert report.sealed == 0


def test_what_is_no_trail_or_no_key_is_said(trail: Trail, tmp_path: Path) -> None:
    with pytest.raises(KeysUnusableError):
        verify(trail.file, "no key")
    (tmp_path / "noise.db").write_bytes(b"noise" * 1000)
    for file in (tmp_path / "none.db", tmp_path / "noise.db"):
        with pytest.raises(TrailUnreadableError):
            verify(file, trail.pem)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_file_that_ends_too_early_is_not_sound(trail: Trail, share: float) -> None:
    content = trail.file.read_bytes()
    trail.file.write_bytes(content[: int(len(content) * share)])
    with suppress(TrailUnreadableError):
        assert not trail.verify().ok


def test_a_replaced_file_does_not_flood_the_report(trail: Trail) -> None:
    with tampering(trail) as connection:
        for _ in range(4):
            connection.execute(
                "INSERT INTO entries (writer, seq, previous, hash, body) "
                "SELECT hex(randomblob(8)), 5, randomblob(32), randomblob(32), body FROM entries"
            )
    report = trail.verify()
    assert report.entries > 500
    assert 50 < len(report.findings) <= 100


# Negative controls: a verifier that lacks one of its checks misses what that check is for.


def skip_explaining(*_: object, **__: object) -> None:
    pass


def accept_any_root(self: verifier._Verification, id_: int) -> None:
    while self._next_checkpoint() == id_:
        self._pass_checkpoint()


def follow_whatever_is_named(
    keys: Iterable[Ed25519PublicKey], checkpoints: Iterable[SignedCheckpoint]
) -> tuple[Ed25519PublicKey, ...]:
    named = [signed.checkpoint.next_key for signed in checkpoints if signed.checkpoint.next_key]
    return (*keys, *(Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)) for key in named))


CRIPPLED = [
    ("_explain", skip_explaining, delete_the_first_entries),
    ("_explain", skip_explaining, alter_a_body),
    ("_compare", accept_any_root, rewrite_the_chain),
    ("_compare", accept_any_root, insert_an_entry),
    ("_check_end", lambda _: None, cut_the_tail),
    ("_check_definition", lambda *_: None, hide_entries_from_searches),
    ("_is_signed", lambda *_: True, rewrite_and_sign_with_another_key),
    ("_is_signed", lambda *_: True, sign_with_the_key_before),
    ("_is_signed", lambda *_: True, claim_that_more_was_removed_with_another_key),
    ("_check_removed", lambda *_: None, remove_a_body),
]


@pytest.mark.parametrize(("name", "crippled", "tamper"), CRIPPLED)
def test_a_verifier_without_one_check_misses_what_it_is_for(
    trail: Trail,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    crippled: Callable[..., object],
    tamper: Callable[[Trail], Found],
) -> None:
    monkeypatch.setattr(verifier._Verification, name, crippled)
    assert not is_told(trail.verify(), tamper(trail))


@pytest.mark.parametrize("tamper", [cut_the_tail_with_its_checkpoints, delete_everything, put_back_an_older_file])
def test_without_a_checkpoint_kept_elsewhere_a_cut_is_invisible(
    plain: Trail, tmp_path: Path, tamper: Callable[[Trail], Found]
) -> None:
    trail = copied(plain, tmp_path / "audit.db", random.Random(1))
    tamper(trail)
    assert verify(trail.file, trail.pem).ok


def test_a_verifier_that_follows_unsigned_hand_overs_is_led_astray(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "followed", follow_whatever_is_named)
    assert not is_told(trail.verify(), hand_over_to_another_key(trail))
    assert second_opinion(trail, [trail.kept])


def test_a_verifier_that_does_not_ask_for_the_one_form_misses_a_name_said_twice(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    say_a_key_twice_in_a_checkpoint(trail)
    assert not trail.verify().ok
    honest = SignedCheckpoint.from_parts

    def lenient(text: str, signature: bytes) -> SignedCheckpoint:
        return honest(text.replace('{"at":"2020-01-01T00:00:00.000000Z",', "{"), signature)

    monkeypatch.setattr(SignedCheckpoint, "from_parts", lenient)
    assert trail.verify().ok
