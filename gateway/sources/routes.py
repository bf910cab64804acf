"""Configured sources over HTTP, for those who manage them and those who look after some of them.

The guard decides whether somebody may ask at all; each route then asks for each source, and what is not theirs looks
like what does not exist.
"""

import asyncio
from typing import Annotated

import msgspec
from litestar import get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.errors import NotFoundError
from gateway.http_errors import error_responses, require_no_body
from gateway.services import Services
from gateway.sources.access import NO_SUCH_SOURCE
from gateway.sources.flags import SourceFlags
from gateway.sources.labels import SourceLabels, source_labels
from gateway.sources.schemas import Source, SourceOwners
from policies.actions import Action
from policies.context import RequestContext
from policies.principals import Principal

_MOST_LISTED = 1000
_MOST_PASSED_OVER = 10_000_000
_Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=_MOST_LISTED, description="How many at most.")]
_Offset = Annotated[
    int, QueryParameter(name="offset", ge=0, le=_MOST_PASSED_OVER, description="How many to pass over first.")
]


class SourceList(msgspec.Struct, frozen=True):
    """The sources that the caller may see."""

    sources: list[Source]


class Skipped(msgspec.Struct, frozen=True):
    """A document that could not be read, and why."""

    path: str
    reason: str


class SkippedList(msgspec.Struct, frozen=True):
    """What the last runs over a source could not read."""

    source: str
    skipped: list[Skipped]


class SyncAsked(msgspec.Struct, frozen=True):
    """A source will be read; its state tells how that went."""

    source: str
    state: str


@get(
    "/api/v1/sources",
    opt={"action": Action.SOURCES_READ},
    tags=["sources"],
    responses=error_responses(),
    sync_to_thread=True,
)
def list_sources(
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    context: NamedDependency[RequestContext],
) -> SourceList:
    """List the sources that the caller may see, with how many documents each has and how its last run went."""
    visible = frozenset(services.source_access.allowed(principal, Action.SOURCES_READ, context))
    return SourceList([source for source in services.sources.listed() if source.name in visible])


@get(
    "/api/v1/sources/{source:str}",
    opt={"action": Action.SOURCES_READ},
    tags=["sources"],
    responses=error_responses(404),
    sync_to_thread=True,
)
def show_source(
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    context: NamedDependency[RequestContext],
    source: FromPath[str],
) -> Source:
    """Show how one source does."""
    services.source_access.require(principal, Action.SOURCES_READ, context, source)
    found = next((one for one in services.sources.listed() if one.name == source), None)
    if found is None:  # It was removed in this moment.
        raise NotFoundError(NO_SUCH_SOURCE)
    return found


@get(
    "/api/v1/sources/{source:str}/skipped",
    opt={"action": Action.SOURCES_READ},
    tags=["sources"],
    responses=error_responses(404),
    sync_to_thread=True,
)
def list_skipped(
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    context: NamedDependency[RequestContext],
    source: FromPath[str],
) -> SkippedList:
    """List what the last runs over a source could not read: paths and reasons, never text."""
    services.source_access.require(principal, Action.SOURCES_READ, context, source)
    return SkippedList(source, [Skipped(path, reason) for path, reason in services.sources.skipped(source)])


@get(
    "/api/v1/sources/{source:str}/flags",
    opt={"action": Action.SOURCES_READ},
    tags=["sources"],
    responses=error_responses(404),
    sync_to_thread=True,
)
def list_flags(
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    context: NamedDependency[RequestContext],
    source: FromPath[str],
    offset: _Offset = 0,
    limit: _Limit = 100,
) -> SourceFlags:
    """List the passages of a source that stand out, such as hidden instructions: where and why, never text."""
    services.source_access.require(principal, Action.SOURCES_READ, context, source)
    return services.flags.of(source, offset, limit)


@get(
    "/api/v1/sources/{source:str}/labels",
    opt={"action": Action.LABELS_READ},
    tags=["sources"],
    responses=error_responses(404),
    sync_to_thread=True,
)
def list_labels(
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    context: NamedDependency[RequestContext],
    source: FromPath[str],
) -> SourceLabels:
    """List the labels that a source's documents have, and whether the file that says so can be read."""
    services.source_access.require(principal, Action.LABELS_READ, context, source)
    return source_labels(services.database, source)


@post(
    "/api/v1/sources/{source:str}/sync",
    opt={"action": Action.SOURCES_SYNC},
    status_code=202,
    tags=["sources"],
    responses=error_responses(404, 409),
    before_request=require_no_body,
    sync_to_thread=True,
)
def sync_source(
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    context: NamedDependency[RequestContext],
    source: FromPath[str],
) -> SyncAsked:
    """Have a source read as soon as its turn comes."""
    services.source_access.require(principal, Action.SOURCES_SYNC, context, source)
    services.source_runs.start(source, principal.id)
    return SyncAsked(source, "asked")


@put(
    "/api/v1/sources/{source:str}/owners",
    opt={"action": Action.SOURCES_MANAGE},
    tags=["sources"],
    responses=error_responses(404, 413),
)
async def replace_owners(
    data: JSONBody[SourceOwners],
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    source: FromPath[str],
) -> SourceOwners:
    """Say who owns a source, instead of whoever did; at once and everywhere."""
    return await asyncio.to_thread(services.owners.replace, source, data, principal.id)
