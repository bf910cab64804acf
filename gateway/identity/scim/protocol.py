"""What this service speaks of SCIM: its users and groups, what it announces, and how leniently it reads.

scim2-models does the grammar of paths and filters and the semantics of PATCH. Attributes that are not here are accepted
and dropped, as RFC 7644, 3.3 allows: what is not needed to decide who may read what is not kept.
"""

from typing import Annotated, Any, Union

from pydantic import Field
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    Filter,
    Meta,
    Mutability,
    Patch,
    Reference,
    Required,
    Resource,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)

MOST_RESULTS = 200
"""Resources in one page."""


class GroupOfUser(ComplexAttribute):
    """A group that a user is named in."""

    value: Annotated[str | None, Mutability.read_only, CaseExact.true] = None
    display: Annotated[str | None, Mutability.read_only] = None


class User(Resource[Any]):
    """A user as SCIM clients see one."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Required.true, Uniqueness.server] = None
    """The user's name."""
    display_name: str | None = None
    """What people call the user."""
    active: bool | None = None
    """Whether the user may come in."""
    groups: Annotated[list[GroupOfUser] | None, Mutability.read_only] = None
    """The groups that name the user."""


class GroupMember(ComplexAttribute):
    """A user or group in a group."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    """The id of the member."""
    ref: Annotated[Reference[Union["User", "Group"]] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    """The address of the member."""
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User", "Group"])
    """User or Group."""


class Group(Resource[Any]):
    """A group as SCIM clients see one."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Required.true, Uniqueness.server] = None
    """The group's name, as labels name it."""
    members: list[GroupMember] | None = None
    """Who is in the group."""


CONFIG = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
    filter=Filter(supported=True, max_results=MOST_RESULTS),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=False),
    etag=ETag(supported=False),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken,
            name="API key",
            description="A key of a user or service with the action directory:manage, as a bearer token.",
        )
    ],
    meta=Meta(resource_type="ServiceProviderConfig", location="/scim/v2/ServiceProviderConfig"),
)
POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    # As Microsoft Entra sends changes of members.
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
PROVIDER = ScimProvider(models=[User, Group], config=CONFIG, policy=POLICY)
