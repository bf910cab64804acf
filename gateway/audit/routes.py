"""The trail over HTTP, for auditors: investigations, and what is read within one."""

import asyncio
from datetime import datetime
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter

from gateway.audit.access import Looking, require_looking
from gateway.audit.filters import MOST_ID
from gateway.audit.reveals import Decided
from gateway.audit.schemas import (
    AuditEntries,
    Candidate,
    ExchangePage,
    Investigation,
    InvestigationList,
    InvestigationWanted,
    Reveal,
    RevealedText,
    RevealList,
    RevealWanted,
    TimelinePage,
)
from gateway.errors import BadRequestError
from gateway.http_errors import error_responses, require_no_body
from gateway.services import Services
from gateway.texts import in_utc
from policies.actions import Action
from policies.audit.reader import EntryQuery, Outcome
from policies.principals import Principal

_MOST_ENTRIES = 1000
_Who = Annotated[str | None, QueryParameter(name="principal", description="What they did, and what was done to them.")]
_Kind = Annotated[str | None, QueryParameter(name="kind", description="Entries of this kind, such as answer:given.")]
_Request = Annotated[str | None, QueryParameter(name="request", description="Entries of one request.")]
_Document = Annotated[str | None, QueryParameter(name="document", description="What names this document: id or path.")]
_Label = Annotated[str | None, QueryParameter(name="label", description="What names this label: its digest.")]
_Rule = Annotated[str | None, QueryParameter(name="rule", description="What this rule let through or refused.")]
_Passage = Annotated[str | None, QueryParameter(name="passage", description="What names this passage: its digest.")]
_Type = Annotated[
    str | None, QueryParameter(name="type", description="Where values of this type were replaced or shown.")
]
_Outcome = Annotated[Outcome | None, QueryParameter(name="outcome", description="Entries that say it ended so.")]
_Since = Annotated[datetime | None, QueryParameter(name="since", description="From then on; with its time zone.")]
_Until = Annotated[datetime | None, QueryParameter(name="until", description="Before then; with its time zone.")]
_Before = Annotated[int | None, QueryParameter(name="before", ge=1, le=MOST_ID, description="Entries below this one.")]
_After = Annotated[int | None, QueryParameter(name="after", ge=0, le=MOST_ID, description="Entries above this one.")]
_Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=_MOST_ENTRIES, description="How many at most.")]
_Found = Annotated[bool, QueryParameter(name="found", description="Also what was found, and not shown to the asker.")]
_Named = Annotated[
    str,
    HeaderParameter(
        name="Muniment-Investigation",
        description="The investigation it is read in: the id of an open one of yours. Without one it is refused.",
    ),
]


async def looking(
    services: NamedDependency[Services], principal: NamedDependency[Principal], named: _Named = ""
) -> Looking:
    """Who reads the trail and why, for every route that shows entries."""
    return await asyncio.to_thread(require_looking, services.investigations, services.recorder, principal, named)


async def entry_query(  # noqa: PLR0913, PLR0917 - one parameter for each filter.
    services: NamedDependency[Services],
    looking: NamedDependency[Looking],
    who: _Who = None,
    kind: _Kind = None,
    within: _Request = None,
    document: _Document = None,
    label: _Label = None,
    rule: _Rule = None,
    passage: _Passage = None,
    entity_type: _Type = None,
    outcome: _Outcome = None,
    since: _Since = None,
    until: _Until = None,
    before: _Before = None,
    after: _After = None,
    limit: _Limit = 100,
) -> EntryQuery:
    """What a request asks of the trail, for every route that searches it. Everything given must hold.

    Nothing is looked up, not even a document's path, for somebody who may not look.
    """
    _ = looking
    named = document and await asyncio.to_thread(services.questions.document, document)
    return EntryQuery(
        principal=who,
        kind=kind,
        request=within,
        since=_moment(since),
        until=_moment(until),
        limit=limit,
        before=before,
        document=named,
        label=label,
        rule=rule,
        entity_type=entity_type,
        passage=passage,
        outcome=outcome,
        after=after,
    )


