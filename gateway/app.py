"""The HTTP application: its routes, what stands before every one of them, and how it is served."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import Any

import uvicorn
from litestar import Litestar, Request
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.types import Message, Scope

from gateway.admission import Places
from gateway.audit.places import export_states
from gateway.audit.routes import AUDIT_ROUTES, entry_query, looking
from gateway.chat.admission import Admission
from gateway.chat.routes import complete, list_conversations, list_models, show_conversation, show_model
from gateway.config import ServerOptions
from gateway.contexts import connection_context
from gateway.embeddings.routes import embed
from gateway.errors import GatewayError
from gateway.health.routes import live, measurements, ready
from gateway.health.schemas import Part
from gateway.health.service import Readiness
from gateway.http_errors import MAX_BODY_BYTES, answer_error, require_json
from gateway.identity.callers import Caller
from gateway.identity.routes import SIGN_IN_ROUTES
from gateway.identity.scim.routes import SCIM_ROUTES
from gateway.identity.workers import Workers
from gateway.metrics import Metrics, count_response
from gateway.models.taking_up import TakingUp
from gateway.policy.routes import explain, list_overshared
from gateway.reference import openapi_config
from gateway.requests import Arrival
from gateway.search.routes import search
from gateway.security import (
    Authentication,
    Hosts,
    OnePolicy,
    Refusals,
    RequireAction,
    add_cookies,
    add_security_headers,
    allowed_hosts,
    caller_of,
)
from gateway.services import Services
from gateway.sources.routes import (
    list_flags,
    list_labels,
    list_skipped,
    list_sources,
    replace_owners,
    show_source,
    sync_source,
)
from gateway.usage.routes import report_usage, show_own_usage
from policies.context import RequestContext
from policies.errors import PoliciesError
from policies.principals import Principal

_log = logging.getLogger(__name__)
_ROUTES = (
    complete,
    embed,
    explain,
    list_conversations,
    list_flags,
    list_labels,
    list_models,
    list_overshared,
    list_skipped,
    list_sources,
    live,
    measurements,
    ready,
    replace_owners,
    search,
    show_conversation,
    show_model,
    show_source,
    report_usage,
    show_own_usage,
    sync_source,
    *AUDIT_ROUTES,
    *SIGN_IN_ROUTES,
    SCIM_ROUTES,
)
_UPGRADE = "muniment"
"""Who changed the policies when a new version brought other ones."""
DIRECTORY_LOOK_SECONDS = 20.0
"""How often to look whether the directory should be read again."""
RETENTION_FIRST_SECONDS, RETENTION_LOOK_SECONDS = 600.0, 24 * 3600.0
"""How long after the start, and how often then, entries are removed from the trail whose time is over."""
MODELS_LOOK_SECONDS = 2.0
"""How often to look whether another generator was put to use."""
_ERASED_LOOK_SECONDS = 0.5
"""How often to look whether somebody was erased; it is also looked at before anything remembered is used."""
_PURGE_SECONDS = 3600.0
"""How often kept texts are looked through; they are kept for days."""
_SENDING_ENDS_SECONDS = 5.0
"""How long a batch that is under way may take when the service stops; it is sent again at the next start."""
_SHUTDOWN_SECONDS = 20
"""How long running answers may take to end when the service stops."""


def create_app(services: Services, options: ServerOptions | None = None) -> Litestar:
    """The application over one installation. What is slow to load is loaded once it runs (`/health/ready` tells).

    `options` stand in for those of the configuration. The caller closes the services afterwards; the engine is stopped
    with the application.

    Raises:
        ConfigurationError: The settings are wrong.
        DatabaseUnusableError: The database cannot be opened.
        KeysUnusableError: The installation's keys cannot be used.
        PoliciesError: The policies or the audit trail cannot be used.
    """
    _open(services)
    options = options or services.config.server
    metrics, readiness, refusals, workers = Metrics(), Readiness(services), Refusals(), Workers()
    provider_workers = Workers()
    metrics.watch_sources(services.sources.listed)
    metrics.watch_copies(lambda: services.copies.health)
    metrics.watch_exports(lambda: export_states(services.config.audit, services.home))
    metrics.watch_upstreams(services.upstreams)
    metrics.watch_policies(lambda: services.authorizer.health)
    if services.config.ldap.urls:
        metrics.watch_directory(services.directories.state)
    metrics.watch_usage(services.usage)
    services.recorder.observe = metrics.trail_append_seconds.observe
    return Litestar(
        route_handlers=_ROUTES,
        guards=[RequireAction(services, metrics, refusals)],
        middleware=[
            Arrival(),
            Hosts(allowed_hosts(options)),
            Authentication(services, metrics, refusals),
            OnePolicy(services),
        ],
        before_request=require_json,
        before_send=[partial(_before_send, metrics)],
        exception_handlers={Exception: answer_error},
        dependencies={
            "admission": _given(Admission(services, readiness, metrics, options)),
            "caller": Provide(_caller, sync_to_thread=False),
            "context": _context_of(services),
            "entry_query": Provide(entry_query),
            "looking": Provide(looking),
            "metrics": _given(metrics),
            "principal": Provide(_principal, sync_to_thread=False),
            "provider_workers": _given(provider_workers),
            "readiness": _given(readiness),
            "refusals": _given(refusals),
            "search_places": _given(Places("searches", options.searches_at_once, options.searches_each)),
            "services": _given(services),
            "workers": _given(workers),
        },
        lifespan=[
            lambda _app: _running(readiness, workers, provider_workers),
            lambda _app: _beside(_read_directory_again(services)),
            lambda _app: _beside(_reduce_trail_again(services)),
            lambda _app: _beside(_let_go_again(services)),
            lambda _app: _beside(_take_up_models_again(services, readiness)),
            lambda _app: _sending(services),
        ],
        openapi_config=openapi_config(),
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )


def server_config(app: Litestar, options: ServerOptions) -> uvicorn.Config:
    """How the application is served: no trust in forwarded headers, no banner, no log of who asked for what.

    A listening socket given to the server must have been made with its protocol named (`IPPROTO_TCP`): only then does
    asyncio send small packets at once, and a response does not wait 40 ms for an acknowledgement.
    """
    return uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        lifespan="on",
        proxy_headers=False,
        forwarded_allow_ips=[],
        server_header=False,
        access_log=False,
        log_config=None,
        ws="none",
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def _open(services: Services) -> None:
    """Open what is quick to open, so that a service that cannot work does not start, and nothing is opened twice."""
    _ = (services.config, services.networks, services.site_redaction, services.keys, services.database)
    _ = (services.trail, services.recorder)
    _ = (services.authorizer, services.users, services.catalogue, services.models, services.served)
    _ = (services.sources, services.source_access, services.source_runs)
    _ = (services.conversations, services.bundles, services.callers, services.password_sign_in)
    if services.config.ldap.urls:
        _ = services.ldap
    if services.config.oidc.issuer:
        _ = services.single_sign_on
    # Those of before there were tokens: where entries are recorded under the write lock, none could be made.
    services.recorder.introduce([user.id for user in services.users.listed()])
    services.bundles.adopt(by=_UPGRADE)


@contextlib.asynccontextmanager
async def _running(readiness: Readiness, *workers: Workers) -> AsyncIterator[None]:
    loading = asyncio.create_task(readiness.load())
    try:
        yield
    finally:
        loading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loading
        await readiness.stop()
        for threads in workers:
            threads.close()


@contextlib.asynccontextmanager
async def _sending(services: Services) -> AsyncIterator[None]:
    """Send entries of the trail to other systems, and have checkpoints stamped, where that is set up."""
    services.exporters.start()
    if services.config.audit.stamp_url:
        services.stamper.start()
    try:
        yield
    finally:
        await asyncio.to_thread(services.stamper.close, _SENDING_ENDS_SECONDS)
        await asyncio.to_thread(services.exporters.close, _SENDING_ENDS_SECONDS)


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have something done again and again while the service runs."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _let_go_again(services: Services) -> None:
    """Forget whom another process erased, and remove texts that were kept for their time."""
    purged_at, problem = float("-inf"), ""
    while True:
        try:
            await services.forget_erased()
            if time.monotonic() - purged_at >= _PURGE_SECONDS:
                purged_at = time.monotonic()
                await asyncio.to_thread(services.purge_kept_texts)
            problem = ""
        except (GatewayError, PoliciesError) as error:
            if str(error) != problem:  # Ours, without names; tried again, and told once.
                problem = str(error)
                _log.warning("letting_go_failed reason=%s", error)
        except Exception:  # noqa: BLE001 - a defect must not end the looking
            _log.exception("letting_go_defect")
        await asyncio.sleep(_ERASED_LOOK_SECONDS)


async def _take_up_models_again(services: Services, readiness: Readiness) -> None:
    """Follow changes of the generator and of the one on trial, once the one in use has been loaded."""
    taking_up = TakingUp(services)
    try:
        while True:
            if readiness.has(Part.MODEL) and readiness.has(Part.INDEX) and readiness.has(Part.REDACTION):
                await taking_up.look()
            await asyncio.sleep(MODELS_LOOK_SECONDS)
    finally:
        await taking_up.close()


async def _read_directory_again(services: Services) -> None:
    """Looked at every so often, so that one of several processes reads it, and soon after a clock was set."""
    while services.config.ldap.urls:
        try:
            if await asyncio.to_thread(services.directories.is_due):
                await asyncio.to_thread(services.directories.sync, "serve")
        except (GatewayError, PoliciesError) as error:
            # Told of where it happened; what was known before grows old, and then denies (`freshness.py`).
            _log.info("directory_not_read reason=%s", type(error).__name__)
        except Exception:  # noqa: BLE001 - a defect must not end the reading; told with its trace, which holds no names
            _log.exception("directory_defect")
        await asyncio.sleep(DIRECTORY_LOOK_SECONDS)


async def _reduce_trail_again(services: Services) -> None:
    """Remove what old entries say once a day, where the settings let anything go."""
    await asyncio.sleep(RETENTION_FIRST_SECONDS)
    while services.config.audit.retention.days:
        try:
            await asyncio.to_thread(services.retention.reduce, "serve")
        except PoliciesError as error:
            _log.warning("trail_not_reduced reason=%s", error)
        except Exception:  # noqa: BLE001 - a defect must not end the reducing; told with its trace, which holds no names
            _log.exception("retention_defect")
        await asyncio.sleep(RETENTION_LOOK_SECONDS)


def _given(value: object) -> Provide:
    """Hand a route the one thing there is of a kind."""

    def provide() -> Any:
        return value

    return Provide(provide, sync_to_thread=False)


def _principal(request: Request[Any, Any, Any]) -> Principal:
    principal: Principal = request.scope["user"]
    return principal


def _caller(request: Request[Any, Any, Any]) -> Caller:
    return caller_of(request.scope)


def _context_of(services: Services) -> Provide:
    """Tell a route where its request comes from and what it is for."""

    def provide(request: Request[Any, Any, Any]) -> RequestContext:
        return connection_context(services.networks, request.scope, request.route_handler.opt.get("action"))

    return Provide(provide, sync_to_thread=False)


async def _before_send(metrics: Metrics, message: Message, scope: Scope) -> None:
    if scope["type"] == ScopeType.HTTP and message["type"] == "http.response.start":
        add_security_headers(message, scope)
        add_cookies(message, scope)
        count_response(metrics, message, scope)
