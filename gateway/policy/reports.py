"""The long reports over an installation, each recorded in the trail before it is shown."""

from collections.abc import Collection
from datetime import datetime

from gateway.audit.access import Looking
from gateway.policy.oversharing import Oversharing, rank_oversharing
from gateway.policy.replaying import Advance
from gateway.policy.simulation import Simulation, simulate
from gateway.services import Services
from policies.actions import Action
from policies.audit.events import OversharingListed
from policies.bundles import Bundle
from policies.context import RequestContext
from policies.principals import Principal


def simulate_bundle(
    services: Services, bundle: Bundle, since: datetime | None, looking: Looking, on_progress: Advance
) -> Simulation:
    """What a bundle would change, for questions that were asked and for everything there is.

    Raises:
        PolicyInvalidError: The bundle could not be loaded.
        TrailUnreadableError: The trail's file is missing or damaged.
        TrailUnavailableError: That the trail was read could not be recorded, so nothing is shown.
    """
    simulation, entries = simulate(
        services.database,
        services.users.listed(),
        services.trail_place,
        services.authorizer.latest(),
        services.bundles.check(bundle),
        services.networks.names,
        since=since,
        names=services.subjects,
        on_progress=on_progress,
    )
    services.recorder.record_now(looking.read("simulate", entries))
    return simulation


def list_oversharing(services: Services, limit: int, source: str | None, by: str) -> Oversharing:
    """Sensitive documents that many may read, in one source or in all.

    Raises:
        NotFoundError: There is no such source.
        TrailUnavailableError: That somebody looked could not be recorded, so nothing is shown.
    """
    if source is not None:
        services.sources.require(source)
    return _list_oversharing(services, limit, source, None if source is None else {source}, by)


def list_oversharing_to(
    services: Services, principal: Principal, context: RequestContext, limit: int, source: str | None
) -> Oversharing:
    """The same, of those sources alone that the asker may ask about.

    Raises:
        NotFoundError: There is no such source, or they may not ask about it.
        TrailUnavailableError: That somebody looked could not be recorded, so nothing is shown.
    """
    if source is not None:
        services.source_access.require(principal, Action.OVERSHARING_READ, context, source)
        return _list_oversharing(services, limit, source, {source}, principal.id)
    sources = services.source_access.allowed(principal, Action.OVERSHARING_READ, context)
    return _list_oversharing(services, limit, None, sources, principal.id)


def _list_oversharing(
    services: Services, limit: int, source: str | None, sources: Collection[str] | None, by: str
) -> Oversharing:
    users, policies = services.users.listed(), services.authorizer.latest()
    found = rank_oversharing(services.database, users, policies, services.networks.names, limit, sources)
    services.recorder.record_now(
        OversharingListed(
            by=by,
            source=source or "",
            documents=tuple(one.document for one in found.listed),
            policy_revision=found.policy_revision,
        )
    )
    return found
