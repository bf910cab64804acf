"""Asking over HTTP why somebody may read a document or may not, and which documents many may read."""

import asyncio
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from gateway.http_errors import error_responses
from gateway.policy.oversharing import Oversharing
from gateway.policy.reports import list_oversharing_to
from gateway.policy.schemas import Explanation
from gateway.policy.service import NO_SUCH
from gateway.services import Services
from policies.actions import Action
from policies.context import OTHER_NETWORK, Channel, Purpose, RequestContext
from policies.principals import Principal

_MOST_LISTED = 200
_Source = Annotated[str | None, QueryParameter(name="source", description="Documents of this source alone.")]
_Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=_MOST_LISTED, description="How many at most.")]


class ExplainRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose rights, to which document (its id or path), and from where and for what they would ask for it."""

    user: str
    document: str
    purpose: Purpose = Purpose.ANSWER
    network: str = OTHER_NETWORK
    channel: Channel = Channel.HTTP


@post(
    "/api/v1/policy/explain",
    opt={"action": Action.POLICY_EXPLAIN, "denied_like_absent": NO_SUCH},
    status_code=200,
    tags=["policy"],
    responses=error_responses(404),
)
async def explain(
    data: JSONBody[ExplainRequest],
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    context: NamedDependency[RequestContext],
) -> Explanation:
    """Tell whether a user may read a document, which rules decide, and what they lack; that you asked is recorded."""
    asked = RequestContext(data.purpose, data.network, data.channel)
    return await services.explanations.explain_to(principal, context, data.user, data.document, asked)


@get(
    "/api/v1/policy/oversharing",
    opt={"action": Action.OVERSHARING_READ},
    tags=["policy"],
    responses=error_responses(404),
)
async def list_overshared(
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    context: NamedDependency[RequestContext],
    source: _Source = None,
    limit: _Limit = 20,
) -> Oversharing:
    """List sensitive documents that many may read, the worst first, of the sources that the caller may ask about."""
    return await asyncio.to_thread(list_oversharing_to, services, principal, context, limit, source)
