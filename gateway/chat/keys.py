"""The data key of each conversation, wrapped under that of the subject whose conversation it is.

Without the subject's row none of their conversations opens; without a conversation's row, that one. No commit happens
here: the caller's transaction also holds what the key seals.
"""

from sqlalchemy import Column, LargeBinary
from sqlmodel import Field, Session, SQLModel

from gateway.errors import ConflictError
from gateway.subjects import Subjects
from policies.errors import VaultUnreadableError
from policies.wrapping import new_key, open_with, seal_with


class ConversationKeyRow(SQLModel, table=True):
    """The wrapped key of a conversation. One that is not stored has a key too, where its texts are kept."""

    __tablename__ = "conversation_key"
    conversation_id: str = Field(primary_key=True)
    token: str = Field(index=True)
    key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class ConversationKeys:
    """Makes and opens the keys of conversations."""

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects

    def read(self, session: Session, conversation_id: str) -> tuple[str, bytes] | None:
        """Whose a conversation is, by their token, and its key; none where it has none, from before there were any.

        Raises:
            VaultUnreadableError: It was erased, or does not open with this installation's keys.
        """
        row = session.get(ConversationKeyRow, conversation_id)
        if row is None:
            return None
        owner = self._subjects.key(session, row.token)
        if owner is None:
            message = f"Conversation {conversation_id} was erased. Start a new one."
            raise VaultUnreadableError(message)
        return row.token, open_with(owner, _about(row.token, conversation_id), row.key)

    def make(self, session: Session, token: str, conversation_id: str) -> bytes:
        """A new key for a conversation of a subject.

        Raises:
            ConflictError: The subject was erased meanwhile, so nothing of theirs is stored.
        """
        owner = self._subjects.key(session, token)
        if owner is None:
            message = "Whoever asked was erased meanwhile, so nothing is kept and there is no answer."
            raise ConflictError(message)
        key = new_key()
        wrapped = seal_with(owner, _about(token, conversation_id), key)
        session.add(ConversationKeyRow(conversation_id=conversation_id, token=token, key=wrapped))
        return key


def _about(token: str, conversation_id: str) -> str:
    return f"key of conversation {conversation_id} of {token}"
