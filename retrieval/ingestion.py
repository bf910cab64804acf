"""An ingestion run: read a source's changes, make passages of them, and commit at each checkpoint.

Between checkpoints nothing is visible; at a checkpoint documents, passages, spans, vectors, labels and the cursor
become visible together, under a new epoch. A run that breaks off goes on from the last checkpoint.
"""

import hashlib
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import chain
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import Session, col, delete, select

from connectors.contract import Change, Checkpoint, Connector, Delete, Skip, Upsert
from connectors.errors import ConnectorError
from models.embedder import Embedded, Embedder
from policies.errors import RedactionFailedError, TextTooLongError
from policies.redaction.erased import Erased
from policies.redaction.finder import Finder
from retrieval.chunks import Chunk, chunk, index_text
from retrieval.documents import (
    Embedding,
    PersonalData,
    ReadDocument,
    document_id,
    note_skips,
    relabel_document,
    remove_document,
    write_document,
)
from retrieval.embeddings import Use, claim
from retrieval.erasure import NOBODY, Forgotten, left_out, masked_upsert, reported, without_people
from retrieval.errors import SyncFailedError
from retrieval.files import exclusive
from retrieval.flags import RULES, Flag, passage_flags
from retrieval.interaction import token_codes
from retrieval.labels import next_epoch
from retrieval.parsing import ParsedDocument, Parser, UnparsableError, UnparsableNowError
from retrieval.parts import Matched, cut_by_parts, part_keys
from retrieval.paths import sealed_spans
from retrieval.sessions import batched, writing
from retrieval.tables import DocumentRow, SkipRow, SourceRow, utc_now
from retrieval.touched import Touched, labels_now

_PIPELINE = "6"
"""Raise it when parsing, chunking, token codes or what is recognised as personal data change: all is then read anew."""


@dataclass(slots=True)
class SyncReport:
    """What a run did; it is also its progress while it runs.

    `seen` counts the documents the source named so far, `done` those of them that need no more work, `again` those that
    failed in a way that may pass, and which the next run tries again. `flags` counts new and
    changed passages by what is odd about them. `touched` says which documents changed, of what was committed.
    """

    source: str
    seen: int = 0
    done: int = 0
    upserted: int = 0
    relabelled: int = 0
    deleted: int = 0
    skipped: int = 0
    again: int = 0
    passages: int = 0
    flags: Counter[Flag] = field(default_factory=Counter)
    touched: Touched = field(default_factory=Touched)
    epoch: int = 0
    took_seconds: float = 0.0
    doing: str = ""


@dataclass(slots=True)
class _Batch:
    """What came since the last checkpoint, keyed so that a later change of a document replaces an earlier one."""

    upserts: dict[str, Upsert] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)
    skips: dict[str, Skip] = field(default_factory=dict)

    def take(self, change: Upsert | Delete | Skip) -> None:
        self.upserts.pop(change.id, None)
        self.skips.pop(change.id, None)
        self.deletes.discard(change.id)
        match change:
            case Upsert():
                self.upserts[change.id] = change
            case Delete():
                self.deletes.add(change.id)
            case Skip():
                self.skips[change.id] = change


