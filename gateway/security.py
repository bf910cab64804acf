"""Who is calling, and whether they may: keys and sessions become principals; a route without an action is denied.

Nothing here trusts what a proxy or a client says about itself: forwarded headers are ignored, the host must be one
the configuration names, and other origins get no access (there are no CORS headers to grant any).
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from gateway.config import ServerOptions
from gateway.contexts import connection_context
from gateway.errors import BadRequestError, NotAllowedError, NotAuthenticatedError, NotFoundError
from gateway.identity.callers import NOBODY, Caller, is_forged, session_token
from gateway.identity.cookies import SESSION_COOKIE, set_cookie
from gateway.metrics import Metrics
from gateway.requests import request_id
from gateway.services import Services
from policies.actions import Action
from policies.audit.events import AccessDenied, SignInFailed
from policies.context import Channel
from policies.decisions import Decision
from policies.principals import ANONYMOUS, Principal, PrincipalKind
from retrieval.tables import utc_now

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
PAGE_POLICY = (
    "default-src 'none'; connect-src 'self'; font-src 'self'; img-src 'self'; script-src 'self'; style-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""What a page may load: files of this service, nothing inline and nothing from elsewhere. Answers that got past the
output policy with markup in them would still run nothing and fetch nothing from others."""
DATA_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
"""What everything else may do where somebody opens it as a page: nothing."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-DNS-Prefetch-Control": "off",  # Names of hosts in a page are looked up before anybody clicks, CSP or not.
}
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
CHANNEL = Channel.HTTP
"""How requests that come this way are named in the trail."""
_COOKIES = "set_cookies"
_RECORDED_BURST = 20
_RECORDED_PER_SECOND = 1.0
"""How many refusals of unknown callers the trail takes: enough to see an attack, too few to fill a disk with one."""
_OUT_OF_SCOPE = Decision(allowed=False, reason="The key is not for this: its scopes do not name the action.")
_NOT_NAMED = Decision(allowed=False, reason="The route names no action, and what is not named is denied.")


class Hosts(ASGIMiddleware):
    """Answers only to the host names that the configuration gives; a page elsewhere cannot borrow a user's network."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Refuse a request whose Host header is absent, doubled or unknown."""
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or host_name(hosts[0]) not in self._names:
            message = "The service does not answer to this host name. Its operator adds names under server.names."
            raise BadRequestError(message)
        await next_app(scope, receive, send)


class Authentication(ASGIMiddleware):
    """Sets who a connection is from: by `Authorization: Bearer KEY`, else by a session's cookie, else nobody."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)

    def __init__(self, services: Services, metrics: Metrics, refusals: "Refusals") -> None:
        self._services = services
        self._metrics = metrics
        self._refusals = refusals

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Set the connection's user, or refuse a key that is not valid and a page elsewhere that uses a session."""
        scope["auth"] = NOBODY
        scope["user"] = ANONYMOUS
        caller = await self._caller(scope)
        scope["auth"] = caller
        scope["user"] = caller.principal
        if caller.session is not None:
            origins = self._services.config.sign_in.origins
            method = scope["method"] if scope["type"] == ScopeType.HTTP else "CONNECT"
            if forged := is_forged(method, scope["headers"], caller.session, origins):
                await self._refuse_forged(scope, caller.principal, forged)
        await next_app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller:
        presented = [value for name, value in scope["headers"] if name == b"authorization"]
        callers = self._services.callers
        if presented:
            try:
                known = callers.by_known_key(presented)
                return known if known is not None else await asyncio.to_thread(callers.by_key, presented)
            except NotAuthenticatedError as error:
                await self._record(scope, error, "key")
                raise
        token = session_token(scope["headers"])
        if token is None:
            return NOBODY
        try:
            return await asyncio.to_thread(callers.by_session, token)
        except NotAuthenticatedError as error:
            # Browsers send a cookie to every address, so one that is over is no reason to refuse what needs none.
            await self._record(scope, error, "session")
            return NOBODY

    async def _record(self, scope: Scope, error: NotAuthenticatedError, method: str) -> None:
        await record_refusal(self._services, self._metrics, self._refusals, scope, error, method)

    async def _refuse_forged(self, scope: Scope, principal: Principal, reason: str) -> None:
        self._metrics.access_denied.inc()
        event = AccessDenied(request=request_id(scope), principal=principal.id, action="", reason=reason)
        await self._services.recorder.record(event)
        message = "The request did not prove that it is from this service's own page. Load the page again and retry."
        raise NotAllowedError(message)


async def record_refusal(
    services: Services,
    metrics: Metrics,
    refusals: "Refusals",
    scope: Scope,
    error: NotAuthenticatedError,
    method: str,
) -> None:
    """Count credentials that were not accepted, and record them while there is room for that."""
    metrics.sign_ins_failed.inc()
    if refusals.recorded():
        address = client_address(scope)
        event = SignInFailed(
            channel=CHANNEL.value,
            reason=error.reason,
            key_id=error.key_id,
            method=method,
            user=error.user,
            address_hmac=services.recorder.digest(address) if address else "",
        )
        await services.recorder.record(event)


