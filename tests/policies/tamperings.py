"""What can be done to a trail by somebody who has its file in hand, and where that must show.

`TAMPERINGS` are functions that do something to a trail and say which findings tell of it.
"""

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.audit.chain import encode, entry_hash, genesis
from policies.audit.checkpoints import SignedCheckpoint, digest
from policies.audit.database import TABLES
from policies.audit.events import QuestionAsked, TrailReduced
from policies.audit.merkle import root_of
from policies.audit.ranges import ranges_of
from policies.audit.verifier import FindingKind, VerificationReport, verify
from policies.audit.writer import ChainWriter
from policies.keys import Keys
from policies.signing import key_id, public_pem, read_signing_key
from tests.policies.made_trails import BEGIN, signed_with, some_trail

TRIGGERS = [statement for statement in TABLES if statement.startswith("CREATE TRIGGER")]
NAMES = [trigger.split()[2] for trigger in TRIGGERS]
_ORDER_OF_Q = 2**252 + 27742317777372353535851937790883648493


def body(number: int) -> str:
    return encode(QuestionAsked(f"r{number}", f"user-{number % 7}", "test", "0" * 64, "m", "1" * 64), BEGIN)


@dataclass(frozen=True)
class Trail:
    """A file to tamper with, and what there is beside it.

    `kept` is a checkpoint that was kept elsewhere, `pem` the first public key, which an auditor has. `keys` are the
    installation's, with the signing key of the trail's end; `former` are those before it, `other` somebody else's.
    `older` is the file as it was before, `second` another trail of the same installation.
    """

    file: Path
    kept: SignedCheckpoint
    pem: str
    keys: Keys
    former: tuple[Ed25519PrivateKey, ...]
    other: Ed25519PrivateKey
    older: Path
    second: Path
    rng: random.Random

    def verify(self) -> VerificationReport:
        return verify(self.file, self.pem, self.kept)

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(query, values).fetchall()

    def ids(self, condition: str) -> list[int]:
        """Entries of some kind, other than the first and the last that the kept checkpoint covers."""
        query = f"SELECT id FROM entries WHERE id > 1 AND id < ? AND {condition} ORDER BY id"
        return [int(str(id_)) for (id_,) in self.rows(query, self.kept.checkpoint.count)]

    @property
    def sealed_id(self) -> int:
        """Some entry that the kept checkpoint covers and that has a body, other than the first and the last."""
        return self.rng.choice(self.ids("body IS NOT NULL"))

    @property
    def any_id(self) -> int:
        """Some entry that the kept checkpoint covers, with a body or without."""
        return self.rng.choice(self.ids("true"))


def made(folder: Path, keys: Keys, rng: random.Random, groups: int, *, changed: bool = True) -> Trail:
    """A trail; `changed` is one whose key was rotated once or twice and from which content was removed."""
    last = read_signing_key(keys.public_file.parent / "signing.pem")
    former = [Ed25519PrivateKey.generate() for _ in range(rng.randint(1, 2))] if changed else []
    file, older, second = folder / "made.db", folder / "older.db", folder / "second.db"
    trail = some_trail(rng, [*former, last], groups, older, removed=changed)
    while changed and not trail.removed:
        trail = some_trail(rng, [*former, last], groups, older)
    trail.store(file)
    some_trail(rng, [last], groups).store(second)
    other = Ed25519PrivateKey.generate()
    pem = public_pem((former or [last])[0].public_key())
    return Trail(file, trail.signed[-1], pem, keys, tuple(former), other, older, second, rng)


