"""Labels in storage: each distinct one once, and the epoch that grows whenever anything findable changes."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlmodel import Session, col, func, select

from policies.clock import is_older
from policies.labels import Label
from retrieval.tables import CorpusRow, DocumentRow, LabelRow, PassageRow, SourceRow


class CorpusState(NamedTuple):
    """Which state of the corpus one looks at: equal states hold the same documents with the same labels."""

    epoch: int
    stamp: str


def intern_label(session: Session, label: Label) -> int:
    """The number of a label, which is stored if it is new."""
    row = session.exec(select(LabelRow).where(LabelRow.digest == label.digest)).first()
    if row is None:
        row = LabelRow(digest=label.digest, canonical=label.canonical())
        session.add(row)
        session.flush()
    return row.id or 0


def all_labels(session: Session) -> dict[int, Label]:
    """Every stored label by its number."""
    return {row.id or 0: Label.from_canonical(row.canonical) for row in session.exec(select(LabelRow))}


def label_uses(session: Session, source: str | None = None) -> tuple[dict[int, int], dict[int, int]]:
    """By label, how many documents have it, and how many have a part with it; in one source, or in all."""
    here: list[Any] = [col(DocumentRow.deleted).is_(False)]
    if source is not None:
        here.append(col(DocumentRow.source) == source)
    of_documents: Any = select(DocumentRow.label_id, func.count()).where(*here).group_by(col(DocumentRow.label_id))
    of_parts: Any = (
        select(PassageRow.label_id, func.count(col(PassageRow.document_id).distinct()))
        .join(DocumentRow, col(DocumentRow.id) == PassageRow.document_id)
        .where(*here, col(PassageRow.label_id) != DocumentRow.label_id)
        .group_by(col(PassageRow.label_id))
    )
    return dict(session.exec(of_documents).all()), dict(session.exec(of_parts).all())


class LimitedSource(NamedTuple):
    """A source whose permissions may be only so old, and when they were read."""

    name: str
    most: timedelta
    read_at: datetime | None


def limited_sources(session: Session) -> tuple[LimitedSource, ...]:
    """The sources whose permissions grow too old."""
    limited = session.exec(select(SourceRow).where(col(SourceRow.max_acl_age_seconds) > 0))
    return tuple(
        LimitedSource(row.name, timedelta(seconds=row.max_acl_age_seconds), row.access_read_at) for row in limited
    )


def stale_of(sources: Iterable[LimitedSource], now: datetime) -> frozenset[str]:
    """Those whose permissions were read longer ago than they may have been: their documents are not shown."""
    return frozenset(source.name for source in sources if is_older(source.read_at, source.most, now))


def stale_sources(session: Session, now: datetime) -> frozenset[str]:
    """The sources whose permissions were read longer ago than they may have been: their documents are not shown."""
    return stale_of(limited_sources(session), now)


def corpus_state(session: Session) -> CorpusState:
    """The state of what this session sees; asked for with every search, so without what a mapped row costs."""
    row = session.connection().exec_driver_sql("SELECT epoch, stamp FROM corpus WHERE id = 1").first()
    return CorpusState(*row) if row else CorpusState(0, "")


def next_epoch(session: Session) -> int:
    """Begin a new epoch in this transaction: whoever caches access or passages must look again."""
    row = session.get(CorpusRow, 1, with_for_update=True) or CorpusRow()
    row.epoch, row.stamp = row.epoch + 1, secrets.token_hex(8)
    session.add(row)
    session.flush()
    return row.epoch
