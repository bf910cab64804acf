"""Signing in with a password, and changing it.

Whatever is wrong, the answer is the same, and so is the work: a name is counted whether or not it is a user's, and a
password is hashed whether or not there is one to compare with. The trail alone says which it was.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlmodel import Session, col, delete, select

from gateway.errors import ConflictError, NotAllowedError, NotAuthenticatedError, TooManyRequestsError
from gateway.identity.freshness import Freshness
from gateway.identity.lockout import UNTIL_UNLOCKED, AddressThrottle, locked_until
from gateway.identity.memberships import LdapUserRow
from gateway.identity.options import SignInOptions
from gateway.identity.passwords import hash_password, is_outdated, is_right, require_good
from gateway.identity.sessions import OpenSession, Sessions
from gateway.identity.store import FailureRow, PasswordRow, read_principal
from gateway.identity.users import Users
from gateway.recording import Recorder
from policies.audit.events import PasswordChanged, SignInFailed, SignInLocked, UserUnlocked
from policies.clock import zoned
from policies.keys import Keys
from policies.principals import Principal, PrincipalKind
from retrieval.sessions import writing
from retrieval.tables import utc_now

CHANNEL = "http"
_REFUSED = "The name or the password is not right. After some failures a name is locked for a while."
_SWITCHED_OFF = "Signing in with a password is switched off here. Use single sign-on."
_STRANGERS_KEPT = timedelta(days=1)
"""How long failures under a name that is no user's are remembered."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What is known of a name before its password is looked at; the attempt is counted as failed until it succeeds."""

    principal: Principal | None
    stored: str | None
    locked: bool
    failures: int
    last_at: datetime
    entry: str = ""


