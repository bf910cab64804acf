"""SCIM 2.0 over HTTP (RFC 7644). Requests are read leniently where known clients depart from it, answers are strict."""

import asyncio
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from pydantic import ValidationError
from scim2_models import (
    Context,
    Error,
    ForbiddenException,
    InvalidFilterException,
    InvalidSyntaxException,
    ListResponse,
    Meta,
    PatchOp,
    ResourceType,
    Schema,
    SCIMException,
    SearchRequest,
    ServiceProviderConfig,
    TooManyException,
)
from scim2_models.path import CompareOperator, Comparison

from gateway.errors import BadRequestError, ConflictError, NotFoundError
from gateway.http_errors import describe_error, log_error
from gateway.identity.scim.protocol import CONFIG, MOST_RESULTS, POLICY, PROVIDER, Group, User
from gateway.identity.scim.resources import group_resource, user_resource, wanted_group, wanted_user
from gateway.identity.scim.service import MOST_SEARCHED
from gateway.identity.scim.states import GroupState, Page, UserState
from gateway.requests import request_id
from gateway.services import Services
from policies.actions import Action
from policies.principals import Principal

PREFIX = "/scim/v2"
MEDIA_TYPE = "application/scim+json"
_ACCEPTED = ("application/scim+json", "application/json")
_OFF = "SCIM is switched off here. Set scim.enabled to let an identity provider send users and groups."
_OPT = {"action": Action.DIRECTORY_MANAGE}
_Resource = User | Group


class ScimErrorBody(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What went wrong, in SCIM's form."""

    schemas: list[str]
    status: str
    detail: str
    scim_type: str | None = None


_ERRORS = {
    400: "The request cannot be understood.",
    401: "This needs an API key.",
    403: "The caller may not do this.",
    404: "There is no such thing, or SCIM is switched off.",
    409: "There is one of that name already.",
    413: "The request is too large.",
    500: "A defect in the service.",
    503: "The service is not ready.",
}


def _described(*statuses: int) -> dict[int, ResponseSpec]:
    """For a route's documentation: objects in SCIM's form with these statuses, and every error."""
    answers = {
        status: ResponseSpec(dict[str, Any], generate_examples=False, media_type=MEDIA_TYPE) for status in statuses
    }
    errors = {
        status: ResponseSpec(ScimErrorBody, generate_examples=False, description=told, media_type=MEDIA_TYPE)
        for status, told in _ERRORS.items()
    }
    return answers | errors


_State = TypeVar("_State")
_UNAUTHORISED, _DEFECT = 401, 500
_MOST_FILTER = 1_000
_MOST_OPERATIONS = 1_000
_SCANNED_AT_ONCE = 500


async def _no_checks(_: Request[Any, Any, Any]) -> None:
    """Bodies are read below: here they are of another media type than elsewhere."""


def answer_scim_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Every error of these routes in SCIM's form (RFC 7644, 3.12)."""
    if not isinstance(error, (SCIMException, ValidationError)):
        log_error(error, request_id(request.scope))
    told = _scim_error(error, request_id(request.scope))
    headers = {"WWW-Authenticate": "Bearer"} if told.status == _UNAUTHORISED else {}
    return _answer(told.model_dump(), told.status or _DEFECT, headers)


@get("/Users", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), sync_to_thread=True)
def list_users(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """List the users that came with SCIM."""
    _require_on(services)
    return _users(_asked(request, User), services, _base(request))


@post("/Users/.search", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), status_code=200)
async def search_users(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """List users as the body asks, so that names stand in no address."""
    asked = _search_request(await _body(request, services), User)
    return await asyncio.to_thread(_users, asked, services, _base(request))


@post("/Users", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(201), status_code=201)
async def create_user(
    request: Request[Any, Any, Any], services: NamedDependency[Services], principal: NamedDependency[Principal]
) -> Response[bytes]:
    """Create a user."""
    body, base = await _body(request, services), _base(request)
    wanted = User.model_validate(body, scim_ctx=Context.RESOURCE_CREATION_REQUEST, scim_policy=POLICY)
    state = await asyncio.to_thread(services.scim_users.create, wanted_user(wanted), principal.id)
    return _answer_resource(request, user_resource(state, base), Context.RESOURCE_CREATION_RESPONSE, 201)


@get("/Users/{user_id:str}", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), sync_to_thread=True)
def show_user(
    request: Request[Any, Any, Any], services: NamedDependency[Services], user_id: FromPath[str]
) -> Response[bytes]:
    """Show a user."""
    _require_on(services)
    return _answer_resource(
        request, user_resource(services.scim_users.get(user_id), _base(request)), Context.RESOURCE_QUERY_RESPONSE
    )


