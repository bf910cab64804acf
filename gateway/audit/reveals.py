"""Showing an investigator the text of a question and its answer: one auditor asks, another approves, all is recorded.

An approval is for one request, in one investigation, by a person who is neither the asker nor the one whose text it is,
and it opens the text for a short time. Decisions are made within one transaction each, so of two at once one counts.
"""

import hashlib
import hmac
import secrets
from base64 import b32encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from gateway.audit.investigations import require_reason
from gateway.audit.schemas import Reveal, RevealedText
from gateway.audit.store import InvestigationRow, Reasons, RevealRow
from gateway.chat.kept import KeptTexts, Texts
from gateway.errors import ConflictError, NotAllowedError, NotFoundError
from gateway.recording import Recorder
from policies.actions import Action
from policies.audit.chain import timestamp
from policies.audit.events import (
    AccessDenied,
    AnswerGiven,
    QuestionAsked,
    RevealApproved,
    RevealAsked,
    RevealOpened,
    RevealRefused,
)
from policies.audit.people import Names
from policies.audit.places import TrailPlace
from policies.audit.reader import entries_of
from policies.authorizer import Decider
from policies.clock import zoned
from policies.errors import VaultUnreadableError
from policies.keys import Keys
from policies.principals import Principal, PrincipalKind, Role
from retrieval.sessions import writing
from retrieval.tables import utc_now


class Decided(StrEnum):
    """What came of asking."""

    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RevealOptions:
    """How long asking waits for a decision, and how long the text may be read after it."""

    wait: timedelta
    open: timedelta


@dataclass(frozen=True, slots=True)
class Question:
    """What the trail says of a question: whose it is, and what its texts are held to."""

    user: str
    question_hmac: str
    output_sha256: str


