"""Legal holds: what must be kept, whoever asks for its removal, until somebody ends the hold.

A hold covers a person, a conversation or the entries of one request. Erasure, the purging of kept texts and the removal
of old entries ask here first. The reason is sealed, for it may name people; a person is named by their token.
"""

import secrets
from base64 import b32encode
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec
from sqlalchemy import Column, Engine, LargeBinary, text
from sqlmodel import Field, Session, SQLModel, col, select

from gateway.errors import BadRequestError, ConflictError, NotFoundError
from gateway.recording import Recorder
from gateway.subjects import Subjects
from policies.audit.events import HoldEnded, HoldPlaced
from policies.audit.people import is_token
from policies.clock import zoned
from policies.errors import VaultUnreadableError
from policies.keys import Keys
from policies.wrapping import unwrap, wrap
from retrieval.sessions import writing
from retrieval.tables import utc_now

FEWEST_REASON_CHARACTERS = 10
_MOST_REASON_CHARACTERS = 2000
_MOST_TARGET_CHARACTERS = 128
_IS_KNOWN = {
    "conversation": "SELECT 1 FROM conversation WHERE id = :id"
    " UNION ALL SELECT 1 FROM conversation_key WHERE conversation_id = :id",
    "request": "SELECT 1 FROM kept_text WHERE request = :id",
}
"""Whether the database knows a conversation, or the texts of a request."""


class HoldKind(StrEnum):
    """What a hold covers."""

    CONVERSATION = "conversation"
    REQUEST = "request"
    SUBJECT = "subject"


class HoldRow(SQLModel, table=True):
    """A hold; the row of one that ended stays. `target` is a token, or the id of a conversation or request."""

    __tablename__ = "hold"
    id: str = Field(primary_key=True)
    kind: str
    target: str = Field(index=True)
    reason: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    by: str
    at: datetime = Field(default_factory=utc_now)
    ended_by: str = ""
    ended_at: datetime | None = None


class HoldView(msgspec.Struct, frozen=True):
    """A hold as people see it; `target` is a name where somebody is meant who is known."""

    id: str
    kind: HoldKind
    target: str
    reason: str
    by: str
    at: datetime
    ended_by: str
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Covered:
    """What is held at the moment: tokens of people, ids of conversations and of requests."""

    subjects: frozenset[str]
    conversations: frozenset[str]
    requests: frozenset[str]

    def covers(self, subject: str = "", conversation: str = "", request: str = "") -> bool:
        """Whether something must be kept: because of whose it is, of its conversation, or of itself."""
        return subject in self.subjects or conversation in self.conversations or request in self.requests


NOTHING_HELD = Covered(frozenset(), frozenset(), frozenset())


