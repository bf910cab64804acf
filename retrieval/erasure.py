"""Taking people out of documents: what was read is purged, and what is read from now on is masked.

Whole documents are purged, with their passages, vectors and names; the next sync reads them again, and then finds the
values by their digests alone. The index follows by its epoch; its files are purged by whoever calls this.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

from sqlalchemy import Engine
from sqlmodel import Session, col, delete, select, update

from connectors.contract import Skip, Upsert
from policies.labels import Label
from policies.redaction.erased import ERASED, Erased
from retrieval.labels import next_epoch
from retrieval.parsing import ParsedDocument
from retrieval.sessions import batched, writing
from retrieval.tables import DocumentRow, PassageRow, SkipRow, SourceRow

_TOGETHER = 200
"""Documents purged in one transaction, so that nobody who writes beside waits long."""
REASON = "It names somebody who was erased where that cannot be taken out. Take them out of it in the source."
"""What people are told of a document that is left out."""

Finds = Callable[[Sequence[str]], bool]
"""Whether a value to be erased stands in one of these texts."""


class Forgotten(Protocol):
    """Who was erased, as whoever reads sources must know it."""

    def values(self) -> Erased:
        """What finds the values of people whom documents named."""

    def is_gone(self, user: str) -> bool:
        """Whether a user of this name was erased, and there is none now."""

    def stamp(self) -> object:
        """Something that changes when somebody is erased."""


class _Nobody:
    """Nobody was erased."""

    def values(self) -> Erased:
        return Erased(b"", frozenset())

    def is_gone(self, _user: str) -> bool:
        return False

    def stamp(self) -> object:
        return None


NOBODY: Forgotten = _Nobody()


@dataclass(frozen=True, slots=True)
class Purged:
    """How much was purged."""

    documents: int
    passages: int
    skips: int


def purge(database: Engine, finds: Finds) -> Purged:
    """Purge every document in which a value stands, in its texts, title, path, address or author; and reports of it.

    Runs over sources know already whom to mask (`Forgotten`); one that began before is either done, and seen here, or
    refuses to write.
    """
    with writing(database) as session:
        session.commit()  # Whoever looked before is done with writing now.
    ids = _holding(database, finds)
    passages = sum(_purge_some(database, some) for some in batched(ids, _TOGETHER))
    return Purged(len(ids), passages, _purge_skips(database, finds))


def _holding(database: Engine, finds: Finds) -> list[str]:
    """The documents, by id, that hold a value; deleted ones still have a path."""
    about = select(DocumentRow).execution_options(yield_per=1000)
    texts = select(PassageRow.document_id, PassageRow.heading, PassageRow.text, PassageRow.parts)
    with Session(database) as session:
        found = {row.id for row in session.exec(about) if finds(_about(row))}
        for id_, *said in session.exec(texts.execution_options(yield_per=1000)):
            if id_ not in found and finds(said):
                found.add(id_)
    return sorted(found)


def _about(row: DocumentRow) -> tuple[str, ...]:
    return row.external_id, row.path, row.title, row.url, row.author


def _purge_some(database: Engine, ids: Sequence[str]) -> int:
    with writing(database) as session:
        epoch = next_epoch(session)
        passages = session.exec(delete(PassageRow).where(col(PassageRow.document_id).in_(ids))).rowcount
        here = col(DocumentRow.id).in_(ids)
        sources = list(session.exec(select(DocumentRow.source).where(here).distinct()))
        # What the source calls it is gone too; a run knows a document by its id.
        nothing = {"external_id": "", "path": "", "path_spans": "[]", "title": "", "title_spans": "[]", "url": "",
                   "author": "", "content_digest": "", "deleted": True, "epoch": epoch}  # fmt: skip
        session.exec(update(DocumentRow).where(here).values(**nothing))
        session.exec(update(SourceRow).where(col(SourceRow.name).in_(sources)).values(read_with="", cursor=None))
        session.commit()
    return passages


def _purge_skips(database: Engine, finds: Finds) -> int:
    with writing(database) as session:
        rows = [row for row in session.exec(select(SkipRow)) if finds((row.external_id, row.path, row.reason))]
        for row in rows:
            session.delete(row)
        session.commit()
    return len(rows)


def masked_upsert(upsert: Upsert, erased: Erased, is_gone: Callable[[str], bool]) -> Upsert:
    """A document without values in its title and author, and without users who are gone in who may read it."""
    parts = tuple(replace(part, label=label_without(part.label, is_gone)) for part in upsert.parts)
    return replace(
        upsert,
        title=erased.masked(upsert.title),
        author=erased.masked(upsert.author),
        label=label_without(upsert.label, is_gone),
        parts=parts,
    )


def label_without(label: Label, is_gone: Callable[[str], bool]) -> Label:
    """The label without users who are gone.

    What was denied to somebody who is no user is denied to nobody, and what was allowed to them alone is private.
    """

    def left(users: frozenset[str]) -> frozenset[str]:
        return frozenset(user for user in users if not is_gone(user))

    within = label_without(label.within, is_gone) if label.within else None
    return replace(label, allow_users=left(label.allow_users), deny_users=left(label.deny_users), within=within)


def left_out(upsert: Upsert, erased: Erased, id_: str) -> Skip | None:
    """Why a document is not read: its path or address holds a value, or the name of a restricted part; else none.

    The report calls it by our id for it, since what the source calls it may hold the value too.
    """
    if not erased.is_in(upsert.id, upsert.path, upsert.url, *(part.heading for part in upsert.parts)):
        return None
    return Skip(id_, erased.masked(upsert.path), REASON)


def reported(skip: Skip, erased: Erased, id_: str) -> Skip:
    """A report of a document that cannot be read, without values."""
    if not erased.is_in(skip.id, skip.path, skip.reason):
        return skip
    return Skip(id_, erased.masked(skip.path), erased.masked(skip.reason))


def without_people(document: ParsedDocument, erased: Erased) -> ParsedDocument:
    """A parsed document with `[erased]` in the place of values, also in its title and headings."""
    places = erased.places(document.text)
    moved = _Moved(places)
    blocks = tuple(
        replace(
            block,
            start=moved(block.start),
            end=moved(block.end),
            headings=tuple(erased.masked(heading) for heading in block.headings),
        )
        for block in document.blocks
    )
    hidden = tuple(sorted({moved(place) for place in document.hidden}))
    return ParsedDocument(erased.masked(document.text), erased.masked(document.title), blocks, hidden)


class _Moved:
    """Where a place of a text is once values in it were replaced; one within a value is where its mask ends."""

    def __init__(self, places: Sequence[tuple[int, int]]) -> None:
        self._starts = [start for start, _ in places]
        self._ends = [end for _, end in places]
        shifts = (len(ERASED) - (end - start) for start, end in places)
        self._shifts = list(accumulate(shifts, initial=0))

    def __call__(self, place: int) -> int:
        number = bisect_left(self._starts, place)  # So many values begin before it.
        if number and place < self._ends[number - 1]:
            return self._starts[number - 1] + self._shifts[number - 1] + len(ERASED)
        return place + self._shifts[number]
