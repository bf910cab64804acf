"""A hold keeps what it covers until it is ended, says why, and is in the trail without a name."""

import sqlite3
from contextlib import closing

import pytest

from gateway.chat.kept import Texts
from gateway.errors import BadRequestError, ConflictError, NotFoundError
from gateway.holds import Covered, HoldKind
from policies.audit.events import QuestionAsked
from policies.errors import TrailUnavailableError
from tests.gateway.conftest import World, recorded

REASON = "Proceedings 12 O 114/26 against Ada Brandt"


def test_a_hold_covers_until_it_ends(world: World) -> None:
    holds, token = world.services.holds, world.services.subjects.find("bob")
    assert token is not None
    assert not holds.covers(subject=token)
    hold = holds.add(HoldKind.SUBJECT, "bob", REASON, by="root")
    assert (hold.target, hold.reason, hold.by, hold.ended_at) == ("bob", REASON, "root", None)
    assert holds.covers(subject=token)
    assert not holds.covers(subject="p0000000000000000", conversation="c1", request="r1")
    ended = holds.end(hold.id, by="olga")
    assert (ended.ended_by, ended.ended_at is not None) == ("olga", True)
    assert not holds.covers(subject=token)
    assert holds.listed() == []
    assert holds.listed(ended=True) == [ended]
    with pytest.raises(ConflictError, match="ended already"):
        holds.end(hold.id, by="olga")


def test_conversations_and_requests_are_held_by_their_ids(world: World) -> None:
    world.services.kept_texts.store("bob", "c1", "r1", Texts("hello", "hi"))
    world.services.holds.add(HoldKind.CONVERSATION, "c1", REASON, by="root")
    world.services.holds.add(HoldKind.REQUEST, "r1", REASON, by="root")
    assert world.services.holds.covered() == Covered(frozenset(), frozenset({"c1"}), frozenset({"r1"}))
    assert world.services.holds.covers(conversation="c1")
    assert world.services.holds.covers(request="r1")
    assert not world.services.holds.covers(conversation="r1", request="c1")


@pytest.mark.parametrize("kind", [HoldKind.CONVERSATION, HoldKind.REQUEST])
@pytest.mark.parametrize("target", ["Ada Brandt", "c1", "r1"])
def test_what_is_not_there_is_not_held_and_not_written_down(world: World, kind: HoldKind, target: str) -> None:
    with pytest.raises(NotFoundError, match="nothing is held"):
        world.services.holds.add(kind, target, REASON, by="root")
    assert world.services.holds.listed() == recorded(world, "hold:placed") == []


def test_a_request_that_only_the_trail_knows_is_held(world: World) -> None:
    world.services.recorder.record_now(QuestionAsked("r9", "bob", "cli", "0" * 64, "small", "1" * 64))
    world.services.holds.add(HoldKind.REQUEST, "r9", REASON, by="root")
    assert world.services.holds.covers(request="r9")


def test_both_ends_are_in_the_trail_without_a_name(world: World) -> None:
    hold = world.services.holds.add(HoldKind.SUBJECT, "bob", REASON, by="root")
    world.services.holds.end(hold.id, by="root")
    said = {"by": "root", "hold": hold.id, "covers": "subject", "target": world.services.subjects.find("bob")}
    assert recorded(world, "hold:placed") == [said]
    assert recorded(world, "hold:ended") == [said]


def test_neither_reason_nor_names_stand_in_the_file(world: World) -> None:
    world.services.holds.add(HoldKind.SUBJECT, "bob", REASON, by="olga")
    with closing(sqlite3.connect(world.services.home.database)) as connection:
        [row] = connection.execute("SELECT * FROM hold").fetchall()
    told = b"".join(one if isinstance(one, bytes) else str(one).encode() for one in row)
    assert not any(word in told for word in (b"Brandt", b"bob", b"olga"))


@pytest.mark.parametrize(
    ("target", "reason", "error"),
    [
        ("nobody.here", REASON, NotFoundError),
        ("bob", "short", BadRequestError),
        ("bob", "x" * 2001, BadRequestError),
        ("", REASON, BadRequestError),
        ("b\nob", REASON, BadRequestError),
    ],
)
def test_a_hold_needs_somebody_and_a_reason(world: World, target: str, reason: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        world.services.holds.add(HoldKind.SUBJECT, target, reason, by="root")
    assert world.services.holds.listed() == []


def test_what_cannot_be_recorded_is_not_done(world: World) -> None:
    hold = world.services.holds.add(HoldKind.SUBJECT, "bob", REASON, by="root")
    world.services.trail.close()
    with pytest.raises(TrailUnavailableError):
        world.services.holds.add(HoldKind.SUBJECT, "alice", REASON, by="root")
    with pytest.raises(TrailUnavailableError):
        world.services.holds.end(hold.id, by="root")
    assert [one.id for one in world.services.holds.listed()] == [hold.id]


def test_there_is_no_such_hold(world: World) -> None:
    with pytest.raises(NotFoundError, match="muniment hold list"):
        world.services.holds.end("h0", by="root")
