"""Users, groups and API keys in storage. Services turn these rows into principals; nothing else reads them."""

from datetime import datetime

from sqlmodel import Field, Session, SQLModel, col, delete, select

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
    """An API key: its public id and the SHA-256 of its secret (256 random bits need no slow hash)."""

    __tablename__ = "api_key"
    id: str = Field(primary_key=True)
    user_id: str = Field(index=True, foreign_key="user.id")
    secret_sha256: str
    created_at: datetime = Field(default_factory=utc_now)
    revoked_at: datetime | None = None


def read_principal(session: Session, user_id: str) -> Principal | None:
    """The user as policies see them."""
    row = session.get(UserRow, user_id)
    if row is None:
        return None
    groups = session.exec(select(MembershipRow.group).where(MembershipRow.user_id == user_id))
    roles = frozenset(Role(role) for role in row.roles.split())
    return Principal(row.id, frozenset(groups), roles, active=row.active)


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
