"""Signing in and out, and sessions."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import parse_qsl

from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.errors import (
    BadRequestError,
    NotAllowedError,
    NotAuthenticatedError,
    NotFoundError,
    ProviderUnavailableError,
    TooManyRequestsError,
)
from gateway.http_errors import error_responses, require_no_body
from gateway.identity.callers import Caller, is_foreign
from gateway.identity.cookies import FLOW_COOKIE, SESSION_COOKIE, clear_cookie, read_cookie, set_cookie
from gateway.identity.oidc import FLOW_SECONDS, Answer
from gateway.identity.schemas import PasswordRequest, SessionList, SignedIn, SignedOut, SignInRequest
from gateway.identity.sessions import OpenSession
from gateway.identity.workers import Workers
from gateway.metrics import Metrics
from gateway.security import Refusals, client_address, keep_cookie, record_refusal
from gateway.services import Services
from policies.actions import Action
from policies.principals import Principal
from retrieval.tables import utc_now

_STEP_SECONDS = 0.25
"""Refusals leave at full steps after the request came, so that their time tells nothing of what was wrong."""
_MOST_FORM_BYTES = 32_768
_MOST_FIELDS = 20
_SEE_OTHER = 303
_ReturnTo = Annotated[str, QueryParameter(name="return_to", description="The path to come back to in the end.")]


@post(
    "/auth/sign-in",
    opt={"action": Action.SESSION_BEGIN},
    status_code=200,
    tags=["sign-in"],
    responses=error_responses(429),
)
async def sign_in(
    request: Request[Any, Any, Any],
    data: JSONBody[SignInRequest],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    workers: NamedDependency[Workers],
    metrics: NamedDependency[Metrics],
) -> SignedIn:
    """Sign in with a name and a password; the response sets the session's cookie."""
    _require_own_page(request, services)
    async with _refused_evenly(metrics):
        principal, session = await workers.run(
            services.password_sign_in.sign_in, data.user, data.password, client_address(request.scope)
        )
    await _take_over(request, services, caller, session)
    return _signed_in(principal, session)


@post(
    "/auth/sign-out",
    opt={"action": Action.SESSION_END},
    status_code=200,
    tags=["sign-in"],
    responses=error_responses(),
    before_request=require_no_body,
)
async def sign_out(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    provider_workers: NamedDependency[Workers],
) -> SignedOut:
    """End the session this came with; without one there is nothing to end. Says where to sign out at the provider."""
    await _end(services, caller, "signed-out")
    # Only now: a browser must not forget a session that could not be ended.
    keep_cookie(request.scope, clear_cookie(SESSION_COOKIE))
    if caller.session is None or caller.session.method != "oidc" or not services.config.oidc.issuer:
        return SignedOut()
    try:
        return SignedOut(await provider_workers.run(services.single_sign_on.sign_out_address))
    except (ProviderUnavailableError, TooManyRequestsError):
        return SignedOut()  # The session is over here, which is what was asked for.


@get(
    "/auth/session",
    opt={"action": Action.SESSION_READ},
    tags=["sign-in"],
    responses=error_responses(),
    sync_to_thread=False,
)
def show_session(caller: NamedDependency[Caller]) -> SignedIn:
    """Say who is asking, and give the session's CSRF token."""
    return _signed_in(caller.principal, caller.session)


@post(
    "/auth/password",
    opt={"action": Action.PASSWORD_CHANGE},
    status_code=200,
    tags=["sign-in"],
    responses=error_responses(429),
)
async def change_password(
    request: Request[Any, Any, Any],
    data: JSONBody[PasswordRequest],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    workers: NamedDependency[Workers],
    metrics: NamedDependency[Metrics],
) -> SignedIn:
    """Change one's own password; it takes the old one, and ends one's other sessions."""
    session_id = caller.session.id if caller.session else ""
    async with _refused_evenly(metrics):
        await workers.run(
            services.password_sign_in.change,
            caller.principal,
            data.old,
            data.new,
            client_address(request.scope),
            session_id,
        )
    return _signed_in(caller.principal, caller.session)


