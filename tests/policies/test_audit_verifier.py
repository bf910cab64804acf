"""Whatever is done to a trail is found and located; nothing is found in a trail to which nothing was done."""

import json
import random
import runpy
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policies.audit import verifier
from policies.audit.chain import encode, entry_hash, genesis
from policies.audit.checkpoints import CheckpointFile, SignedCheckpoint, digest, last_exported, sign_checkpoint
from policies.audit.database import TABLES
from policies.audit.events import QuestionAsked
from policies.audit.merkle import root_of
from policies.audit.verifier import FindingKind, VerificationReport, verify
from policies.audit.writer import ChainWriter
from policies.errors import KeysUnusableError, TrailUnreadableError
from policies.keys import Keys

ALONE = runpy.run_path(str(Path(__file__).parents[2] / "deploy" / "verify_trail.py"))
TRIGGERS = [statement for statement in TABLES if statement.startswith("CREATE TRIGGER")]
NAMES = [trigger.split()[2] for trigger in TRIGGERS]


def body(number: int) -> str:
    return encode(QuestionAsked(f"r{number}", f"user-{number % 7}", "test", "0" * 64, "m", "1" * 64), datetime.now(UTC))


def write(file: Path, keys: Keys, copy: Path, rng: random.Random, groups: int) -> None:
    """A trail that several processes wrote, in groups of different sizes, and signed now and then."""
    writers = [ChainWriter(file, keys, CheckpointFile(copy)) for _ in range(rng.randint(1, 4))]
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


@dataclass(frozen=True)
class Trail:
    """A file to tamper with, the checkpoint that was kept elsewhere, and the keys."""

    file: Path
    kept: SignedCheckpoint
    keys: Keys
    other_keys: Keys
    rng: random.Random

    def verify(self) -> VerificationReport:
        return verify(self.file, self.keys.public_key_pem(), self.kept)

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(query, values).fetchall()

    @property
    def sealed_id(self) -> int:
        """Some entry that the kept checkpoint covers, other than the first and the last of them."""
        return self.rng.randint(2, self.kept.checkpoint.count - 1)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> tuple[Path, SignedCheckpoint]:
    folder = tmp_path_factory.mktemp("written")
    write(folder / "audit.db", keys, folder / "copy.jsonl", random.Random(4), groups=30)
    kept = last_exported(folder / "copy.jsonl")
    assert kept is not None
    return folder / "audit.db", kept


@pytest.fixture
def trail(written: tuple[Path, SignedCheckpoint], tmp_path: Path, keys: Keys, other_keys: Keys) -> Trail:
    return copied(written, tmp_path / "audit.db", keys, other_keys, random.Random(1))


