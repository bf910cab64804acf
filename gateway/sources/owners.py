"""Who owns a source: listing, adding, taking away. Each change is in the trail before it takes effect.

What owners may do is the policies' decision; whether one may do it for a source is asked in `access.py`.
"""

from collections.abc import Callable, Collection, Iterable

from sqlalchemy import Engine
from sqlmodel import Session

from gateway.errors import BadRequestError, NotFoundError
from gateway.identity.groups import require_group_name
from gateway.recording import Recorder
from gateway.sources.schemas import SourceOwners
from gateway.sources.store import Owner, OwnerKind, owned_sources, owners_of, require_source, write_owners
from policies.audit.events import SourceOwnersChanged
from policies.sources import OwnedSource
from retrieval.labels import next_epoch
from retrieval.sessions import writing


class Owners:
    """The owners of sources."""

    def __init__(
        self,
        database: Engine,
        recorder: Recorder,
        users: Callable[[], Collection[str]],
        groups: Callable[[], Collection[str]],
    ) -> None:
        """`users` and `groups` give the names there are."""
        self._database = database
        self._recorder = recorder
        self._users = users
        self._groups = groups

    def all(self) -> dict[str, OwnedSource]:
        """Every source with its owners, by name. Read anew each time, so that a change counts at the next request."""
        with Session(self._database) as session:
            return owned_sources(session)

    def of(self, source: str) -> SourceOwners:
        """Who owns a source.

        Raises:
            NotFoundError: There is no such source.
        """
        return _told(self._owners(source))

    def named(self, names: Iterable[str]) -> frozenset[Owner]:
        """Users and groups as people name them: `ada`, `finance`, or `user:ada` and `group:finance`.

        Raises:
            BadRequestError: A name is both a user's and a group's, or is not usable.
            NotFoundError: There is no such user or group. A group that nobody is in yet is named `group:...`.
        """
        users, groups = frozenset(self._users()), frozenset(self._groups())
        return frozenset(_owner(name, users, groups) for name in names)

    def change(self, source: str, add: Collection[str], remove: Collection[str], by: str) -> SourceOwners:
        """Give a source further owners, and take others from it; at once and everywhere.

        Raises:
            NotFoundError: There is no such source, user or group, or one to remove is no owner.
            BadRequestError: A name is not usable, or is to be added and removed.
            TrailUnavailableError: The change could not be recorded, so it was not made.
        """
        before = self._owners(source)
        removed = frozenset(_among(name, before, source) for name in remove)
        added = self.named(add)
        if both := added & removed:
            message = f"{', '.join(sorted(map(str, both)))} cannot be added and removed at once. Leave one out."
            raise BadRequestError(message)
        return self._write(source, before, (before | added) - removed, by)

    def replace(self, source: str, owners: SourceOwners, by: str) -> SourceOwners:
        """Give a source these owners and no others.

        Raises:
            As `change`.
        """
        before = self._owners(source)
        wanted = {Owner(OwnerKind.USER, name) for name in owners.users}
        wanted |= {Owner(OwnerKind.GROUP, name) for name in owners.groups}
        new = self.named([str(owner) for owner in wanted - before])
        return self._write(source, before, (before & wanted) | new, by)

    def _write(self, source: str, before: frozenset[Owner], after: frozenset[Owner], by: str) -> SourceOwners:
        added, removed = after - before, before - after
        if added or removed:
            self._recorder.record_now(owners_changed(by, source, added, removed))
            with writing(self._database) as session:
                require_source(session, source)
                next_epoch(session)
                write_owners(session, source, added, removed)
                session.commit()
        return _told(after)

    def _owners(self, source: str) -> frozenset[Owner]:
        with Session(self._database) as session:
            require_source(session, source)
            return owners_of(session, source)


def owners_changed(by: str, source: str, added: Iterable[Owner], removed: Iterable[Owner] = ()) -> SourceOwnersChanged:
    """The event that says so."""
    return SourceOwnersChanged(
        by=by, source=source, added=tuple(sorted(map(str, added))), removed=tuple(sorted(map(str, removed)))
    )


def _owner(text: str, users: Collection[str], groups: Collection[str]) -> Owner:
    kind, colon, name = text.partition(":")
    if colon and kind == OwnerKind.GROUP:
        require_group_name(name)
        return Owner(OwnerKind.GROUP, name)
    if colon and kind == OwnerKind.USER:
        if name not in users:
            message = f"There is no user {name}. `muniment users list` shows who there is."
            raise NotFoundError(message)
        return Owner(OwnerKind.USER, name)
    if text in users and text in groups:
        message = f"{text} is a user and a group. Write user:{text} or group:{text}."
        raise BadRequestError(message)
    if text in users:
        return Owner(OwnerKind.USER, text)
    if text in groups:
        return Owner(OwnerKind.GROUP, text)
    message = f"There is no user or group {text}. A group that nobody is in yet is written group:{text}."
    raise NotFoundError(message)


def _among(text: str, owners: Collection[Owner], source: str) -> Owner:
    """One of the owners, by its name with or without what it is: somebody who is gone can still be taken out."""
    found = [owner for owner in owners if text in {str(owner), owner.name}]
    if not found:
        message = f"{text} does not own source {source}. `muniment sources owners {source}` shows who does."
        raise NotFoundError(message)
    if len(found) > 1:
        message = f"A user and a group {text} own source {source}. Write user:{text} or group:{text}."
        raise BadRequestError(message)
    return found[0]


def _told(owners: Iterable[Owner]) -> SourceOwners:
    listed = sorted(owners)
    return SourceOwners(
        users=[owner.name for owner in listed if owner.kind is OwnerKind.USER],
        groups=[owner.name for owner in listed if owner.kind is OwnerKind.GROUP],
    )
