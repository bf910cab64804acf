"""Texts of questions and answers are kept sealed for their time, found by their request, and gone after it."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from sqlmodel import Session, col, select

from gateway.app import create_app
from gateway.chat.kept import KeptTextRow, Texts
from gateway.chat.keys import ConversationKeyRow
from gateway.chat.store import ConversationRow, Message, MessageRow, new_conversation
from gateway.errors import ConflictError, NotFoundError
from gateway.holds import HoldKind
from models.engine import Speaker
from policies.redaction.vault import Place, is_of_before
from retrieval.sessions import writing
from retrieval.tables import utc_now
from tests.gateway.conftest import TRAVEL_ANSWER, World, client_of, question, recorded, until_ready
from tests.policies.redaction.test_vault import sealed_before

TEXTS = Texts("Where is the Kestrel crane?", "In Bergen [1].")
NORWAY = "What is the daily allowance for travel in Norway?"


def store(world: World, request: str, user: str = "bob") -> str:
    conversation = new_conversation().id
    world.services.kept_texts.store(user, conversation, request, TEXTS)
    return conversation


def test_a_kept_text_opens_by_its_request(world: World) -> None:
    conversation = store(world, "r1")
    kept = world.services.kept_texts.open("r1")
    assert (kept.texts, kept.conversation, kept.token) == (TEXTS, conversation, world.services.subjects.find("bob"))
    assert world.services.kept_texts.of_subject(kept.token) == ["r1"]
    with pytest.raises(NotFoundError, match="never there"):
        world.services.kept_texts.open("r2")


def test_the_file_holds_none_of_it(world: World) -> None:
    store(world, "r1")
    content = b"".join(path.read_bytes() for path in (world.services.home.folder / "data").glob("muniment.db*"))
    assert b"Kestrel crane?" not in content
    assert b"Bergen [1]" not in content


def test_one_put_in_anothers_place_does_not_open(world: World) -> None:
    store(world, "r1"), store(world, "r2")
    with writing(world.services.database) as session:
        first, second = session.get_one(KeptTextRow, "r1"), session.get_one(KeptTextRow, "r2")
        first.sealed = second.sealed
        session.add(first)
        session.commit()
    with pytest.raises(Exception, match="does not open"):
        world.services.kept_texts.open("r1")


def test_they_go_after_their_time_with_their_keys_unless_held(world: World) -> None:
    old = [store(world, f"r{number}") for number in range(4)]
    store(world, "r9", user="alice")
    with writing(world.services.database) as session:
        for row in session.exec(select(KeptTextRow).where(col(KeptTextRow.request) != "r3")):
            row.at = utc_now() - timedelta(days=31)
            session.add(row)
        session.commit()
    reason = "Proceedings 12 O 114/26"
    world.services.holds.add(HoldKind.REQUEST, "r0", reason, by="root")
    world.services.holds.add(HoldKind.CONVERSATION, old[1], reason, by="root")
    world.services.holds.add(HoldKind.SUBJECT, "alice", reason, by="root")
    assert world.services.kept_texts.purge(30, utc_now()) == 1
    with Session(world.services.database) as session:
        assert sorted(session.exec(select(KeptTextRow.request))) == ["r0", "r1", "r3", "r9"]
        assert old[2] not in session.exec(select(ConversationKeyRow.conversation_id)).all()
        assert session.exec(select(ConversationKeyRow)).all()
    assert world.services.kept_texts.purge(30, utc_now()) == 0
    assert world.services.kept_texts.open("r0").texts == TEXTS


def test_a_stored_conversation_keeps_its_key_when_its_texts_go(world: World) -> None:
    conversation = new_conversation()
    world.services.conversations.append("bob", conversation, Message(Speaker.USER, "hello"), kept=("r1", TEXTS))
    assert world.services.kept_texts.purge(0, utc_now() + timedelta(days=1)) == 1
    assert world.services.conversations.open("bob", conversation.id).messages[0].text == "hello"


@pytest.mark.parametrize("keep", [False, True])
async def test_each_answer_is_kept_under_its_request(world: World, *, keep: bool) -> None:
    world.model.says(TRAVEL_ANSWER)
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        asked = question(NORWAY, muniment={"keep": keep})
        told = (await client.post("/v1/chat/completions", json=asked, headers=world.headers("bob"))).json()
    [given] = recorded(world, "answer:given")
    kept = world.services.kept_texts.open(given["request"])
    assert kept.texts == Texts(NORWAY, told["choices"][0]["message"]["content"])


async def test_nothing_is_kept_where_that_is_switched_off(world: World) -> None:
    world.services.config = replace_days(world, 0)
    world.model.says(TRAVEL_ANSWER)
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        await client.post("/v1/chat/completions", json=question(NORWAY), headers=world.headers("bob"))
    with Session(world.services.database) as session:
        assert session.exec(select(KeptTextRow)).all() == []


def replace_days(world: World, days: int) -> object:
    config = world.services.config
    return msgspec.structs.replace(config, audit=msgspec.structs.replace(config.audit, texts_kept_days=days))


def as_before(world: World, conversation: str, texts: list[str]) -> None:
    """Store a conversation as the version before conversations had keys did."""
    keys, place = world.services.keys, Place("bob", conversation, "vault")
    with writing(world.services.database) as session:
        vault = sealed_before(keys, place, b'{"version": 1, "entries": []}')
        session.add(ConversationRow(id=conversation, user_id="bob", vault=vault))
        session.flush()
        for ordinal, text in enumerate(texts):
            sealed = sealed_before(
                keys, replace(place, record=str(ordinal)), msgspec.json.encode(Message(Speaker.USER, text))
            )
            session.add(MessageRow(conversation_id=conversation, ordinal=ordinal, speaker="user", sealed=sealed))
        session.commit()


def test_a_conversation_of_before_opens_and_is_sealed_anew_when_it_goes_on(world: World) -> None:
    as_before(world, "c1", ["one", "two"])
    opened = world.services.conversations.open("bob", "c1")
    assert [message.text for message in opened.messages] == ["one", "two"]
    world.services.conversations.append("bob", opened, Message(Speaker.USER, "three"))
    again = world.services.conversations.open("bob", "c1")
    assert [message.text for message in again.messages] == ["one", "two", "three"]
    with closing(sqlite3.connect(world.services.home.database)) as connection:
        sealed = [
            row for (row,) in connection.execute("SELECT sealed FROM message UNION ALL SELECT vault FROM conversation")
        ]
    assert not any(map(is_of_before, sealed))


def test_nothing_is_stored_for_whoever_was_erased_meanwhile(world: World) -> None:
    opened, since = new_conversation(), world.services.subjects.since()
    world.services.erasures.erase_user("bob", by="root")
    with pytest.raises(ConflictError, match="erased"):
        world.services.conversations.append("bob", opened, Message(Speaker.USER, "hello"), since=since)
    with pytest.raises(ConflictError, match="erased"):
        world.services.kept_texts.store("bob", opened.id, "r1", TEXTS)
    with Session(world.services.database) as session:
        assert session.exec(select(ConversationKeyRow)).all() == []
