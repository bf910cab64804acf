"""Users, their keys, passwords and sessions in storage. Services turn these rows into values; nothing else reads them.

Secrets are here as digests only. Tokens and keys are 256 random bits, for which one SHA-256 is enough; passwords are
hashed slowly (`passwords.py`).
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement
from sqlmodel import Field, Session, SQLModel, col, delete, or_, select

from gateway.identity.freshness import Freshness
from gateway.identity.memberships import (
    DirectoryRow,
    Origin,
    all_memberships,
    all_nestings,
    closure_of,
    groups_of,
    write_groups,
)
from policies.errors import TooManyGroupsError
from policies.principals import Principal, PrincipalKind, Role
from retrieval.tables import utc_now

_log = logging.getLogger(__name__)


class UserRow(SQLModel, table=True):
    """Somebody who may ask. A disabled user stays, so that the trail's names keep their meaning.

    `disabled_by` is the origin that did: a directory takes back only what it did itself.
    """

    __tablename__ = "user"
    id: str = Field(primary_key=True)
    roles: str = Role.EMPLOYEE.value
    active: bool = True
    created_at: datetime = Field(default_factory=utc_now)
    kind: str = PrincipalKind.USER.value
    origin: str = Origin.LOCAL.value
    disabled_by: str = ""


class ApiKeyRow(SQLModel, table=True):
    """An API key: its public id and the SHA-256 of its secret; what it may be used for (nothing named: everything)."""

    __tablename__ = "api_key"
    id: str = Field(primary_key=True)
    user_id: str = Field(index=True, foreign_key="user.id")
    secret_sha256: str
    created_at: datetime = Field(default_factory=utc_now)
    revoked_at: datetime | None = None
    scopes: str = ""
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class PasswordRow(SQLModel, table=True):
    """A user's password, as the text that argon2 writes: parameters, salt and hash."""

    __tablename__ = "password"
    user_id: str = Field(primary_key=True, foreign_key="user.id")
    hash: str
    changed_at: datetime = Field(default_factory=utc_now)


class FailureRow(SQLModel, table=True):
    """How often in a row a sign-in under one name failed; the name is a keyed digest, and need not be a user's."""

    __tablename__ = "sign_in_failure"
    name_hmac: str = Field(primary_key=True)
    failures: int
    last_at: datetime
    is_user: bool


class SessionRow(SQLModel, table=True):
    """A browser that somebody signed in with. The id may be shown; the token is in the browser's cookie alone.

    After an exchange the token before stays valid for a moment. `issuer`, `subject` and `provider_session` are those of
    single sign-on.
    """

    __tablename__ = "session"
    id: str = Field(primary_key=True)
    user_id: str = Field(index=True, foreign_key="user.id")
    token_sha256: str = Field(unique=True)
    previous_sha256: str | None = Field(default=None, unique=True)
    rotation_salt: str = ""
    rotated_at: datetime
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    method: str
    issuer: str = ""
    subject: str = ""
    provider_session: str = ""


class LinkRow(SQLModel, table=True):
    """Which user a provider's subject is; one subject a provider for each user."""

    __tablename__ = "identity_link"
    issuer: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    user_id: str = Field(index=True, foreign_key="user.id")
    created_at: datetime = Field(default_factory=utc_now)


class UsedOnceRow(SQLModel, table=True):
    """Something that may be used once only, by its digest, and until when its second use must be noticed."""

    __tablename__ = "used_once"
    digest: str = Field(primary_key=True)
    until: datetime