@put("/Users/{user_id:str}", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200))
async def replace_user(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    user_id: FromPath[str],
) -> Response[bytes]:
    """Replace a user."""
    body, base = await _body(request, services), _base(request)
    wanted = User.model_validate(body, scim_ctx=Context.RESOURCE_REPLACEMENT_REQUEST, scim_policy=POLICY)

    def alter(state: UserState) -> UserState:
        wanted.replace(user_resource(state, base))
        return wanted_user(wanted)

    state = await asyncio.to_thread(services.scim_users.change, user_id, alter, principal.id)
    return _answer_resource(request, user_resource(state, base), Context.RESOURCE_REPLACEMENT_RESPONSE)


@patch("/Users/{user_id:str}", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200))
async def patch_user(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    user_id: FromPath[str],
) -> Response[bytes]:
    """Change parts of a user."""
    body, base = await _body(request, services), _base(request)
    changes = PatchOp[User].model_validate(body, scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=POLICY)
    _require_few(changes)

    def alter(state: UserState) -> UserState:
        resource = user_resource(state, base)
        changes.patch(resource, scim_policy=POLICY)
        return wanted_user(resource)

    state = await asyncio.to_thread(services.scim_users.change, user_id, alter, principal.id)
    return _answer_resource(request, user_resource(state, base), Context.RESOURCE_PATCH_RESPONSE)


@delete("/Users/{user_id:str}", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(), sync_to_thread=True)
def delete_user(
    services: NamedDependency[Services], principal: NamedDependency[Principal], user_id: FromPath[str]
) -> None:
    """Disable a user, at once."""
    _require_on(services)
    services.scim_users.delete(user_id, principal.id)


@get("/Groups", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), sync_to_thread=True)
def list_groups(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """List the groups that came with SCIM."""
    _require_on(services)
    return _groups(_asked(request, Group), services, _base(request))


@post("/Groups/.search", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), status_code=200)
async def search_groups(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """List groups as the body asks, so that names stand in no address."""
    asked = _search_request(await _body(request, services), Group)
    return await asyncio.to_thread(_groups, asked, services, _base(request))


@post("/Groups", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(201), status_code=201)
async def create_group(
    request: Request[Any, Any, Any], services: NamedDependency[Services], principal: NamedDependency[Principal]
) -> Response[bytes]:
    """Create a group."""
    body, base = await _body(request, services), _base(request)
    wanted = Group.model_validate(body, scim_ctx=Context.RESOURCE_CREATION_REQUEST, scim_policy=POLICY)
    state = await asyncio.to_thread(
        lambda: services.scim_groups.create(wanted_group(wanted, services.scim_groups.existing), principal.id)
    )
    return _answer_resource(request, group_resource(state, base), Context.RESOURCE_CREATION_RESPONSE, 201)


@post("/.search", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), status_code=200)
async def search_all(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """List users and groups as the body asks."""
    asked = _search_request(await _body(request, services), User | Group)
    return await asyncio.to_thread(_everything, asked, services, _base(request))


@get("/Groups/{group_id:str}", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), sync_to_thread=True)
def show_group(
    request: Request[Any, Any, Any], services: NamedDependency[Services], group_id: FromPath[str]
) -> Response[bytes]:
    """Show a group."""
    _require_on(services)
    state = services.scim_groups.get(group_id)
    return _answer_resource(request, group_resource(state, _base(request)), Context.RESOURCE_QUERY_RESPONSE)


