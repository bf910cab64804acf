"""Sessions of browsers: kept in the database, so that ending one counts at the next request of every process.

The cookie's token is exchanged from time to time. The next token is HMAC(token, salt) with a random salt that is
stored: whoever comes with the token before, within a moment, gets the same next token, so that requests side by side
and lost responses sign nobody out; the database alone gives no token. A token before that comes later than that was
copied, and ends the session.
"""

import base64
import hashlib
import hmac
import logging
import re
import secrets
from base64 import b32encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session, col, delete, or_, select, update

from gateway.errors import NotAuthenticatedError, NotFoundError
from gateway.identity.freshness import Freshness
from gateway.identity.last_use import LastUse
from gateway.identity.options import SignInOptions
from gateway.identity.store import Known, SessionRow, digest, find_session
from gateway.recording import Recorder
from policies.audit.events import SessionBegun, SessionEnded
from policies.clock import zoned
from policies.keys import Keys
from policies.principals import Principal
from retrieval.sessions import writing
from retrieval.tables import utc_now

_log = logging.getLogger(__name__)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_GRACE = timedelta(seconds=60)
"""How long the token before stays valid: longer than any request in flight beside the one that exchanged it."""
_KEPT = timedelta(days=1)
"""How long the row of a session that is over stays; the trail keeps what happened."""
_NO_SESSION = "The session is over. Sign in again."


class SessionView(msgspec.Struct, frozen=True):
    """A session as its user or an operator sees it."""

    id: str
    user: str
    method: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenSession:
    """The session a request came with. `token` is what the cookie must be from now on; empty where it is right."""

    id: str
    method: str
    expires_at: datetime
    csrf_token: str
    token: str = ""

    def __repr__(self) -> str:
        """Say which, never the tokens: this is one slip from a log."""
        return f"OpenSession({self.id})"


@dataclass(frozen=True, slots=True)
class ProviderSession:
    """What single sign-on knows the session by."""

    issuer: str
    subject: str
    session: str = ""


