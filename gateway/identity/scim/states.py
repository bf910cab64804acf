"""Users and groups as a SCIM client sees and sets them, and reading them from the database."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session, col, select

from gateway.errors import NotFoundError
from gateway.identity.memberships import MembershipRow, NestingRow, Origin
from gateway.identity.scim.store import ScimGroupRow, ScimUserRow
from gateway.identity.store import UserRow
from policies.clock import zoned
from retrieval.sessions import batched


@dataclass(frozen=True, slots=True)
class Place:
    """Something's id and name."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class UserState:
    """A user as a client sees and sets it; `groups` are those that name it."""

    user_name: str
    external_id: str = ""
    display_name: str = ""
    active: bool = True
    id: str = ""
    groups: tuple[Place, ...] = ()
    created_at: datetime | None = None
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group as a client sees and sets it, with the ids of its members."""

    name: str
    external_id: str = ""
    users: tuple[Place, ...] = ()
    groups: tuple[Place, ...] = ()
    id: str = ""
    created_at: datetime | None = None
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Where to begin (from 0), how many to give, and what an attribute must be: the database answers that."""

    start: int
    count: int
    attribute: str = ""
    value: str = ""


def user_row(session: Session, id_: str) -> ScimUserRow:
    """The row of a user.

    Raises:
        NotFoundError: There is none of this id.
    """
    row = session.get(ScimUserRow, id_)
    if row is None or row.deleted:
        message = f"There is no user {id_[:64]}."
        raise NotFoundError(message)
    return row


def group_row(session: Session, id_: str) -> ScimGroupRow:
    """The row of a group.

    Raises:
        NotFoundError: There is none of this id.
    """
    row = session.get(ScimGroupRow, id_)
    if row is None:
        message = f"There is no group {id_[:64]}."
        raise NotFoundError(message)
    return row


def user_states(session: Session, rows: Collection[ScimUserRow]) -> list[UserState]:
    """Users as clients see them, in the order of their rows."""
    groups = groups_of(session, [row.user_id for row in rows])
    names = sorted({name for named in groups.values() for name in named})
    ids = {
        row.name: row.id
        for some in batched(names)
        for row in session.exec(select(ScimGroupRow).where(col(ScimGroupRow.name).in_(some)))
    }
    active = {
        id_: is_active
        for some in batched([row.user_id for row in rows])
        for id_, is_active in session.exec(select(UserRow.id, UserRow.active).where(col(UserRow.id).in_(some)))
    }
    return [
        UserState(
            user_name=row.user_name,
            external_id=row.external_id,
            display_name=row.display_name,
            active=active[row.user_id],
            id=row.id,
            groups=tuple(Place(ids[name], name) for name in groups[row.user_id] if name in ids),
            created_at=zoned(row.created_at),
            modified_at=zoned(row.modified_at),
        )
        for row in rows
    ]


def groups_of(session: Session, users: list[str]) -> defaultdict[str, list[str]]:
    """The groups in which SCIM names each user."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for some in batched(users):
        query = select(MembershipRow).where(col(MembershipRow.user_id).in_(some), MembershipRow.origin == Origin.SCIM)
        for row in session.exec(query.order_by(MembershipRow.group)):
            found[row.user_id].append(row.group)
    return found


def group_states(session: Session, rows: Collection[ScimGroupRow], *, members: bool) -> list[GroupState]:
    """Groups as clients see them; without `members`, these are not read."""
    return [_group_state(session, row, members=members) for row in rows]


def _group_state(session: Session, row: ScimGroupRow, *, members: bool) -> GroupState:
    state = GroupState(
        name=row.name,
        external_id=row.external_id,
        id=row.id,
        created_at=zoned(row.created_at),
        modified_at=zoned(row.modified_at),
    )
    if not members:
        return state
    users = session.exec(
        select(ScimUserRow.id, ScimUserRow.user_name)
        .join(MembershipRow, col(MembershipRow.user_id) == ScimUserRow.user_id)
        .where(MembershipRow.group == row.name, MembershipRow.origin == Origin.SCIM)
        .order_by(ScimUserRow.id)
    )
    groups = session.exec(
        select(ScimGroupRow.id, ScimGroupRow.name)
        .join(NestingRow, col(NestingRow.group) == ScimGroupRow.name)
        .where(NestingRow.parent == row.name, NestingRow.origin == Origin.SCIM)
        .order_by(ScimGroupRow.id)
    )
    return replace(
        state,
        users=tuple(Place(id_, name) for id_, name in users),
        groups=tuple(Place(id_, name) for id_, name in groups),
    )