@get(
    "/auth/sessions",
    opt={"action": Action.SESSION_READ},
    tags=["sign-in"],
    responses=error_responses(),
    sync_to_thread=True,
)
def list_own_sessions(services: NamedDependency[Services], principal: NamedDependency[Principal]) -> SessionList:
    """List one's own open sessions, newest first."""
    return SessionList(services.sessions.listed(principal.id))


@delete(
    "/auth/sessions/{session_id:str}",
    opt={"action": Action.SESSION_READ},  # Whoever sees them may end them; nobody has none to end.
    tags=["sign-in"],
    responses=error_responses(404),
    sync_to_thread=True,
)
def end_own_session(
    services: NamedDependency[Services], principal: NamedDependency[Principal], session_id: FromPath[str]
) -> None:
    """End one of one's own sessions; anyone else's looks like none."""
    services.sessions.end(session_id, principal.id, "ended", principal.id)


@get(
    "/api/v1/users/{user:str}/sessions",
    opt={"action": Action.SESSIONS_MANAGE},
    tags=["users"],
    responses=error_responses(404),
    sync_to_thread=True,
)
def list_sessions(services: NamedDependency[Services], user: FromPath[str]) -> SessionList:
    """List a user's open sessions, newest first."""
    return SessionList(services.sessions.listed(services.users.principal(user).id))


@delete(
    "/api/v1/users/{user:str}/sessions",
    opt={"action": Action.SESSIONS_MANAGE},
    tags=["users"],
    responses=error_responses(404),
    sync_to_thread=True,
)
def end_sessions(
    services: NamedDependency[Services], principal: NamedDependency[Principal], user: FromPath[str]
) -> None:
    """End all sessions of a user."""
    services.sessions.end_all(services.users.principal(user).id, principal.id, "ended")


@delete(
    "/api/v1/users/{user:str}/sessions/{session_id:str}",
    opt={"action": Action.SESSIONS_MANAGE},
    tags=["users"],
    responses=error_responses(404),
    sync_to_thread=True,
)
def end_session(
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    user: FromPath[str],
    session_id: FromPath[str],
) -> None:
    """End one session of a user."""
    services.sessions.end(session_id, principal.id, "ended", user)


@get(
    "/auth/oidc/begin",
    opt={"action": Action.SESSION_BEGIN},
    tags=["sign-in"],
    responses=error_responses(404, 429),
)
async def begin_single_sign_on(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    provider_workers: NamedDependency[Workers],
    return_to: _ReturnTo = "/",
) -> Response[None]:
    """Send the browser to the identity provider; `return_to` is the path it comes back to in the end."""
    address, carried = await provider_workers.run(services.single_sign_on.begin, return_to)
    keep_cookie(request.scope, set_cookie(FLOW_COOKIE, carried, FLOW_SECONDS))
    return Response(None, status_code=_SEE_OTHER, headers={"Location": address})


@get(
    "/auth/oidc/callback",
    opt={"action": Action.SESSION_BEGIN},
    tags=["sign-in"],
    responses=error_responses(404, 429),
)
async def finish_single_sign_on(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    provider_workers: NamedDependency[Workers],
    metrics: NamedDependency[Metrics],
    refusals: NamedDependency[Refusals],
) -> Response[None]:
    """Take the browser back from the identity provider, and set the session's cookie."""
    sign_on = services.single_sign_on
    carried = read_cookie(request.scope["headers"], FLOW_COOKIE)
    keep_cookie(request.scope, clear_cookie(FLOW_COOKIE))
    try:
        session, return_to = await provider_workers.run(sign_on.finish, _answer(request), carried)
    except NotAuthenticatedError as error:
        await record_refusal(services, metrics, refusals, request.scope, error, "oidc")
        raise
    await _take_over(request, services, caller, session)
    return Response(None, status_code=_SEE_OTHER, headers={"Location": return_to})


