"""Search as its readers see it: recorded first, then what they may read, with sealed personal data masked."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.recording import Recorder
from gateway.search.schemas import SearchedPassage, SearchResult
from policies.audit.events import Retrieval, Search
from policies.authorizer import Authorizer, RequestContext
from policies.personal_data import Span
from policies.principals import Principal
from policies.redaction.placeholders import mask
from retrieval.retriever import FoundPassage, Narrowing, Retriever


@dataclass(frozen=True, slots=True)
class Searches:
    """Answers searches."""

    retriever: Retriever
    authorizer: Authorizer
    recorder: Recorder

    async def search(
        self, principal: Principal, query: str, limit: int, channel: str, narrowing: Narrowing | None = None
    ) -> SearchResult:
        """What the principal may read that answers the query best.

        Raises:
            BadRequestError: The query is empty or too long.
            TrailUnavailableError: The search could not be recorded, so nothing is shown.
        """
        started = time.perf_counter()
        request = self.recorder.begin(principal, query, channel)
        intent = self.recorder.submit(Search, request)
        access, found = await asyncio.to_thread(self._find, principal, query, limit, narrowing)
        await self.recorder.durable(intent)
        await self.recorder.record(
            retrieval_event(
                request.id,
                access_labels=len(access.label_ids),
                found=found.passages,
                epoch=found.epoch,
                policy_revision=access.policy_revision,
            )
        )
        passages = [searched(passage, readers_view(self.authorizer, principal, passage)) for passage in found.passages]
        return SearchResult(passages, round((time.perf_counter() - started) * 1000, 1))