@dataclass(frozen=True, slots=True)
class _Run:
    """What all steps of a run share; `left_out` are documents whose own names name somebody who was erased."""

    parser: Parser
    left_out: set[str]
    report: SyncReport
    on_progress: Callable[[SyncReport], None]

    def progress(self, doing: str) -> None:
        self.report.doing = doing
        self.on_progress(self.report)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A document ready to be written, with each of its chunks as the embedder sees it."""

    read: ReadDocument
    found: PersonalData
    embedded: list[Embedding]


class Ingestion:
    """Reads sources into the database. One run per source at a time, whatever the process.

    `new_parser` gives what one run parses documents with; `models` names those that documents are read with: after a
    change, the next run reads everything anew. `forgotten` says who was erased, and must not come back from a source.
    `use` names the embedder; without one, only this one has ever been in use.
    """

    def __init__(  # noqa: PLR0917 - what it works with, wired in one place
        self,
        database: Engine,
        embedder: Embedder,
        redactor: Finder,
        identity_key: bytes,
        locks: Path,
        new_parser: Callable[[], AbstractContextManager[Parser]],
        models: str = "",
        forgotten: Forgotten | None = None,
        use: Use | None = None,
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._redactor = redactor
        self._identity_key = identity_key
        self._locks = locks
        self._new_parser = new_parser
        self._read_with = f"{_PIPELINE}/{RULES}/{models}"
        self._forgotten = forgotten or NOBODY
        self._use = use

    def sync(
        self, source: str, connector: Connector, on_progress: Callable[[SyncReport], None] = lambda _: None
    ) -> SyncReport:
        """Read what changed since the last run; everything, when rules or models changed or something failed then.

        Raises:
            SyncBusyError: Another run is reading this source.
            SyncFailedError: The source cannot be read, or personal data cannot be looked for at all; what was committed
                before stands.
        """
        started, began, since = time.monotonic(), utc_now(), self._forgotten.stamp()
        report = SyncReport(source)
        with exclusive(self._locks / f"{source}.lock", what=f"source {source}"), self._new_parser() as parser:
            run = _Run(parser, set(), report, on_progress)
            cursor = self._begin(source)
            batch = _Batch()
            named: set[str] = set()
            for change in _translated(source, connector.changes(cursor)):
                if isinstance(change, Checkpoint):
                    self._commit(run, batch, change.cursor)
                    batch = _Batch()
                else:
                    batch.take(change)
                    named |= {change.id, self._id(source, change.id)}
                    report.seen += 1
                    run.progress(getattr(change, "path", ""))
            if cursor is None:
                self._remove_all_but(source, named, report)
            self._note_end(source, began, whole=not report.again and self._forgotten.stamp() == since)
        report.took_seconds = time.monotonic() - started
        return report

    def _commit(self, run: _Run, batch: _Batch, cursor: str) -> None:
        source, report = run.report.source, run.report
        if batch.upserts:
            self._load_models(source)
        since, erased = self._forgotten.stamp(), self._forgotten.values()
        self._leave_out(run, batch, erased)
        known = self._known_digests(source, batch.upserts)
        relabelled: list[Upsert] = []
        parsed: list[ReadDocument] = []
        for upsert in batch.upserts.values():
            digest = self._digest(upsert)
            if known.get(upsert.id) == digest:
                relabelled.append(upsert)
                continue
            run.progress(upsert.path)
            try:
                parsed.append(self._parse(run.parser, source, upsert, digest, erased))
            except UnparsableError as error:
                batch.skips[upsert.id] = Skip(upsert.id, upsert.path, str(error))
                report.again += isinstance(error, UnparsableNowError)
        prepared = self._prepare(run, parsed, batch)
        changed = {item.read.id for item in prepared}
        gone = sorted(batch.deletes | batch.skips.keys())
        ids = {*changed, *(self._id(source, one.id) for one in relabelled), *(self._id(source, one) for one in gone)}
        with writing(self._database) as session:
            if self._forgotten.stamp() != since:
                message = f"Somebody was erased while source {source} was read. Read it again, so that it is masked."
                raise SyncFailedError(message)
            embedder = self._require_in_use(session, source)
            before = labels_now(session, ids)
            if prepared or relabelled or batch.deletes or batch.skips:
                report.epoch = next_epoch(session)
            for item in prepared:
                write_document(session, source, item.read, item.found, item.embedded, report.epoch, embedder)
            for upsert in relabelled:
                relabel_document(session, self._id(source, upsert.id), source, upsert, report.epoch)
            report.deleted += sum([remove_document(session, self._id(source, id_), report.epoch) for id_ in gone])
            handled = [*batch.upserts, *batch.deletes, *batch.skips]
            handled += [self._id(source, external) for external in handled]
            note_skips(session, source, handled, list(batch.skips.values()))
            row = session.get_one(SourceRow, source)
            # A cursor may hold names of documents, in a form of its own; without one the next run looks at all of them.
            row.cursor, row.synced_at = None if run.left_out else cursor, utc_now()
            session.add(row)
            session.flush()
            after = labels_now(session, ids)
            session.commit()
        report.touched.note(before, after, changed)
        report.upserted += len(prepared)
        report.relabelled += len(relabelled)
        report.skipped += len(batch.skips)
        report.passages += sum(len(item.embedded) for item in prepared)
        report.flags.update(flag for item in prepared for flags in item.read.flags for flag in flags)
        report.done = report.seen
        run.on_progress(report)

    def _leave_out(self, run: _Run, batch: _Batch, erased: Erased) -> None:
        """Take out of a batch what cannot be read without naming somebody who was erased, and mask the rest."""
        source = run.report.source
        gone = cache(self._forgotten.is_gone)
        for external, upsert in list(batch.upserts.items()):
            batch.upserts[external] = masked_upsert(upsert, erased, gone)
            if skip := left_out(upsert, erased, self._id(source, external)):
                batch.take(Skip(external, skip.path, skip.reason))
                run.left_out.add(external)
        if not erased:
            return
        for external, skip in batch.skips.items():
            batch.skips[external] = reported(skip, erased, self._id(source, external))
            if batch.skips[external] != skip:
                run.left_out.add(external)

    def _require_in_use(self, session: Session, source: str) -> str:
        """What vectors are marked with; those of an embedder that was replaced since this was wired are not written.

        Raises:
            SyncFailedError: It was replaced.
        """
        if self._use is not None and claim(session, self._use.current).current != self._use.current:
            message = f"Another embedder was put to use while source {source} was read. Read it again."
            raise SyncFailedError(message)
        return self._use.current if self._use else ""

    def _begin(self, source: str) -> str | None:
        """Where to go on; none to read everything.

        A first run that breaks off goes on from its cursor. One that reads everything again begins again: its cursor
        would not tell which documents are gone.
        """
        with writing(self._database) as session:
            row = session.get(SourceRow, source)
            if row is None:
                message = (
                    f"Source {source} has been removed, so it was not read. Add it again to have its documents back."
                )
                raise SyncFailedError(message)
            if row.cursor is None:
                row.read_with = self._read_with
                session.add(row)
            session.commit()
            return row.cursor if row.read_with == self._read_with else None

    def _load_models(self, source: str) -> None:
        """Before anything of a batch is given up: without them every document would look unreadable."""
        self._embedder.load()
        try:
            self._redactor.load()
        except RedactionFailedError as error:
            message = f"Source {source} was not read to its end. {error}"
            raise SyncFailedError(message) from error

    def _remove_all_but(self, source: str, named: set[str], report: SyncReport) -> None:
        """After a run over everything: what the source did not name is gone from it."""
        with writing(self._database) as session:
            of_source = select(DocumentRow.external_id).where(
                DocumentRow.source == source, col(DocumentRow.deleted).is_(False)
            )
            gone = sorted(set(session.exec(of_source)) - named)
            before = labels_now(session, [self._id(source, id_) for id_ in gone])
            if gone:
                report.epoch = next_epoch(session)
                report.deleted += sum([remove_document(session, self._id(source, id_), report.epoch) for id_ in gone])
            for row in session.exec(select(SkipRow).where(SkipRow.source == source)).all():
                if row.external_id not in named:
                    session.delete(row)
            session.commit()
        report.touched.note(before, {}, ())

    def _note_end(self, source: str, began: datetime, *, whole: bool) -> None:
        """A run came to its end: every permission is at least as new as its beginning.

        Unless it was whole, with nothing to try again and nobody erased meanwhile, the next one reads everything.
        """
        with writing(self._database) as session:
            row = session.get_one(SourceRow, source)
            row.access_read_at = began
            row.read_with = self._read_with if whole else ""
            session.add(row)
            session.commit()

    def _known_digests(self, source: str, upserts: dict[str, Upsert]) -> dict[str, str]:
        ids = {self._id(source, external): external for external in upserts}
        with Session(self._database) as session:
            query = select(DocumentRow.id, DocumentRow.content_digest).where(col(DocumentRow.deleted).is_(False))
            found = chain.from_iterable(
                session.exec(query.where(col(DocumentRow.id).in_(some))).all() for some in batched(list(ids))
            )
            return {ids[id_]: digest for id_, digest in found}

    def _digest(self, upsert: Upsert) -> str:
        cuts = "\n".join(sorted(part_keys(upsert.parts)))
        # What a document was cut by: with another embedder its passages stay as they are.
        cut_by = self._embedder.id.replace(self._use.current, self._use.original, 1) if self._use else self._embedder.id
        about = f"{self._read_with}\0{cut_by}\0{upsert.media_type}\0{upsert.path}\0{upsert.title}\0{cuts}"
        return hashlib.sha256(about.encode() + b"\0" + upsert.content).hexdigest()

    def _parse(self, parser: Parser, source: str, upsert: Upsert, digest: str, erased: Erased) -> ReadDocument:
        document = parser.parse(upsert.content, upsert.media_type, upsert.path)
        if erased:
            document = without_people(document, erased)
        title = upsert.title or document.title
        chunks: list[Chunk] = []
        parts: list[Matched] = []
        flags: list[frozenset[Flag]] = []
        for matched, stretch in cut_by_parts(document, part_keys(upsert.parts)):
            pieces = chunk(stretch, self._embedder.count_tokens)
            chunks += pieces
            parts += [matched] * len(pieces)
            flags += _flags(stretch, title, pieces)
        return ReadDocument(self._id(source, upsert.id), upsert, digest, document, title, chunks, parts, flags)

    def _prepare(self, run: _Run, parsed: list[ReadDocument], batch: _Batch) -> list[_Prepared]:
        """Find personal data and embed, side by side: the one is Python's work, the other is torch's."""
        if not parsed:
            return []
        texts = [
            index_text(item.title, piece.heading, item.document.text[piece.start : piece.end])
            for item in parsed
            for piece in item.chunks
        ]
        with ThreadPoolExecutor(max_workers=1) as pool:
            embedding = pool.submit(self._embedder.embed_each, texts, _embedding)
            found: list[PersonalData | None] = []
            for item in parsed:
                run.progress(item.upsert.path)
                found.append(self._personal_data(item, batch, run.report))
                run.report.done += 1
            embedded = iter(embedding.result())
        prepared: list[_Prepared] = []
        for item, personal in zip(parsed, found, strict=True):
            own = [next(embedded) for _ in item.chunks]
            if personal is not None:
                prepared.append(_Prepared(item, personal, own))
        return prepared

    def _personal_data(self, item: ReadDocument, batch: _Batch, report: SyncReport) -> PersonalData | None:
        """None when it cannot be looked for.

        A document whose personal data is not known is left out: it could not be shown to a model safely. Unless it is
        too long for ever, the next run tries again.
        """
        try:
            headings = [piece.heading for piece in item.chunks]
            in_path = sealed_spans(item.upsert.path, self._redactor)
            title, text, *of_headings = self._redactor.find_many([item.title, item.document.text, *headings])
        except RedactionFailedError as error:
            batch.skips[item.upsert.id] = Skip(item.upsert.id, item.upsert.path, str(error))
            report.again += not isinstance(error, TextTooLongError)
            return None
        return PersonalData(in_path, title, text, of_headings)

    def _id(self, source: str, external_id: str) -> str:
        return document_id(self._identity_key, source, external_id)

    def forget(self, source: str) -> int:
        """Remove a source with all its documents; returns how many there were.

        Source and documents go together: a run between the two would bring documents back that no source then owns.
        """
        with exclusive(self._locks / f"{source}.lock", what=f"source {source}"), writing(self._database) as session:
            epoch = next_epoch(session)
            query = select(DocumentRow.external_id).where(DocumentRow.source == source)
            removed = sum([remove_document(session, self._id(source, id_), epoch) for id_ in session.exec(query).all()])
            session.exec(delete(SkipRow).where(col(SkipRow.source) == source))
            session.exec(delete(SourceRow).where(col(SourceRow.name) == source))
            session.commit()
            return removed


def _embedding(text: str, embedded: Embedded) -> Embedding:
    return Embedding(embedded.vector.tobytes(), token_codes(text, embedded))


def _flags(stretch: ParsedDocument, title: str, pieces: Sequence[Chunk]) -> list[frozenset[Flag]]:
    """What is odd about each piece of one part of a document; of other parts nothing is said."""
    beside = {_beside(place, pieces) for place in stretch.hidden if _holds(stretch, place)}
    return [
        passage_flags(stretch.text[piece.start : piece.end], piece.heading, title, beside_hidden=number in beside)
        for number, piece in enumerate(pieces)
    ]


def _holds(stretch: ParsedDocument, place: int) -> bool:
    return bool(stretch.blocks) and stretch.blocks[0].start <= place < stretch.blocks[-1].end


def _beside(place: int, pieces: Sequence[Chunk]) -> int:
    """Which piece a place in the text belongs to: the first that ends after it, else the last."""
    return min(bisect_right(pieces, place, key=lambda piece: piece.end), len(pieces) - 1)


def _translated(source: str, changes: Iterator[Change]) -> Iterator[Change]:
    try:
        yield from changes
    except ConnectorError as error:
        message = f"Source {source} was not read to its end. {error}"
        raise SyncFailedError(message) from error
