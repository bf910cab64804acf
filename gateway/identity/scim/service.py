"""Users and groups that a SCIM client sends.

A change is worked out from what is stored under the database's write lock, so that no two overwrite each other, and is
in the trail before it is committed.
"""

import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import ColumnElement, Engine
from sqlmodel import Session, col, delete, func, select, update

from gateway.errors import BadRequestError, ConflictError
from gateway.identity.groups import require_group_name
from gateway.identity.memberships import MembershipRow, NestingRow, Origin
from gateway.identity.names import require_user_id
from gateway.identity.options import ScimOptions
from gateway.identity.scim.states import (
    GroupState,
    Page,
    UserState,
    group_row,
    group_states,
    groups_of,
    user_row,
    user_states,
)
from gateway.identity.scim.store import ScimGroupRow, ScimUserRow
from gateway.identity.store import SessionRow, UserRow
from gateway.recording import Recorder
from policies.audit.events import (
    Event,
    GroupNested,
    GroupsChanged,
    GroupUnnested,
    UserAdded,
    UserDisabled,
    UserEnabled,
)
from policies.principals import PrincipalKind, Role
from retrieval.labels import next_epoch
from retrieval.sessions import batched, writing
from retrieval.tables import utc_now

MOST_SEARCHED = 20_000
"""Resources looked at for one filter that the database does not answer."""
_MOST_TEXT = 256