@get("/api/v1/audit", opt={"action": Action.AUDIT_READ}, tags=["audit"], responses=error_responses(404))
async def read_trail(
    services: NamedDependency[Services], looking: NamedDependency[Looking], entry_query: NamedDependency[EntryQuery]
) -> AuditEntries:
    """List entries of the audit trail, newest first. Everything given must hold; that you looked is recorded."""
    return await asyncio.to_thread(services.questions.entries, looking, entry_query)


@post(
    "/api/v1/audit/candidates",
    opt={"action": Action.AUDIT_READ},
    status_code=200,
    tags=["audit"],
    responses=error_responses(),
)
async def find_candidate(
    data: JSONBody[Candidate], services: NamedDependency[Services], looking: NamedDependency[Looking]
) -> AuditEntries:
    """List entries that hold the keyed digest of a value: a question, a query, an address, exactly as it was sent.

    The trail holds no such values. Yours is not kept: the record of your looking has its digest.
    """
    query = EntryQuery(value_hmac=services.recorder.digest(data.value), limit=data.limit, before=data.before)
    return await asyncio.to_thread(services.questions.entries, looking, query)


@get("/api/v1/audit/shown", opt={"action": Action.AUDIT_READ}, tags=["audit"], responses=error_responses(404))
async def list_shown(
    services: NamedDependency[Services],
    looking: NamedDependency[Looking],
    entry_query: NamedDependency[EntryQuery],
    found: _Found = False,  # noqa: FBT002 - a parameter of the query
) -> ExchangePage:
    """Who was shown a document, or what somebody was shown: when, which passages, in which answers, under which rules.

    A passage was `shown` (in a search), `cited`, `read` (by the model, for an answer that does not cite it), or only
    `found`. Give `document` or `principal`.
    """
    if entry_query.document is None and entry_query.principal is None:
        message = "Say which document was shown, or to whom: give `document` or `principal`."
        raise BadRequestError(message)
    return await asyncio.to_thread(services.questions.shown, looking, entry_query, also_found=found)


@get("/api/v1/audit/stale", opt={"action": Action.AUDIT_READ}, tags=["audit"], responses=error_responses(404))
async def list_stale(
    services: NamedDependency[Services], looking: NamedDependency[Looking], entry_query: NamedDependency[EntryQuery]
) -> ExchangePage:
    """List answers that rest on an old version of a document: on passages that are not in it any more."""
    if entry_query.document is None:
        message = "Say which document it is about: give `document`."
        raise BadRequestError(message)
    return await asyncio.to_thread(services.questions.stale, looking, entry_query.document, entry_query)


@get("/api/v1/audit/timeline", opt={"action": Action.AUDIT_READ}, tags=["audit"], responses=error_responses(404))
async def show_timeline(
    services: NamedDependency[Services], looking: NamedDependency[Looking], entry_query: NamedDependency[EntryQuery]
) -> TimelinePage:
    """Tell what happened, oldest first, by request, in sentences. Give `request`, `principal` or `document`."""
    if entry_query.request is None and entry_query.principal is None and entry_query.document is None:
        message = "Say whose timeline: give `request`, `principal` or `document`."
        raise BadRequestError(message)
    return await asyncio.to_thread(services.questions.timeline, looking, entry_query)


def _moment(given: datetime | None) -> datetime | None:
    if given is not None and given.tzinfo is None:
        message = "A time has no time zone. Write it as in 2026-11-01T00:00:00Z."
        raise BadRequestError(message)
    return None if given is None else in_utc(given)


@post(
    "/api/v1/audit/investigations",
    opt={"action": Action.AUDIT_READ},
    tags=["audit"],
    responses=error_responses(),
)
async def begin_investigation(
    data: JSONBody[InvestigationWanted], services: NamedDependency[Services], principal: NamedDependency[Principal]
) -> Investigation:
    """Begin an investigation: why you read the trail, and for how long. The reason is kept sealed; auditors see it."""
    return await asyncio.to_thread(services.investigations.begin, principal.id, data.reason, data.hours)


