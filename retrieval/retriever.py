"""The one door to documents: `Retriever.search(question, access, limit)`.

Two keys: the index looks only into the labels the access filter names, and each passage found is decided on once more
against the label its document has now. Either failing, the passage is not returned.
"""

import hashlib
import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from models.embedder import Embedder
from policies.authorizer import Decider
from policies.clock import SteadyClock
from policies.context import RequestContext
from policies.filters import AccessFilter, AccessFilters, is_stale
from policies.labels import Label
from policies.personal_data import Span
from policies.principals import Principal
from retrieval.authors import author_key, take
from retrieval.changes import Changes, Marks
from retrieval.chunks import index_text, sentences
from retrieval.index import PassageIndex
from retrieval.interaction import Question, asked, sentence_interaction
from retrieval.labels import LimitedSource, all_labels, corpus_state, limited_sources, stale_of
from retrieval.options import RetrievalOptions
from retrieval.quarantine import Quarantine
from retrieval.ranking import Candidate
from retrieval.reranking import Admitted, Stored, reranked
from retrieval.spans import read_spans
from retrieval.tables import DocumentRow, PassageRow

_log = logging.getLogger(__name__)
_TRIES = 2
"""A third hardly ever helps: the corpus changes at each commit of a sync, seconds apart, or in a storm."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a client may ask to leave out; it can only take away from what access allows."""

    sources: frozenset[str] | None = None
    modified_after: datetime | None = None
    modified_before: datetime | None = None


