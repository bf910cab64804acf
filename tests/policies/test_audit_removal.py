"""What entries say can be taken out, in one transaction with the entry that says so; everything else stays."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from policies.audit.chain import canonical, encode
from policies.audit.checkpoints import SignedCheckpoint
from policies.audit.events import SearchAsked
from policies.audit.places import PostgresPlace, TrailPlace
from policies.audit.reader import EntryQuery, read_entries, read_on
from policies.audit.storage import StorageError
from policies.audit.writer import ChainWriter
from policies.errors import TrailUnavailableError
from policies.keys import Keys
from tests.policies.trails import administrating, owner_of, owning, rows

TOLD = canonical({"at": "2026-12-01T00:00:00.000000Z", "event": {"removed": 2}, "kind": "test:removed"})


def body(principal: str) -> str:
    return encode(SearchAsked("r1", principal, "test", "0" * 64, "1" * 64), datetime.now(UTC))


@pytest.fixture
def written(place: TrailPlace, keys: Keys) -> TrailPlace:
    chain = ChainWriter(place, keys)
    chain.append([body("ada-the-first"), body("bob-the-second"), body("eve-the-third")])
    chain.seal()
    chain.close()
    return place


def take_out(chain: ChainWriter, ids: tuple[int, ...] = (1, 2)) -> None:
    """As the retention does it: what is about to be removed is announced before."""
    chain.append([TOLD])
    chain.remove(ids)


def test_what_entries_say_is_removed_and_their_hashes_stay(written: TrailPlace, keys: Keys) -> None:
    before = rows(written, "SELECT id, writer, seq, previous, hash FROM entries ORDER BY id")
    chain = ChainWriter(owner_of(written), keys)
    take_out(chain)
    chain.close()
    assert rows(written, "SELECT id, writer, seq, previous, hash FROM entries WHERE id <= 3 ORDER BY id") == before
    assert rows(written, "SELECT id FROM entries WHERE body IS NULL ORDER BY id") == [(1,), (2,)]
    [(text, signature)] = rows(written, "SELECT body, signature FROM checkpoints WHERE number = 2")
    signed = SignedCheckpoint.from_parts(str(text), signature)  # type: ignore[arg-type]
    assert signed.checkpoint.count == 4, "the entry that says so is signed with it"
    assert [found.id for found in read_entries(written, EntryQuery())] == [4, 3]
    assert [found.id for found in read_on(written, 0, 10)[1]] == [3, 4]
    if isinstance(written, Path):
        content = b"".join(file.read_bytes() for file in written.parent.iterdir() if file.is_file())
        assert b"ada-the-first" not in content, "the file does not keep what was removed"
        assert b"eve-the-third" in content


@pytest.mark.parametrize("still", [False, True], ids=["not any more", "control: still"])
def test_nothing_is_removed_that_may_not_go_any_more(written: TrailPlace, keys: Keys, *, still: bool) -> None:
    chain = ChainWriter(owner_of(written), keys)
    if still:
        chain.remove([1, 2], lambda: still)
    else:
        with pytest.raises(TrailUnavailableError, match="have to stay"):
            chain.remove([1, 2], lambda: still)
    chain.close()
    assert rows(written, "SELECT count(*), count(body) FROM entries") == [(3, 1 if still else 3)]


def test_nothing_is_removed_that_could_not_be_signed(written: TrailPlace, keys: Keys) -> None:
    with administrating(written) as connection:
        none = "''" if isinstance(written, PostgresPlace) else "x'00'"
        connection.execute(f"INSERT INTO checkpoints VALUES (9, 'x', {none})")
    chain = ChainWriter(owner_of(written), keys)
    with pytest.raises(TrailUnavailableError, match="did not sign"):
        chain.remove([1, 2])
    assert [entry.seq for entry in chain.append([body("ada")])] == [1], "and entries are taken as before"
    chain.close()
    assert rows(written, "SELECT count(*), count(body) FROM entries") == [(4, 4)]


def test_a_removal_that_fails_leaves_no_entry(written: TrailPlace, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        message = "never"
        raise StorageError(message)

    chain = ChainWriter(owner_of(written), keys)
    monkeypatch.setattr(type(chain._storage), "remove_bodies", fails)
    with pytest.raises(TrailUnavailableError, match="never"):
        chain.remove([1, 2])
    chain.close()
    assert rows(written, "SELECT count(*), count(body) FROM entries") == [(3, 3)]
    assert rows(written, "SELECT count(*) FROM checkpoints") == [(1,)]


def test_who_writes_cannot_remove(place: TrailPlace, written: TrailPlace, keys: Keys) -> None:
    """In PostgreSQL; in a file whoever writes can do everything."""
    if isinstance(place, Path):
        pytest.skip("files know no roles")
    chain = ChainWriter(written, keys)
    with pytest.raises(TrailUnavailableError, match="lacks a right"):
        chain.remove([1, 2])
    chain.close()
    assert rows(written, "SELECT count(*), count(body) FROM entries") == [(3, 3)]


@pytest.mark.parametrize(
    "change",
    [
        "body = '{}'",
        "body = body || ' '",
        "body = NULL, seq = 9",
        "body = NULL, hash = previous",
        "body = NULL, previous = hash",
        "body = NULL, writer = 'x'",
        "body = NULL, id = id + 100",
    ],
)
def test_nothing_else_of_an_entry_changes(written: TrailPlace, change: str) -> None:
    """Whoever owns the trail is held up by triggers."""
    with owning(written) as connection:
        with pytest.raises((sqlite3.IntegrityError, psycopg.errors.RaiseException), match="only grows"):
            connection.execute(f"UPDATE entries SET {change} WHERE id = 1")
        connection.execute("UPDATE entries SET body = NULL WHERE id = 1")
        with pytest.raises((sqlite3.IntegrityError, psycopg.errors.RaiseException), match="only grows"):
            connection.execute("UPDATE entries SET body = '{}' WHERE id = 1")