@put("/Groups/{group_id:str}", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200))
async def replace_group(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    group_id: FromPath[str],
) -> Response[bytes]:
    """Replace a group."""
    body, base = await _body(request, services), _base(request)
    wanted = Group.model_validate(body, scim_ctx=Context.RESOURCE_REPLACEMENT_REQUEST, scim_policy=POLICY)

    def alter(state: GroupState) -> GroupState:
        wanted.replace(group_resource(state, base))
        return wanted_group(wanted, services.scim_groups.existing)

    state = await asyncio.to_thread(services.scim_groups.change, group_id, alter, principal.id)
    return _answer_resource(request, group_resource(state, base), Context.RESOURCE_REPLACEMENT_RESPONSE)


@patch("/Groups/{group_id:str}", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200))
async def patch_group(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    group_id: FromPath[str],
) -> Response[bytes]:
    """Change parts of a group."""
    body, base = await _body(request, services), _base(request)
    changes = PatchOp[Group].model_validate(body, scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=POLICY)
    _require_few(changes)

    def alter(state: GroupState) -> GroupState:
        resource = group_resource(state, base)
        changes.patch(resource, scim_policy=POLICY)
        return wanted_group(resource, services.scim_groups.existing)

    state = await asyncio.to_thread(services.scim_groups.change, group_id, alter, principal.id)
    return _answer_resource(request, group_resource(state, base), Context.RESOURCE_PATCH_RESPONSE)


@delete("/Groups/{group_id:str}", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(), sync_to_thread=True)
def delete_group(
    services: NamedDependency[Services], principal: NamedDependency[Principal], group_id: FromPath[str]
) -> None:
    """Take a group away, and everybody out of it."""
    _require_on(services)
    services.scim_groups.delete(group_id, principal.id)


@get("/ServiceProviderConfig", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), sync_to_thread=False)
def show_config(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """Say what of SCIM is spoken here."""
    _require_on(services)
    return _discovered(request, "ServiceProviderConfig", [CONFIG], "")


@get("/Schemas", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), sync_to_thread=False)
def list_schemas(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """Say which attributes there are."""
    _require_on(services)
    return _discovered(request, "Schemas", PROVIDER.schemas)


@get("/Schemas/{schema_id:str}", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), sync_to_thread=False)
def show_schema(
    request: Request[Any, Any, Any], services: NamedDependency[Services], schema_id: FromPath[str]
) -> Response[bytes]:
    """Say which attributes a kind of resource has."""
    _require_on(services)
    return _discovered(request, "Schemas", PROVIDER.schemas, schema_id)


@get("/ResourceTypes", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), sync_to_thread=False)
def list_resource_types(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """Say which kinds of resources there are."""
    _require_on(services)
    return _discovered(request, "ResourceTypes", PROVIDER.resource_types)


@get("/ResourceTypes/{type_id:str}", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), sync_to_thread=False)
def show_resource_type(
    request: Request[Any, Any, Any], services: NamedDependency[Services], type_id: FromPath[str]
) -> Response[bytes]:
    """Say where a kind of resource is."""
    _require_on(services)
    return _discovered(request, "ResourceTypes", PROVIDER.resource_types, type_id)


@get("/{rest:path}", opt=_OPT, media_type=MEDIA_TYPE, responses=_described(200), sync_to_thread=False)
def show_nothing(rest: FromPath[str]) -> Response[bytes]:
    """Answer in SCIM's form that there is nothing at other addresses."""
    message = f"There is nothing at {rest[:64]}."
    raise NotFoundError(message)


SCIM_ROUTES = Router(
    PREFIX,
    route_handlers=[
        create_group,
        create_user,
        delete_group,
        delete_user,
        list_groups,
        list_resource_types,
        list_schemas,
        list_users,
        patch_group,
        patch_user,
        replace_group,
        replace_user,
        search_all,
        search_groups,
        search_users,
        show_config,
        show_group,
        show_nothing,
        show_resource_type,
        show_schema,
        show_user,
    ],
    before_request=_no_checks,
    exception_handlers={Exception: answer_scim_error},
    tags=["directory"],
)


