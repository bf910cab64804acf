"""What investigators ask: entries of all kinds, who was shown a document, what somebody was shown, what is outdated.

Each answer is recorded before it is given, and is a page: a long trail is looked through for a bounded time, and the
page says where to go on.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Self

from sqlalchemy import Engine

from gateway.audit.access import Looking
from gateway.audit.documents import current_passages, document_named, paths_of
from gateway.audit.exchanges import Exchange, exchanges, outdated, seen
from gateway.audit.filters import asked_for, require_shapes
from gateway.audit.schemas import AuditEntries, AuditEntry, ExchangePage, TimelinePage
from gateway.audit.timeline import documents_in, groups
from gateway.errors import DatabaseBusyError, DatabaseUnusableError
from gateway.recording import Recorder
from policies.audit.events import PassagesRetrieved
from policies.audit.people import Names, is_token
from policies.audit.places import TrailPlace
from policies.audit.reader import Entry, EntryQuery, Page, entries_of, read_page
from policies.errors import TrailUnavailableError

PAGE_SECONDS = 2.0
"""How long one request over HTTP looks through the trail; about a million entries."""
Progress = Callable[[int, int], None]


_NOT_RECORDED = (TrailUnavailableError, DatabaseBusyError, DatabaseUnusableError)


def _refuse(error: Exception) -> None:
    """Without a record nothing is shown."""
    raise error


def _silent(_done: int, _of: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Answers investigators' questions of one installation's trail."""

    trail: TrailPlace
    names: Names
    database: Callable[[], Engine]
    recorder: Callable[[], Recorder]
    unrecorded: Callable[[Exception], None] = _refuse
    within_seconds: float = PAGE_SECONDS
    progress: Progress = _silent

    def at_leisure(self, unrecorded: Callable[[Exception], None], progress: Progress = _silent) -> Self:
        """The same, however long the trail is; `progress` is told how much of it was looked through.

        `unrecorded` is told why somebody's looking could not be recorded; unless it raises, they are shown things all
        the same.
        """
        return replace(self, within_seconds=float("inf"), progress=progress, unrecorded=unrecorded)

    def entries(self, looking: Looking, query: EntryQuery, operation: str = "list") -> AuditEntries:
        """Entries that a query is for.

        Raises:
            BadRequestError: The query asks for something that no entry can hold.
            TrailUnavailableError: That somebody read it could not be recorded, so nothing is shown.
            TrailUnreadableError: The trail cannot be read.
        """
        page = self._page(query)
        self._record(looking, operation, query, len(page.entries))
        return AuditEntries([AuditEntry.of(entry) for entry in page.entries], page.next)

    def shown(self, looking: Looking, query: EntryQuery, *, also_found: bool = False) -> ExchangePage:
        """Questions and searches that found passages of a document, or of somebody, newest first.

        Without `also_found`, those of whose passages the asker was shown nothing are left out.

        Raises:
            As `entries`.
        """
        page = self._page(replace(query, kind=PassagesRetrieved.kind))
        found = [self._narrowed(one, query) for one in exchanges(self._whole(page.entries))]
        return self._exchanges(looking, "shown", query, page, [one for one in found if also_found or seen(one)])

    def stale(self, looking: Looking, document: str, query: EntryQuery) -> ExchangePage:
        """Answers that rest on passages of a document which are not in it any more, newest first.

        Raises:
            As `entries`.
        """
        query = replace(query, document=document)
        page = self._page(replace(query, kind=PassagesRetrieved.kind))
        current = current_passages(self.database(), document)
        found = [outdated(one, document, current) for one in exchanges(self._whole(page.entries))]
        return self._exchanges(looking, "stale", query, page, [one for one in found if one is not None])

    def timeline(self, looking: Looking, query: EntryQuery) -> TimelinePage:
        """What happened, oldest first, with all entries of each request that one was found of.

        Raises:
            As `entries`.
        """
        query = replace(query, oldest_first=True)
        page = self._page(query)
        whole = {entry.id: entry for entry in [*page.entries, *self._whole(page.entries)]}
        grouped = groups(whole.values(), paths_of(self.database(), documents_in(whole.values())))
        # A request that began on a page before was told there, with all its entries.
        fresh = [group for group in grouped if group.happened[0].entry > (query.after or 0)]
        self._record(looking, "timeline", query, sum(len(group.happened) for group in fresh))
        return TimelinePage(fresh, page.next)

    def document(self, name: str) -> str:
        """The id of a document that is named by its id or path.

        Raises:
            BadRequestError: Several have that path.
            NotFoundError: There is and was none.
        """
        return document_named(self.database(), name)

    def _page(self, query: EntryQuery) -> Page:
        return read_page(self.trail, require_shapes(query), self.names, self.within_seconds, self.progress)

    def _whole(self, entries: Collection[Entry]) -> list[Entry]:
        """All entries of the requests that these belong to."""
        requests = {str(entry.event["request"]) for entry in entries if entry.event.get("request")}
        return entries_of(self.trail, requests, self.names)

    def _narrowed(self, found: Exchange, query: EntryQuery) -> Exchange:
        return found if query.document is None else found.about(query.document)

    def _exchanges(
        self, looking: Looking, operation: str, query: EntryQuery, page: Page, found: list[Exchange]
    ) -> ExchangePage:
        named = {one.document for exchange in found for one in exchange.passages}
        paths = paths_of(self.database(), named)
        self._record(looking, operation, query, len(found))
        return ExchangePage(found, paths, page.next)

    def _record(self, looking: Looking, operation: str, query: EntryQuery, entries: int) -> None:
        filters, user = asked_for(query)
        try:
            recorder = self.recorder()
            if user and not is_token(user) and self.names.find(user) is None:
                user = recorder.nobody(user)
            recorder.record_now(looking.read(operation, entries, filters, user))
        except _NOT_RECORDED as error:
            self.unrecorded(error)