@get(
    "/api/v1/audit/investigations",
    opt={"action": Action.AUDIT_READ},
    tags=["audit"],
    responses=error_responses(),
)
async def list_investigations(
    services: NamedDependency[Services], principal: NamedDependency[Principal], limit: _Limit = 100
) -> InvestigationList:
    """List the investigations of all auditors, newest first; that you looked is recorded."""
    found = await asyncio.to_thread(services.investigations.listed, limit)
    await services.recorder.record(Looking(principal.id).read("investigations", len(found)))
    return InvestigationList(found)


@post(
    "/api/v1/audit/investigations/{investigation:str}/close",
    opt={"action": Action.AUDIT_READ},
    status_code=200,
    tags=["audit"],
    responses=error_responses(404),
    before_request=require_no_body,
)
async def close_investigation(
    services: NamedDependency[Services], principal: NamedDependency[Principal], investigation: FromPath[str]
) -> Investigation:
    """End an investigation of yours before its time."""
    return await asyncio.to_thread(services.investigations.close, investigation, principal.id)


@post("/api/v1/audit/reveals", opt={"action": Action.AUDIT_REVEAL}, tags=["audit"], responses=error_responses(404, 409))
async def ask_reveal(
    data: JSONBody[RevealWanted],
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    looking: NamedDependency[Looking],
) -> Reveal:
    """Ask to see the text of a question and its answer. Another auditor approves or refuses, in the time given."""
    return await asyncio.to_thread(services.reveals.ask, principal, looking.investigation, data.request, data.reason)


@get("/api/v1/audit/reveals", opt={"action": Action.AUDIT_REVEAL}, tags=["audit"], responses=error_responses())
async def list_reveals(
    services: NamedDependency[Services], principal: NamedDependency[Principal], limit: _Limit = 100
) -> RevealList:
    """List what auditors asked to see, newest first, with their reasons; that you looked is recorded."""
    found = await asyncio.to_thread(services.reveals.listed, limit)
    await services.recorder.record(Looking(principal.id).read("reveals", len(found)))
    return RevealList(found)


@post(
    "/api/v1/audit/reveals/{reveal:str}/approve",
    opt={"action": Action.AUDIT_REVEAL},
    status_code=200,
    tags=["audit"],
    responses=error_responses(404, 409),
    before_request=require_no_body,
)
async def approve_reveal(
    services: NamedDependency[Services], principal: NamedDependency[Principal], reveal: FromPath[str]
) -> Reveal:
    """Let another auditor see what they asked for, for a short time. Never what is yours, or what you asked for."""
    return await asyncio.to_thread(services.reveals.decide, reveal, principal, Decided.APPROVED)


@post(
    "/api/v1/audit/reveals/{reveal:str}/refuse",
    opt={"action": Action.AUDIT_REVEAL},
    status_code=200,
    tags=["audit"],
    responses=error_responses(404, 409),
    before_request=require_no_body,
)
async def refuse_reveal(
    services: NamedDependency[Services], principal: NamedDependency[Principal], reveal: FromPath[str]
) -> Reveal:
    """Refuse what another auditor asked to see. What was decided stays."""
    return await asyncio.to_thread(services.reveals.decide, reveal, principal, Decided.REFUSED)


@get(
    "/api/v1/audit/reveals/{reveal:str}/text",
    opt={"action": Action.AUDIT_REVEAL},
    tags=["audit"],
    responses=error_responses(404, 409),
)
async def read_revealed(
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    looking: NamedDependency[Looking],
    reveal: FromPath[str],
) -> RevealedText:
    """Read the text that you asked for and another auditor approved; each reading is recorded."""
    return await asyncio.to_thread(services.reveals.open, reveal, principal, looking.investigation)


AUDIT_ROUTES = (
    approve_reveal,
    ask_reveal,
    begin_investigation,
    close_investigation,
    list_investigations,
    list_reveals,
    list_shown,
    list_stale,
    read_revealed,
    read_trail,
    refuse_reveal,
    show_timeline,
    find_candidate,
)