def _require_on(services: Services) -> None:
    if not services.config.scim.enabled:
        raise NotFoundError(_OFF)


async def _body(request: Request[Any, Any, Any], services: Services) -> Any:
    """The request's JSON object.

    Raises:
        NotFoundError: SCIM is switched off.
        BadRequestError: It is none, or of another media type.
    """
    _require_on(services)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _ACCEPTED:
        message = f"The body must be {MEDIA_TYPE}."
        raise BadRequestError(message)
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise InvalidSyntaxException(detail="The body is not JSON, or is nested too deeply.") from error
    if not isinstance(body, dict):
        raise InvalidSyntaxException(detail="The body is not a JSON object.")
    return body


def _asked(request: Request[Any, Any, Any], model: type[Any]) -> SearchRequest[Any]:
    """The query's parameters."""
    pairs = dict(parse_qsl(request.scope["query_string"].decode("ascii", "replace"), keep_blank_values=True))
    known = {name: pairs[name] for name in ("filter", "startIndex", "count") if name in pairs}
    lists = {name: pairs[name].split(",") for name in ("attributes", "excludedAttributes") if pairs.get(name)}
    return _search_request(known | lists, model)


def _search_request(asked: dict[str, Any], model: Any) -> SearchRequest[Any]:
    """What is asked for, bounded."""
    if len(str(asked.get("filter", ""))) > _MOST_FILTER:
        raise InvalidFilterException(detail=f"The filter has more than {_MOST_FILTER} characters.")
    try:
        return SearchRequest[model].model_validate(asked, scim_policy=POLICY)
    except RecursionError as error:
        raise InvalidFilterException(detail="The filter is nested too deeply.") from error


def _users(asked: SearchRequest[Any], services: Services, base: str) -> Response[bytes]:
    return _listed(
        asked,
        lambda page: _both(services.scim_users.find(page), lambda state: user_resource(state, base)),
        {"username", "externalid", "id"},
        ListResponse[User],
    )


def _everything(asked: SearchRequest[Any], services: Services, base: str) -> Response[bytes]:
    def find(page: Page) -> tuple[int, list[_Resource]]:
        """Users first, then groups."""
        users, some = services.scim_users.find(page)
        rest = Page(max(0, page.start - users), page.count - len(some))
        groups, others = services.scim_groups.find(rest)
        return users + groups, [
            *(user_resource(state, base) for state in some),
            *(group_resource(state, base) for state in others),
        ]

    return _listed(asked, find, (), ListResponse[User | Group])


def _groups(asked: SearchRequest[Any], services: Services, base: str) -> Response[bytes]:
    without = [str(path).lower() for path in asked.excluded_attributes or []]
    members = "members" not in without or asked.filter is not None
    return _listed(
        asked,
        lambda page: _both(services.scim_groups.find(page, members=members), lambda state: group_resource(state, base)),
        {"displayname", "externalid", "id"},
        ListResponse[Group],
    )


def _listed(
    asked: SearchRequest[Any],
    find: Callable[[Page], tuple[int, list[Any]]],
    indexed: Collection[str],
    response: type[Any],
) -> Response[bytes]:
    """One page of what a filter lets through: the database answers usual filters, others are tried on each resource."""
    start = (asked.start_index or 1) - 1
    count = MOST_RESULTS if asked.count is None else min(asked.count, MOST_RESULTS)
    attribute, value = _indexed(asked, indexed)
    if asked.filter is None or attribute:
        total, found = find(Page(start, count, attribute, value))
    else:
        matching = list(_matching(asked, find))
        total, found = len(matching), matching[start : start + count]
    answered = response(total_results=total, start_index=start + 1, items_per_page=len(found), resources=found)
    dumped = answered.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=asked)
    dumped.setdefault("Resources", [])
    return _answer(dumped)