@contextmanager
def tampering(trail: Trail) -> Iterator[sqlite3.Connection]:
    """What somebody with the file in hand can do: the triggers are out of the way, and back afterwards."""
    with closing(sqlite3.connect(trail.file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
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
        connection.execute("UPDATE entries SET body = replace(body, '2026-', '2025-') WHERE id = ?", (id_,))
    return {FindingKind.ALTERED}, id_


def add_white_space(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET body = replace(body, ',', ', ') WHERE id = ?", (id_,))
    return {FindingKind.ALTERED}, id_


def swap_two_bodies(trail: Trail) -> Found:
    first, second = trail.rng.sample(trail.ids("body IS NOT NULL"), 2)
    with tampering(trail) as connection:
        query = "SELECT body FROM entries WHERE id = ?"
        one, two = (connection.execute(query, (id_,)).fetchone() for id_ in (first, second))
        connection.execute("UPDATE entries SET body = ? WHERE id = ?", (*two, first))
        connection.execute("UPDATE entries SET body = ? WHERE id = ?", (*one, second))
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
        heads[writer] = entry_hash(previous, (content or "").encode())
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
            signed = signed_with(trail.other, replace(checkpoint, root=root.hex(), previous=previous))
            values = (signed.body, signed.signature, number)
            connection.execute("UPDATE checkpoints SET body = ?, signature = ? WHERE number = ?", values)
            previous = digest(signed.body, signed.signature)
    return {FindingKind.BAD_SIGNATURE}, trail.kept.checkpoint.count


def delete_an_entry(trail: Trail) -> Found:
    id_ = trail.any_id
    with tampering(trail) as connection:
        connection.execute("DELETE FROM entries WHERE id = ?", (id_,))
    return {FindingKind.MISSING}, id_


def delete_an_entry_and_number_anew(trail: Trail) -> Found:
    id_ = trail.any_id
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
    id_ = trail.any_id
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
    id_ = trail.any_id
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
    id_ = trail.any_id
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET seq = seq + 1000 WHERE id = ?", (id_,))
    return {FindingKind.MISPLACED, FindingKind.UNKNOWN_WRITER}, id_


def unchain_an_entry(trail: Trail) -> Found:
    id_ = trail.any_id
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET previous = randomblob(32) WHERE id = ?", (id_,))
    return {FindingKind.MISPLACED, FindingKind.UNKNOWN_WRITER}, id_


def cut_the_tail(trail: Trail) -> Found:
    id_ = trail.any_id
    with tampering(trail) as connection:
        connection.execute("DELETE FROM entries WHERE id >= ?", (id_,))
    return {FindingKind.CUT}, id_


def cut_the_tail_with_its_checkpoints(trail: Trail) -> Found:
    id_ = trail.any_id
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


def newest(trail: Trail) -> tuple[int, SignedCheckpoint]:
    [(number, text, signature)] = trail.rows("SELECT * FROM checkpoints ORDER BY number DESC LIMIT 1")
    assert isinstance(number, int)
    assert isinstance(text, str)
    assert isinstance(signature, bytes)
    return number, SignedCheckpoint.from_parts(text, signature)


def put_checkpoint(trail: Trail, number: int, text: str, signature: bytes) -> None:
    with tampering(trail) as connection:
        connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", (number, text, signature))


def say_a_key_twice_in_a_checkpoint(trail: Trail) -> Found:
    """Readers of JSON take the last of two names, and so would read what was signed."""
    number, signed = newest(trail)
    put_checkpoint(trail, number, signed.body.replace("{", '{"at":"2020-01-01T00:00:00.000000Z",', 1), signed.signature)
    return {FindingKind.CHECKPOINTS_ALTERED}, 0


def write_a_number_otherwise_in_a_checkpoint(trail: Trail) -> Found:
    number, signed = newest(trail)
    put_checkpoint(trail, number, signed.body.replace(f'"number":{number},', f'"number":{number}.0,'), signed.signature)
    return {FindingKind.CHECKPOINTS_ALTERED}, 0


def escape_a_letter_in_a_checkpoint(trail: Trail) -> Found:
    number, signed = newest(trail)
    put_checkpoint(trail, number, signed.body.replace('"log"', '"\\u006cog"'), signed.signature)
    return {FindingKind.CHECKPOINTS_ALTERED}, 0


def claim_that_more_was_removed(trail: Trail) -> Found:
    """The body goes, and the newest checkpoint is made to say so; its signature is what it was."""
    remove_a_body(trail)
    number, signed = newest(trail)
    bare = [bytes.fromhex(str(hash_)) for (hash_,) in trail.rows("SELECT hex(hash) FROM entries WHERE body IS NULL")]
    said = replace(signed.checkpoint, removed=len(bare), removed_root=root_of(bare).hex())
    put_checkpoint(trail, number, SignedCheckpoint(said, b"").body, signed.signature)
    return {FindingKind.BAD_SIGNATURE}, said.count


def claim_that_more_was_removed_with_another_key(trail: Trail) -> Found:
    remove_a_body(trail)
    number, signed = newest(trail)
    bare = [bytes.fromhex(str(hash_)) for (hash_,) in trail.rows("SELECT hex(hash) FROM entries WHERE body IS NULL")]
    said = replace(signed.checkpoint, removed=len(bare), removed_root=root_of(bare).hex())
    forged = signed_with(trail.other, said)
    put_checkpoint(trail, number, forged.body, forged.signature)
    return {FindingKind.BAD_SIGNATURE}, said.count


def add_the_order_to_a_signature(trail: Trail) -> Found:
    """The same signature in another form, which careless programs accept."""
    number, signed = newest(trail)
    s = int.from_bytes(signed.signature[32:], "little") + _ORDER_OF_Q
    put_checkpoint(trail, number, signed.body, signed.signature[:32] + s.to_bytes(32, "little"))
    return {FindingKind.BAD_SIGNATURE}, signed.checkpoint.count


def name_another_key_in_a_checkpoint(trail: Trail) -> Found:
    number, signed = newest(trail)
    said = replace(signed.checkpoint, key=key_id(trail.other.public_key()))
    put_checkpoint(trail, number, SignedCheckpoint(said, b"").body, signed.signature)
    return {FindingKind.BAD_SIGNATURE}, said.count


def swap_the_key_of_the_newest_checkpoint(trail: Trail) -> Found:
    number, signed = newest(trail)
    said = replace(signed.checkpoint, key=key_id(trail.other.public_key()))
    forged = signed_with(trail.other, said)
    put_checkpoint(trail, number, forged.body, forged.signature)
    return {FindingKind.BAD_SIGNATURE}, said.count


def sign_with_the_key_before(trail: Trail) -> Found:
    """A key that was rotated away signs no more, whoever has found it."""
    number, signed = newest(trail)
    former = (*trail.former, trail.other)[0]
    forged = signed_with(former, replace(signed.checkpoint, key=key_id(former.public_key())))
    put_checkpoint(trail, number, forged.body, forged.signature)
    return {FindingKind.BAD_SIGNATURE}, signed.checkpoint.count


def hand_over_to_another_key(trail: Trail) -> Found:
    """A hand-over that the key in force did not sign, and a checkpoint by the key that it names."""
    number, signed = newest(trail)
    said = signed.checkpoint
    public = trail.other.public_key()
    after = replace(said, number=number + 1, first=said.count + 1, root=root_of([]).hex())
    over = replace(after, previous=digest(signed.body, signed.signature), next_key=public.public_bytes_raw().hex())
    forged = SignedCheckpoint(over, signed.signature)
    put_checkpoint(trail, number + 1, forged.body, forged.signature)
    previous = digest(forged.body, forged.signature)
    last = signed_with(trail.other, replace(after, number=number + 2, previous=previous, key=key_id(public)))
    put_checkpoint(trail, number + 2, last.body, last.signature)
    return {FindingKind.BAD_SIGNATURE}, said.count


def take_out_a_hand_over(trail: Trail) -> Found:
    with tampering(trail) as connection:
        query = "SELECT min(number) FROM checkpoints WHERE number > 1 AND (body NOT LIKE ? OR number = 2)"
        (number,) = connection.execute(query, ('%"next_key":""%',)).fetchone()
        connection.execute("DELETE FROM checkpoints WHERE number = ?", (number,))
    return {FindingKind.CHECKPOINTS_ALTERED}, 0


def remove_a_body(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET body = NULL WHERE id = ?", (id_,))
    return {FindingKind.NOT_REMOVED}, id_


def remove_a_body_and_say_so(trail: Trail) -> Found:
    """An entry that announces the removal is put in, too, where the product would sign it with the next ones."""
    id_ = trail.sealed_id
    start = genesis(trail.kept.checkpoint.log, "f" * 16)
    forged = encode(TrailReduced("muniment", 1, ranges_of([id_]), {}), BEGIN)
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET body = NULL WHERE id = ?", (id_,))
        values = ("f" * 16, 1, start, entry_hash(start, forged.encode()), forged)
        connection.execute("INSERT INTO entries (writer, seq, previous, hash, body) VALUES (?, ?, ?, ?, ?)", values)
    return {FindingKind.NOT_REMOVED}, id_


def remove_all_bodies(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET body = NULL")
    return {FindingKind.NOT_REMOVED}, id_


def empty_a_body(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET body = '{}' WHERE id = ?", (id_,))
    return {FindingKind.ALTERED}, id_


def fill_a_removed_body(trail: Trail) -> Found:
    removed = trail.ids("body IS NULL")
    id_ = trail.rng.choice(removed or trail.ids("true"))
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET body = ? WHERE id = ?", (body(666), id_))
    return {FindingKind.ALTERED}, id_


def exchange_which_body_was_removed(trail: Trail) -> Found:
    """One entry more has no body, and one fewer: the count is what it was."""
    id_, removed = trail.sealed_id, trail.ids("body IS NULL")
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET body = NULL WHERE id = ?", (id_,))
        if removed:
            connection.execute("UPDATE entries SET body = '{}' WHERE id = ?", (trail.rng.choice(removed),))
    return {FindingKind.NOT_REMOVED}, id_


def rehash_a_removed_entry(trail: Trail) -> Found:
    """Nobody can hash again what has no body; its hash is still what was signed."""
    id_ = trail.rng.choice(trail.ids("body IS NULL") or trail.ids("true"))
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET hash = randomblob(32) WHERE id = ?", (id_,))
    return {FindingKind.REWRITTEN, FindingKind.ALTERED, FindingKind.NOT_REMOVED, FindingKind.MISPLACED}, 0


def order_the_names_of_a_body_otherwise(trail: Trail) -> Found:
    """The same for whoever reads JSON, and not the bytes that were hashed."""
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        (text,) = connection.execute("SELECT body FROM entries WHERE id = ?", (id_,)).fetchone()
        at, rest = text[1:].split(",", 1)
        connection.execute("UPDATE entries SET body = ? WHERE id = ?", (f"{{{rest[:-1]},{at}}}", id_))
    return {FindingKind.ALTERED}, id_


def escape_a_letter_of_a_body(trail: Trail) -> Found:
    id_ = trail.sealed_id
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET body = replace(body, 'kind', '\\u006bind') WHERE id = ?", (id_,))
    return {FindingKind.ALTERED}, id_


def put_back_an_older_file(trail: Trail) -> Found:
    shutil.copyfile(trail.older, trail.file)
    return {FindingKind.CHECKPOINTS_ALTERED}, trail.kept.checkpoint.count


def continue_an_older_file_with_another_trail(trail: Trail) -> Found:
    """Entries and checkpoints of another trail of the same installation are put behind those of an older state."""
    shutil.copyfile(trail.older, trail.file)
    with closing(sqlite3.connect(trail.second)) as connection:
        entries = connection.execute("SELECT writer, seq, previous, hash, body FROM entries ORDER BY id").fetchall()
        points = connection.execute("SELECT body, signature FROM checkpoints ORDER BY number").fetchall()
    with tampering(trail) as connection:
        (last,) = connection.execute("SELECT max(id) FROM entries").fetchone()
        insert = "INSERT INTO entries (writer, seq, previous, hash, body) VALUES (?, ?, ?, ?, ?)"
        connection.executemany(insert, entries)
        (number,) = connection.execute("SELECT max(number) FROM checkpoints").fetchone()
        rows = [(number + place, *point) for place, point in enumerate(points, start=1)]
        connection.executemany("INSERT INTO checkpoints VALUES (?, ?, ?)", rows)
    return {FindingKind.UNKNOWN_WRITER}, int(last) + 1


def put_another_trail_in_its_place(trail: Trail) -> Found:
    shutil.copyfile(trail.second, trail.file)
    return {FindingKind.OTHER_TRAIL}, 0


def put_another_trail_in_its_place_with_its_name(trail: Trail) -> Found:
    shutil.copyfile(trail.second, trail.file)
    with tampering(trail) as connection:
        connection.execute("UPDATE log SET id = ?", (trail.kept.checkpoint.log,))
    return {FindingKind.UNKNOWN_WRITER}, 1


def leave_room_before_the_first(trail: Trail) -> Found:
    with tampering(trail) as connection:
        connection.execute("UPDATE entries SET id = -id")
        connection.execute("UPDATE entries SET id = 1000 - id")
    return {FindingKind.MISSING}, 1


def say_an_entry_again(trail: Trail) -> Found:
    """An old entry stands once more at the end, as if it had happened again; the name of a writer is free to choose."""
    id_ = trail.any_id
    with tampering(trail) as connection:
        connection.execute(
            "INSERT INTO entries (writer, seq, previous, hash, body) "
            "SELECT 'ffffffffffffffff', 1, randomblob(32), hash, body FROM entries WHERE id = ?",
            (id_,),
        )
        (last,) = connection.execute("SELECT max(id) FROM entries").fetchone()
    return {FindingKind.UNKNOWN_WRITER}, int(last)


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
    say_a_key_twice_in_a_checkpoint,
    write_a_number_otherwise_in_a_checkpoint,
    escape_a_letter_in_a_checkpoint,
    claim_that_more_was_removed,
    claim_that_more_was_removed_with_another_key,
    add_the_order_to_a_signature,
    name_another_key_in_a_checkpoint,
    swap_the_key_of_the_newest_checkpoint,
    sign_with_the_key_before,
    hand_over_to_another_key,
    take_out_a_hand_over,
    remove_a_body,
    remove_a_body_and_say_so,
    remove_all_bodies,
    empty_a_body,
    fill_a_removed_body,
    exchange_which_body_was_removed,
    rehash_a_removed_entry,
    order_the_names_of_a_body_otherwise,
    escape_a_letter_of_a_body,
    put_back_an_older_file,
    continue_an_older_file_with_another_trail,
    put_another_trail_in_its_place,
    put_another_trail_in_its_place_with_its_name,
    leave_room_before_the_first,
    say_an_entry_again,
]


PLAIN = {roll_back_and_go_on}
"""What is done to trails of one key: the product itself goes on with them."""
