"""Groups within groups: listing, nesting and unnesting. Each change is in the trail before it takes effect."""

from collections import Counter, defaultdict

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session, select

from gateway.errors import BadRequestError, ConflictError, NotFoundError
from gateway.identity.memberships import MembershipRow, NestingRow, Origin
from gateway.recording import Recorder
from policies.audit.events import GroupNested, GroupUnnested
from retrieval.labels import next_epoch
from retrieval.sessions import writing

MOST_GROUP_NAME = 256
"""Characters of a group's name."""


class Within(msgspec.Struct, frozen=True):
    """The group that a group is in, and where that comes from."""

    group: str
    origin: str


class GroupView(msgspec.Struct, frozen=True):
    """A group that somebody is named in, or that is nested: how many users are named in it, and what it is in."""

    group: str
    users: int
    within: list[Within]


class Groups:
    """Groups within groups."""

    def __init__(self, database: Engine, recorder: Recorder) -> None:
        self._database = database
        self._recorder = recorder

    def listed(self) -> list[GroupView]:
        """Every group, by name."""
        with Session(self._database) as session:
            users = Counter(group for _, group in session.exec(_MEMBERS.distinct()))
            within: defaultdict[str, set[Within]] = defaultdict(set)
            for row in session.exec(select(NestingRow)):
                within[row.group].add(Within(row.parent, row.origin))
        parents = {parent.group for places in within.values() for parent in places}
        return [
            GroupView(name, users[name], sorted(within[name], key=lambda place: (place.group, place.origin)))
            for name in sorted({*users, *within, *parents})
        ]

    def nest(self, group: str, parent: str, by: str) -> None:
        """Put everybody who is in a group into another one too.

        Raises:
            BadRequestError: A name is not usable, or both are one.
            ConflictError: It is so already.
        """
        for name in (group, parent):
            require_group_name(name)
        if group == parent:
            message = f"{group} cannot be in itself. Name the group it shall be in."
            raise BadRequestError(message)
        if self._nesting(group, parent) is not None:
            message = f"{group} is in {parent} already."
            raise ConflictError(message)
        self._recorder.record_now(GroupNested(by=by, group=group, parent=parent, origin=Origin.LOCAL))
        with writing(self._database) as session:
            next_epoch(session)
            session.merge(NestingRow(group=group, parent=parent))
            session.commit()

    def unnest(self, group: str, parent: str, by: str) -> None:
        """Take a group out of another.

        Raises:
            NotFoundError: It is not in it, or a directory says so, which is where to change it.
        """
        if self._nesting(group, parent) is None:
            message = f"{group} was not put into {parent} here. `muniment groups list` shows what comes from where."
            raise NotFoundError(message)
        self._recorder.record_now(GroupUnnested(by=by, group=group, parent=parent, origin=Origin.LOCAL))
        with writing(self._database) as session:
            next_epoch(session)
            row = session.get(NestingRow, (group, parent, Origin.LOCAL))
            if row is not None:
                session.delete(row)
            session.commit()

    def _nesting(self, group: str, parent: str) -> NestingRow | None:
        with Session(self._database) as session:
            return session.get(NestingRow, (group, parent, Origin.LOCAL))


_MEMBERS = select(MembershipRow.user_id, MembershipRow.group)


def is_group_name(name: object) -> bool:
    """Whether something can be a group's name."""
    return isinstance(name, str) and 0 < len(name) <= MOST_GROUP_NAME and name.isprintable()


def require_group_name(name: str) -> None:
    """Refuse what cannot be a group's name.

    Raises:
        BadRequestError: It is not usable.
    """
    if not is_group_name(name):
        message = f"{name[:40]!r} cannot be a group's name. Use 1 to {MOST_GROUP_NAME} printable characters."
        raise BadRequestError(message)
