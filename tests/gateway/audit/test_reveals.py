"""The text of a question is seen by an auditor alone whom another one lets, for a while; all of it in the trail."""

import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import delete

from gateway.audit.reveals import Decided, Reveals
from gateway.chat.kept import KeptTextRow, Texts, kept_row
from gateway.errors import BadRequestError, ConflictError, GatewayError, NotAllowedError, NotFoundError
from policies.errors import TrailUnavailableError
from policies.principals import Principal, PrincipalKind, Role
from retrieval.sessions import writing
from tests.gateway.audit.test_investigations import Clock
from tests.gateway.audit.test_questions import ask
from tests.gateway.conftest import KESTREL_ANSWER, World, error_of, recorded

QUESTION = "What is the Kestrel budget for 2027, asks Ada Brandt?"
REASON = "The answer quoted a figure that was not public."


@pytest.fixture
def clock(world: World) -> Clock:
    clock = Clock()
    world.services.reveals.clock = world.services.investigations.clock = clock
    return clock


class Auditors:
    """Two auditors, one of whom investigates, and a question of alice's."""

    def __init__(self, world: World, request: str) -> None:
        self.services, self.request = world.services, request
        self.reveals = world.services.reveals
        world.services.users.add({"aaron": frozenset()}, frozenset({Role.AUDITOR, Role.EMPLOYEE}), by="test")
        self.investigation = world.services.investigations.begin("audra", REASON, 8).id

    def who(self, name: str) -> Principal:
        return self.services.users.principal(name)

    def ask(self, by: str = "audra", os_user: str = "") -> str:
        return self.reveals.ask(self.who(by), self.investigation, self.request, REASON, os_user).id

    def decide(self, id_: str, by: str = "aaron", decision: Decided = Decided.APPROVED, os_user: str = "") -> Any:
        return self.reveals.decide(id_, self.who(by), decision, os_user)

    def open(self, id_: str, by: str = "audra", investigation: str = "") -> Any:
        return self.reveals.open(id_, self.who(by), investigation or self.investigation)


@pytest.fixture
async def auditors(client: httpx.AsyncClient, world: World, clock: Clock) -> Auditors:
    return Auditors(world, await ask(client, world, "alice", QUESTION, KESTREL_ANSWER))


def kinds(world: World) -> list[str]:
    return [kind for kind in ("asked", "approved", "refused", "opened") for _ in recorded(world, f"reveal:{kind}")]


async def test_one_asks_another_approves_and_the_text_is_read(
    client: httpx.AsyncClient, world: World, auditors: Auditors
) -> None:
    within = world.headers("audra") | {"Muniment-Investigation": auditors.investigation}
    aaron = {"Authorization": f"Bearer {world.services.users.create_key('aaron', by='test')[1]}"}
    wanted = {"request": auditors.request, "reason": REASON}
    asked = await client.post("/api/v1/audit/reveals", json=wanted, headers=within)
    assert (asked.status_code, asked.json()["decision"]) == (201, "")
    path = f"/api/v1/audit/reveals/{asked.json()['id']}"
    assert error_of(await client.get(f"{path}/text", headers=within))["code"] == "conflict"
    assert error_of(await client.post(f"{path}/approve", headers=within))["code"] == "not_allowed"
    approved = await client.post(f"{path}/approve", headers=aaron)
    assert (approved.status_code, approved.json()["decided_by"]) == (200, "aaron")
    read = await client.get(f"{path}/text", headers=within)
    assert read.status_code == 200, read.text
    assert (read.json()["user"], read.json()["question"]) == ("alice", QUESTION)
    assert KESTREL_ANSWER.rstrip(".") in read.json()["answer"]
    assert (read.json()["question_is_as_recorded"], read.json()["answer_is_as_recorded"]) == (True, True)
    assert kinds(world) == ["asked", "approved", "opened"]
    (opened,) = recorded(world, "reveal:opened")
    assert (opened["by"], opened["user"], opened["request"]) == ("audra", "alice", auditors.request)
    assert opened["as_recorded"] is True
    listed = (await client.get("/api/v1/audit/reveals", headers=aaron)).json()["reveals"]
    assert [(one["id"], one["reason"]) for one in listed] == [(asked.json()["id"], REASON)]


async def test_the_trail_and_the_database_hold_neither_text_nor_reason(world: World, auditors: Auditors) -> None:
    auditors.decide(auditors.ask())
    for file in (world.services.home.folder / "data").glob("*.db*"):
        if file.is_file():
            content = file.read_bytes()
            assert QUESTION.encode() not in content
            assert REASON.encode() not in content