class PasswordSignIn:
    """Signs people in by name and password."""

    def __init__(
        self,
        database: Engine,
        recorder: Recorder,
        keys: Keys,
        users: Users,
        sessions: Sessions,
        options: SignInOptions,
        *,
        freshness: Freshness,
        directory: Callable[[str, str], str] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._name_key = keys.lasting("sign-in-names")
        self._users = users
        self._sessions = sessions
        self._options = options
        self._freshness = freshness
        self._directory = directory
        self.clock = clock
        self.throttle = AddressThrottle()

    def sign_in(self, name: str, password: str, address: str = "") -> tuple[Principal, OpenSession]:
        """A session for whoever knows the password.

        Raises:
            NotAllowedError: Passwords are switched off.
            TooManyRequestsError: Too many tries came from this address.
            NotAuthenticatedError: Name or password are wrong, or the name is locked; which of these is not said.
            TrailUnavailableError: It could not be recorded, so nobody is signed in.
        """
        with self._tried(name, password, address) as (principal, stored):
            # Hashed before the transaction: nobody else writes meanwhile.
            fresh = hash_password(password) if stored and is_outdated(stored) else stored
            session = self._sessions.begin(
                principal,
                "password" if stored else "ldap",
                also=lambda writing_: self._settle(writing_, name, stored, fresh),
            )
        return principal, session

    def change(self, principal: Principal, old: str, new: str, address: str = "", session_id: str = "") -> None:
        """Give oneself another password; other sessions end. Guessing the old one is slowed as at sign-in.

        Raises:
            NotAllowedError, TooManyRequestsError, NotAuthenticatedError, TrailUnavailableError: As in `sign_in`.
            BadRequestError: The new password is not good enough.
        """
        require_good(new, principal.id, self._options.company_words)
        with self._tried(principal.id, old, address) as (_, stored):
            if not stored:
                message = "Your password is the directory's. Change it there."
                raise NotAllowedError(message)
            self._set(principal.id, new, principal.id, session_id, was=stored)

    def set_password(self, user_id: str, password: str, by: str) -> None:
        """Give a user a password; all of their sessions end, and failures are forgotten.

        Raises:
            NotFoundError: There is no such user.
            ConflictError: The user is disabled.
            BadRequestError: The password is not good enough.
            TrailUnavailableError: It could not be recorded, so the password is not changed.
        """
        principal = self._users.principal(user_id)
        if not principal.active:
            message = f"User {user_id} is disabled; a password would not work."
            raise ConflictError(message)
        if principal.kind is not PrincipalKind.USER:
            message = f"{user_id} is a service, which has keys and no password: muniment keys create {user_id}"
            raise ConflictError(message)
        require_good(password, user_id, self._options.company_words)
        self._set(user_id, password, by, "")

    def unlock(self, user_id: str, by: str) -> None:
        """Forget a user's failures.

        Raises:
            NotFoundError: There is no such user.
            TrailUnavailableError: It could not be recorded, so the user stays locked.
        """
        self._users.principal(user_id)
        self._recorder.record_now(UserUnlocked(by=by, user=user_id))
        with writing(self._database) as session:
            self._forget_failures(session, user_id)
            session.commit()

    @contextmanager
    def _tried(self, name: str, password: str, address: str) -> Iterator[tuple[Principal, str]]:
        """Let through who knows the password. A try is counted first, so that many at once get no further than few."""
        if not self._options.passwords:
            raise NotAllowedError(_SWITCHED_OFF)
        if not self.throttle.take(address):
            message = "Too many tries to sign in came from your address. Wait a minute and try again."
            raise TooManyRequestsError(message)
        attempt = self._count(name)
        right = is_right(attempt.stored or None, password)
        if self._directory is not None and not attempt.locked:
            # Also for names that are not the directory's, so that its answer takes the same time for all.
            entry = self._directory(name, password)
            if attempt.entry:
                right = hmac.compare_digest(entry.encode(), attempt.entry.encode())
        reason = _refusal(attempt, right=right)
        if reason or attempt.principal is None or attempt.stored is None:
            self._record_failure(attempt, reason, address)
            raise NotAuthenticatedError(_REFUSED, reason, user=attempt.principal.id if attempt.principal else "")
        yield attempt.principal, attempt.stored
        self.throttle.give_back(address)

    def _count(self, name: str) -> _Attempt:
        now, digest = self.clock(), self.name_digest(name)
        with writing(self._database) as session:
            principal = read_principal(session, name, self._freshness)
            stored = session.get(PasswordRow, name)
            entry = self._entry(session, name)
            row = session.get(FailureRow, digest) or FailureRow(
                name_hmac=digest, failures=0, last_at=now, is_user=principal is not None
            )
            until = locked_until(row.failures, zoned(row.last_at))
            locked = until is not None and now < until
            if not locked:
                row.failures, row.last_at = row.failures + 1, now
            strangers = (col(FailureRow.is_user).is_(False), col(FailureRow.last_at) < now - _STRANGERS_KEPT)
            session.exec(delete(FailureRow).where(*strangers))
            session.add(row)
            hashed = "" if entry else stored.hash if stored else None
            attempt = _Attempt(principal, hashed, locked, row.failures, now, entry)
            session.commit()
        return attempt

    def _entry(self, session: Session, name: str) -> str:
        """The directory's entry that a user is, whose password counts there and not here; empty for others."""
        if self._directory is None:
            return ""
        return session.exec(select(LdapUserRow.entry_id).where(LdapUserRow.user_id == name)).first() or ""

    def _record_failure(self, attempt: _Attempt, reason: str, address: str) -> None:
        user = attempt.principal.id if attempt.principal else ""
        hidden = self._recorder.digest(address) if address else ""
        self._recorder.record_now(
            SignInFailed(channel=CHANNEL, reason=reason, method="password", user=user, address_hmac=hidden)
        )
        until = locked_until(attempt.failures, attempt.last_at)
        if until is not None and not attempt.locked:
            seconds = 0 if until == UNTIL_UNLOCKED else int((until - attempt.last_at).total_seconds())
            self._recorder.record_now(SignInLocked(user=user, failures=attempt.failures, seconds=seconds))

    def _settle(self, session: Session, name: str, stored: str, fresh: str) -> None:
        """Within the session's transaction: the password must still be that one; failures are forgotten."""
        self._forget_failures(session, name)
        if stored:  # Else the directory keeps the password.
            row = self._unchanged(session, name, stored)
            row.hash = fresh
            session.add(row)

    def _set(self, user_id: str, password: str, by: str, session_id: str, was: str | None = None) -> None:
        hashed = hash_password(password)
        self._recorder.record_now(PasswordChanged(by=by, user=user_id))
        with writing(self._database) as session:
            if was is not None:
                self._unchanged(session, user_id, was)
            row = session.get(PasswordRow, user_id) or PasswordRow(user_id=user_id, hash="")
            row.hash, row.changed_at = hashed, self.clock()
            session.add(row)
            self._forget_failures(session, user_id)
            session.commit()
        self._sessions.end_all(user_id, by, "password-changed", except_id=session_id)

    def _unchanged(self, session: Session, user_id: str, stored: str) -> PasswordRow:
        row = session.get(PasswordRow, user_id)
        if row is None or row.hash != stored:
            raise NotAuthenticatedError(_REFUSED, "changed-meanwhile", user=user_id)
        return row

    def _forget_failures(self, session: Session, name: str) -> None:
        session.exec(delete(FailureRow).where(col(FailureRow.name_hmac) == self.name_digest(name)))

    def name_digest(self, name: str) -> str:
        """What failures under a name are counted under."""
        return hmac.digest(self._name_key, name.encode(errors="surrogatepass"), hashlib.sha256).hex()


def _refusal(attempt: _Attempt, *, right: bool) -> str:
    """Why a try is refused, in a word for the trail; empty when it is not."""
    if attempt.principal is None:
        return "unknown"
    if not attempt.principal.active:
        return "disabled"
    if attempt.locked:
        return "locked"
    if attempt.stored is None:
        return "no-password"
    return "" if right else "wrong"
