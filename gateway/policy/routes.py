"""Asking over HTTP why somebody may read a document or may not."""

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from gateway.http_errors import error_responses
from gateway.policy.schemas import Explanation
from gateway.policy.service import NO_SUCH
from gateway.services import Services
from policies.actions import Action
from policies.context import OTHER_NETWORK, Channel, Purpose, RequestContext
from policies.principals import Principal


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
) -> Explanation:
    """Tell whether a user may read a document, which rules decide, and what they lack; that you asked is recorded."""
    context = RequestContext(data.purpose, data.network, data.channel)
    return await services.explanations.explain_to(principal, data.user, data.document, context)