class OnePolicy(ASGIMiddleware):
    """Lets everything in a request be decided by the same policies: those in force when it began."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)

    def __init__(self, services: Services) -> None:
        self._services = services

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Look which policies are in force, and hold on to them."""
        policies = self._services.authorizer
        with policies.pinned(policies.known() or await asyncio.to_thread(policies.latest)):
            await next_app(scope, receive, send)


@dataclass(slots=True)
class Refusals:
    """A bound on how many refusals of unauthenticated callers are recorded; the metrics count all of them."""

    clock: Callable[[], float] = time.monotonic
    _left: float = float(_RECORDED_BURST)
    _at: float = field(default=0.0)

    def recorded(self) -> bool:
        """Whether the next refusal is one to record."""
        now = self.clock()
        self._left = min(_RECORDED_BURST, self._left + (now - self._at) * _RECORDED_PER_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(frozen=True, slots=True)
class RequireAction:
    """The guard of the whole application: a route names an action, and the policy allows it to the caller."""

    services: Services
    metrics: Metrics
    refusals: Refusals

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Let the connection through, or record that it was refused and refuse it.

        Raises:
            NotAuthenticatedError: The caller is anonymous: a key may help.
            NotAllowedError: The caller is known, and may not.
            NotFoundError: The same, where the route says that this must look like a thing that does not exist.
        """
        principal = connection.scope.get("user", ANONYMOUS)
        action = handler.opt.get("action")
        decision = self._decide(connection.scope, principal, action)
        if decision.allowed and not caller_of(connection.scope).covers(str(action)):
            decision = _OUT_OF_SCOPE
        if decision.allowed:
            return
        self.metrics.access_denied.inc()
        anonymous = principal.kind is PrincipalKind.ANONYMOUS
        if not anonymous or self.refusals.recorded():
            event = AccessDenied(
                request=request_id(connection.scope),
                principal=principal.id,
                action=str(action or ""),
                reason=decision.reason,
                policies=decision.policies,
            )
            await self.services.recorder.record(event)
        if anonymous:
            message = (
                "This needs an API key or a session. Send `Authorization: Bearer KEY`, or sign in. "
                "`muniment keys create` makes a key."
            )
            raise NotAuthenticatedError(message)
        if (alike := handler.opt.get("denied_like_absent")) is not None:
            raise NotFoundError(str(alike))
        message = "You may not do this. Ask an operator for the role that may, if your work needs it."
        raise NotAllowedError(message)

    def _decide(self, scope: Scope, principal: Principal, action: object) -> Decision:
        if not isinstance(action, Action):
            return _NOT_NAMED
        context = connection_context(self.services.networks, scope, action)
        return self.services.authorizer.decide(principal, action, context)


def allowed_hosts(options: ServerOptions) -> frozenset[str]:
    """The host names answered to: where the gateway listens, and what the configuration adds."""
    named = frozenset(name.lower() for name in options.names)
    listening = f"[{options.host}]" if ":" in options.host else options.host.lower()
    return named | {listening} | (_LOOPBACK_NAMES if _reaches_loopback(options.host) else frozenset())


def host_name(header: str) -> str:
    """A Host header without its port, in small letters."""
    name, colon, port = header.rpartition(":")
    return (name if colon and port.isdigit() else header).lower()


def security_headers(media_type: str) -> dict[str, str]:
    """The headers browsers heed, for a response of this media type."""
    is_page = media_type.partition(";")[0].strip().lower() in _PAGES
    return {**_HEADERS, "Content-Security-Policy": PAGE_POLICY if is_page else DATA_POLICY}


def add_security_headers(message: Message, scope: Scope) -> None:
    """Give every response its request id and the headers browsers heed; a route may set its own instead."""
    headers = MutableScopeHeaders.from_message(message)
    for name, value in security_headers(headers.get("Content-Type", "")).items():
        headers.setdefault(name, value)
    headers["X-Request-Id"] = request_id(scope)


def client_address(scope: Scope) -> str:
    """Who the other end of the connection is: a proxy, where one stands in front; empty where there is no network."""
    client = scope.get("client")
    return client[0] if client else ""


def caller_of(scope: Scope) -> Caller:
    """Who a connection is from, and by what."""
    caller: Caller = scope.get("auth") or NOBODY
    return caller


def keep_cookie(scope: Scope, header: str) -> None:
    """Have the response of this request set a cookie."""
    scope.setdefault("state", {}).setdefault(_COOKIES, []).append(header)


def add_cookies(message: Message, scope: Scope) -> None:
    """Give a response the cookies that its route sets, else the session's next token where it has one."""
    cookies: list[str] = scope.get("state", {}).get(_COOKIES, [])
    session = caller_of(scope).session
    if session is not None and session.token and not any(cookie.startswith(SESSION_COOKIE + "=") for cookie in cookies):
        left = int((session.expires_at - utc_now()).total_seconds())
        cookies = [*cookies, set_cookie(SESSION_COOKIE, session.token, max(left, 0))]
    headers = MutableScopeHeaders.from_message(message)
    for cookie in cookies:
        headers.add("Set-Cookie", cookie)


def _reaches_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
