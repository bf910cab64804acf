"""A request's identity and time of arrival, before anything is known of its caller."""

import time
from typing import Any

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.recording import current_request, new_request_id


class Arrival(ASGIMiddleware):
    """Notes when a request came, and lets whatever is done for it go under its id."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Start the clock and bind the id."""
        _state(scope)["started"] = time.perf_counter()
        bound = current_request.set(request_id(scope))
        try:
            await next_app(scope, receive, send)
        finally:
            current_request.reset(bound)


def request_id(scope: Scope) -> str:
    """The id of the request a scope belongs to; made when first asked for."""
    state = _state(scope)
    if "request_id" not in state:
        state["request_id"] = new_request_id()
    return str(state["request_id"])


def seconds_since_arrival(scope: Scope) -> float:
    """How long ago the request came; 0 where it reached no route."""
    started = _state(scope).get("started")
    return 0.0 if started is None else time.perf_counter() - float(started)


def _state(scope: Scope) -> dict[str, Any]:
    state: dict[str, Any] = scope.setdefault("state", {})
    return state