def _indexed(asked: SearchRequest[Any], indexed: Collection[str]) -> tuple[str, str]:
    """The attribute and value of a filter that the database answers; empty for other filters."""
    node = asked.filter.ast if asked.filter is not None else None
    if isinstance(node, Comparison) and node.op is CompareOperator.eq and isinstance(node.value, str):
        name = str(node.attr_path).rpartition(":")[2].lower()
        if name in indexed:
            return name, node.value
    return "", ""


def _matching(asked: SearchRequest[Any], find: Callable[[Page], tuple[int, list[Any]]]) -> Iterator[Any]:
    total, _ = find(Page(0, 0))
    if total > MOST_SEARCHED:
        raise TooManyException(
            detail=f"More than {MOST_SEARCHED} resources would be looked at. Filter by a name or id."
        )
    for start in range(0, total, _SCANNED_AT_ONCE):
        _, found = find(Page(start, _SCANNED_AT_ONCE))
        yield from (resource for resource in found if asked.filter is not None and asked.filter.match(resource))


def _both(found: tuple[int, Sequence[_State]], resource: Callable[[_State], _Resource]) -> tuple[int, list[_Resource]]:
    total, states = found
    return total, [resource(state) for state in states]


def _require_few(changes: PatchOp[User] | PatchOp[Group]) -> None:
    if len(changes.operations or []) > _MOST_OPERATIONS:
        raise TooManyException(detail=f"At most {_MOST_OPERATIONS} operations may be sent at once.")


def _base(request: Request[Any, Any, Any]) -> str:
    """The address these routes were reached at; the host was checked (`gateway/security.py`)."""
    return str(request.base_url).rstrip("/") + PREFIX


def _answer_resource(
    request: Request[Any, Any, Any], resource: _Resource, context: Context, status: int = 200
) -> Response[bytes]:
    asked = _asked(request, type(resource))
    dumped = resource.model_dump(scim_ctx=context, response_parameters=asked)
    location = resource.meta.location if resource.meta else None
    return _answer(dumped, status, {"Location": str(location)} if location else {})


def _discovered(
    request: Request[Any, Any, Any],
    endpoint: str,
    resources: Sequence[ServiceProviderConfig | Schema | ResourceType],
    id_: str | None = None,
) -> Response[bytes]:
    """What the service says of itself; it cannot be filtered (RFC 7644, 4)."""
    if b"filter=" in request.scope["query_string"]:
        raise ForbiddenException(detail="These cannot be filtered.")
    found = [resource for resource in resources if not id_ or str(resource.id).lower() == id_.lower()]
    dumped = [
        resource.model_copy(update={"meta": _discovery_meta(request, endpoint, resource)}).model_dump(
            scim_ctx=Context.RESOURCE_QUERY_RESPONSE
        )
        for resource in found
    ]
    if id_ is None:
        listed = {"schemas": [str(ListResponse.__schema__)], "totalResults": len(dumped), "Resources": dumped}
        return _answer(listed | {"startIndex": 1, "itemsPerPage": len(dumped)})
    if not dumped:
        message = f"There is no {endpoint} {id_[:64]}."
        raise NotFoundError(message)
    return _answer(dumped[0])


def _discovery_meta(
    request: Request[Any, Any, Any], endpoint: str, resource: ServiceProviderConfig | Schema | ResourceType
) -> Meta:
    kind = type(resource).__name__
    tail = f"/{resource.id}" if kind != "ServiceProviderConfig" else ""
    return Meta(resource_type=kind, location=f"{_base(request)}/{endpoint}{tail}")


def _scim_error(error: Exception, request: str) -> Error:
    if isinstance(error, SCIMException):
        return error.to_error()
    if isinstance(error, ValidationError):
        return Error.from_validation_errors(error)[0]
    status, told = describe_error(error, request)
    types: dict[type[Exception], str] = {BadRequestError: "invalidValue", ConflictError: "uniqueness"}
    return Error(status=status, scim_type=types.get(type(error)), detail=told.error.message)


def _answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    return Response(
        json.dumps(content).encode(), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )
