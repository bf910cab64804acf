"""What stands out in a source's documents, for those who look after it; and letting a document out of quarantine.

Owning a source is no reading: places are told, never text. Whoever may read a document opens it in its source.
"""

from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session, col, func, select, update

from gateway.errors import NotFoundError
from gateway.recording import Recorder
from gateway.sources.store import require_source
from policies.audit.events import QuarantineChanged
from policies.redaction.placeholders import mask
from retrieval.flags import Flag, read_flags
from retrieval.labels import next_epoch
from retrieval.quarantine import Quarantine
from retrieval.sessions import writing
from retrieval.spans import read_spans
from retrieval.tables import DocumentRow, PassageRow


class FlaggedPassage(msgspec.Struct, frozen=True):
    """A passage that stands out: where it is, and why.

    `start` and `end` count code points of the document's parsed text; sealed personal data in a path is masked.
    `quarantined` passages are not found; `released` ones are.
    """

    document: str
    path: str
    page: int | None
    start: int
    end: int
    flags: list[Flag]
    quarantined: bool
    released: bool


class SourceFlags(msgspec.Struct, frozen=True):
    """What stands out in a source: how many passages by flag, how many are kept out, and one page of them."""

    source: str
    counts: dict[Flag, int]
    quarantined: int
    total: int
    passages: list[FlaggedPassage]


class Flags:
    """What stands out in sources."""

    def __init__(self, database: Engine, recorder: Recorder, quarantine: Quarantine) -> None:
        self._database = database
        self._recorder = recorder
        self._quarantine = quarantine

    def of(self, source: str, offset: int, limit: int) -> SourceFlags:
        """The flagged passages of a source, by path and place; `limit` of them from `offset` on.

        Raises:
            NotFoundError: There is no such source.
        """
        here = (col(DocumentRow.source) == source, col(DocumentRow.deleted).is_(False), col(PassageRow.flags) != "")
        counts: Counter[Flag] = Counter()
        kept_out = total = 0
        with Session(self._database) as session:
            require_source(session, source)
            kinds = (
                select(PassageRow.flags, PassageRow.released, func.count())
                .join(DocumentRow, col(DocumentRow.id) == PassageRow.document_id)
                .where(*here)
                .group_by(PassageRow.flags, col(PassageRow.released))
            )
            for stored, released, number in session.exec(kinds):
                counts.update(dict.fromkeys(read_flags(stored), number))
                kept_out += number * self._quarantine.holds(stored, released=released)
                total += number
            page = (
                select(PassageRow, DocumentRow)
                .join(DocumentRow, col(DocumentRow.id) == PassageRow.document_id)
                .where(*here)
                .order_by(DocumentRow.path, DocumentRow.id, col(PassageRow.ordinal))
                .offset(offset)
                .limit(limit)
            )
            passages = [_flagged(passage, document, self._quarantine) for passage, document in session.exec(page)]
        return SourceFlags(source, dict(sorted(counts.items())), kept_out, total, passages)

    def release(self, source: str, path: str, by: str, *, released: bool = True) -> int:
        """Let the flagged passages of a document, by path or id, out of quarantine, or put them back; returns how many.

        Those of now are let out: a passage with another text, heading or title is judged anew.

        Raises:
            NotFoundError: There is no such source, or no such document in it.
            TrailUnavailableError: It could not be recorded, so nothing changed.
        """
        with Session(self._database) as session:
            require_source(session, source)
            ids = list(session.exec(_documents(source, path)))
        if not ids:
            message = (
                f"Source {source} has no document {path}. `muniment sources flags {source}` lists those with flags."
            )
            raise NotFoundError(message)
        for id_ in ids:
            self._recorder.record_now(QuarantineChanged(by=by, source=source, document=id_, released=released))
        flagged = (col(PassageRow.document_id).in_(ids), col(PassageRow.flags) != "")
        with writing(self._database) as session:
            epoch = next_epoch(session)
            session.exec(update(DocumentRow).where(col(DocumentRow.id).in_(ids)).values(epoch=epoch))
            session.exec(update(PassageRow).where(*flagged).values(released=released))
            count = session.exec(select(func.count()).select_from(PassageRow).where(*flagged)).one()
            session.commit()
        return count


def _flagged(passage: PassageRow, document: DocumentRow, quarantine: Quarantine) -> FlaggedPassage:
    return FlaggedPassage(
        document=document.id,
        path=mask(document.path, read_spans(document.path_spans), lambda _: False),
        page=passage.page,
        start=passage.start,
        end=passage.end,
        flags=sorted(read_flags(passage.flags)),
        quarantined=quarantine.holds(passage.flags, released=passage.released),
        released=passage.released,
    )


def _documents(source: str, path: str) -> Any:
    named = (col(DocumentRow.path) == path) | (col(DocumentRow.id) == path)
    return select(DocumentRow.id).where(DocumentRow.source == source, named, col(DocumentRow.deleted).is_(False))
