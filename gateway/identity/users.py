"""Users and keys: who may knock, and what a key is for. Each change is in the trail before it takes effect."""

import secrets
from base64 import b32encode
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Engine
from sqlmodel import Session, col, select, update

from gateway.errors import BadRequestError, ConflictError, NotFoundError
from gateway.identity.freshness import Freshness
from gateway.identity.keys import SCOPES, KeyView, key_text, key_view
from gateway.identity.memberships import Origin
from gateway.identity.names import require_user_id
from gateway.identity.store import (
    ApiKeyRow,
    Known,
    LinkRow,
    SessionRow,
    UserRow,
    digest,
    list_known,
    read_principal,
    write_user,
)
from gateway.recording import Recorder
from policies.actions import Action
from policies.audit.events import KeyCreated, KeyRevoked, UserAdded, UserDisabled, UserLinked
from policies.principals import SEPARATE_ROLES, Principal, PrincipalKind, Role
from retrieval.labels import next_epoch
from retrieval.sessions import writing
from retrieval.tables import utc_now


class Users:
    """Users, their groups and their keys."""

    def __init__(self, database: Engine, recorder: Recorder, freshness: Freshness) -> None:
        self._database = database
        self._recorder = recorder
        self._freshness = freshness

    def principal(self, user_id: str) -> Principal:
        """The user of this name, active or not.

        Raises:
            NotFoundError: There is none.
        """
        with Session(self._database) as session:
            principal = read_principal(session, user_id, self._freshness)
        if principal is None:
            message = f"There is no user {user_id}. `muniment users list` shows who there is."
            raise NotFoundError(message)
        return principal

    def listed(self) -> list[Principal]:
        """Every user, by id."""
        return [known.principal for known in self.known()]

    def known(self) -> list[Known]:
        """Every user, by id, and why some may do nothing."""
        with Session(self._database) as session:
            return list_known(session, self._freshness)

    def add(
        self,
        groups_of: Mapping[str, frozenset[str]],
        roles: frozenset[Role],
        by: str,
        kind: PrincipalKind = PrincipalKind.USER,
    ) -> None:
        """Create users or services, or set the groups and roles of existing ones.

        Raises:
            BadRequestError: A name is not usable.
            ConflictError: The roles exclude each other, or somebody of the other kind has a name.
        """
        require_separate(roles)
        for user_id in groups_of:
            require_user_id(user_id)
        with Session(self._database) as session:
            others = select(UserRow.id).where(col(UserRow.id).in_(groups_of), UserRow.kind != kind)
            other = session.exec(others).first() if len(groups_of) == 1 or kind is PrincipalKind.SERVICE else None
        if other is not None:
            message = f"{other} is not a {kind}, and cannot become one. Choose another name."
            raise ConflictError(message)
        self._recorder.introduce(groups_of)
        for user_id, groups in groups_of.items():
            self._recorder.record_now(
                UserAdded(by=by, user=user_id, groups=tuple(sorted(groups)), roles=tuple(sorted(roles)))
            )
        with writing(self._database) as session:
            next_epoch(session)
            for user_id, groups in groups_of.items():
                write_user(session, user_id, groups, roles, kind)
            session.commit()

    def disable(self, user_id: str, by: str) -> None:
        """Take all access from a user, at once and everywhere; the user's keys and sessions stop working.

        Raises:
            NotFoundError: There is no such user.
        """
        self.principal(user_id)
        self._recorder.record_now(UserDisabled(by=by, user=user_id))
        with writing(self._database) as session:
            next_epoch(session)
            row = session.get_one(UserRow, user_id)
            row.active, row.disabled_by = False, Origin.LOCAL.value
            session.add(row)
            theirs = (col(SessionRow.user_id) == user_id, col(SessionRow.ended_at).is_(None))
            session.exec(update(SessionRow).where(*theirs).values(ended_at=utc_now()))
            session.commit()

    def link(self, user_id: str, issuer: str, subject: str, by: str) -> None:
        """Let a user sign in as a provider's subject, instead of any subject of that provider before.

        Raises:
            NotFoundError: There is no such user.
            ConflictError: The subject is another user.
        """
        self.principal(user_id)
        with Session(self._database) as session:
            existing = session.get(LinkRow, (issuer, subject))
        if existing is not None and existing.user_id != user_id:
            message = f"That subject is user {existing.user_id} already. One subject is one user."
            raise ConflictError(message)
        hidden = self._recorder.digest(subject)
        self._recorder.record_now(UserLinked(by=by, user=user_id, issuer=issuer, subject_hmac=hidden))
        with writing(self._database) as session:
            write_link(session, user_id, issuer, subject)
            session.commit()

    def create_key(
        self, user_id: str, by: str, scopes: Collection[Action] = (), expires_at: datetime | None = None
    ) -> tuple[str, str]:
        """A new API key: its id, and the key itself, which is shown this once and stored only as a digest.

        It may be used for what `scopes` name and the user may do; for all of the latter where none are named.

        Raises:
            NotFoundError: There is no such user.
            ConflictError: The user is disabled.
            BadRequestError: A scope is decided for each document and cannot be a key's, or the end is not ahead.
        """
        if not self.principal(user_id).active:
            message = f"User {user_id} is disabled; a key would not work."
            raise ConflictError(message)
        if unusable := set(scopes) - SCOPES:
            message = f"{', '.join(sorted(unusable))} cannot be a key's scope: it is decided for each document."
            raise BadRequestError(message)
        if expires_at is not None and expires_at <= utc_now():
            message = f"The key would have expired already, at {expires_at:%Y-%m-%d %H:%M} UTC. Give a later time."
            raise BadRequestError(message)
        key_id = b32encode(secrets.token_bytes(10)).decode().lower()
        secret, names = secrets.token_urlsafe(32), tuple(sorted(scope.value for scope in scopes))
        expires = f"{expires_at:%Y-%m-%dT%H:%M:%SZ}" if expires_at else ""
        self._recorder.record_now(KeyCreated(by=by, user=user_id, key_id=key_id, scopes=names, expires=expires))
        with writing(self._database) as session:
            session.add(
                ApiKeyRow(
                    id=key_id,
                    user_id=user_id,
                    secret_sha256=digest(secret),
                    scopes=" ".join(names),
                    expires_at=expires_at,
                )
            )
            session.commit()
        return key_id, key_text(key_id, secret)

    def keys(self) -> list[KeyView]:
        """Every key, by user."""
        with Session(self._database) as session:
            rows = session.exec(select(ApiKeyRow).order_by(ApiKeyRow.user_id, ApiKeyRow.id))
            return [key_view(row, utc_now()) for row in rows]

    def revoke_key(self, key_id: str, by: str) -> None:
        """Make a key useless at once.

        Raises:
            NotFoundError: There is no such key.
        """
        with Session(self._database) as session:
            found = session.get(ApiKeyRow, key_id)
        if found is None:
            message = f"There is no key {key_id}. `muniment keys list` shows the ids."
            raise NotFoundError(message)
        self._recorder.record_now(KeyRevoked(by=by, user=found.user_id, key_id=key_id))
        with writing(self._database) as session:
            row = session.get_one(ApiKeyRow, key_id)
            row.revoked_at = row.revoked_at or utc_now()
            session.add(row)
            session.commit()


def require_separate(roles: frozenset[Role]) -> None:
    """Refuse roles that one person must not have together.

    Raises:
        ConflictError: They exclude each other.
    """
    if roles >= SEPARATE_ROLES:
        message = (
            "Nobody may be both auditor and operator: who runs the system must not also judge its record "
            "(NIST SP 800-53, AU-9(4)). Give the roles to two people."
        )
        raise ConflictError(message)


def write_link(session: Session, user_id: str, issuer: str, subject: str) -> None:
    """Make a subject the one that a user is at its provider."""
    for row in session.exec(select(LinkRow).where(LinkRow.issuer == issuer, LinkRow.user_id == user_id)):
        session.delete(row)
    session.flush()
    session.add(LinkRow(issuer=issuer, subject=subject, user_id=user_id))