class Sentence(NamedTuple):
    """A sentence or line of a passage, by its place in the text, and how well it meets the question."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage its reader may see, as it stands in the document: personal data is marked by spans, not yet masked.

    Offsets `start` and `end` count code points of the document's parsed text; spans count from the start of their text.
    `sha256` is what a receipt proves was shown: the digest of the passage's whole text as the index holds it.
    `sentences` are there where they were asked for and the passage's tokens are known.
    """

    rank: int
    score: float
    similarity: float
    keyword_score: float
    passage_id: int
    ordinal: int
    document: str
    source: str
    path: str
    path_spans: tuple[Span, ...]
    title: str
    title_spans: tuple[Span, ...]
    heading: str
    heading_spans: tuple[Span, ...]
    text: str
    spans: tuple[Span, ...]
    start: int
    end: int
    page: int | None
    url: str
    author: str
    modified: datetime | None
    content_digest: str
    label: Label
    sha256: str
    sentences: tuple[Sentence, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What a search gives, at the epoch of the access filter it went through."""

    passages: tuple[FoundPassage, ...]
    access: AccessFilter


class Retriever:
    """Searches what a principal may read. Safe across threads."""

    def __init__(  # noqa: PLR0917 - each is a part of its own.
        self,
        database: Engine,
        index: PassageIndex,
        embedder: Embedder,
        authorizer: Decider,
        filters: AccessFilters,
        clock: SteadyClock | None = None,
        options: RetrievalOptions | None = None,
        changes: Changes | None = None,
    ) -> None:
        self._database = database
        self._changes = changes or Changes(database)
        self._index = index
        self._embedder = embedder
        self._made_by: Collection[str] = ("",)
        self._authorizer = authorizer
        self._filters = filters
        self._clock = clock or SteadyClock()
        options = options or RetrievalOptions()
        self._quarantine = Quarantine(frozenset(options.quarantine))
        self._author_share = options.author_share
        self._rerank = options.rerank
        self._stale: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._labels: tuple[object, dict[int, Label]] = (None, {})
        self._limited: tuple[object, tuple[LimitedSource, ...]] = (None, ())

    def access(self, principal: Principal, context: RequestContext) -> AccessFilter:
        """What the principal may read as of now."""
        marks = self._changes.marks()
        state, labels = self._labels
        if state != marks.corpus:
            with Session(self._database) as session:
                labels = self._labels_of(session)
        stale = self._stale_sources(marks)
        self._announce(stale)
        return self._filters.filter_for(principal, labels, marks.corpus.epoch, context, stale)

    def _labels_of(self, session: Session) -> dict[int, Label]:
        """Every label, in the state that a session sees."""
        state, (known, labels) = corpus_state(session), self._labels
        if state != known:
            labels = all_labels(session)
            self._labels = (state, labels)
        return labels

    def _stale_sources(self, marks: Marks) -> frozenset[str]:
        """The sources whose permissions are too old at this moment."""
        known, limited = self._limited
        if known != (marks.schema, marks.sources):
            with Session(self._database) as session:
                limited = limited_sources(session)
            self._limited = ((marks.schema, marks.sources), limited)
        return stale_of(limited, self._clock.now())

    def _announce(self, stale: frozenset[str]) -> None:
        """Say once when a source's permissions become too old, and once when they are read again."""
        with self._lock:
            before, self._stale = self._stale, stale
        for source in sorted(stale - before):
            _log.error("source_access_stale source=%s; nobody is shown its documents until it is synced", source)
        for source in sorted(before - stale):
            _log.info("source_access_fresh source=%s", source)

    def search(
        self,
        question: str,
        access: AccessFilter,
        limit: int,
        narrowing: Narrowing | None = None,
        *,
        in_sentences: bool = False,
    ) -> Found:
        """The passages that answer best, best first, among what the filter allows.

        With `in_sentences`, each is held against the question sentence by sentence, too.

        A filter made just before the corpus changed is made anew, so that filter and index are of one epoch; the one
        that was used is part of what is found.

        Raises:
            IndexUnusableError: The index and the database do not fit together.
        """
        with self._lock:
            index, embedder = self._index, self._embedder
        access = self._at_the_index_epoch(access, index)
        if not access.label_ids:
            return Found((), access)
        among = None if narrowing is None else self._documents(narrowing, access)
        embedded = embedder.embed_whole(question)
        ranking = index.search(question, embedded.vector.reshape(1, -1), access.label_ids, among)
        admitted, labels = self._admit(ranking.candidates, access)
        held_against = asked(question, embedded, ranking.rarities)
        ranked = reranked(admitted, held_against) if self._rerank else admitted
        taken = take(ranked, limit, self._author_share, lambda each: author_key(each[1].source, each[1].author))
        found = [_found(rank, *each, labels[each[1].label_id]) for rank, each in enumerate(taken, start=1)]
        if in_sentences and self._rerank:
            rows = [row for _, row in taken]
            found = [self._in_sentences(one, row, held_against) for one, row in zip(found, rows, strict=True)]
        return Found(tuple(found), access)

    def _in_sentences(self, passage: FoundPassage, row: Stored, question: Question) -> FoundPassage:
        """The passage with its sentences; as it is, where its tokens are not known yet."""
        if row.tokens is None:
            return passage
        whole = index_text(row.title, row.heading, row.text)
        first = len(whole) - len(row.text)
        places = sentences(row.text)
        inside = [(first + start, first + end) for start, end in places]
        scores = sentence_interaction(question, row.tokens, whole, self._embedder.offsets(whole), inside)
        held = (Sentence(*place, score) for place, score in zip(places, scores, strict=True))
        return replace(passage, sentences=tuple(held))

    def search_with(self, index: PassageIndex, embedder: Embedder, made_by: Collection[str]) -> None:
        """Search with an embedder and the index of its vectors, from the next search on.

        `made_by` is what passages are marked with whose tokens are its own; by default those without a mark.
        """
        with self._lock:
            self._index, self._embedder, self._made_by = index, embedder, made_by

    def _at_the_index_epoch(self, access: AccessFilter, index: PassageIndex) -> AccessFilter:
        """The filter, made anew while the corpus changes between the two.

        Where it never stands still, as when a directory is read in, the newest filter serves: the second check decides
        on each passage by itself.
        """
        for _ in range(_TRIES):
            if index.refresh() == access.epoch:
                break
            access = self.access(access.principal, access.context)
        return access

    def _documents(self, narrowing: Narrowing, access: AccessFilter) -> set[str]:
        query = select(DocumentRow.id).where(col(DocumentRow.label_id).in_(access.label_ids))
        if narrowing.sources is not None:
            query = query.where(col(DocumentRow.source).in_(narrowing.sources))
        if narrowing.modified_after is not None:
            query = query.where(col(DocumentRow.modified) >= narrowing.modified_after)
        if narrowing.modified_before is not None:
            query = query.where(col(DocumentRow.modified) < narrowing.modified_before)
        with Session(self._database) as session:
            return set(session.exec(query))

    def _admit(self, candidates: Sequence[Candidate], access: AccessFilter) -> tuple[list[Admitted], dict[int, Label]]:
        """Read the candidates as they are now, and decide on each of them a second time; with all labels.

        An index that was made before a passage was flagged may still propose it.
        """
        with Session(self._database) as session:
            rows = self._rows(session, [candidate.passage_id for candidate in candidates])
            labels = self._labels_of(session)
        stale = self._stale_sources(self._changes.marks())
        ids = {row.label_id for row in rows.values()} & access.label_ids & labels.keys()
        ids = {id_ for id_ in ids if not is_stale(labels[id_], stale)}
        decisions = self._authorizer.decide_labels(access.principal, {id_: labels[id_] for id_ in ids}, access.context)
        admitted: list[Admitted] = []
        for candidate in candidates:
            row = rows.get(candidate.passage_id)
            if row is None or row.deleted:
                continue
            decision = decisions.get(row.label_id)
            if decision is None or not decision.allowed:
                _log.error("passage_refused_by_second_check passage=%s label=%s", candidate.passage_id, row.label_id)
                continue
            if not self._quarantine.holds(row.flags, released=row.released):
                admitted.append((candidate, row))
        return admitted, labels

    def _rows(self, session: Session, passage_ids: Collection[int]) -> dict[int, Stored]:
        made_by = list(self._made_by)
        found = session.connection().execute(_STORED, {"ids": list(passage_ids), "made_by": made_by})
        return {row.passage_id: row for row in map(Stored._make, found)}


_PASSAGE, _DOCUMENT = PassageRow.__table__.c, DocumentRow.__table__.c  # type: ignore[attr-defined]
# Columns rather than mapped rows, which take five times as long, with every search.
_STORED = sa.select(
    _PASSAGE.id,
    *(_PASSAGE[name] for name in Stored._fields[1:12]),
    # Tokens of another embedder are in another space than the question's.
    sa.case((_PASSAGE.embedder.in_(sa.bindparam("made_by", expanding=True)), _PASSAGE.tokens), else_=None),
    _DOCUMENT.id,
    *(_DOCUMENT[name] for name in Stored._fields[14:]),
).where(_PASSAGE.document_id == _DOCUMENT.id, _PASSAGE.id.in_(sa.bindparam("ids", expanding=True)))


def _found(rank: int, candidate: Candidate, row: Stored, label: Label) -> FoundPassage:
    return FoundPassage(
        rank=rank,
        score=round(candidate.score, 6),
        similarity=candidate.similarity,
        keyword_score=candidate.keyword_score,
        passage_id=candidate.passage_id,
        ordinal=row.ordinal,
        document=row.document,
        source=row.source,
        path=row.path,
        path_spans=read_spans(row.path_spans),
        title=row.title,
        title_spans=read_spans(row.title_spans),
        heading=row.heading,
        heading_spans=read_spans(row.heading_spans),
        text=row.text,
        spans=read_spans(row.spans),
        start=row.start,
        end=row.end,
        page=row.page,
        url=row.url,
        author=row.author,
        modified=row.modified,
        content_digest=row.content_digest,
        label=label,
        sha256=hashlib.sha256(row.text.encode()).hexdigest(),
    )