async def test_nobody_approves_their_own_asking_or_their_own_text(world: World, auditors: Auditors) -> None:
    services = world.services
    services.users.add({"alice": frozenset({"everyone", "finance"})}, frozenset({Role.AUDITOR, Role.EMPLOYEE}), "test")
    id_ = auditors.ask()
    for by in ("audra", "alice", "olga", "bob"):
        for decision in Decided:
            with pytest.raises(NotAllowedError):
                auditors.decide(id_, by, decision)
    with pytest.raises(NotAllowedError, match="your own text"):
        auditors.ask("alice")
    assert kinds(world) == ["asked"]
    assert len(recorded(world, "access:denied")) == 9
    assert auditors.decide(id_).decided_by == "aaron"


async def test_a_service_neither_asks_nor_approves(world: World, auditors: Auditors) -> None:
    """Whoever knows its key could be anybody."""
    users = world.services.users
    users.add({"siem": frozenset()}, frozenset({Role.AUDITOR}), "test", PrincipalKind.SERVICE)
    with pytest.raises(NotAllowedError, match="in person"):
        auditors.ask("siem")
    with pytest.raises(NotAllowedError, match="in person"):
        auditors.decide(auditors.ask(), "siem")


async def test_one_account_of_the_machine_is_not_two_people(auditors: Auditors) -> None:
    id_ = auditors.ask(os_user="root")
    with pytest.raises(NotAllowedError, match="same account"):
        auditors.decide(id_, os_user="root")
    assert auditors.decide(id_, os_user="aaron").decision == "approved"


async def test_what_was_decided_stays(world: World, auditors: Auditors) -> None:
    approved, refused = auditors.ask(), auditors.ask()
    auditors.decide(approved)
    auditors.decide(refused, decision=Decided.REFUSED)
    for id_ in (approved, refused):
        for decision in Decided:
            with pytest.raises(ConflictError, match="What was decided stays"):
                auditors.decide(id_, decision=decision)
    with pytest.raises(ConflictError, match="refused by aaron"):
        auditors.open(refused)
    assert auditors.open(approved).question == QUESTION
    assert kinds(world) == ["asked", "asked", "approved", "refused", "opened"]


async def test_of_two_decisions_at_once_one_counts(world: World, auditors: Auditors) -> None:
    world.services.users.add({"anna": frozenset()}, frozenset({Role.AUDITOR}), by="test")
    for _ in range(5):
        id_, start, ends = auditors.ask(), threading.Barrier(4), []

        def decide(by: str, decision: Decided, id_: str = id_, start: Any = start, ends: Any = ends) -> None:
            start.wait()
            try:
                ends.append(auditors.decide(id_, by, decision).decision)
            except GatewayError as error:
                ends.append(type(error).__name__)

        threads = [threading.Thread(target=decide, args=(by, one)) for by in ("aaron", "anna") for one in Decided]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ends)[:3] == ["ConflictError"] * 3
        (entry,) = [
            entry
            for kind in ("approved", "refused")
            for entry in recorded(world, f"reveal:{kind}")
            if entry["reveal"] == id_
        ]
        (stored,) = [one for one in auditors.reveals.listed() if one.id == id_]
        assert (stored.decision, stored.decided_by) == (sorted(ends)[3], entry["by"])


