"""Conversations in storage: who said what, sealed under a key of each conversation (`keys.py`).

Only the owner's requests open them. The vault holds the conversation's placeholders and the values they stand for.
"""

import secrets
from base64 import b32encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
from sqlalchemy import Column, Engine, LargeBinary
from sqlmodel import Field, Session, SQLModel, col, func, select

from gateway.chat.kept import Texts, kept_row
from gateway.chat.keys import ConversationKeyRow, ConversationKeys
from gateway.errors import ConflictError, NotFoundError
from gateway.holds import covered
from gateway.subjects import Since, Subjects
from models.engine import Speaker
from policies.keys import Keys
from policies.redaction.erased import Erased, forget_values
from policies.redaction.placeholders import Pseudonyms
from policies.redaction.vault import Place, seal, unseal, unseal_before
from retrieval.sessions import writing
from retrieval.tables import utc_now

_VAULT = "vault"
"""The record of a conversation that holds its placeholders; its messages are called by their numbers."""


class ConversationRow(SQLModel, table=True):
    """A conversation of one user."""

    __tablename__ = "conversation"
    id: str = Field(primary_key=True)
    user_id: str = Field(index=True, foreign_key="user.id")
    created_at: datetime = Field(default_factory=utc_now)
    vault: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class MessageRow(SQLModel, table=True):
    """A turn of a conversation: its text, citations and receipt as sealed JSON; feedback in the open."""

    __tablename__ = "message"
    id: int | None = Field(default=None, primary_key=True)
    conversation_id: str = Field(index=True, foreign_key="conversation.id")
    ordinal: int
    speaker: str
    created_at: datetime = Field(default_factory=utc_now)
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Message(msgspec.Struct, frozen=True):
    """A turn as its owner sees it."""

    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation's turns so far, and the placeholders in use."""

    id: str
    messages: tuple[Message, ...]
    pseudonyms: Pseudonyms