class Reveals:
    """What was asked to be revealed, and what became of it."""

    def __init__(
        self,
        *,
        database: Engine,
        recorder: Recorder,
        keys: Keys,
        trail: TrailPlace,
        names: Names,
        kept: KeptTexts,
        principal_of: Callable[[str], Principal],
        authorizer: Decider,
        options: RevealOptions,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._reasons = Reasons(keys)
        self._trail = trail
        self._names = names
        self._kept = kept
        self._principal_of = principal_of
        self._authorizer = authorizer
        self._options = options
        self.clock = clock

    def ask(self, asker: Principal, investigation: str, request: str, reason: str, os_user: str = "") -> Reveal:
        """Ask to see the texts of a request, within an open investigation of the asker's.

        Raises:
            BadRequestError: The reason says too little or too much.
            NotAllowedError: The asker is no auditor in person, or it is their own text.
            NotFoundError: There is no such question, or its text is not kept: erased, or past its days.
            TrailUnavailableError: It could not be recorded, so nothing was asked.
        """
        reason = require_reason(reason)
        self._require_person(asker, request)
        asked = self._question(request)
        self._require_other(asker, asked, request)
        self._texts(request)
        id_, now = "v" + b32encode(secrets.token_bytes(10)).decode().lower(), self.clock()
        row = RevealRow(
            id=id_,
            investigation_id=investigation,
            request=request,
            reason=self._reasons.seal(id_, reason),
            asked_by=asker.id,
            asked_os_user=os_user,
            asked_at=now,
            expires_at=now + self._options.wait,
        )
        self._introduce(asker.id, os_user)
        with writing(self._database) as session:
            self._require_open(session, investigation)
            event = RevealAsked(
                by=asker.id,
                user=asked.user,
                reveal=id_,
                investigation=investigation,
                request=request,
                reason_hmac=self._recorder.digest(reason),
                expires=timestamp(row.expires_at),
                os_user=os_user,
            )
            self._recorder.record_now(event)
            session.add(row)
            session.commit()
            return self._shown(row)

    def decide(self, id_: str, by: Principal, decision: Decided, os_user: str = "") -> Reveal:
        """Approve or refuse what another auditor asked for. Whoever is first decides.

        Raises:
            ConflictError: It is decided already, too late, or what it was asked for is over.
            NotAllowedError: They asked themselves, it is their own text, or they are no auditor in person.
            NotFoundError: Nothing of that name was asked.
            TrailUnavailableError: It could not be recorded, so it is not decided.
        """
        with Session(self._database) as session:
            row = _required(session, id_)
        request, asked = row.request, self._question(row.request)
        self._require_person(by, request)
        self._require_other(by, asked, request)
        self._require_second(by, row, os_user)
        self._introduce(by.id, os_user)
        with writing(self._database) as session:
            row = _required(session, id_)
            self._require_undecided(row)
            self._require_open(session, row.investigation_id)
            if decision is Decided.APPROVED:
                self._require_auditor(row.asked_by)
            now = self.clock()
            row.decision, row.decided_by, row.decided_os_user, row.decided_at = decision.value, by.id, os_user, now
            row.open_until = now + self._options.open if decision is Decided.APPROVED else None
            self._recorder.record_now(_decided(row, asked.user))
            session.add(row)
            session.commit()
            return self._shown(row)

    def open(self, id_: str, by: Principal, investigation: str, os_user: str = "") -> RevealedText:
        """The texts, for whoever asked, within the investigation they asked in, for as long as the approval says.

        Raises:
            ConflictError: It is not approved, its time is over, or who asked or approved is no auditor any more.
            NotFoundError: They asked for nothing of that name in this investigation, or the text is gone by now.
            TrailUnavailableError: That it is read could not be recorded, so nothing is shown.
        """
        with Session(self._database) as session:
            row = _required(session, id_)
        if row.asked_by != by.id or row.investigation_id != investigation:
            raise NotFoundError(_no_such(id_))
        self._require_readable(row)
        asked, kept = self._question(row.request), self._texts(row.request)
        found = RevealedText(
            reveal=id_,
            request=row.request,
            user=asked.user,
            question=kept.question,
            answer=kept.answer,
            question_is_as_recorded=hmac.compare_digest(self._recorder.digest(kept.question), asked.question_hmac),
            answer_is_as_recorded=hashlib.sha256(kept.answer.encode()).hexdigest() == asked.output_sha256,
            open_until=zoned(row.open_until or row.asked_at),
        )
        event = RevealOpened(
            by=by.id,
            user=asked.user,
            reveal=id_,
            investigation=investigation,
            request=row.request,
            as_recorded=found.question_is_as_recorded and found.answer_is_as_recorded,
            os_user=os_user,
        )
        self._recorder.record_now(event)
        return found

    def listed(self, limit: int = 100) -> list[Reveal]:
        """The newest that were asked for by anybody, with their reasons."""
        with Session(self._database) as session:
            query = select(RevealRow).order_by(col(RevealRow.asked_at).desc(), RevealRow.id).limit(limit)
            return [self._shown(row) for row in session.exec(query)]

    def _question(self, request: str) -> Question:
        """What the trail says of a question.

        Raises:
            NotFoundError: It knows of none.
        """
        by_kind = {entry.kind: entry.event for entry in reversed(entries_of(self._trail, [request], self._names))}
        if QuestionAsked.kind not in by_kind:
            message = "The trail knows of no question of that request. Searches have no text that is kept."
            raise NotFoundError(message)
        asked, given = by_kind[QuestionAsked.kind], by_kind.get(AnswerGiven.kind, {})
        return Question(asked["principal"], asked["question_hmac"], given.get("output_sha256", ""))

    def _texts(self, request: str) -> Texts:
        try:
            return self._kept.open(request).texts
        except VaultUnreadableError as error:
            message = f"The text of request {request} was altered where it is kept, and cannot be opened."
            raise ConflictError(message) from error

    def _require_person(self, who: Principal, request: str) -> None:
        """An auditor in person: a key that a service has may be used by anybody who knows it."""
        decision = self._authorizer.decide(who, Action.AUDIT_REVEAL)
        if who.kind is not PrincipalKind.USER or Role.OPERATOR in who.roles or not decision.allowed:
            self._refuse(
                who, request, "Texts are revealed to auditors in person, and approved by such: no service, no operator."
            )

    def _require_other(self, who: Principal, asked: Question, request: str) -> None:
        if who.id == asked.user:
            self._refuse(who, request, "It is your own text; neither asking for it nor approving is for you.")

    def _require_second(self, by: Principal, row: RevealRow, os_user: str) -> None:
        if by.id == row.asked_by:
            self._refuse(by, row.request, "You asked for it yourself. Another auditor decides.")
        if os_user and os_user == row.asked_os_user:
            message = (
                "The same account of this machine asked for it. Another person decides, under an account of their own."
            )
            self._refuse(by, row.request, message)

    def _refuse(self, who: Principal, request: str, why: str) -> None:
        denied = AccessDenied(principal=who.id, action=Action.AUDIT_REVEAL.value, reason=why, request=request)
        self._recorder.record_now(denied)
        raise NotAllowedError(why)

    def _require_undecided(self, row: RevealRow) -> None:
        if row.decision:
            message = f"It was {row.decision} already, by {row.decided_by}. What was decided stays."
            raise ConflictError(message)
        if not zoned(row.asked_at) <= self.clock() < zoned(row.expires_at):
            message = "Nobody decided in time. It has to be asked for again."
            raise ConflictError(message)

    def _require_open(self, session: Session, investigation: str) -> None:
        row = session.get(InvestigationRow, investigation)
        if row is None or row.closed_at is not None or not self.clock() < zoned(row.ends_at):
            message = "The investigation that it is asked for in is over. It has to be asked for in another."
            raise ConflictError(message)

    def _require_readable(self, row: RevealRow) -> None:
        if row.decision != Decided.APPROVED or row.open_until is None or row.decided_at is None:
            message = "It is not approved." if not row.decision else f"It was {row.decision} by {row.decided_by}."
            raise ConflictError(message)
        if not zoned(row.decided_at) <= self.clock() < zoned(row.open_until):
            message = (
                f"It could be read until {zoned(row.open_until):%Y-%m-%d %H:%M} UTC. It has to be asked for again."
            )
            raise ConflictError(message)
        for who in (row.asked_by, row.decided_by):
            self._require_auditor(who)

    def _require_auditor(self, who: str) -> None:
        """As of now: somebody may have left since."""
        try:
            allowed = self._authorizer.decide(self._principal_of(who), Action.AUDIT_REVEAL).allowed
        except NotFoundError:
            allowed = False
        if not allowed:
            message = f"{who} is no auditor any more. It has to be asked for, and approved, by auditors."
            raise ConflictError(message)

    def _introduce(self, *names: str) -> None:
        """Before a transaction, in which nothing else can write: what the trail calls these by is in the database."""
        for name in filter(None, names):
            self._recorder.token(name)

    def _shown(self, row: RevealRow) -> Reveal:
        return Reveal(
            id=row.id,
            investigation=row.investigation_id,
            request=row.request,
            reason=self._reasons.unseal(row.id, row.reason),
            asked_by=row.asked_by,
            asked_at=zoned(row.asked_at),
            expires_at=zoned(row.expires_at),
            decision=row.decision,
            decided_by=row.decided_by,
            decided_at=row.decided_at and zoned(row.decided_at),
            open_until=row.open_until and zoned(row.open_until),
        )


def _decided(row: RevealRow, user: str) -> RevealApproved | RevealRefused:
    about = {"by": row.decided_by, "user": user, "reveal": row.id, "investigation": row.investigation_id}
    about |= {"request": row.request, "os_user": row.decided_os_user}
    if row.open_until is None:
        return RevealRefused(**about)
    return RevealApproved(**about, open_until=timestamp(row.open_until))


def _required(session: Session, id_: str) -> RevealRow:
    row = session.get(RevealRow, id_)
    if row is None:
        raise NotFoundError(_no_such(id_))
    return row


def _no_such(id_: str) -> str:
    return f"Nothing {id_} was asked for, or not by you in this investigation. GET /api/v1/audit/reveals lists all."