async def test_deciding_without_the_check_in_the_transaction_is_noticed(
    auditors: Auditors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: a build that decides again what was decided."""
    monkeypatch.setattr(Reveals, "_require_undecided", lambda *_: None)
    id_ = auditors.ask()
    auditors.decide(id_, decision=Decided.REFUSED)
    assert auditors.decide(id_).decision == "approved"
    assert auditors.open(id_).question == QUESTION


@pytest.mark.parametrize("hours", [24, 25, -1])
async def test_nobody_decides_too_late(world: World, clock: Clock, auditors: Auditors, hours: int) -> None:
    id_ = auditors.ask()
    clock.ahead = timedelta(hours=hours)
    with pytest.raises(ConflictError):
        auditors.decide(id_)
    assert kinds(world) == ["asked"]


async def test_the_text_is_open_for_a_while_only(clock: Clock, auditors: Auditors) -> None:
    id_ = auditors.ask()
    auditors.decide(id_)
    clock.ahead = timedelta(minutes=59)
    assert auditors.open(id_).question == QUESTION
    for ahead in (timedelta(minutes=61), timedelta(minutes=-5)):
        clock.ahead = ahead
        with pytest.raises(ConflictError, match="asked for again"):
            auditors.open(id_)


@pytest.mark.parametrize("before", ["asking", "deciding"])
async def test_nothing_goes_on_once_the_investigation_is_over(world: World, auditors: Auditors, before: str) -> None:
    id_ = auditors.ask() if before == "deciding" else ""
    world.services.investigations.close(auditors.investigation, "audra")
    with pytest.raises(ConflictError, match="is over"):
        auditors.decide(id_) if id_ else auditors.ask()


@pytest.mark.parametrize("who", ["audra", "aaron"])
async def test_whoever_has_left_opens_nothing(world: World, auditors: Auditors, who: str) -> None:
    id_, other = auditors.ask(), auditors.ask()
    auditors.decide(id_)
    asker = auditors.who("audra")
    world.services.users.disable(who, by="test")
    with pytest.raises(ConflictError, match="no auditor any more"):
        auditors.reveals.open(id_, asker, auditors.investigation)
    with pytest.raises(ConflictError if who == "audra" else NotAllowedError):
        auditors.decide(other)


async def test_an_approval_is_for_one_request_of_one_asker_in_one_investigation(
    client: httpx.AsyncClient, world: World, auditors: Auditors
) -> None:
    id_ = auditors.ask()
    auditors.decide(id_)
    auditors.request = await ask(client, world, "alice", "How many days of holiday are there?", "27 days.")
    other = auditors.ask()
    with pytest.raises(ConflictError, match="not approved"):
        auditors.open(other)
    with pytest.raises(NotFoundError):
        auditors.open(id_, "aaron")
    another = world.services.investigations.begin("audra", REASON, 1).id
    with pytest.raises(NotFoundError):
        auditors.open(id_, investigation=another)
    assert auditors.open(id_).question == QUESTION


async def test_a_text_that_is_gone_is_said_plainly(world: World, auditors: Auditors) -> None:
    id_ = auditors.ask()
    auditors.decide(id_)
    with writing(world.services.database) as session:
        session.exec(delete(KeptTextRow))
        session.commit()
    with pytest.raises(NotFoundError, match="removed after its time, or erased"):
        auditors.open(id_)
    with pytest.raises(NotFoundError, match="removed after its time, or erased"):
        auditors.ask()
    assert kinds(world) == ["asked", "approved"]


async def test_a_text_that_is_not_what_was_recorded_is_told(world: World, auditors: Auditors) -> None:
    """By whoever has the keys: the seal is whole, and the trail knows better."""
    id_ = auditors.ask()
    auditors.decide(id_)
    services = world.services
    kept = services.kept_texts.open(auditors.request)
    with writing(services.database) as session:
        found = services.kept_texts._keys.read(session, kept.conversation)
        assert found
        session.exec(delete(KeptTextRow))
        texts = Texts(kept.texts.question, "The Kestrel budget is secret.")
        session.add(kept_row(found[1], kept.token, kept.conversation, auditors.request, texts))
        session.commit()
    read = auditors.open(id_)
    assert (read.question_is_as_recorded, read.answer_is_as_recorded) == (True, False)
    (opened,) = recorded(world, "reveal:opened")
    assert opened["as_recorded"] is False


async def test_a_text_that_was_altered_without_the_keys_does_not_open(world: World, auditors: Auditors) -> None:
    id_ = auditors.ask()
    auditors.decide(id_)
    with closing(sqlite3.connect(world.services.home.database)) as connection:
        connection.execute("UPDATE kept_text SET sealed = zeroblob(200)")
        connection.commit()
    with pytest.raises((ConflictError, NotFoundError)):
        auditors.open(id_)
    assert kinds(world) == ["asked", "approved"]


@pytest.mark.parametrize("what", ["ask", "decide", "open"])
async def test_what_cannot_be_recorded_is_not_done(
    world: World, auditors: Auditors, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    id_ = auditors.ask()
    if what == "open":
        auditors.decide(id_)
    before = auditors.reveals.listed()

    def full(_: Any) -> None:
        raise TrailUnavailableError

    monkeypatch.setattr(world.services.recorder, "record_now", full)
    with pytest.raises(TrailUnavailableError):
        {"ask": auditors.ask, "decide": lambda: auditors.decide(id_), "open": lambda: auditors.open(id_)}[what]()
    assert auditors.reveals.listed() == before


async def test_what_cannot_be_asked_is_refused(client: httpx.AsyncClient, world: World, auditors: Auditors) -> None:
    searched = (await client.post("/api/v1/search", json={"query": "x"}, headers=world.headers("bob"))).headers
    for request in ("rnothing", searched["x-request-id"]):
        auditors.request = request
        with pytest.raises(NotFoundError):
            auditors.ask()
    with pytest.raises(NotFoundError):
        auditors.decide("v0")
    with pytest.raises(BadRequestError):
        auditors.reveals.ask(auditors.who("audra"), auditors.investigation, auditors.request, "because")
