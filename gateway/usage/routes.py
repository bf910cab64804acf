"""What was used, over HTTP: everybody's for operators, and one's own."""

import asyncio
from datetime import date
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from gateway.http_errors import error_responses
from gateway.services import Services
from gateway.usage.schemas import Grouping, OwnUsage, UsageReport
from policies.actions import Action
from policies.audit.events import UsageReported
from policies.principals import Principal

_By = Annotated[Grouping, QueryParameter(name="by", description="What there is a line for.")]
_First = Annotated[date | None, QueryParameter(name="from", description="The first day; else the month's first.")]
_Last = Annotated[date | None, QueryParameter(name="to", description="The last day, itself included; else today.")]


@get("/api/v1/usage", opt={"action": Action.USAGE_READ}, tags=["usage"], responses=error_responses())
async def report_usage(
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    by: _By = Grouping.USER,
    first: _First = None,
    last: _Last = None,
) -> UsageReport:
    """Report what was used, by user, group, model or day; that you were shown it is recorded."""
    report = await asyncio.to_thread(services.usage_reports.report, by, first, last)
    shown = UsageReported(principal.id, by.value, report.first_day, report.last_day, len(report.lines))
    await services.recorder.record(shown)
    return report


@get("/api/v1/me/usage", opt={"action": Action.USAGE_READ_OWN}, tags=["usage"], responses=error_responses())
async def show_own_usage(
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    first: _First = None,
    last: _Last = None,
) -> OwnUsage:
    """Show what the caller used, by day and by model, and how their limits stand."""
    return await asyncio.to_thread(services.usage_reports.own, principal, first, last)