class Sessions:
    """Begins, recognises and ends sessions."""

    def __init__(
        self,
        database: Engine,
        recorder: Recorder,
        keys: Keys,
        options: SignInOptions,
        last_use: LastUse,
        freshness: Freshness,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._csrf_key = keys.derive("csrf-tokens")
        self._options = options
        self._last_use = last_use
        self._freshness = freshness
        self.clock = clock

    def begin(
        self,
        principal: Principal,
        method: str,
        provider: ProviderSession | None = None,
        also: Callable[[Session], None] | None = None,
    ) -> OpenSession:
        """A new session with a token of its own; `also` is done in the same transaction and may refuse.

        Raises:
            TrailUnavailableError: It could not be recorded, so there is none.
        """
        now = self.clock()
        token, id_ = secrets.token_urlsafe(32), "s" + b32encode(secrets.token_bytes(10)).decode().lower()
        expires_at = now + timedelta(hours=self._options.session_hours)
        provider = provider or ProviderSession("", "")
        self._recorder.record_now(
            SessionBegun(principal=principal.id, session=id_, method=method, issuer=provider.issuer)
        )
        row = SessionRow(
            id=id_,
            user_id=principal.id,
            token_sha256=digest(token),
            rotated_at=now,
            created_at=now,
            seen_at=now,
            expires_at=expires_at,
            method=method,
            issuer=provider.issuer,
            subject=provider.subject,
            provider_session=provider.session,
        )
        try:
            self._add(row, now, also)
        except BaseException:
            self._recorder.record_now(SessionEnded(by="system", user=principal.id, session=id_, reason="not-begun"))
            raise
        return OpenSession(id_, method, expires_at, self._csrf_token(id_), token)

    def authenticate(self, token: str) -> tuple[Principal, OpenSession]:
        """Whose session this is; one short read, and a write each time the token is exchanged.

        Raises:
            NotAuthenticatedError: It is no session, or one that is over.
        """
        presented = digest(token)
        with Session(self._database) as session:
            found = find_session(session, presented, self._freshness) if _TOKEN.fullmatch(token) else None
        if found is None:
            raise NotAuthenticatedError(_NO_SESSION, "session-unknown")
        row, known = found
        now = self.clock()
        reason = self._over(row, known, presented, now)
        if reason == "session-replayed":
            self._end_replayed(row)
        if reason:
            raise NotAuthenticatedError(_NO_SESSION, reason, user=row.user_id)
        if now - zoned(row.seen_at) >= LastUse.EVERY:
            self._last_use.session(row.id, now)
        following = self._following(row, token, now)
        expires_at = zoned(row.expires_at)
        return known.principal, OpenSession(row.id, row.method, expires_at, self._csrf_token(row.id), following)

    def listed(self, user_id: str) -> list[SessionView]:
        """A user's open sessions, newest first."""
        now = self.clock()
        idle_since = now - timedelta(minutes=self._options.idle_minutes)
        with Session(self._database) as session:
            rows = session.exec(
                select(SessionRow)
                .where(SessionRow.user_id == user_id, col(SessionRow.ended_at).is_(None))
                .where(SessionRow.expires_at > now, SessionRow.seen_at > idle_since)
                .order_by(col(SessionRow.created_at).desc())
            ).all()
            return [_view(row) for row in rows]

    def end(self, session_id: str, by: str, reason: str, user_id: str | None = None) -> None:
        """End a session; with `user_id`, only one of theirs.

        Raises:
            NotFoundError: There is no such open session, or it is somebody else's.
        """
        with Session(self._database) as session:
            row = session.get(SessionRow, session_id)
        if row is None or row.ended_at is not None or user_id not in {None, row.user_id}:
            message = f"There is no open session {session_id}. List the sessions to see which there are."
            raise NotFoundError(message)
        self._end([row], by, reason)

    def end_all(self, user_id: str, by: str, reason: str, except_id: str = "") -> int:
        """End a user's sessions, one of them aside where it is named; returns how many there were."""
        with Session(self._database) as session:
            query = select(SessionRow).where(SessionRow.user_id == user_id, SessionRow.id != except_id)
            rows = session.exec(query.where(col(SessionRow.ended_at).is_(None))).all()
        self._end(rows, by, reason)
        return len(rows)

    def end_at_provider(self, issuer: str, subject: str, provider_session: str) -> int:
        """End what a provider says is over: one session of its, or all of a subject; returns how many there were."""
        with Session(self._database) as session:
            query = select(SessionRow).where(SessionRow.issuer == issuer, col(SessionRow.ended_at).is_(None))
            if subject:
                query = query.where(SessionRow.subject == subject)
            if provider_session:
                query = query.where(SessionRow.provider_session == provider_session)
            rows = session.exec(query).all()
        self._end(rows, "provider", "back-channel")
        return len(rows)

    def _add(self, row: SessionRow, now: datetime, also: Callable[[Session], None] | None) -> None:
        with writing(self._database) as session:
            if also is not None:
                also(session)
            over = or_(col(SessionRow.expires_at) < now - _KEPT, col(SessionRow.ended_at) < now - _KEPT)
            session.exec(delete(SessionRow).where(over))
            session.add(row)
            session.commit()

    def _end(self, rows: Sequence[SessionRow], by: str, reason: str) -> None:
        for row in rows:
            self._recorder.record_now(SessionEnded(by=by, user=row.user_id, session=row.id, reason=reason))
        with writing(self._database) as session:
            session.exec(
                update(SessionRow).where(col(SessionRow.id).in_([row.id for row in rows])).values(ended_at=self.clock())
            )
            session.commit()

    def _end_replayed(self, row: SessionRow) -> None:
        self._end([row], "system", "replayed")
        _log.warning("session_replayed session=%s", row.id)

    def _over(self, row: SessionRow, known: Known, presented: str, now: datetime) -> str:
        """Why a session does not count, in a word for the trail; empty when it counts."""
        if row.ended_at is not None:
            return "session-ended"
        if now >= zoned(row.expires_at):
            return "session-expired"
        if now - zoned(row.seen_at) >= timedelta(minutes=self._options.idle_minutes):
            return "session-idle"
        if known.refused:
            return known.refused
        if presented != row.token_sha256 and now - zoned(row.rotated_at) > _GRACE:
            return "session-replayed"
        return ""

    def _following(self, row: SessionRow, token: str, now: datetime) -> str:
        """The token the cookie must hold after this request; empty where it holds it already."""
        if digest(token) != row.token_sha256:
            return _next_token(token, row.rotation_salt)
        if now - zoned(row.rotated_at) < timedelta(minutes=self._options.rotate_minutes):
            return ""
        salt = secrets.token_hex(32)
        following = _next_token(token, salt)
        with writing(self._database) as session:
            changed = session.exec(
                update(SessionRow)
                .where(col(SessionRow.id) == row.id, col(SessionRow.token_sha256) == row.token_sha256)
                .values(
                    token_sha256=digest(following),
                    previous_sha256=row.token_sha256,
                    rotation_salt=salt,
                    rotated_at=now,
                )
            )
            session.commit()
        # Where a request beside this one was first, its response brings the token; this one is within the grace.
        return following if changed.rowcount else ""

    def _csrf_token(self, session_id: str) -> str:
        return _text(hmac.digest(self._csrf_key, session_id.encode(), hashlib.sha256))


def _next_token(token: str, salt: str) -> str:
    return _text(hmac.digest(token.encode(), bytes.fromhex(salt), hashlib.sha256))


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _view(row: SessionRow) -> SessionView:
    return SessionView(
        row.id, row.user_id, row.method, zoned(row.created_at), zoned(row.seen_at), zoned(row.expires_at)
    )