def copied(written: tuple[Path, SignedCheckpoint], to: Path, keys: Keys, other_keys: Keys, rng: random.Random) -> Trail:
    for suffix in ("-wal", "-shm"):
        to.with_name(to.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(written[0], to)
    return Trail(to, written[1], keys, other_keys, rng)


@contextmanager
def tampering(trail: Trail) -> Iterator[sqlite3.Connection]:
    """What somebody with the file in hand can do: the triggers are out of the way, and back afterwards."""
    with closing(sqlite3.connect(trail.file, isolation_level=None)) as connection:
        for name in NAMES:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")
        for trigger in TRIGGERS:
            connection.execute(trigger)


Found = tuple[set[FindingKind], int]
"""Which kinds of finding may tell of a tampering, and the entry that one of them must cover (0: the whole trail)."""


def alter_a_body(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET body = replace(body, 'user-', 'User-') WHERE id = ?", (id_,))
    return {FindingKind.ALTERED}, id_


def add_white_space(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET body = replace(body, ',', ', ') WHERE id = ?", (id_,))
    return {FindingKind.ALTERED}, id_


def swap_two_bodies(trail: Trail) -> Found:
    first = trail.sealed_id
    with tampering(trail) as connection:
        one, two = (connection.execute("SELECT body FROM entries WHERE id = ?", (i,)).fetchone() for i in (1, first))
        connection.execute("UPDATE entries SET body = ? WHERE id = 1", two)
        connection.execute("UPDATE entries SET body = ? WHERE id = ?", (*one, first))
    return {FindingKind.ALTERED}, first


def alter_and_hash_again(trail: Trail) -> Found:
    """One entry is forged with a fitting hash; the next of its writer no longer follows."""
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        (previous,) = connection.execute("SELECT previous FROM entries WHERE id = ?", (id_,)).fetchone()
        forged = body(666)
        hash_ = entry_hash(previous, forged.encode())
        connection.execute("UPDATE entries SET body = ?, hash = ? WHERE id = ?", (forged, hash_, id_))
    return {FindingKind.MISPLACED, FindingKind.REWRITTEN}, 0


def rewrite(connection: sqlite3.Connection, log: str, forged: dict[int, str]) -> None:
    """Put forged bodies in, and make every chain fit again."""
    rows = connection.execute("SELECT id, writer, body FROM entries ORDER BY id").fetchall()
    connection.execute("UPDATE entries SET previous = randomblob(32)")
    heads: dict[str, bytes] = {}
    for id_, writer, text in rows:
        previous = heads.get(writer) or genesis(log, writer)
        content = forged.get(id_, text)
        heads[writer] = entry_hash(previous, content.encode())
        values = (previous, heads[writer], content, id_)
        connection.execute("UPDATE entries SET previous = ?, hash = ?, body = ? WHERE id = ?", values)


def rewrite_the_chain(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        rewrite(connection, trail.kept.checkpoint.log, {id_: body(666)})
    return {FindingKind.REWRITTEN}, id_


def rewrite_and_sign_with_another_key(trail: Trail) -> Found:
    with tampering(trail) as connection:
        rewrite(connection, trail.kept.checkpoint.log, {trail.sealed_id: body(666)})
        hashes = [hash_ for (hash_,) in connection.execute("SELECT hash FROM entries ORDER BY id")]
        previous = ""
        for number, text in connection.execute("SELECT number, body FROM checkpoints ORDER BY number").fetchall():
            checkpoint = SignedCheckpoint.from_parts(text, b"").checkpoint
            root = root_of(hashes[checkpoint.first - 1 : checkpoint.count])
            signed = sign_checkpoint(replace(checkpoint, root=root.hex(), previous=previous), trail.other_keys)
            values = (signed.body, signed.signature, number)
            connection.execute("UPDATE checkpoints SET body = ?, signature = ? WHERE number = ?", values)
            previous = digest(signed.body, signed.signature)
    return {FindingKind.BAD_SIGNATURE}, trail.kept.checkpoint.count


def delete_an_entry(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("DELETE FROM entries WHERE id = ?", (id_,))
    return {FindingKind.MISSING}, id_


def delete_an_entry_and_number_anew(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("DELETE FROM entries WHERE id = ?", (id_,))
        connection.execute("UPDATE entries SET id = -id WHERE id > ?", (id_,))
        connection.execute("UPDATE entries SET id = -id - 1 WHERE id < 0")
    # It depends on what the entry was to its writer: the first, one in the middle, or the last of a signed group.
    return {FindingKind.MISPLACED, FindingKind.REWRITTEN, FindingKind.UNKNOWN_WRITER, FindingKind.CUT}, 0


def delete_the_first_entries(trail: Trail) -> Found:
    with tampering(trail) as connection:
        connection.execute("DELETE FROM entries WHERE id <= 3")
    return {FindingKind.MISSING}, 2


def swap_two_rows(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        for old, new in ((id_, -1), (id_ + 1, id_), (-1, id_ + 1)):
            connection.execute("UPDATE entries SET id = ? WHERE id = ?", (new, old))
    return {FindingKind.MISPLACED, FindingKind.REWRITTEN, FindingKind.UNKNOWN_WRITER}, id_


def insert_an_entry(trail: Trail) -> Found:
    """A forged entry of a new writer, with all behind it numbered anew."""
    id_, log = trail.sealed_id, trail.kept.checkpoint.log
    start, forged = genesis(log, "f" * 16), body(666)
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET id = -id WHERE id >= ?", (id_,))
        connection.execute("UPDATE entries SET id = 1 - id WHERE id < 0")
        values = (id_, "f" * 16, 1, start, entry_hash(start, forged.encode()), forged)
        insert = "INSERT INTO entries (id, writer, seq, previous, hash, body) VALUES (?, ?, ?, ?, ?, ?)"
        connection.execute(insert, values)
    return {FindingKind.REWRITTEN}, id_


def insert_before_the_first(trail: Trail) -> Found:
    start, forged = genesis(trail.kept.checkpoint.log, "f" * 16), body(666)
    with tampering(trail) as connection:
        values = (-5, "f" * 16, 1, start, entry_hash(start, forged.encode()), forged)
        insert = "INSERT INTO entries (id, writer, seq, previous, hash, body) VALUES (?, ?, ?, ?, ?, ?)"
        connection.execute(insert, values)
    return {FindingKind.MISPLACED}, 0


def splice_from_another_trail(trail: Trail) -> Found:
    id_ = trail.sealed_id
    start, forged = genesis("0" * 16, "f" * 16), body(666)
    with tampering(trail) as connection:
        values = ("f" * 16, 1, start, entry_hash(start, forged.encode()), forged, id_)
        connection.execute(
            "UPDATE entries SET writer = ?, seq = ?, previous = ?, hash = ?, body = ? WHERE id = ?", values
        )
    return {FindingKind.UNKNOWN_WRITER}, id_


def rename_a_writer(trail: Trail) -> Found:
    with tampering(trail) as connection:
        (writer,) = connection.execute("SELECT writer FROM entries WHERE id = 1").fetchone()
        connection.execute("UPDATE entries SET writer = ? WHERE writer = ?", ("e" * 16, writer))
    return {FindingKind.UNKNOWN_WRITER}, 1


def renumber_an_entry(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET seq = seq + 1000 WHERE id = ?", (id_,))
    return {FindingKind.MISPLACED, FindingKind.UNKNOWN_WRITER}, id_


def unchain_an_entry(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET previous = randomblob(32) WHERE id = ?", (id_,))
    return {FindingKind.MISPLACED, FindingKind.UNKNOWN_WRITER}, id_


def cut_the_tail(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("DELETE FROM entries WHERE id >= ?", (id_,))
    return {FindingKind.CUT}, id_


def cut_the_tail_with_its_checkpoints(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("DELETE FROM entries WHERE id >= ?", (id_,))
        connection.execute("DELETE FROM checkpoints WHERE json_extract(body, '$.count') >= ?", (id_,))
    return {FindingKind.CUT}, id_


def delete_everything(trail: Trail) -> Found:
    with tampering(trail) as connection:
        connection.execute("DELETE FROM entries")
        connection.execute("DELETE FROM checkpoints")
    return {FindingKind.CUT}, 1


def roll_back_and_go_on(trail: Trail) -> Found:
    """The tail is cut with its checkpoints, and the product itself writes and signs past where it was."""
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("DELETE FROM entries WHERE id >= ?", (id_,))
        connection.execute("DELETE FROM checkpoints WHERE json_extract(body, '$.count') >= ?", (id_,))
    chain = ChainWriter(trail.file, trail.keys)
    chain.append([body(number) for number in range(trail.kept.checkpoint.count)])
    chain.seal()
    chain.close()
    return {FindingKind.CHECKPOINTS_ALTERED}, id_


def begin_another_trail(trail: Trail) -> Found:
    trail.file.unlink()
    chain = ChainWriter(trail.file, trail.keys)
    chain.append([body(number) for number in range(trail.kept.checkpoint.count)])
    chain.seal()
    chain.close()
    return {FindingKind.OTHER_TRAIL}, 0


def rename_the_trail(trail: Trail) -> Found:
    with tampering(trail) as connection:
        connection.execute("UPDATE log SET id = ?", ("0" * 16,))
    return {FindingKind.OTHER_TRAIL}, 0


def damage_a_signature(trail: Trail) -> Found:
    number, count = trail.rng.choice(trail.rows("SELECT number, json_extract(body, '$.count') FROM checkpoints"))
    assert isinstance(count, int)
    with tampering(trail) as connection:
        (signature,) = connection.execute("SELECT signature FROM checkpoints WHERE number = ?", (number,)).fetchone()
        place = trail.rng.randrange(len(signature))
        damaged = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
        connection.execute("UPDATE checkpoints SET signature = ? WHERE number = ?", (damaged, number))
    return {FindingKind.BAD_SIGNATURE}, count


def delete_a_checkpoint(trail: Trail) -> Found:
    with tampering(trail) as connection:
        numbers = [number for (number,) in connection.execute("SELECT number FROM checkpoints ORDER BY number")]
        connection.execute("DELETE FROM checkpoints WHERE number = ?", (trail.rng.choice(numbers),))
    return {FindingKind.CHECKPOINTS_ALTERED}, 0


def move_a_checkpoint(trail: Trail) -> Found:
    with tampering(trail) as connection:
        connection.execute(
            "UPDATE checkpoints SET number = number + 1 WHERE number = (SELECT max(number) FROM checkpoints)"
        )
    return {FindingKind.CHECKPOINTS_ALTERED}, trail.kept.checkpoint.count


def reformat_a_checkpoint(trail: Trail) -> Found:
    with tampering(trail) as connection:
        connection.execute(
            "UPDATE checkpoints SET body = body || ' ' WHERE number = (SELECT min(number) FROM checkpoints)"
        )
    return {FindingKind.CHECKPOINTS_ALTERED}, 0


def leave_out_a_trigger(trail: Trail) -> Found:
    with closing(sqlite3.connect(trail.file)) as connection:
        connection.execute(f"DROP TRIGGER {trail.rng.choice(NAMES)}")
    return {FindingKind.DEFINITION_ALTERED}, 0


def hide_entries_from_searches(trail: Trail) -> Found:
    """The computed column that searches go by is made to say something else; no hash sees that."""
    with closing(sqlite3.connect(trail.file)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, '$.event.principal', '$.event.nobody')")
        connection.commit()
    return {FindingKind.DEFINITION_ALTERED}, 0


def put_a_number_where_a_hash_belongs(trail: Trail) -> Found:
    """As somebody can who edits the file without the database's own checks."""
    with closing(sqlite3.connect(trail.file, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'hash BLOB', 'hash ANY') WHERE name = 'entries'"
        )
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET hash = 7 WHERE id = ?", (trail.sealed_id,))
    return {FindingKind.DAMAGED}, 0


TAMPERINGS: list[Callable[[Trail], Found]] = [
    alter_a_body,
    add_white_space,
    swap_two_bodies,
    alter_and_hash_again,
    rewrite_the_chain,
    rewrite_and_sign_with_another_key,
    delete_an_entry,
    delete_an_entry_and_number_anew,
    delete_the_first_entries,
    swap_two_rows,
    insert_an_entry,
    insert_before_the_first,
    splice_from_another_trail,
    rename_a_writer,
    renumber_an_entry,
    unchain_an_entry,
    cut_the_tail,
    cut_the_tail_with_its_checkpoints,
    delete_everything,
    roll_back_and_go_on,
    begin_another_trail,
    rename_the_trail,
    damage_a_signature,
    delete_a_checkpoint,
    move_a_checkpoint,
    reformat_a_checkpoint,
    leave_out_a_trigger,
    hide_entries_from_searches,
    put_a_number_where_a_hash_belongs,
]


def is_told(report: VerificationReport, expected: Found) -> bool:
    kinds, id_ = expected
    return any(found.kind in kinds and (not id_ or found.first <= id_ <= found.last) for found in report.findings)


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__)
def test_a_tampering_is_found_and_located(trail: Trail, tamper: Callable[[Trail], Found]) -> None:
    assert trail.verify().ok
    expected = tamper(trail)
    report = trail.verify()
    assert not report.ok
    assert is_told(report, expected), (expected, report.findings)
    assert second_opinion(trail.file, trail.keys, [trail.kept])
    assert all(found.detail.endswith(".") for found in report.findings)


@pytest.mark.parametrize("count", [60, pytest.param(2_000, marks=pytest.mark.deep)])
def test_random_tamperings_of_random_trails_are_all_found(
    tmp_path: Path, keys: Keys, other_keys: Keys, count: int
) -> None:
    rng = random.Random(count)
    written = tmp_path / "written.db", SignedCheckpoint.from_line(some_trail(tmp_path, keys, rng))
    for number in range(count):
        if number % 20 == 19:
            written[0].unlink()
            written = written[0], SignedCheckpoint.from_line(some_trail(tmp_path, keys, rng))
        trail = copied(written, tmp_path / "tampered.db", keys, other_keys, rng)
        assert trail.verify().ok
        expected = rng.choice(TAMPERINGS)(trail)
        report = trail.verify()
        assert is_told(report, expected), (expected, report.findings)
        assert second_opinion(trail.file, keys, [trail.kept]), expected


def some_trail(folder: Path, keys: Keys, rng: random.Random) -> str:
    copy = folder / "copy.jsonl"
    write(folder / "written.db", keys, copy, rng, groups=rng.randint(15, 30))
    return copy.read_text(encoding="ascii").splitlines()[-1]


def second_opinion(trail: Path, keys: Keys, kept: list[SignedCheckpoint]) -> list[str]:
    """What the verifier that shares no code with ours finds."""
    key = keys.signing.public_key().public_bytes_raw()
    try:
        problems, _ = ALONE["check_trail"](trail, key, [json.loads(signed.line()) for signed in kept])
    except (sqlite3.Error, TypeError, ValueError) as error:
        return [f"cannot be read: {error}"]
    return list(problems)


@pytest.mark.parametrize("count", [15, pytest.param(300, marks=pytest.mark.deep)])
def test_a_trail_to_which_nothing_was_done_gives_no_alarm(tmp_path: Path, keys: Keys, count: int) -> None:
    rng = random.Random(count)
    for number in range(count):
        file, copy = tmp_path / f"{number}.db", tmp_path / f"{number}.jsonl"
        write(file, keys, copy, rng, groups=rng.randint(1, 40))
        for kept in (None, last_exported(copy)):
            report = verify(file, keys.public_key_pem(), kept)
            assert report.findings == ()
            assert second_opinion(file, keys, [kept] if kept else []) == []


def test_an_empty_trail_is_sound(tmp_path: Path, keys: Keys) -> None:
    ChainWriter(tmp_path / "audit.db", keys).close()
    report = verify(tmp_path / "audit.db", keys.public_key_pem())
    assert (report.ok, report.entries, report.sealed) == (True, 0, 0)


def test_an_earlier_checkpoint_kept_elsewhere_still_fits(trail: Trail, written: tuple[Path, SignedCheckpoint]) -> None:
    copy = written[0].with_name("copy.jsonl")
    for line in copy.read_text(encoding="ascii").splitlines():
        assert verify(trail.file, trail.keys.public_key_pem(), SignedCheckpoint.from_line(line)).ok


def test_verifying_beside_a_writer_disturbs_nothing(tmp_path: Path, keys: Keys) -> None:
    chain = ChainWriter(tmp_path / "audit.db", keys)
    for number in range(1, 6):
        chain.append([body(number)])
        report = verify(tmp_path / "audit.db", keys.public_key_pem())
        assert (report.ok, report.entries) == (True, number)
    chain.close()


def test_another_key_does_not_verify(trail: Trail) -> None:
    report = verify(trail.file, trail.other_keys.public_key_pem())
    assert {found.kind for found in report.findings} == {FindingKind.BAD_SIGNATURE}
    assert report.sealed == 0


def test_what_is_no_trail_or_no_key_is_said(trail: Trail, tmp_path: Path) -> None:
    with pytest.raises(KeysUnusableError):
        verify(trail.file, "no key")
    (tmp_path / "noise.db").write_bytes(b"noise" * 1000)
    for file in (tmp_path / "none.db", tmp_path / "noise.db"):
        with pytest.raises(TrailUnreadableError):
            verify(file, trail.keys.public_key_pem())


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


CRIPPLED = [
    ("_explain", skip_explaining, delete_the_first_entries),
    ("_explain", skip_explaining, alter_a_body),
    ("_compare", accept_any_root, rewrite_the_chain),
    ("_compare", accept_any_root, insert_an_entry),
    ("_check_end", lambda _: None, cut_the_tail),
    ("_check_definition", lambda *_: None, hide_entries_from_searches),
    ("_is_signed", lambda *_: True, rewrite_and_sign_with_another_key),
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


@pytest.mark.parametrize("tamper", [cut_the_tail_with_its_checkpoints, delete_everything, roll_back_and_go_on])
def test_without_a_checkpoint_kept_elsewhere_a_cut_is_invisible(trail: Trail, tamper: Callable[[Trail], Found]) -> None:
    tamper(trail)
    assert verify(trail.file, trail.keys.public_key_pem()).ok