def digest(secret: str) -> str:
    """How random secrets are stored: their SHA-256 in hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Known:
    """A user as policies see them, and in a word for the trail why they may do nothing; empty when they may."""

    principal: Principal
    refused: str = ""


@dataclass(frozen=True, slots=True)
class StoredUser:
    """All that is stored of a user and decides who they are; `groups` is the closure, none where it is too large."""

    row: UserRow
    directory: DirectoryRow | None
    groups: frozenset[str] | None

    def known(self, freshness: Freshness) -> Known:
        """Who they are at this moment. Whoever cannot be judged is nobody: without groups, roles or leave."""
        kind = PrincipalKind(self.row.kind)
        refused = "" if self.row.active else "disabled"
        if not refused and freshness.is_lost(self.row.origin, self.directory):
            refused = "directory-lost"
        if self.groups is None:
            nobody = Principal(self.row.id, frozenset(), frozenset(), kind, active=False)
            return Known(nobody, refused or "too-many-groups")
        roles = frozenset(Role(role) for role in self.row.roles.split())
        return Known(Principal(self.row.id, self.groups, roles, kind, active=not refused), refused)


def read_known(session: Session, user_id: str, freshness: Freshness) -> Known | None:
    """A user, with the closure of their groups."""
    query = select(UserRow, DirectoryRow).join(DirectoryRow, _directory_of_user(), isouter=True)
    found = session.exec(query.where(UserRow.id == user_id)).first()
    if found is None:
        return None
    return _stored(found[0], found[1], lambda: groups_of(session, user_id)).known(freshness)


def read_principal(session: Session, user_id: str, freshness: Freshness) -> Principal | None:
    """The user as policies see them."""
    known = read_known(session, user_id, freshness)
    return known.principal if known else None


def find_key(session: Session, key_id: str) -> tuple[ApiKeyRow, StoredUser] | None:
    """A key and whose it is."""
    query = (
        select(ApiKeyRow, UserRow, DirectoryRow)
        .join(UserRow, col(UserRow.id) == ApiKeyRow.user_id)
        .join(DirectoryRow, _directory_of_user(), isouter=True)
    )
    found = session.exec(query.where(ApiKeyRow.id == key_id)).first()
    if found is None:
        return None
    row, user, directory = found
    return row, _stored(user, directory, lambda: groups_of(session, user.id))


def find_session(session: Session, token_sha256: str, freshness: Freshness) -> tuple[SessionRow, Known] | None:
    """The session of a token, or of the token before it, and whose it is."""
    holds: ColumnElement[bool] = or_(
        col(SessionRow.token_sha256) == token_sha256, col(SessionRow.previous_sha256) == token_sha256
    )
    query = (
        select(SessionRow, UserRow, DirectoryRow)
        .join(UserRow, col(UserRow.id) == SessionRow.user_id)
        .join(DirectoryRow, _directory_of_user(), isouter=True)
    )
    found = session.exec(query.where(holds)).first()
    if found is None:
        return None
    row, user, directory = found
    return row, _stored(user, directory, lambda: groups_of(session, user.id)).known(freshness)


def write_user(
    session: Session,
    user_id: str,
    groups: frozenset[str],
    roles: frozenset[Role],
    kind: PrincipalKind = PrincipalKind.USER,
) -> None:
    """Create a user, or give an existing one these groups and roles.

    A disabled user stays disabled, and memberships that come from elsewhere stay.
    """
    row = session.get(UserRow, user_id) or UserRow(id=user_id, kind=kind.value)
    row.roles = " ".join(sorted(roles))
    session.add(row)
    session.flush()
    write_groups(session, user_id, groups, Origin.LOCAL)


def list_known(session: Session, freshness: Freshness) -> list[Known]:
    """Every user, by id."""
    memberships, nestings = all_memberships(session), all_nestings(session)
    query = select(UserRow, DirectoryRow).join(DirectoryRow, _directory_of_user(), isouter=True)

    def known(user: UserRow, directory: DirectoryRow | None) -> Known:
        return _stored(user, directory, lambda: closure_of(user.id, memberships, nestings)).known(freshness)

    return [known(user, directory) for user, directory in session.exec(query.order_by(UserRow.id))]


def use_once(session: Session, name: str, now: datetime, until: datetime) -> bool:
    """Whether this is the first use. It is noted in the same transaction; what is too old to be used is dropped."""
    session.exec(delete(UsedOnceRow).where(col(UsedOnceRow.until) < now))
    if session.get(UsedOnceRow, digest(name)) is not None:
        return False
    session.add(UsedOnceRow(digest=digest(name), until=until))
    session.flush()
    return True


def _directory_of_user() -> ColumnElement[bool]:
    return col(DirectoryRow.origin) == col(UserRow.origin)


def _stored(row: UserRow, directory: DirectoryRow | None, groups: Callable[[], frozenset[str]]) -> StoredUser:
    try:
        return StoredUser(row, directory, groups())
    except TooManyGroupsError as error:
        _log.error("groups_not_decided reason=%s `muniment doctor` says whose.", error)  # Logs name nobody.
        return StoredUser(row, directory, None)
