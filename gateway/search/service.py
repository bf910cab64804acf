"""Search as its readers see it: recorded first, then what they may read, with sealed personal data masked."""

import asyncio
import time
from dataclasses import dataclass

from gateway.errors import BadRequestError
from gateway.reading import Reader
from gateway.recording import Recorder, new_request_id
from gateway.search.schemas import SearchedPassage, SearchResult
from gateway.texts import require_text
from policies.audit.events import SearchAsked
from policies.authorizer import Decider
from policies.context import RequestContext
from policies.principals import Principal
from retrieval.retriever import Found, FoundPassage, Narrowing, Retriever

_LONGEST_QUERY = 8000
_MOST_PASSAGES = 100


@dataclass(frozen=True, slots=True)
class Searches:
    """Answers searches."""

    retriever: Retriever
    authorizer: Decider
    recorder: Recorder

    async def search(
        self,
        principal: Principal,
        query: str,
        limit: int,
        context: RequestContext,
        narrowing: Narrowing | None = None,
        operating_system_user: str = "",
    ) -> SearchResult:
        """What the principal may read that answers the query best.

        Raises:
            BadRequestError: The query is empty or too long, or the limit is out of bounds.
            TrailUnavailableError: The search could not be recorded, so nothing is shown.
        """
        started = time.perf_counter()
        _validate(query, limit)
        intent = SearchAsked(
            request=new_request_id(),
            principal=principal.id,
            channel=context.channel.value,
            network=context.network,
            query_hmac=self.recorder.digest(query),
            policy_revision=self.authorizer.revision,
            os_user=operating_system_user,
        )
        entry = self.recorder.submit(intent)
        found, reader, passages = await asyncio.to_thread(self._find, principal, query, limit, context, narrowing)
        await self.recorder.durable(entry)
        revealed = reader.entries(intent.request, reader.counted(found.passages))
        await self.recorder.record_retrieval(intent.request, found, revealed)
        return SearchResult(passages, round((time.perf_counter() - started) * 1000, 1))

    def _find(
        self, principal: Principal, query: str, limit: int, context: RequestContext, narrowing: Narrowing | None
    ) -> tuple[Found, Reader, list[SearchedPassage]]:
        """What was found, and what is shown of it. All of the work is here: in a thread it holds up nobody else."""
        access = self.retriever.access(principal, context)
        found = self.retriever.search(query, access, limit, narrowing)
        reader = Reader.of(found.passages, self.authorizer, principal, found.access.context)
        return found, reader, [_shown(passage, reader) for passage in found.passages]


def _validate(query: str, limit: int) -> None:
    require_text(query, "query", _LONGEST_QUERY)
    if not 1 <= limit <= _MOST_PASSAGES:
        message = f"The limit is {limit}; it must be between 1 and {_MOST_PASSAGES}."
        raise BadRequestError(message)


def _shown(passage: FoundPassage, reader: Reader) -> SearchedPassage:
    return SearchedPassage(
        rank=passage.rank,
        score=passage.score,
        document=passage.document,
        path=reader.shown_path(passage),
        title=reader.shown_title(passage),
        heading=reader.shown_heading(passage),
        text=reader.shown(passage),
        start=passage.start,
        end=passage.end,
    )
