"""Why somebody reads the trail: an auditor writes a reason and has some hours; each reading names it."""

import secrets
from base64 import b32encode
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from gateway.audit.schemas import Investigation
from gateway.audit.store import InvestigationRow, Reasons
from gateway.errors import BadRequestError, InvestigationNeededError, NotFoundError
from gateway.recording import Recorder
from gateway.texts import require_text
from policies.audit.chain import timestamp
from policies.audit.events import InvestigationClosed, InvestigationOpened
from policies.clock import zoned
from policies.context import Channel
from policies.keys import Keys
from retrieval.sessions import writing
from retrieval.tables import utc_now

LEAST_REASON, MOST_REASON = 10, 2000
"""Characters of a reason: enough to say something, too few for a document."""
_BEGIN_ONE = "POST /api/v1/audit/investigations begins one; name its id in the header Muniment-Investigation."


class Investigations:
    """The investigations there are and were."""

    def __init__(
        self,
        database: Engine,
        recorder: Recorder,
        keys: Keys,
        most_hours: int,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._reasons = Reasons(keys)
        self._most_hours = most_hours
        self.clock = clock

    def begin(self, by: str, reason: str, hours: int, os_user: str = "") -> Investigation:
        """Open an investigation of an auditor.

        Raises:
            BadRequestError: The reason says too little or too much, or the hours are out of bounds.
            TrailUnavailableError: It could not be recorded, so it was not opened.
        """
        if not 1 <= hours <= self._most_hours:
            message = f"An investigation lasts 1 to {self._most_hours} hours, not {hours}. The operator sets the most."
            raise BadRequestError(message)
        return self._write(by, Channel.HTTP, reason, timedelta(hours=hours), os_user)

    def note(self, os_user: str, reason: str) -> Investigation:
        """Keep the reason of one command; it opens nothing for anybody.

        Raises:
            BadRequestError: The reason says too little or too much.
            TrailUnavailableError: It could not be recorded.
        """
        return self._write(os_user, Channel.CLI, reason, timedelta(0), os_user)

    def close(self, id_: str, by: str, os_user: str = "") -> Investigation:
        """End an investigation of one's own now; once it is over, nothing changes.

        Raises:
            NotFoundError: They have none of this name.
            TrailUnavailableError: It could not be recorded, so it stays open.
        """
        for name in filter(None, (by, os_user)):
            self._recorder.token(name)  # Before the transaction, in which no other may write.
        with writing(self._database) as session:
            row = session.get(InvestigationRow, id_)
            if row is None or not _is_auditors(row, by):
                raise NotFoundError(_none_of_yours(id_))
            if self._shown(row).open:
                self._recorder.record_now(InvestigationClosed(by=by, investigation=id_, os_user=os_user))
                row.closed_at = self.clock()
                session.add(row)
                session.commit()
            return self._shown(row)

    def listed(self, limit: int = 100) -> list[Investigation]:
        """The newest investigations of everybody, with their reasons: auditors see what others look for."""
        with Session(self._database) as session:
            query = select(InvestigationRow).order_by(col(InvestigationRow.begun_at).desc(), InvestigationRow.id)
            return [self._shown(row) for row in session.exec(query.limit(limit))]

    def require_open(self, by: str, id_: str) -> Investigation:
        """The investigation that somebody names; it must be theirs, and open now.

        Raises:
            InvestigationNeededError: It is not, or none is named. Somebody else's looks like none.
        """
        if not id_:
            message = f"The trail is read within an investigation, and the request names none. {_BEGIN_ONE}"
            raise InvestigationNeededError(message)
        with Session(self._database) as session:
            row = session.get(InvestigationRow, id_)
        if row is None or not _is_auditors(row, by):
            message = f"You have no investigation of that name. {_BEGIN_ONE}"
            raise InvestigationNeededError(message)
        found = self._shown(row)
        if not found.open:
            over = found.closed_at or found.ends_at
            message = f"Investigation {id_} is over since {over:%Y-%m-%d %H:%M} UTC. {_BEGIN_ONE}"
            raise InvestigationNeededError(message)
        return found

    def _write(self, by: str, channel: Channel, reason: str, lasts: timedelta, os_user: str) -> Investigation:
        reason = require_reason(reason)
        id_, now = "i" + b32encode(secrets.token_bytes(10)).decode().lower(), self.clock()
        row = InvestigationRow(
            id=id_,
            by=by,
            channel=channel.value,
            reason=self._reasons.seal(id_, reason),
            begun_at=now,
            ends_at=now + lasts,
        )
        opened = InvestigationOpened(
            by=by,
            investigation=id_,
            reason_hmac=self._recorder.digest(reason),
            ends=timestamp(row.ends_at),
            channel=channel.value,
            os_user=os_user,
        )
        self._recorder.record_now(opened)
        with writing(self._database) as session:
            session.add(row)
            session.commit()
            session.refresh(row)
            return self._shown(row)

    def _shown(self, row: InvestigationRow) -> Investigation:
        ends, closed = zoned(row.ends_at), zoned(row.closed_at) if row.closed_at else None
        return Investigation(
            id=row.id,
            by=row.by,
            reason=self._reasons.unseal(row.id, row.reason),
            channel=row.channel,
            begun_at=zoned(row.begun_at),
            ends_at=ends,
            closed_at=closed,
            # Begun in the future means that a clock was set back: then nothing is relied on.
            open=closed is None and zoned(row.begun_at) <= self.clock() < ends,
        )


def require_reason(reason: str) -> str:
    """A reason as it is kept, without space around it.

    Raises:
        BadRequestError: It says too little or too much.
    """
    require_text(reason, "reason", MOST_REASON)
    if len(reason.strip()) < LEAST_REASON:
        message = f"The reason has fewer than {LEAST_REASON} characters. Say what happened, and what you look for."
        raise BadRequestError(message)
    return reason.strip()


def _is_auditors(row: InvestigationRow, by: str) -> bool:
    """A name of the operating system's may be a user's by chance; it gives that user nothing."""
    return row.by == by and row.channel == Channel.HTTP


def _none_of_yours(id_: str) -> str:
    return f"You have no investigation {id_}. GET /api/v1/audit/investigations lists them."
