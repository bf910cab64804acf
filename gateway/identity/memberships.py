"""Who is in which group, which group is in which, and where each of these comes from, in storage.

Principals get the closure (`policies.groups`). It is read in one statement beside the one that finds them, over only
those groups that can be reached. Whoever remembers it looks with each request whether it still holds
(`retrieval/changes.py`), so a change counts at the next one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import null
from sqlmodel import Field, Session, SQLModel, col, delete, select

from policies.errors import TooManyGroupsError
from policies.groups import effective_groups

_MOST_NESTINGS = 20_000
"""Nestings looked at for one principal: ten for each of the most groups that one may be in."""


class Origin(StrEnum):
    """Where a user or a membership comes from. Each changes and takes away only its own."""

    LDAP = "ldap"
    LOCAL = "local"
    OIDC = "oidc"
    SCIM = "scim"


class MembershipRow(SQLModel, table=True):
    """A user is in a group, as one origin says; several may say the same."""

    __tablename__ = "membership"
    user_id: str = Field(primary_key=True, foreign_key="user.id")
    group: str = Field(primary_key=True)
    origin: str = Field(default=Origin.LOCAL.value, primary_key=True)


class NestingRow(SQLModel, table=True):
    """A group is in another: whoever is in `group` is in `parent` too."""

    __tablename__ = "group_nesting"
    group: str = Field(primary_key=True)
    parent: str = Field(primary_key=True)
    origin: str = Field(default=Origin.LOCAL.value, primary_key=True)


class DirectoryRow(SQLModel, table=True):
    """A directory that is read: when that went well last, when it was tried last, and what was wrong then."""

    __tablename__ = "directory"
    origin: str = Field(primary_key=True)
    read_at: datetime | None = None
    tried_at: datetime
    problem: str = ""


class LdapUserRow(SQLModel, table=True):
    """The user that an entry of the directory is; its id there never changes, whatever the entry is called."""

    __tablename__ = "ldap_user"
    entry_id: str = Field(primary_key=True)
    user_id: str = Field(unique=True, foreign_key="user.id")


def groups_of(session: Session, user_id: str) -> frozenset[str]:
    """The groups a user is in, nested ones included.

    Raises:
        TooManyGroupsError: There are too many to decide on; the user must be denied.
    """
    reached: Any = select(col(MembershipRow.group).label("name")).where(MembershipRow.user_id == user_id)
    tree: Any = reached.cte("reached", recursive=True)
    tree = tree.union(select(col(NestingRow.parent)).join(tree, col(NestingRow.group) == tree.c.name))
    named: Any = select(null().label("child"), col(MembershipRow.group).label("name")).where(
        MembershipRow.user_id == user_id
    )
    nested = select(col(NestingRow.group), col(NestingRow.parent)).join(tree, col(NestingRow.group) == tree.c.name)
    some = nested.limit(_MOST_NESTINGS + 1).subquery()
    rows = session.execute(named.union_all(select(some.c.group, some.c.parent))).all()
    return _closure([name for child, name in rows if child is None], [(c, name) for c, name in rows if c is not None])


def all_memberships(session: Session) -> dict[str, set[str]]:
    """The groups that each user is named in."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for user, group in session.exec(select(MembershipRow.user_id, MembershipRow.group)):
        found[user].add(group)
    return found


def all_nestings(session: Session) -> dict[str, set[str]]:
    """The groups that each group is named in."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for group, parent in session.exec(select(NestingRow.group, NestingRow.parent)):
        found[group].add(parent)
    return found


def direct_groups(session: Session, user_id: str, origins: Collection[Origin]) -> frozenset[str]:
    """The groups that these origins name a user in."""
    query = select(MembershipRow.group).where(MembershipRow.user_id == user_id)
    return frozenset(session.exec(query.where(col(MembershipRow.origin).in_(origins))))


def write_groups(
    session: Session, user_id: str, groups: Iterable[str], origin: Origin, replaces: Collection[Origin] = ()
) -> None:
    """Have an origin name a user in these groups and no others; `replaces` are origins whose word ends with it."""
    ended = (col(MembershipRow.user_id) == user_id, col(MembershipRow.origin).in_({origin, *replaces}))
    session.exec(delete(MembershipRow).where(*ended))
    session.flush()
    session.add_all(MembershipRow(user_id=user_id, group=group, origin=origin) for group in sorted(set(groups)))


def _closure(direct: Iterable[str], nestings: Collection[tuple[str, str]]) -> frozenset[str]:
    if len(nestings) > _MOST_NESTINGS:
        message = (
            f"Somebody's groups are nested in more than {_MOST_NESTINGS} ways, and they are denied everything. "
            "Look for a group that is in too many others where groups are kept."
        )
        raise TooManyGroupsError(message)
    parents: defaultdict[str, list[str]] = defaultdict(list)
    for group, parent in nestings:
        parents[group].append(parent)
    return effective_groups(direct, parents)


def closure_of(user_id: str, memberships: Mapping[str, set[str]], nestings: Mapping[str, set[str]]) -> frozenset[str]:
    """The same as `groups_of`, from tables that were read as a whole.

    Raises:
        TooManyGroupsError: As there.
    """
    return effective_groups(memberships.get(user_id, ()), nestings)
