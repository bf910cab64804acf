"""What a directory says, and what must change here so that it is so. Pure values and functions; no network, no storage.

Who is whom goes by the id that never changes for an entry. A name alone makes nobody somebody else: a new entry with
the name of a user who left, or of one with a role, is skipped, and the operator told.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from gateway.errors import ConflictError
from gateway.identity.groups import is_group_name
from gateway.identity.memberships import Origin
from gateway.identity.names import is_user_id
from policies.principals import PrincipalKind, Role

_FEW = 3
"""So many may always leave at once: a share says nothing of a handful."""


@dataclass(frozen=True, slots=True)
class Person:
    """An entry that is somebody: its unchanging id, its name here, and the groups it is named in."""

    id: str
    name: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole directory: its people, and which of its groups are in which (`nestings`: group, and what it is in)."""

    people: tuple[Person, ...]
    groups: frozenset[str] = frozenset()
    nestings: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user as stored: whose they are, whether they may come in and who said not, and what the directory gave."""

    entry_id: str = ""
    origin: str = Origin.LOCAL
    active: bool = True
    disabled_by: str = ""
    roles: frozenset[Role] = frozenset({Role.EMPLOYEE})
    kind: PrincipalKind = PrincipalKind.USER
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Stored:
    """All users, and the nestings that the directory gave."""

    users: Mapping[str, StoredUser]
    nestings: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that is nobody here, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to change. `created` and `linked` map users to entries; `added` and `removed` users to groups."""

    created: Mapping[str, str] = field(default_factory=dict)
    linked: Mapping[str, str] = field(default_factory=dict)
    enabled: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    added: Mapping[str, frozenset[str]] = field(default_factory=dict)
    removed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    nested: frozenset[tuple[str, str]] = frozenset()
    unnested: frozenset[tuple[str, str]] = frozenset()
    skipped: tuple[Skipped, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything changes."""
        parts = (self.created, self.linked, self.enabled, self.disabled, self.added, self.removed)
        return any(parts) or bool(self.nested or self.unnested)


def plan(snapshot: Snapshot, stored: Stored, *, link_existing: bool) -> Plan:
    """What must change so that users and groups are as the directory says. What comes from elsewhere is not touched."""
    user_of = {user.entry_id: name for name, user in stored.users.items() if user.entry_id}
    known = [person for person in snapshot.people if person.id in user_of]
    names = Counter(person.name for person in snapshot.people if person.id not in user_of)
    created, linked, skipped = dict[str, str](), dict[str, str](), list[Skipped]()
    for person in snapshot.people:
        if person.id in user_of:
            continue
        existing = stored.users.get(person.name)
        if reason := _unusable(person.name, names[person.name], existing, link_existing=link_existing):
            skipped.append(Skipped(person.name, reason))
        elif existing is None:
            created[person.name] = person.id
        else:
            linked[person.name] = person.id
    groups = {user_of[person.id]: person.groups for person in known}
    groups |= {person.name: person.groups for person in snapshot.people if person.name in created | linked}
    gone = {name: user for name, user in stored.users.items() if user.entry_id and name not in groups}
    before = {name: user.groups for name, user in stored.users.items() if user.entry_id}
    return Plan(
        created=created,
        linked=linked,
        enabled=tuple(sorted(name for name in groups if _comes_back(stored.users.get(name)))),
        disabled=tuple(sorted(name for name, user in gone.items() if user.active)),
        added=_more(groups, before),
        removed=_more(before, groups),
        nested=snapshot.nestings - stored.nestings,
        unnested=stored.nestings - snapshot.nestings,
        skipped=tuple(skipped),
    )


def require_few_removed(changes: Plan, stored: Stored, percent: int) -> None:
    """Refuse to disable a large part of the directory's users at once: more often a wrong setting than a bad day.

    Raises:
        ConflictError: It would be more than the share.
    """
    active = sum(1 for user in stored.users.values() if user.entry_id and user.active)
    removed = len(changes.disabled)
    if removed > _FEW and removed * 100 > percent * active:
        message = (
            f"{removed} of {active} users are no longer in the directory, more than ldap.most_removed_percent allows "
            "at once. Nothing was changed. Look with `muniment directory sync --dry-run`; if it is right, run "
            "`muniment directory sync --allow-mass-removal`."
        )
        raise ConflictError(message)


def require_distinct(groups: Iterable[tuple[str, str]]) -> None:
    """Refuse two groups (names and entries) of one name: members of the one would be in the other.

    Raises:
        ConflictError: There are two, or a name is not usable.
    """
    entry_of: dict[str, str] = {}
    for name, entry in groups:
        if not is_group_name(name):
            message = f"The directory's group {entry} has no usable name. Narrow ldap.group_base or ldap.group_filter."
            raise ConflictError(message)
        if entry_of.setdefault(name, entry) != entry:
            message = (
                f"Two groups of the directory are called {name}: {entry_of[name]} and {entry}. Members of the one "
                "would count as members of the other, so nothing was changed. Narrow ldap.group_base or "
                "ldap.group_filter, or name groups by another attribute (ldap.group_attribute)."
            )
            raise ConflictError(message)


def _unusable(name: str, times: int, existing: StoredUser | None, *, link_existing: bool) -> str:
    """Why a new entry is nobody here; empty when it is somebody."""
    if not is_user_id(name):
        return "its name cannot be a user's"
    if times > 1:
        return "several new entries have this name"
    return _taken(existing, link_existing=link_existing) if existing else ""


def _taken(existing: StoredUser, *, link_existing: bool) -> str:
    """Why a user may not become an entry of the same name; empty when they may."""
    if existing.entry_id:
        return "the name belongs to a user who was another entry"
    plain = existing.roles == {Role.EMPLOYEE} and existing.active and existing.kind is PrincipalKind.USER
    if not plain:
        return "a user of this name has a role, is a service or is disabled; an operator must link them"
    if existing.origin != Origin.LOCAL:
        return "a user of this name comes from another directory"
    return "" if link_existing else "a user of this name exists (ldap.existing_users)"


def _comes_back(user: StoredUser | None) -> bool:
    """Whether it was the directory alone that disabled a user who is in it now."""
    return user is not None and not user.active and user.disabled_by == Origin.LDAP


def _more(now: Mapping[str, Collection[str]], before: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """For each user what they have in the one that they do not have in the other."""
    more = {name: frozenset(groups) - frozenset(before.get(name, ())) for name, groups in now.items()}
    return {name: groups for name, groups in sorted(more.items()) if groups}