class Holds:
    """The holds of one installation."""

    def __init__(
        self, database: Engine, recorder: Recorder, subjects: Subjects, keys: Keys, asker_of: Callable[[str], str]
    ) -> None:
        """`asker_of` gives who made a request, by token; empty where the trail knows of none."""
        self._asker_of = asker_of
        self._database = database
        self._recorder = recorder
        self._subjects = subjects
        self._keys = keys

    def add(self, kind: HoldKind, target: str, reason: str, by: str) -> HoldView:
        """Keep something; a person is named, or given by their token.

        Raises:
            BadRequestError: There is no reason, or a name is not usable.
            NotFoundError: Nobody of that name was ever here, or there is no such conversation or request.
            TrailUnavailableError: It could not be recorded, so nothing is held.
        """
        reason = _required_reason(reason)
        target = self._target(kind, target)
        id_ = "h" + b32encode(secrets.token_bytes(10)).decode().lower()
        self._recorder.record_now(HoldPlaced(by=by, hold=id_, covers=kind.value, target=target))
        row = HoldRow(
            id=id_,
            kind=kind.value,
            target=target,
            reason=wrap(self._keys, about_reason(id_), reason.encode()),
            by=self._recorder.token(by),
        )
        with writing(self._database) as session:
            session.add(row)
            session.commit()
            session.refresh(row)
        return self._view(row)

    def end(self, id_: str, by: str) -> HoldView:
        """Let what a hold covers go its way again.

        Raises:
            NotFoundError: There is no such hold.
            ConflictError: It has ended already.
            TrailUnavailableError: It could not be recorded, so it holds on.
        """
        row = self._row(id_)
        if row.ended_at is not None:
            message = f"Hold {id_} has ended already, at {zoned(row.ended_at):%Y-%m-%d %H:%M} UTC."
            raise ConflictError(message)
        self._recorder.record_now(HoldEnded(by=by, hold=id_, covers=row.kind, target=row.target))
        ended_by = self._recorder.token(by)
        with writing(self._database) as session:
            row = session.get_one(HoldRow, id_)
            row.ended_at, row.ended_by = row.ended_at or utc_now(), ended_by
            session.add(row)
            session.commit()
            session.refresh(row)
        return self._view(row)

    def listed(self, *, ended: bool = False) -> list[HoldView]:
        """The holds there are, newest first; with those that ended, if asked for."""
        query = select(HoldRow).order_by(col(HoldRow.at).desc(), HoldRow.id)
        with Session(self._database) as session:
            rows = list(session.exec(query if ended else query.where(col(HoldRow.ended_at).is_(None))))
        return [self._view(row) for row in rows]

    def covered(self) -> Covered:
        """What is held now."""
        with Session(self._database) as session:
            return covered(session)

    def covers(self, subject: str = "", conversation: str = "", request: str = "") -> bool:
        """Whether something must be kept now; people are given by their tokens. For many questions: `covered`."""
        return self.covered().covers(subject, conversation, request)

    def explain(self, held: Collection[tuple[HoldKind, str]]) -> str:
        """Why something is kept that is under these holds, for whoever wanted it gone."""
        wanted = {(kind.value, target) for kind, target in held}
        with Session(self._database) as session:
            rows = session.exec(select(HoldRow).where(col(HoldRow.ended_at).is_(None)).order_by(col(HoldRow.at)))
            views = [self._view(row) for row in rows if (row.kind, row.target) in wanted]
        told = "; ".join(f"hold {one.id} of {one.by} since {one.at:%Y-%m-%d}: {one.reason}" for one in views)
        return f"A legal hold keeps it: {told}. Nothing was erased; `muniment hold end HOLD` ends one."

    def _row(self, id_: str) -> HoldRow:
        with Session(self._database) as session:
            row = session.get(HoldRow, id_)
        if row is None:
            message = f"There is no hold {id_}. `muniment hold list` shows what is held."
            raise NotFoundError(message)
        return row

    def _target(self, kind: HoldKind, target: str) -> str:
        if not target or len(target) > _MOST_TARGET_CHARACTERS or not target.isprintable():
            message = f"Name what is to be kept, in at most {_MOST_TARGET_CHARACTERS} characters."
            raise BadRequestError(message)
        if kind is not HoldKind.SUBJECT:
            self._require_there(kind, target)
            return target
        if is_token(target):
            return target
        token = self._subjects.find(target)
        if token is None:
            message = f"Nobody called {target} was ever here. `muniment users list` shows who there is."
            raise NotFoundError(message)
        return token

    def _require_there(self, kind: HoldKind, target: str) -> None:
        """A mistyped id would hold nothing, and whatever is typed in its place would stand in the trail for good."""
        with Session(self._database) as session:
            known = session.connection().execute(text(_IS_KNOWN[kind.value]), {"id": target}).first() is not None
        if known or (kind is HoldKind.REQUEST and self._asker_of(target)):
            return
        message = f"There is no {kind.value} {target}, so nothing is held. `muniment audit list` shows what there is."
        raise NotFoundError(message)

    def _view(self, row: HoldRow) -> HoldView:
        tokens = [one for one in (row.target, row.by, row.ended_by) if is_token(one)]
        names = self._subjects.names(tokens)
        try:
            reason = unwrap(self._keys, about_reason(row.id), row.reason).decode()
        except VaultUnreadableError:
            reason = "(sealed with another key)"
        return HoldView(
            row.id,
            HoldKind(row.kind),
            names.get(row.target, row.target),
            reason,
            names.get(row.by, row.by),
            zoned(row.at),
            names.get(row.ended_by, row.ended_by),
            zoned(row.ended_at) if row.ended_at else None,
        )


def covered(session: Session) -> Covered:
    """What is held, as a session sees it: whoever removes something asks within the transaction that does."""
    query = select(HoldRow.kind, HoldRow.target).where(col(HoldRow.ended_at).is_(None))
    rows: Collection[tuple[str, str]] = session.exec(query).all()

    def of(kind: HoldKind) -> frozenset[str]:
        return frozenset(target for held, target in rows if held == kind)

    return Covered(of(HoldKind.SUBJECT), of(HoldKind.CONVERSATION), of(HoldKind.REQUEST))


def _required_reason(reason: str) -> str:
    reason = " ".join(reason.split())
    if not FEWEST_REASON_CHARACTERS <= len(reason) <= _MOST_REASON_CHARACTERS:
        message = (
            f"A hold needs a reason of {FEWEST_REASON_CHARACTERS} to {_MOST_REASON_CHARACTERS} characters: which "
            "proceeding, and who asked for it."
        )
        raise BadRequestError(message)
    return reason


def about_reason(id_: str) -> str:
    """What a sealed reason is bound to."""
    return f"reason of hold {id_}"
