"""Vectors of several embedders side by side, and which of them is in use. One row names it, so changing it is atomic.

A passage's own vector is of the embedder that it was ingested with; those of others lie beside it and go with it. An
index reads the vectors of one embedder alone, so two of them never meet, whichever process is how far.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Column, Engine, ForeignKey, Integer, LargeBinary
from sqlmodel import Field, Session, SQLModel

from models.embedder import Embedder
from retrieval.chunks import index_text
from retrieval.sessions import writing
from retrieval.tables import DocumentRow, PassageRow, utc_now

_BATCH = 128
"""Passages embedded between two commits: what a crash costs, some seconds of work."""


class EmbedderRow(SQLModel, table=True):
    """One row: the embedder in use, and the one that passages without a name of theirs were ingested with."""

    __tablename__ = "embedder_use"
    id: int = Field(default=1, primary_key=True)
    current: str
    original: str
    switched_at: datetime = Field(default_factory=utc_now)


class PassageVectorRow(SQLModel, table=True):
    """A passage's vector by another embedder than the one it was ingested with."""

    __tablename__ = "passage_vector"
    passage_id: int = Field(
        sa_column=Column(Integer, ForeignKey("passage.id", ondelete="CASCADE"), primary_key=True, nullable=False)
    )
    embedder: str = Field(primary_key=True)
    vector: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Use(NamedTuple):
    """Which embedder is in use, and which made the vectors that name none."""

    current: str
    original: str

    def names(self, embedder: str) -> list[str]:
        """What an embedder's own vectors are marked with."""
        return [embedder, ""] if embedder == self.original else [embedder]


_PASSAGE, _DOCUMENT = PassageRow.__table__.c, DocumentRow.__table__.c  # type: ignore[attr-defined]
_VECTOR = PassageVectorRow.__table__.c  # type: ignore[attr-defined]
_TEXTS = sa.select(_PASSAGE.id, _DOCUMENT.title, _PASSAGE.heading, _PASSAGE.text).where(
    _PASSAGE.document_id == _DOCUMENT.id
)


def use_of(session: Session) -> Use | None:
    """Which embedder is in use; none before anything was embedded."""
    row = session.get(EmbedderRow, 1)
    return Use(row.current, row.original) if row else None


def claim(session: Session, embedder: str) -> Use:
    """Which embedder is in use; this one from now on, if none was."""
    if (use := use_of(session)) is not None:
        return use
    session.add(EmbedderRow(current=embedder, original=embedder))
    session.flush()
    return Use(embedder, embedder)


def release(database: Engine) -> None:
    """Leave it open which embedder is in use, where nothing is embedded."""
    with writing(database) as session:
        session.connection().execute(sa.delete(EmbedderRow))
        session.commit()


def vector_of(embedder: str, use: Use | None) -> Any:
    """The column with a passage's vector by an embedder; NULL where it has none."""
    if use is None:
        return _PASSAGE.vector
    beside = sa.select(_VECTOR.vector).where(_VECTOR.passage_id == _PASSAGE.id, _VECTOR.embedder == embedder)
    own = _PASSAGE.embedder.in_(use.names(embedder))
    return sa.case((own, _PASSAGE.vector), else_=beside.correlate(PassageRow.__table__).scalar_subquery())  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A passage without a vector yet, and the text it is to be made of."""

    id: int
    text: str

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()


class VectorBuild:
    """Makes the vectors of an embedder for every passage that lacks one, while another embedder is in use.

    May be broken off at any moment and gone on with; what was made stays.
    """

    def __init__(self, database: Engine, embedder: Embedder, name: str) -> None:
        self._database = database
        self._embedder = embedder
        self._name = name

    def missing(self) -> int:
        """How many passages lack a vector."""
        with Session(self._database) as session:
            return _missing(session, self._name)

    def run(self, on_progress: Callable[[int, int], None] = lambda _done, _of: None) -> int:
        """Make what is missing now; returns how many were made."""
        total, made = self.missing(), 0
        on_progress(0, total)
        while batch := self._next():
            self._embedder.load()
            vectors = self._embedder.embed([wanted.text for wanted in batch])
            self._write(batch, [vector.tobytes() for vector in vectors])
            made += len(batch)
            on_progress(min(made, total), total)
        return made

    def switch(self) -> bool:
        """Put the embedder to use, if no passage lacks its vector at that very moment; whether it was."""
        with writing(self._database) as session:
            use = claim(session, self._name)
            if _missing(session, self._name):
                return False
            row = session.get_one(EmbedderRow, 1)
            row.current, row.switched_at = self._name, utc_now()
            session.add(row)
            session.commit()
            return use.current != self._name

    def _next(self) -> list[_Wanted]:
        with Session(self._database) as session:
            query = _TEXTS.where(_lacks(session, self._name)).order_by(_PASSAGE.id).limit(_BATCH)
            return _wanted(session.connection().execute(query))

    def _write(self, batch: Sequence[_Wanted], vectors: Sequence[bytes]) -> None:
        """Keep the vectors of passages that still are what they were made of.

        Meanwhile a document may have changed, and SQLite may have given its passage's number to another text.
        """
        with writing(self._database) as session:
            now = _TEXTS.where(_PASSAGE.id.in_([wanted.id for wanted in batch]))
            present = {wanted.id: wanted.digest for wanted in _wanted(session.connection().execute(now))}
            for wanted, vector in zip(batch, vectors, strict=True):
                if present.get(wanted.id) == wanted.digest:
                    session.merge(PassageVectorRow(passage_id=wanted.id, embedder=self._name, vector=vector))
            session.commit()


def drop_others(database: Engine) -> int:
    """Remove the vectors of all embedders that are not in use; returns of how many passages."""
    dropped = 0
    while True:
        with writing(database) as session:
            use = use_of(session)
            if use is None:
                return dropped
            moved = _adopt(session, use)
            session.commit()
        dropped += moved
        if not moved:
            break
    with writing(database) as session:
        gone = session.connection().execute(sa.delete(PassageVectorRow).where(_VECTOR.embedder != use.current))
        session.commit()
        return dropped + gone.rowcount


def _adopt(session: Session, use: Use) -> int:
    """Make the vector in use the own one of some passages that were ingested with another embedder."""
    others = (
        sa.select(_PASSAGE.id, _VECTOR.vector)
        .where(_VECTOR.passage_id == _PASSAGE.id, _VECTOR.embedder == use.current)
        .limit(_BATCH)
    )
    rows = session.connection().execute(others).all()
    for passage, vector in rows:
        of_passage = sa.update(PassageRow).where(_PASSAGE.id == passage)
        session.connection().execute(of_passage.values(vector=vector, embedder=use.current))
        session.connection().execute(
            sa.delete(PassageVectorRow).where(_VECTOR.passage_id == passage, _VECTOR.embedder == use.current)
        )
    return len(rows)


def _lacks(session: Session, name: str) -> Any:
    use = use_of(session) or Use(name, name)
    beside = sa.exists().where(_VECTOR.passage_id == _PASSAGE.id, _VECTOR.embedder == name)
    return sa.and_(_PASSAGE.embedder.not_in(use.names(name)), ~beside)


def _missing(session: Session, name: str) -> int:
    count = sa.select(sa.func.count()).select_from(PassageRow).where(_lacks(session, name))
    return int(session.connection().execute(count).scalar_one())


def _wanted(rows: Iterable[Any]) -> list[_Wanted]:
    return [_Wanted(id_, index_text(title, heading, text)) for id_, title, heading, text in rows]
