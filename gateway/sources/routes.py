"""Configured sources over HTTP, for those who manage them."""

import msgspec
from litestar import get
from litestar.di import NamedDependency

from gateway.http_errors import error_responses
from gateway.services import Services
from gateway.sources.schemas import Source
from policies.actions import Action


class SourceList(msgspec.Struct, frozen=True):
    """Every configured source."""

    sources: list[Source]


@get(
    "/api/v1/sources",
    opt={"action": Action.SOURCES_MANAGE},
    tags=["sources"],
    responses=error_responses(),
    sync_to_thread=True,
)
def list_sources(services: NamedDependency[Services]) -> SourceList:
    """List the sources, with how many documents each has and how many could not be read."""
    return SourceList(services.sources.listed())
