"""The tables of documents and passages. SQL is the truth; the index in memory is made from these rows.

Rows are made and read here and in this folder only; other folders get frozen values.
"""

from datetime import UTC, datetime

from sqlalchemy import Column, LargeBinary
from sqlmodel import Field, SQLModel


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


class CorpusRow(SQLModel, table=True):
    """One row: the epoch, which grows with every change to what anybody may find.

    The stamp is random and new with each epoch: two databases that went different ways never look alike.
    """

    __tablename__ = "corpus"
    id: int = Field(default=1, primary_key=True)
    epoch: int = 0
    stamp: str = ""


class LabelRow(SQLModel, table=True):
    """A distinct label, stored once and referred to by number."""

    __tablename__ = "label"
    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    canonical: str


class SourceRow(SQLModel, table=True):
    """A configured source: a connector's type and settings, and how far it has been read.

    `read_with` names the rules and models that all its documents were read with; when it is not what would be used now,
    or a document has to be tried again, the next run reads everything. `access_read_at` is when a run last read all
    permissions to the end; older than `max_acl_age_seconds` (0 for no limit), they are not relied on, and nobody reads
    the source's documents. `failed_at` and `failure` tell of the last run, where it broke off.
    """

    __tablename__ = "source"
    name: str = Field(primary_key=True)
    type: str
    settings: str
    access_file: str = ""
    cursor: str | None = None
    added_at: datetime = Field(default_factory=utc_now)
    synced_at: datetime | None = None
    max_acl_age_seconds: int = 0
    access_read_at: datetime | None = None
    read_with: str = ""
    failed_at: datetime | None = None
    failure: str = ""


class DocumentRow(SQLModel, table=True):
    """A document as last read. A deleted one stays as a bare row, so that every process hears of it."""

    __tablename__ = "document"
    id: str = Field(primary_key=True)
    source: str = Field(index=True)
    external_id: str
    path: str
    path_spans: str = "[]"
    title: str
    title_spans: str = "[]"
    url: str = ""
    author: str = ""
    media_type: str = ""
    modified: datetime | None = None
    label_id: int = Field(index=True, foreign_key="label.id")
    content_digest: str = ""
    epoch: int = Field(index=True)
    deleted: bool = False


class PassageRow(SQLModel, table=True):
    """A retrievable piece of a document; `start` and `end` are code points of the document's parsed text.

    Its label is the document's, or a narrower one where it stands in one of the document's restricted `parts` (the
    keys of `retrieval/parts.py`, one a line). `flags` says what is odd about it (`retrieval/flags.py`), and
    `released` that it is found all the same. `tokens` are those of `retrieval/interaction.py`; none, where the passage
    was read before there were any. `embedder` made the vector and the tokens; empty: the one that was in use first
    (`retrieval/embeddings.py`).
    """

    __tablename__ = "passage"
    id: int | None = Field(default=None, primary_key=True)
    document_id: str = Field(index=True, foreign_key="document.id")
    ordinal: int
    label_id: int = Field(foreign_key="label.id")
    parts: str = ""
    heading: str
    heading_spans: str = "[]"
    text: str
    spans: str = "[]"
    flags: str = ""
    released: bool = False
    start: int
    end: int
    page: int | None = None
    vector: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    tokens: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    embedder: str = Field(default="", sa_column_kwargs={"server_default": ""})


class SkipRow(SQLModel, table=True):
    """A document that could not be read at the last run, with the reason people are shown."""

    __tablename__ = "skip"
    source: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    path: str
    reason: str