class Conversations:
    """Keeps conversations. Every method names the user: somebody else's conversation looks like none."""

    def __init__(self, database: Engine, keys: Keys, subjects: Subjects) -> None:
        self._database = database
        self._keys = keys
        self._subjects = subjects
        self._conversation_keys = ConversationKeys(subjects)

    def open(self, user_id: str, conversation_id: str) -> Conversation:
        """Read a conversation.

        Raises:
            NotFoundError: This user has no such conversation.
            VaultUnreadableError: It does not open with this installation's keys.
        """
        with Session(self._database) as session:
            row = _owned(session, user_id, conversation_id)
            opened = self._opener(session, row)
            messages = tuple(
                msgspec.json.decode(opened(str(message.ordinal), message.sealed), type=Message)
                for message in _messages(session, row.id)
            )
            vault = msgspec.json.decode(opened(_VAULT, row.vault))
        return Conversation(row.id, messages, Pseudonyms.load(vault))

    def listed(self, user_id: str) -> list[tuple[str, datetime]]:
        """The user's conversations with when they began, newest first."""
        with Session(self._database) as session:
            query = select(ConversationRow).where(ConversationRow.user_id == user_id)
            return [
                (row.id, row.created_at) for row in session.exec(query.order_by(col(ConversationRow.created_at).desc()))
            ]

    def append(
        self,
        user_id: str,
        conversation: Conversation,
        *added: Message,
        kept: tuple[str, Texts] | None = None,
        since: Since | None = None,
    ) -> None:
        """Store new turns, and the conversation itself with its first ones; `kept` is a request and its texts.

        Raises:
            ConflictError: It went on since it was read, in another process, and nothing is stored over that; or
                somebody was erased since then, who may be named in it, or whose it is.
            TrailUnavailableError: What stands for the user cannot be looked up.
        """
        token = self._subjects.tokens([user_id])[user_id]
        with writing(self._database) as session:
            self._subjects.require_unchanged(since)
            row = session.get(ConversationRow, conversation.id)
            key = self._key(session, token, conversation.id, row)
            place = Place(token, conversation.id, _VAULT)
            vault = seal(key, place, msgspec.json.encode(conversation.pseudonyms.dump()))
            if row is None:
                row = ConversationRow(id=conversation.id, user_id=user_id, vault=vault)
            row.vault = vault
            session.add(row)
            session.flush()
            count = session.exec(
                select(func.count()).select_from(MessageRow).where(MessageRow.conversation_id == conversation.id)
            ).one()
            if count and count != len(conversation.messages):
                problem = "This conversation went on elsewhere while the question was answered. Ask again."
                raise ConflictError(problem)
            for ordinal, message in enumerate(added, start=count):
                sealed = seal(key, replace(place, record=str(ordinal)), msgspec.json.encode(message))
                session.add(
                    MessageRow(conversation_id=conversation.id, ordinal=ordinal, speaker=message.speaker, sealed=sealed)
                )
            if kept is not None:
                session.add(kept_row(key, token, conversation.id, *kept))
            session.commit()

    def seal_those_of_before(self) -> int:
        """Give each conversation of before there were keys its own, so that the master key is not needed for it.

        Returns how many that were.

        Raises:
            ConflictError: One went on meanwhile.
            VaultUnreadableError: One does not open.
        """
        with Session(self._database) as session:
            have = select(ConversationKeyRow.conversation_id)
            query = select(ConversationRow.user_id, ConversationRow.id).where(col(ConversationRow.id).not_in(have))
            found = session.exec(query).all()
        for user_id, id_ in found:
            self.append(user_id, self.open(user_id, id_))
        return len(found)

    def forget(self, erased: Erased) -> int:
        """Put `[erased]` in the place of values in every conversation that no legal hold covers; returns in how many.

        Each is opened, masked and sealed again in a transaction of its own.
        """
        with Session(self._database) as session:
            ids = list(session.exec(select(ConversationRow.id)))
        return sum(self._forget_in(id_, erased) for id_ in ids)

    def _forget_in(self, conversation_id: str, erased: Erased) -> bool:
        with writing(self._database) as session:
            row = session.get(ConversationRow, conversation_id)
            if row is None:
                return False
            found = self._conversation_keys.read(session, row.id)
            token = found[0] if found else self._subjects.known(session, row.user_id)
            if token is None or covered(session).covers(subject=token, conversation=row.id):
                return False
            opened, rows = self._opener(session, row), _messages(session, row.id)
            texts = [msgspec.json.decode(opened(str(one.ordinal), one.sealed), type=Message) for one in rows]
            vault = msgspec.json.decode(opened(_VAULT, row.vault))
            masked, forgot = [erased.masked(text.text) for text in texts], forget_values(vault, erased)
            if not forgot and masked == [text.text for text in texts]:
                return False
            key = found[1] if found else self._conversation_keys.make(session, token, row.id)
            place = Place(token, row.id, _VAULT)
            row.vault = seal(key, place, msgspec.json.encode(vault))
            session.add(row)
            for one, text, clean in zip(rows, texts, masked, strict=True):
                at = replace(place, record=str(one.ordinal))
                one.sealed = seal(key, at, msgspec.json.encode(Message(text.speaker, clean)))
                session.add(one)
            session.commit()
        return True

    def _key(self, session: Session, token: str, conversation_id: str, row: ConversationRow | None) -> bytes:
        """The conversation's key; one of before there were keys gets its own, and is sealed under it from now on."""
        if (found := self._conversation_keys.read(session, conversation_id)) is not None:
            return found[1]
        key = self._conversation_keys.make(session, token, conversation_id)
        if row is not None:
            for message in _messages(session, row.id):
                place = Place(row.user_id, row.id, str(message.ordinal))
                text = unseal_before(self._keys, place, message.sealed)
                message.sealed = seal(key, replace(place, subject=token), text)
                session.add(message)
        return key

    def _opener(self, session: Session, row: ConversationRow) -> Callable[[str, bytes], bytes]:
        """What opens the records of a conversation."""
        found = self._conversation_keys.read(session, row.id)
        if found is None:
            return lambda record, sealed: unseal_before(self._keys, Place(row.user_id, row.id, record), sealed)
        token, key = found
        return lambda record, sealed: unseal(key, Place(token, row.id, record), sealed)


def new_conversation() -> Conversation:
    """A conversation in which nothing has been said; it is stored with its first turns."""
    id_ = "c" + b32encode(secrets.token_bytes(15)).decode().lower()
    return Conversation(id_, (), Pseudonyms())


def _messages(session: Session, conversation_id: str) -> list[MessageRow]:
    query = select(MessageRow).where(MessageRow.conversation_id == conversation_id)
    return list(session.exec(query.order_by(col(MessageRow.ordinal))))


def _owned(session: Session, user_id: str, conversation_id: str) -> ConversationRow:
    row = session.get(ConversationRow, conversation_id)
    if row is None or row.user_id != user_id:
        message = f"You have no conversation {conversation_id}. List yours, or leave the id out to begin a new one."
        raise NotFoundError(message)
    return row