@post(
    "/auth/oidc/back-channel-logout",
    opt={"action": Action.SESSION_END},
    status_code=200,
    tags=["sign-in"],
    responses=error_responses(404, 429),
    before_request=require_no_body,
)
async def end_by_provider(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    provider_workers: NamedDependency[Workers],
    metrics: NamedDependency[Metrics],
    refusals: NamedDependency[Refusals],
) -> Response[None]:
    """End sessions that the identity provider says are over; it sends the form field `logout_token`."""
    sign_on = services.single_sign_on
    token = _logout_token(request.headers.get("content-type", ""), await request.body())
    try:
        await provider_workers.run(sign_on.back_channel, token)
    except NotAuthenticatedError as error:
        await record_refusal(services, metrics, refusals, request.scope, error, "oidc")
        message = "The logout token was not accepted."
        raise BadRequestError(message) from error
    return Response(None, status_code=200)


SIGN_IN_ROUTES = (
    begin_single_sign_on,
    change_password,
    end_by_provider,
    end_own_session,
    end_session,
    end_sessions,
    finish_single_sign_on,
    list_own_sessions,
    list_sessions,
    show_session,
    sign_in,
    sign_out,
)


@contextlib.asynccontextmanager
async def _refused_evenly(metrics: Metrics) -> AsyncIterator[None]:
    """Hold a refusal back until a full step of time has passed."""
    started = time.monotonic()
    try:
        yield
    except NotAuthenticatedError:
        metrics.sign_ins_failed.inc()
        await asyncio.sleep(_STEP_SECONDS - (time.monotonic() - started) % _STEP_SECONDS)
        raise


async def _take_over(request: Request[Any, Any, Any], services: Services, caller: Caller, session: OpenSession) -> None:
    """Give the browser its new session, and end the one it had: no token from before a sign-in means anything after."""
    await _end(services, caller, "signed-in-again")
    left = int((session.expires_at - utc_now()).total_seconds())
    keep_cookie(request.scope, set_cookie(SESSION_COOKIE, session.token, left))


async def _end(services: Services, caller: Caller, reason: str) -> None:
    """End the session a request came with, if it came with one and that was not ended meanwhile."""
    if caller.session is not None:
        user = caller.principal.id
        with contextlib.suppress(NotFoundError):
            await asyncio.to_thread(services.sessions.end, caller.session.id, user, reason, user)


def _signed_in(principal: Principal, session: OpenSession | None) -> SignedIn:
    groups, roles = sorted(principal.groups), sorted(role.value for role in principal.roles)
    if session is None:
        return SignedIn(principal.id, groups, roles)
    return SignedIn(principal.id, groups, roles, session.id, session.method, session.expires_at, session.csrf_token)


def _require_own_page(request: Request[Any, Any, Any], services: Services) -> None:
    """Signing somebody in from a page elsewhere would have them work in another's name without noticing."""
    if is_foreign(request.scope["headers"], services.config.sign_in.origins):
        message = "The request is from a page elsewhere. Sign in on this service's own page."
        raise NotAllowedError(message)


def _answer(request: Request[Any, Any, Any]) -> Answer:
    """The parameters of the provider's redirect."""
    pairs = _pairs(request.scope["query_string"])
    counts, values = Counter(name for name, _ in pairs), dict(pairs)
    code, state, issuer, error = (
        values.get(name) if counts[name] == 1 else None for name in ("code", "state", "iss", "error")
    )
    return Answer(code, state, issuer, error)


def _logout_token(content_type: str, body: bytes) -> str:
    """The one field of a provider's form.

    Raises:
        BadRequestError: It is no such form.
    """
    tokens = [value for name, value in _pairs(body[: _MOST_FORM_BYTES + 1]) if name == "logout_token"]
    plain = content_type.split(";", maxsplit=1)[0].strip().lower() == "application/x-www-form-urlencoded"
    if not plain or len(body) > _MOST_FORM_BYTES or len(tokens) != 1:
        message = "The request must be a form with one field, logout_token."
        raise BadRequestError(message)
    return tokens[0]


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return []
