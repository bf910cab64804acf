"""Search over HTTP."""

from typing import Annotated

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from gateway.admission import Places
from gateway.chat.openai import ZonedDatetime, read_narrowing
from gateway.health.service import Readiness
from gateway.http_errors import error_responses
from gateway.search.schemas import SearchResult
from gateway.services import Services
from policies.actions import Action
from policies.context import RequestContext
from policies.principals import Principal

_MOST_PASSAGES = 100


class SearchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to look for, and how many passages are wanted; the rest narrows the search, it never widens it."""

    query: str
    limit: Annotated[int, msgspec.Meta(ge=1, le=_MOST_PASSAGES)] = 10
    sources: list[str] | None = None
    modified_after: ZonedDatetime | None = None
    modified_before: ZonedDatetime | None = None


@post(
    "/api/v1/search",
    opt={"action": Action.SEARCH_QUERY},
    status_code=200,
    tags=["search"],
    responses=error_responses(413),
)
async def search(
    data: JSONBody[SearchRequest],
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    context: NamedDependency[RequestContext],
    readiness: NamedDependency[Readiness],
    search_places: NamedDependency[Places],
) -> SearchResult:
    """Give the passages that the caller may read and that fit the query best, best first."""
    readiness.require()
    narrowing = read_narrowing(data.sources, data.modified_after, data.modified_before)
    with search_places.taken(principal.id):
        return await services.searches.search(principal, data.query, data.limit, context, narrowing)
