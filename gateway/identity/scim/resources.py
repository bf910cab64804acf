"""States as SCIM's resources, and resources as the states that are wanted."""

from collections.abc import Callable, Collection
from typing import Any

from scim2_models import Meta, Reference

from gateway.identity.scim.protocol import Group, GroupMember, GroupOfUser, User
from gateway.identity.scim.states import GroupState, Place, UserState


def wanted_user(resource: User) -> UserState:
    """The user that is wanted."""
    return UserState(
        user_name=resource.user_name or "",
        external_id=resource.external_id or "",
        display_name=resource.display_name or "",
        active=resource.active is not False,
    )


def wanted_group(resource: Group, existing: Callable[[Collection[str | None]], set[str]]) -> GroupState:
    """The group that is wanted. Clients leave out what kind a member is; ids are never both a user's and a group's."""
    members = [member for member in resource.members or [] if member.value]
    groups = {member.value for member in members if (member.type or "").lower() == "group"}
    unknown = {member.value for member in members if not member.type}
    groups |= existing(unknown)
    places = {member.value: Place(member.value or "", "") for member in members}
    return GroupState(
        name=resource.display_name or "",
        external_id=resource.external_id or "",
        users=tuple(place for id_, place in places.items() if id_ not in groups),
        groups=tuple(place for id_, place in places.items() if id_ in groups),
    )


def user_resource(state: UserState, base: str) -> User:
    """A user as SCIM shows it; `base` is the address of the service."""
    return User(
        id=state.id,
        external_id=state.external_id or None,
        user_name=state.user_name,
        display_name=state.display_name or None,
        active=state.active,
        groups=[GroupOfUser(value=place.id, display=place.name) for place in state.groups] or None,
        meta=Meta(
            resource_type="User",
            created=state.created_at,
            last_modified=state.modified_at,
            location=f"{base}/Users/{state.id}",
        ),
    )


def group_resource(state: GroupState, base: str) -> Group:
    """A group as SCIM shows it; `base` is the address of the service."""
    members = [_member(place, "User", base) for place in state.users]
    members += [_member(place, "Group", base) for place in state.groups]
    return Group(
        id=state.id,
        external_id=state.external_id or None,
        display_name=state.name,
        members=members or None,
        meta=Meta(
            resource_type="Group",
            created=state.created_at,
            last_modified=state.modified_at,
            location=f"{base}/Groups/{state.id}",
        ),
    )


def _member(place: Place, kind: str, base: str) -> GroupMember:
    reference = Reference[Any](f"{base}/{kind}s/{place.id}")
    return GroupMember(value=place.id, type=kind, ref=reference)
