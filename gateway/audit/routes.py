"""The trail over HTTP, for auditors."""

from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from gateway.audit.schemas import AuditEntries
from gateway.audit.service import list_entries
from gateway.errors import BadRequestError
from gateway.http_errors import error_responses
from gateway.services import Services
from gateway.texts import in_utc
from policies.actions import Action
from policies.audit.reader import EntryQuery
from policies.principals import Principal

_MOST_ENTRIES = 1000
_Who = Annotated[str | None, QueryParameter(name="principal", description="What they did, and what was done to them.")]
_Kind = Annotated[str | None, QueryParameter(name="kind", description="Entries of this kind, such as answer:given.")]
_Request = Annotated[str | None, QueryParameter(name="request", description="Entries of one request.")]
_Document = Annotated[str | None, QueryParameter(name="document", description="Who was shown this document: its id.")]
_Label = Annotated[str | None, QueryParameter(name="label", description="What names this label: its digest.")]
_Rule = Annotated[str | None, QueryParameter(name="rule", description="What this rule let through or refused.")]
_Type = Annotated[
    str | None, QueryParameter(name="type", description="Where values of this type were replaced or shown.")
]
_Since = Annotated[datetime | None, QueryParameter(name="since", description="From then on; with its time zone.")]
_Until = Annotated[datetime | None, QueryParameter(name="until", description="Before then; with its time zone.")]
_Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=_MOST_ENTRIES, description="How many at most.")]


@get("/api/v1/audit", opt={"action": Action.AUDIT_READ}, tags=["audit"], responses=error_responses())
async def read_trail(  # noqa: PLR0917 - one parameter for each filter.
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    who: _Who = None,
    kind: _Kind = None,
    within: _Request = None,
    document: _Document = None,
    label: _Label = None,
    rule: _Rule = None,
    entity_type: _Type = None,
    since: _Since = None,
    until: _Until = None,
    limit: _Limit = 100,
) -> AuditEntries:
    """List entries of the audit trail, newest first. Everything given must hold; that you looked is recorded."""
    query = EntryQuery(
        who,
        kind,
        within,
        _moment(since),
        _moment(until),
        limit,
        document=document,
        label=label,
        rule=rule,
        entity_type=entity_type,
    )
    return AuditEntries(await list_entries(services.trail_place, services.recorder, principal, query))


def _moment(given: datetime | None) -> datetime | None:
    if given is not None and given.tzinfo is None:
        message = "A time has no time zone. Write it as in 2026-11-01T00:00:00Z."
        raise BadRequestError(message)
    return None if given is None else in_utc(given)