class ScimUsers:
    """The users that came with SCIM; no others are seen or touched."""

    def __init__(
        self, database: Engine, recorder: Recorder, options: ScimOptions, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._options = options
        self._clock = clock

    def get(self, id_: str) -> UserState:
        """One user.

        Raises:
            NotFoundError: There is none of this id.
        """
        with Session(self._database) as session:
            return user_states(session, [user_row(session, id_)])[0]

    def find(self, page: Page) -> tuple[int, list[UserState]]:
        """How many there are, and those of the page."""
        query = select(ScimUserRow).where(col(ScimUserRow.deleted).is_(False))
        if page.attribute == "username":
            query = query.where(func.lower(ScimUserRow.user_name) == page.value.lower())
        elif page.attribute == "externalid":
            query = query.where(ScimUserRow.external_id == page.value)
        elif page.attribute == "id":
            query = query.where(ScimUserRow.id == page.value)
        with Session(self._database) as session:
            total = session.exec(select(func.count()).select_from(query.subquery())).one()
            rows = session.exec(query.order_by(ScimUserRow.id).offset(page.start).limit(page.count)).all()
            return total, user_states(session, rows)

    def create(self, wanted: UserState, by: str) -> UserState:
        """A new user; a plain employee of that name is linked where that is configured.

        Raises:
            BadRequestError: A value is not usable.
            ConflictError: The name is taken.
            TrailUnavailableError: It could not be recorded, so there is none.
        """
        _require_usable(wanted)
        now = self._clock()
        self._recorder.introduce([wanted.user_name])  # Not below: the write lock is held there.
        with _changing(self._database, self._recorder) as (session, events):
            row = self._row_for(session, wanted, by, events)
            row.external_id, row.display_name = wanted.external_id, wanted.display_name
            row.modified_at, row.deleted = now, False
            session.add(row)
            _set_active(session, row.user_id, by, events, active=wanted.active, now=now)
            session.flush()
            return user_states(session, [row])[0]

    def change(self, id_: str, alter: Callable[[UserState], UserState], by: str) -> UserState:
        """Make a user what the client says, who is told what the user is.

        Raises:
            NotFoundError, BadRequestError, ConflictError, TrailUnavailableError: As in `get` and `create`.
        """
        now = self._clock()
        with _changing(self._database, self._recorder) as (session, events):
            row = user_row(session, id_)
            wanted = alter(user_states(session, [row])[0])
            _require_usable(wanted)
            if wanted.user_name != row.user_name:
                self._require_free(session, wanted.user_name, besides=row)
            changed = (row.user_name, row.external_id, row.display_name) != (
                wanted.user_name,
                wanted.external_id,
                wanted.display_name,
            )
            row.user_name, row.external_id, row.display_name = (
                wanted.user_name,
                wanted.external_id,
                wanted.display_name,
            )
            _set_active(session, row.user_id, by, events, active=wanted.active, now=now)
            if changed or events:
                row.modified_at = now
            session.add(row)
            session.flush()
            return user_states(session, [row])[0]

    def delete(self, id_: str, by: str) -> None:
        """Disable a user at once, and forget that the client knew it. The name stays that user's.

        Raises:
            NotFoundError, TrailUnavailableError: As above.
        """
        now = self._clock()
        with _changing(self._database, self._recorder) as (session, events):
            row = user_row(session, id_)
            _set_active(session, row.user_id, by, events, active=False, now=now)
            named = groups_of(session, [row.user_id])[row.user_id]
            if named:
                events.append(
                    GroupsChanged(by=by, user=row.user_id, origin=Origin.SCIM, added=(), removed=tuple(named))
                )
            given = (col(MembershipRow.user_id) == row.user_id, col(MembershipRow.origin) == Origin.SCIM)
            session.exec(delete(MembershipRow).where(*given))
            row.deleted, row.modified_at = True, now
            session.add(row)

    def _row_for(self, session: Session, wanted: UserState, by: str, events: list[Event]) -> ScimUserRow:
        before = session.exec(select(ScimUserRow).where(ScimUserRow.user_name == wanted.user_name)).first()
        if before is not None and before.deleted and before.external_id and before.external_id == wanted.external_id:
            return before  # The same person as the provider says: it brings back what it deleted.
        self._require_free(session, wanted.user_name)
        existing = session.get(UserRow, wanted.user_name)
        if existing is None:
            events.append(UserAdded(by=by, user=wanted.user_name, groups=(), roles=(Role.EMPLOYEE.value,)))
            session.add(UserRow(id=wanted.user_name, origin=Origin.SCIM))
        else:
            self._require_plain(existing)
            events.append(
                GroupsChanged(by=by, user=existing.id, origin=Origin.SCIM, added=(), removed=())
            )  # Says that the user is the client's from now on.
            existing.origin = Origin.SCIM
            session.add(existing)
        session.flush()
        now = self._clock()
        id_ = secrets.token_hex(16)
        return ScimUserRow(
            id=id_, user_id=wanted.user_name, user_name=wanted.user_name, created_at=now, modified_at=now
        )

    def _require_free(self, session: Session, name: str, besides: ScimUserRow | None = None) -> None:
        taken = session.exec(select(ScimUserRow).where(func.lower(ScimUserRow.user_name) == name.lower())).all()
        if any(besides is None or row.id != besides.id for row in taken):
            message = f"The name {name} is or was another user's."
            raise ConflictError(message)
        alike = session.exec(select(UserRow.id).where(func.lower(UserRow.id) == name.lower())).all()
        own = besides.user_id if besides else name
        if any(user != own for user in alike):
            message = f"The name {name} is another user's, small and large letters aside."
            raise ConflictError(message)

    def _require_plain(self, existing: UserRow) -> None:
        """Nobody with a role, from another directory, or disabled becomes a client's by their name."""
        plain = existing.roles == Role.EMPLOYEE.value and existing.active and existing.origin == Origin.LOCAL
        if not plain or existing.kind != PrincipalKind.USER or self._options.existing_users == "refuse":
            message = f"The name {existing.id} is another user's."
            raise ConflictError(message)


class ScimGroups:
    """The groups that came with SCIM."""

    def __init__(self, database: Engine, recorder: Recorder, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock

    def get(self, id_: str) -> GroupState:
        """One group.

        Raises:
            NotFoundError: There is none of this id.
        """
        with Session(self._database) as session:
            return group_states(session, [group_row(session, id_)], members=True)[0]

    def find(self, page: Page, *, members: bool = True) -> tuple[int, list[GroupState]]:
        """How many there are, and those of the page."""
        query = select(ScimGroupRow)
        if page.attribute == "displayname":
            query = query.where(func.lower(ScimGroupRow.name) == page.value.lower())
        elif page.attribute == "externalid":
            query = query.where(ScimGroupRow.external_id == page.value)
        elif page.attribute == "id":
            query = query.where(ScimGroupRow.id == page.value)
        with Session(self._database) as session:
            total = session.exec(select(func.count()).select_from(query.subquery())).one()
            rows = session.exec(query.order_by(ScimGroupRow.id).offset(page.start).limit(page.count)).all()
            return total, group_states(session, rows, members=members)

    def existing(self, ids: Collection[str | None]) -> set[str]:
        """Those of the ids that are groups'."""
        with Session(self._database) as session:
            return {
                found
                for some in batched([id_ for id_ in ids if id_])
                for found in session.exec(select(ScimGroupRow.id).where(col(ScimGroupRow.id).in_(some)))
            }

    def create(self, wanted: GroupState, by: str) -> GroupState:
        """A new group with its members.

        Raises:
            BadRequestError: A value is not usable, or a member does not exist.
            ConflictError: The name is taken.
            TrailUnavailableError: It could not be recorded, so there is none.
        """
        now = self._clock()
        with _changing(self._database, self._recorder) as (session, events):
            _require_free_group(session, wanted, "")
            row = ScimGroupRow(id=secrets.token_hex(16), name=wanted.name, created_at=now, modified_at=now)
            row.external_id = wanted.external_id
            session.add(row)
            session.flush()
            _set_members(session, row, GroupState(row.name), wanted, by, events)
            session.flush()
            return group_states(session, [row], members=True)[0]

    def change(self, id_: str, alter: Callable[[GroupState], GroupState], by: str) -> GroupState:
        """Make a group what the client says, who is told what the group is.

        Raises:
            NotFoundError, BadRequestError, ConflictError, TrailUnavailableError: As in `get` and `create`.
        """
        now = self._clock()
        with _changing(self._database, self._recorder) as (session, events):
            row = group_row(session, id_)
            before = group_states(session, [row], members=True)[0]
            wanted = alter(before)
            _require_free_group(session, wanted, row.id)
            _set_members(session, row, before, wanted, by, events)
            if events or (row.name, row.external_id) != (wanted.name, wanted.external_id):
                row.name, row.external_id, row.modified_at = wanted.name, wanted.external_id, now
            session.add(row)
            session.flush()
            return group_states(session, [row], members=True)[0]

    def delete(self, id_: str, by: str) -> None:
        """Take a group away, and everybody out of it.

        Raises:
            NotFoundError, TrailUnavailableError: As above.
        """
        with _changing(self._database, self._recorder) as (session, events):
            row = group_row(session, id_)
            before = group_states(session, [row], members=True)[0]
            _set_members(session, row, before, GroupState(row.name), by, events)
            for nesting in session.exec(select(NestingRow).where(*_nested_by_us(row.name))).all():
                events.append(GroupUnnested(by=by, group=row.name, parent=nesting.parent, origin=Origin.SCIM))
                session.delete(nesting)
            session.delete(row)


@contextmanager
def _changing(database: Engine, recorder: Recorder) -> Iterator[tuple[Session, list[Event]]]:
    """A change under the write lock; its events are recorded before it is committed, in the next epoch."""
    events: list[Event] = []
    with writing(database) as session:
        yield session, events
        recorder.record_all_now(events)
        if events:
            next_epoch(session)
        session.commit()


def _set_active(session: Session, user_id: str, by: str, events: list[Event], *, active: bool, now: datetime) -> None:
    """Let a user in or not. Whom an operator disabled stays out."""
    row = session.get_one(UserRow, user_id)
    if row.active and not active:
        events.append(UserDisabled(by=by, user=user_id))
        row.active, row.disabled_by = False, Origin.SCIM
        theirs = (col(SessionRow.user_id) == user_id, col(SessionRow.ended_at).is_(None))
        session.exec(update(SessionRow).where(*theirs).values(ended_at=now))
    elif active and not row.active and row.disabled_by == Origin.SCIM:
        events.append(UserEnabled(by=by, user=user_id))
        row.active, row.disabled_by = True, ""
    session.add(row)


def _set_members(
    session: Session, row: ScimGroupRow, before: GroupState, wanted: GroupState, by: str, events: list[Event]
) -> None:
    """Replace a group's members. With another name all of them leave the one group and enter the other."""
    renamed = before.name != wanted.name
    users = _user_ids(session, [place.id for place in wanted.users])
    had = _user_ids(session, [place.id for place in before.users])
    for user in sorted(had | users if renamed else had ^ users):
        added = (wanted.name,) if user in users and (renamed or user not in had) else ()
        removed = (before.name,) if user in had and (renamed or user not in users) else ()
        events.append(GroupsChanged(by=by, user=user, origin=Origin.SCIM, added=added, removed=removed))
    given = (col(MembershipRow.group) == before.name, col(MembershipRow.origin) == Origin.SCIM)
    leaving = had if renamed else had - users
    for some in batched(sorted(leaving)):
        session.exec(delete(MembershipRow).where(*given, col(MembershipRow.user_id).in_(some)))
    session.flush()
    entering = users if renamed else users - had
    session.add_all(MembershipRow(user_id=user, group=wanted.name, origin=Origin.SCIM) for user in entering)
    children = _group_names(session, [place.id for place in wanted.groups if place.id != row.id])
    were = _group_names(session, [place.id for place in before.groups])
    pairs = {(child, wanted.name) for child in children}
    had_pairs = {(child, before.name) for child in were}
    if renamed:
        for nesting in session.exec(select(NestingRow).where(*_nested_by_us(before.name))).all():
            had_pairs.add((nesting.group, nesting.parent))
            pairs.add((wanted.name, nesting.parent))
    for child, parent in sorted(pairs - had_pairs):
        events.append(GroupNested(by=by, group=child, parent=parent, origin=Origin.SCIM))
        session.add(NestingRow(group=child, parent=parent, origin=Origin.SCIM))
    for child, parent in sorted(had_pairs - pairs):
        events.append(GroupUnnested(by=by, group=child, parent=parent, origin=Origin.SCIM))
        found = session.get(NestingRow, (child, parent, Origin.SCIM))
        if found is not None:
            session.delete(found)


def _nested_by_us(group: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (col(NestingRow.group) == group, col(NestingRow.origin) == Origin.SCIM)


def _user_ids(session: Session, ids: Collection[str]) -> set[str]:
    """The users of these ids of the client's.

    Raises:
        BadRequestError: One of them does not exist.
    """
    found: dict[str, str] = {}
    for some in batched(sorted(set(ids))):
        query = select(ScimUserRow).where(col(ScimUserRow.id).in_(some), col(ScimUserRow.deleted).is_(False))
        found |= {row.id: row.user_id for row in session.exec(query)}
    return _require_all(ids, found)


def _group_names(session: Session, ids: Collection[str]) -> set[str]:
    found = {
        row.id: row.name
        for some in batched(sorted(set(ids)))
        for row in session.exec(select(ScimGroupRow).where(col(ScimGroupRow.id).in_(some)))
    }
    return _require_all(ids, found)


def _require_all(ids: Collection[str], found: dict[str, str]) -> set[str]:
    if missing := set(ids) - set(found):
        message = f"There is no member {min(missing)[:64]}."
        raise BadRequestError(message)
    return set(found.values())


def _require_free_group(session: Session, wanted: GroupState, id_: str) -> None:
    require_group_name(wanted.name)
    _require_short(wanted.external_id)
    same = session.exec(select(ScimGroupRow).where(func.lower(ScimGroupRow.name) == wanted.name.lower())).all()
    if any(row.id != id_ for row in same):
        message = f"A group {wanted.name} exists."
        raise ConflictError(message)


def _require_usable(wanted: UserState) -> None:
    require_user_id(wanted.user_name)
    _require_short(wanted.external_id)
    _require_short(wanted.display_name)


def _require_short(text: str) -> None:
    if len(text) > _MOST_TEXT or not text.isprintable():
        message = f"{text[:40]!r} is too long, or not printable. At most {_MOST_TEXT} characters."
        raise BadRequestError(message)
