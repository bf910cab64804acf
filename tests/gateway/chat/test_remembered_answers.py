"""An answer that is remembered is the asker's own, and has passed today's checks."""

import asyncio

import pytest

from gateway.chat.prompt import ABSTENTION
from gateway.chat.schemas import Answer
from gateway.chat.service import Question
from models import remembering
from models.engine import Choice, Generation
from policies.labels import Label
from retrieval.sessions import writing
from retrieval.tables import SourceRow
from tests.fakes.sources import ListConnector, page
from tests.gateway.conftest import KESTREL_ANSWER, World, recorded

QUESTION = "What is the Kestrel deposit?"
DEPOSIT = "The Kestrel deposit is 5000 euros."


def ask(world: World, user: str, text: str = QUESTION) -> Answer:
    return asyncio.run(world.services.chats.ask(Question(world.services.users.principal(user), text, "test")))


def sync(world: World, *readers: str) -> None:
    label = Label(allow_users=frozenset(readers))
    world.services.ingestion.sync("extra", ListConnector(page("deposit", f"# Deposit\n\n{DEPOSIT}", label)))


@pytest.fixture
def deposit(world: World) -> World:
    """A page that both may read at first."""
    with writing(world.services.database) as session:
        session.add(SourceRow(name="extra", type="list", settings="{}"))
        session.commit()
    world.model.says(DEPOSIT)
    sync(world, "alice", "bob")
    return world


def test_the_same_question_costs_no_second_answer_and_is_in_the_trail_twice(deposit: World) -> None:
    first, second = ask(deposit, "bob"), ask(deposit, "bob")
    assert len(deposit.model.generations) == 1
    assert first.answer == second.answer != ABSTENTION
    assert len(recorded(deposit, "answer:given")) == 2
    assert first.receipt["receipt"]["request"] != second.receipt["receipt"]["request"]


def test_somebody_elses_question_is_asked_anew(deposit: World) -> None:
    ask(deposit, "alice")
    ask(deposit, "bob")
    assert len(deposit.model.generations) == 2


def test_a_right_that_was_taken_away_takes_the_answer_with_it(deposit: World) -> None:
    assert DEPOSIT[:-1] in ask(deposit, "bob").answer
    sync(deposit, "alice")
    after = ask(deposit, "bob")
    assert DEPOSIT[:-1] not in after.answer
    assert all(citation.path != "deposit.md" for citation in after.citations)
    assert DEPOSIT[:-1] in ask(deposit, "alice").answer


def test_answers_remembered_by_question_alone_would_leak(deposit: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: passages and person left out of the key."""

    def by_question(asked: Generation | Choice) -> bytes:
        return f"{type(asked)}{asked.turns[-1].parts[-1][-len(QUESTION) :]}".encode()

    monkeypatch.setattr(remembering, "_key", by_question)
    deposit.services.chats.answer_always()
    ask(deposit, "bob")
    sync(deposit, "alice")
    deposit.model.says(KESTREL_ANSWER)
    assert DEPOSIT[:-1] in ask(deposit, "bob").answer
