"""Making users and groups what the LDAP directory says, in one transaction; and how the directory does.

What would change is worked out first and recorded, then worked out again under the database's write lock: only if it is
still the same does it take effect.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session, col, delete, select, update

from gateway.errors import ConflictError, DirectoryUnavailableError, GatewayError, NotFoundError
from gateway.identity.directory import Plan, Snapshot, Stored, StoredUser, plan, require_few_removed
from gateway.identity.freshness import Freshness
from gateway.identity.memberships import DirectoryRow, LdapUserRow, MembershipRow, NestingRow, Origin
from gateway.identity.options import LdapOptions
from gateway.identity.store import SessionRow, UserRow
from gateway.recording import Recorder
from policies.audit.events import (
    DirectoryFailed,
    DirectoryRead,
    Event,
    GroupNested,
    GroupsChanged,
    GroupUnnested,
    UserAdded,
    UserDisabled,
    UserEnabled,
)
from policies.clock import zoned
from policies.principals import PrincipalKind, Role
from retrieval.labels import next_epoch
from retrieval.sessions import writing

_log = logging.getLogger(__name__)
_TRIES = 3
"""How often a plan is made anew because users changed while it was recorded."""
_OFF = "No directory is set up. Set ldap.urls first."


class DirectoryReport(msgspec.Struct, frozen=True):
    """What a sync changed, or would change; `applied` says which. Names of users, and groups within groups."""

    applied: bool
    users: int
    groups: int
    created: list[str]
    linked: list[str]
    enabled: list[str]
    disabled: list[str]
    added: dict[str, list[str]]
    removed: dict[str, list[str]]
    nested: list[tuple[str, str]]
    unnested: list[tuple[str, str]]
    skipped: list[tuple[str, str]]


class DirectoryState(msgspec.Struct, frozen=True):
    """How the directory does. `lost` means that it was not read for too long, and its users are denied."""

    users: int
    read_at: datetime | None
    tried_at: datetime | None
    problem: str
    lost: bool


class Directories:
    """Syncs with the LDAP directory. `read` gives its present content."""

    def __init__(
        self,
        database: Engine,
        recorder: Recorder,
        options: LdapOptions,
        freshness: Freshness,
        read: Callable[[], Snapshot],
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._options = options
        self._freshness = freshness
        self._read = read

    def sync(self, by: str, *, dry_run: bool = False, allow_mass_removal: bool = False) -> DirectoryReport:
        """Make users and groups what the directory says now; with `dry_run` only say what that would change.

        Raises:
            NotFoundError: No directory is set up.
            DirectoryUnavailableError: It could not be read; nothing was changed.
            ConflictError: It must not be believed as it is (too many would be disabled, two groups of one name).
            TrailUnavailableError: It could not be recorded, so nothing was changed.
        """
        if not self._options.urls:
            raise NotFoundError(_OFF)
        # Before the read: what is read is at least as new as that.
        now = self._freshness.clock.now()
        try:
            snapshot = self._read()
            if dry_run:
                with Session(self._database) as session:
                    return _report(snapshot, self._plan(session, snapshot), applied=False)
            changes = self._apply(snapshot, by, now, allow_mass_removal=allow_mass_removal)
        except GatewayError as error:
            if not dry_run:
                self._note_failure(error, by, now)
            raise
        return _report(snapshot, changes, applied=True)

    def state(self) -> DirectoryState:
        """How the directory does."""
        with Session(self._database) as session:
            row = session.get(DirectoryRow, Origin.LDAP)
            users = len(session.exec(select(LdapUserRow.entry_id)).all())
            lost = self._freshness.is_lost(Origin.LDAP, row)
        if row is None:
            return DirectoryState(users, None, None, "", lost)
        read_at = zoned(row.read_at) if row.read_at else None
        return DirectoryState(users, read_at, zoned(row.tried_at), row.problem, lost)

    def is_due(self) -> bool:
        """Whether no process tried for the configured time."""
        tried_at = self.state().tried_at
        age = self._freshness.clock.now() - tried_at if tried_at else None
        return age is None or not timedelta() <= age < timedelta(minutes=self._options.every_minutes)

    def _apply(self, snapshot: Snapshot, by: str, now: datetime, *, allow_mass_removal: bool) -> Plan:
        for _ in range(_TRIES):
            with Session(self._database) as session:
                stored = _stored(session)
            changes = plan(snapshot, stored, link_existing=self._options.existing_users == "link")
            if not allow_mass_removal:
                require_few_removed(changes, stored, self._options.most_removed_percent)
            self._recorder.introduce(changes.created)
            self._recorder.record_all_now(list(_events(changes, snapshot, by)))
            with writing(self._database) as session:
                if self._plan(session, snapshot) != changes:
                    continue
                _write(session, changes, now)
                returned = self._note_read(session, now)
                session.commit()
            if returned:
                _log.warning("directory_back origin=ldap")
            return changes
        message = "Users changed while the directory was being read. Nothing was changed by it; run the sync again."
        raise ConflictError(message)

    def _plan(self, session: Session, snapshot: Snapshot) -> Plan:
        return plan(snapshot, _stored(session), link_existing=self._options.existing_users == "link")

    def _note_read(self, session: Session, now: datetime) -> bool:
        """Note a good read; true when the one before was not."""
        row = session.get(DirectoryRow, Origin.LDAP) or DirectoryRow(origin=Origin.LDAP, tried_at=now)
        returned = bool(row.problem)
        row.read_at, row.tried_at, row.problem = now, now, ""
        session.add(row)
        return returned

    def _note_failure(self, error: GatewayError, by: str, now: datetime) -> None:
        """Note a failed read, and tell of the first one after a good one: in the log and in the trail."""
        reason = error.reason if isinstance(error, DirectoryUnavailableError) else "refused"
        with Session(self._database) as session:
            row = session.get(DirectoryRow, Origin.LDAP)
        if row is None or not row.problem:
            _log.error("directory_lost origin=ldap reason=%s detail=%s", reason, error)
            self._recorder.record_now(DirectoryFailed(by=by, origin=Origin.LDAP, reason=reason))
        with writing(self._database) as session:
            row = session.get(DirectoryRow, Origin.LDAP) or DirectoryRow(origin=Origin.LDAP, tried_at=now)
            row.tried_at, row.problem = now, f"{reason}: {error}"
            session.add(row)
            session.commit()


def _stored(session: Session) -> Stored:
    entry_of = {row.user_id: row.entry_id for row in session.exec(select(LdapUserRow))}
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for row in session.exec(select(MembershipRow).where(MembershipRow.origin == Origin.LDAP)):
        groups[row.user_id].add(row.group)
    nestings = session.exec(select(NestingRow.group, NestingRow.parent).where(NestingRow.origin == Origin.LDAP))
    return Stored(
        users={
            row.id: StoredUser(
                entry_id=entry_of.get(row.id, ""),
                origin=row.origin,
                active=row.active,
                disabled_by=row.disabled_by,
                roles=frozenset(Role(role) for role in row.roles.split()),
                kind=PrincipalKind(row.kind),
                groups=frozenset(groups[row.id]),
            )
            for row in session.exec(select(UserRow))
        },
        nestings=frozenset((group, parent) for group, parent in nestings),
    )


def _events(changes: Plan, snapshot: Snapshot, by: str) -> Iterator[Event]:
    """Everything that changes, for the trail."""
    if not changes.changes:
        return
    yield DirectoryRead(
        by=by,
        origin=Origin.LDAP,
        users=len(snapshot.people),
        groups=len(snapshot.groups),
        created=len(changes.created),
        enabled=len(changes.enabled),
        disabled=len(changes.disabled),
    )
    for user in changes.disabled:
        yield UserDisabled(by=by, user=user)
    for user in sorted(changes.created):
        yield UserAdded(by=by, user=user, groups=(), roles=(Role.EMPLOYEE.value,))
    for user in changes.enabled:
        yield UserEnabled(by=by, user=user)
    for user in sorted({*changes.added, *changes.removed, *changes.linked}):
        added, removed = changes.added.get(user, frozenset()), changes.removed.get(user, frozenset())
        yield GroupsChanged(
            by=by, user=user, origin=Origin.LDAP, added=tuple(sorted(added)), removed=tuple(sorted(removed))
        )
    for group, parent in sorted(changes.nested):
        yield GroupNested(by=by, group=group, parent=parent, origin=Origin.LDAP)
    for group, parent in sorted(changes.unnested):
        yield GroupUnnested(by=by, group=group, parent=parent, origin=Origin.LDAP)


def _write(session: Session, changes: Plan, now: datetime) -> None:
    """Within the session's transaction, and in its next epoch."""
    if not changes.changes:
        return
    next_epoch(session)
    session.add_all(UserRow(id=user, origin=Origin.LDAP) for user in changes.created)
    session.flush()
    for user, entry in {**changes.created, **changes.linked}.items():
        session.add(LdapUserRow(entry_id=entry, user_id=user))
    for users, values in (
        (changes.linked, {"origin": Origin.LDAP.value}),
        (changes.enabled, {"active": True, "disabled_by": ""}),
        (changes.disabled, {"active": False, "disabled_by": Origin.LDAP.value}),
    ):
        for user in users:
            session.exec(update(UserRow).where(col(UserRow.id) == user).values(**values))
    for user in changes.disabled:
        theirs = (col(SessionRow.user_id) == user, col(SessionRow.ended_at).is_(None))
        session.exec(update(SessionRow).where(*theirs).values(ended_at=now))
    for user, groups in changes.removed.items():
        given = (col(MembershipRow.user_id) == user, col(MembershipRow.origin) == Origin.LDAP)
        session.exec(delete(MembershipRow).where(*given, col(MembershipRow.group).in_(groups)))
    for user, groups in changes.added.items():
        session.add_all(MembershipRow(user_id=user, group=group, origin=Origin.LDAP) for group in groups)
    for group, parent in changes.unnested:
        row = session.get(NestingRow, (group, parent, Origin.LDAP))
        if row is not None:
            session.delete(row)
    session.add_all(NestingRow(group=group, parent=parent, origin=Origin.LDAP) for group, parent in changes.nested)


def _report(snapshot: Snapshot, changes: Plan, *, applied: bool) -> DirectoryReport:
    return DirectoryReport(
        applied=applied,
        users=len(snapshot.people),
        groups=len(snapshot.groups),
        created=sorted(changes.created),
        linked=sorted(changes.linked),
        enabled=list(changes.enabled),
        disabled=list(changes.disabled),
        added={user: sorted(groups) for user, groups in changes.added.items()},
        removed={user: sorted(groups) for user, groups in changes.removed.items()},
        nested=sorted(changes.nested),
        unnested=sorted(changes.unnested),
        skipped=[(entry.name, entry.reason) for entry in changes.skipped],
    )
