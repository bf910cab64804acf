"""What was asked and answered, kept sealed for a while so that an investigator can ask for it.

Found by the name of its request, as the trail has it. Who may open it, and that they did, is the business of
investigations; here is where it lies, and when it goes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Column, Engine, LargeBinary, text
from sqlmodel import Field, Session, SQLModel, col, delete, select

from gateway.chat.keys import ConversationKeyRow, ConversationKeys
from gateway.errors import NotFoundError
from gateway.holds import covered
from gateway.subjects import Since, Subjects
from policies.clock import zoned
from policies.errors import VaultUnreadableError
from policies.redaction.erased import Erased
from policies.redaction.vault import Place, seal, unseal
from retrieval.sessions import batched, writing
from retrieval.tables import utc_now

_TOGETHER = 500
"""Rows removed in one transaction, so that nobody who writes beside waits long."""


class KeptTextRow(SQLModel, table=True):
    """A question and its answer, sealed under their conversation's key."""

    __tablename__ = "kept_text"
    request: str = Field(primary_key=True)
    token: str = Field(index=True)
    conversation_id: str = Field(index=True)
    at: datetime = Field(default_factory=utc_now, index=True)
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Texts(msgspec.Struct, frozen=True):
    """What was asked, and what the asker was given for it."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class KeptText:
    """The texts of one request; `token` is what stands for the asker in the trail."""

    request: str
    token: str
    conversation: str
    at: datetime
    texts: Texts


class KeptTexts:
    """The kept texts of one installation."""

    def __init__(self, database: Engine, subjects: Subjects) -> None:
        self._database = database
        self._subjects = subjects
        self._keys = ConversationKeys(subjects)

    def store(self, user_id: str, conversation_id: str, request: str, texts: Texts, since: Since | None = None) -> None:
        """Keep the texts of a request.

        Raises:
            ConflictError: Somebody was erased since then: the asker, or somebody whom the texts may name.
            TrailUnavailableError: What stands for the asker cannot be looked up.
        """
        token = self._subjects.tokens([user_id])[user_id]
        with writing(self._database) as session:
            self._subjects.require_unchanged(since)
            found = self._keys.read(session, conversation_id)
            key = found[1] if found else self._keys.make(session, token, conversation_id)
            session.add(kept_row(key, token, conversation_id, request, texts))
            session.commit()

    def open(self, request: str) -> KeptText:
        """The texts of a request.

        Raises:
            NotFoundError: None are kept: it is too long ago, or its asker was erased, or there was no such request.
        """
        message = f"No text of request {request} is kept: it was removed after its time, or erased, or never there."
        with Session(self._database) as session:
            row = session.get(KeptTextRow, request)
            if row is None:
                raise NotFoundError(message)
            try:
                found = self._keys.read(session, row.conversation_id)
            except VaultUnreadableError as error:
                raise NotFoundError(message) from error
            if found is None:
                raise NotFoundError(message)
            place = Place(row.token, row.conversation_id, _record(request))
            texts = msgspec.json.decode(unseal(found[1], place, row.sealed), type=Texts)
        return KeptText(request, row.token, row.conversation_id, zoned(row.at), texts)

    def of_subject(self, token: str) -> list[str]:
        """The requests of somebody whose texts are kept, oldest first."""
        with Session(self._database) as session:
            query = select(KeptTextRow.request).where(KeptTextRow.token == token)
            return list(session.exec(query.order_by(col(KeptTextRow.at), KeptTextRow.request)))

    def forget(self, erased: Erased) -> int:
        """Put `[erased]` in the place of values in every text that no legal hold covers; returns in how many."""
        with Session(self._database) as session:
            requests = list(session.exec(select(KeptTextRow.request)))
        return sum(self._forget_in(request, erased) for request in requests)

    def _forget_in(self, request: str, erased: Erased) -> bool:
        with writing(self._database) as session:
            row = session.get(KeptTextRow, request)
            found = self._keys.read(session, row.conversation_id) if row else None
            if row is None or found is None or covered(session).covers(row.token, row.conversation_id, request):
                return False
            place = Place(row.token, row.conversation_id, _record(request))
            texts = msgspec.json.decode(unseal(found[1], place, row.sealed), type=Texts)
            masked = Texts(erased.masked(texts.question), erased.masked(texts.answer))
            if masked == texts:
                return False
            row.sealed = seal(found[1], place, msgspec.json.encode(masked))
            session.add(row)
            session.commit()
        return True

    def purge(self, days: int, now: datetime) -> int:
        """Remove what was kept for longer than so many days, apart from what a legal hold covers; returns how many."""
        removed, before = 0, now - timedelta(days=days)
        while count := self._purge_some(before):
            removed += count
        return removed

    def _purge_some(self, before: datetime) -> int:
        with writing(self._database) as session:
            held = covered(session)
            query = select(KeptTextRow.request, KeptTextRow.token, KeptTextRow.conversation_id)
            query = query.where(col(KeptTextRow.at) < before)
            for some, kind in (
                (held.subjects, KeptTextRow.token),
                (held.conversations, KeptTextRow.conversation_id),
                (held.requests, KeptTextRow.request),
            ):
                query = query.where(col(kind).not_in(some))
            due = session.exec(query.limit(_TOGETHER)).all()
            session.exec(delete(KeptTextRow).where(col(KeptTextRow.request).in_([row[0] for row in due])))
            drop_unused_keys(session, {row[2] for row in due})
            session.commit()
        return len(due)


def kept_row(key: bytes, token: str, conversation_id: str, request: str, texts: Texts) -> KeptTextRow:
    """The row that keeps the texts of a request, for the transaction that stores its conversation."""
    place = Place(token, conversation_id, _record(request))
    sealed = seal(key, place, msgspec.json.encode(texts))
    return KeptTextRow(request=request, token=token, conversation_id=conversation_id, sealed=sealed)


def drop_unused_keys(session: Session, conversation_ids: set[str]) -> None:
    """Remove the keys of those conversations of which nothing is left: no stored turns, and no kept texts."""
    kept = select(KeptTextRow.conversation_id)
    for some in batched(sorted(conversation_ids)):
        unused = (
            col(ConversationKeyRow.conversation_id).in_(some),
            col(ConversationKeyRow.conversation_id).not_in(kept),
            text("conversation_id NOT IN (SELECT id FROM conversation)"),
        )
        session.exec(delete(ConversationKeyRow).where(*unused))


def _record(request: str) -> str:
    return f"texts of {request}"
