"""Users, their keys, passwords and sessions in storage. Services turn these rows into values; nothing else reads them.

Secrets are here as digests only. Tokens and keys are 256 random bits, for which one SHA-256 is enough; passwords are
hashed slowly (`passwords.py`).
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import ColumnElement
from sqlmodel import Field, Session, SQLModel, col, delete, or_, select

from policies.principals import Principal, Role
from retrieval.tables import utc_now


class UserRow(SQLModel, table=True):
    """Somebody who may ask. A disabled user stays, so that the trail's names keep their meaning."""

    __tablename__ = "user"
    id: str = Field(primary_key=True)
    roles: str = Role.EMPLOYEE.value
    active: bool = True
    created_at: datetime = Field(default_factory=utc_now)


class MembershipRow(SQLModel, table=True):
    """A user is in a group."""

    __tablename__ = "membership"
    user_id: str = Field(primary_key=True, foreign_key="user.id")
    group: str = Field(primary_key=True)


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


def in_utc(moment: datetime) -> datetime:
    """SQLite gives times back without their zone; all of ours are UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_principal(session: Session, user_id: str) -> Principal | None:
    """The user as policies see them."""
    row = session.get(UserRow, user_id)
    if row is None:
        return None
    groups = session.exec(select(MembershipRow.group).where(MembershipRow.user_id == user_id))
    return _principal(row, groups)


def find_key(session: Session, key_id: str) -> tuple[ApiKeyRow, Principal] | None:
    """A key and whose it is, in one statement."""
    rows = session.exec(
        select(ApiKeyRow, UserRow, MembershipRow.group)
        .join(UserRow, col(UserRow.id) == ApiKeyRow.user_id)
        .join(MembershipRow, col(MembershipRow.user_id) == UserRow.id, isouter=True)
        .where(ApiKeyRow.id == key_id)
    ).all()
    return (rows[0][0], _principal(rows[0][1], (row[2] for row in rows))) if rows else None


def find_session(session: Session, token_sha256: str) -> tuple[SessionRow, Principal] | None:
    """The session of a token, or of the token before it, and whose it is, in one statement."""
    holds: ColumnElement[bool] = or_(
        col(SessionRow.token_sha256) == token_sha256, col(SessionRow.previous_sha256) == token_sha256
    )
    rows = session.exec(
        select(SessionRow, UserRow, MembershipRow.group)
        .join(UserRow, col(UserRow.id) == SessionRow.user_id)
        .join(MembershipRow, col(MembershipRow.user_id) == UserRow.id, isouter=True)
        .where(holds)
    ).all()
    return (rows[0][0], _principal(rows[0][1], (row[2] for row in rows))) if rows else None


def write_user(session: Session, user_id: str, groups: frozenset[str], roles: frozenset[Role]) -> None:
    """Create a user, or give an existing one these groups and roles; a disabled user stays disabled."""
    row = session.get(UserRow, user_id) or UserRow(id=user_id)
    row.roles = " ".join(sorted(roles))
    session.add(row)
    session.exec(delete(MembershipRow).where(col(MembershipRow.user_id) == user_id))
    session.flush()
    session.add_all(MembershipRow(user_id=user_id, group=group) for group in sorted(groups))


def list_principals(session: Session) -> list[Principal]:
    """Every user, by id."""
    ids = session.exec(select(UserRow.id).order_by(UserRow.id)).all()
    return [principal for id_ in ids if (principal := read_principal(session, id_)) is not None]


def use_once(session: Session, name: str, now: datetime, until: datetime) -> bool:
    """Whether this is the first use. It is noted in the same transaction; what is too old to be used is dropped."""
    session.exec(delete(UsedOnceRow).where(col(UsedOnceRow.until) < now))
    if session.get(UsedOnceRow, digest(name)) is not None:
        return False
    session.add(UsedOnceRow(digest=digest(name), until=until))
    session.flush()
    return True


def _principal(row: UserRow, groups: Iterable[str | None]) -> Principal:
    roles = frozenset(Role(role) for role in row.roles.split())
    return Principal(row.id, frozenset(group for group in groups if group is not None), roles, active=row.active)
