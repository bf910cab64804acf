"""Probes for whoever keeps the service running, and measurements for Prometheus."""

from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from gateway.errors import NotReadyError
from gateway.health.schemas import Health, PartHealth
from gateway.health.service import Readiness
from gateway.http_errors import RETRY_AFTER_SECONDS, describe_error, error_responses
from gateway.metrics import Metrics
from gateway.requests import request_id
from gateway.services import Services
from policies.actions import Action
from policies.context import RequestContext
from policies.principals import Principal

_TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


@get(
    "/health/live",
    opt={"action": Action.HEALTH_READ},
    tags=["health"],
    responses=error_responses(),
    sync_to_thread=False,
)
def live() -> Health:
    """Answer that the process serves requests; says nothing about its parts."""
    return Health("alive")


@get(
    "/health/ready",
    opt={"action": Action.HEALTH_READ},
    tags=["health"],
    responses={
        **error_responses(),
        503: ResponseSpec(Health, generate_examples=False, description="A part does not work."),
    },
)
async def ready(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    readiness: NamedDependency[Readiness],
    principal: NamedDependency[Principal],
    context: NamedDependency[RequestContext],
) -> Response[Health]:
    """Tell whether questions can be answered, and if not, which part does not work."""
    parts = await readiness.check()
    if not services.authorizer.decide(principal, Action.METRICS_READ, context).allowed:
        parts = [PartHealth(part.name, ready=part.ready) for part in parts]
    lacking = [part.name for part in parts if not part.ready]
    if not lacking:
        return Response(Health("ready", parts))
    message = f"Not ready: {', '.join(lacking)}. Try again in a moment; if it stays so, see the service's log."
    status, body = describe_error(NotReadyError(message), request_id(request.scope))
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Response(Health("not ready", parts, body.error), status_code=status, headers=headers)


@get(
    "/metrics",
    opt={"action": Action.METRICS_READ},
    tags=["health"],
    media_type=_TEXT_FORMAT,
    responses=error_responses(),
    sync_to_thread=True,
)
def measurements(metrics: NamedDependency[Metrics]) -> bytes:
    """Give every measurement in Prometheus' text format; its users present a key like anyone else."""
    return metrics.render()
