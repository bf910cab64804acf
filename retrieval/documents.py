"""What the database holds of documents: writing, relabelling and removing them within a session.

The caller holds the write lock, gives the epoch, and commits. Passages are written anew with their document; labels
alone can change without reading it again.
"""

import hashlib
import hmac
from base64 import b32encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

from sqlmodel import Session, col, delete, select, update

from connectors.contract import Skip, Upsert
from policies.personal_data import Span
from retrieval.chunks import Chunk
from retrieval.flags import Flag, write_flags
from retrieval.labels import intern_label
from retrieval.parsing import ParsedDocument
from retrieval.parts import Matched, document_label, passage_label
from retrieval.sessions import batched
from retrieval.spans import spans_within, write_spans
from retrieval.tables import DocumentRow, PassageRow, SkipRow


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A document as a connector gave it, parsed and cut.

    `parts` are the parts each chunk stands in, `flags` what is odd about each.
    """

    id: str
    upsert: Upsert
    digest: str
    document: ParsedDocument
    title: str
    chunks: list[Chunk]
    parts: list[Matched]
    flags: list[frozenset[Flag]]


class Embedding(NamedTuple):
    """A chunk as the embedder sees it: its vector and the codes of its tokens, as they are stored."""

    vector: bytes
    tokens: bytes


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Where personal data stands in a document: in its path, title and text, and in the heading of each chunk."""

    path: list[Span]
    title: list[Span]
    text: list[Span]
    headings: list[list[Span]]


def document_id(identity_key: bytes, source: str, external_id: str) -> str:
    """A document's identity outside: the same at every run, and telling nothing of how many others there are."""
    mac = hmac.digest(identity_key, f"{source}\0{external_id}".encode(), hashlib.sha256)
    return "d" + b32encode(mac[:15]).decode().lower()


def write_document(
    session: Session,
    source: str,
    read: ReadDocument,
    found: PersonalData,
    embedded: Sequence[Embedding],
    epoch: int,
    embedder: str = "",
) -> None:
    """Put a document and its passages in the place of what was there; `embedded` holds one for each chunk."""
    upsert, released = read.upsert, _released(session, read.id)
    session.exec(delete(PassageRow).where(col(PassageRow.document_id) == read.id))
    label = document_label(replace(upsert.label, source=source), upsert.parts, set(chain(*read.parts)))
    session.merge(
        DocumentRow(
            id=read.id,
            source=source,
            external_id=upsert.id,
            path=upsert.path,
            path_spans=write_spans(found.path),
            title=read.title,
            title_spans=write_spans(found.title),
            url=upsert.url,
            author=upsert.author,
            media_type=upsert.media_type,
            modified=upsert.modified,
            label_id=intern_label(session, label),
            content_digest=read.digest,
            epoch=epoch,
            deleted=False,
        )
    )
    session.flush()
    numbers = {
        matched: intern_label(session, passage_label(label, upsert.parts, matched)) for matched in set(read.parts)
    }
    for ordinal, (piece, matched, flags, heading, (vector, tokens)) in enumerate(
        zip(read.chunks, read.parts, read.flags, found.headings, embedded, strict=True)
    ):
        text = read.document.text[piece.start : piece.end]
        session.add(
            PassageRow(
                document_id=read.id,
                ordinal=ordinal,
                label_id=numbers[matched],
                parts="\n".join(matched),
                heading=piece.heading,
                heading_spans=write_spans(heading),
                text=text,
                spans=write_spans(spans_within(found.text, piece.start, piece.end)),
                flags=write_flags(flags),
                released=bool(flags) and (read.title, "\n".join(matched), piece.heading, text) in released,
                start=piece.start,
                end=piece.end,
                page=piece.page,
                vector=vector,
                embedder=embedder,
                tokens=tokens,
            )
        )


def _released(session: Session, document_id: str) -> frozenset[tuple[str, str, str, str]]:
    """The passages of a document that were let out of quarantine, by all that a reader could tell them by."""
    query = (
        select(DocumentRow.title, PassageRow.parts, PassageRow.heading, PassageRow.text)
        .where(DocumentRow.id == PassageRow.document_id)
        .where(PassageRow.document_id == document_id, col(PassageRow.released))
    )
    return frozenset(session.exec(query))


def relabel_document(session: Session, id_: str, source: str, upsert: Upsert, epoch: int) -> None:
    """Give a document and its passages the labels they have now."""
    row = session.get_one(DocumentRow, id_)
    of_document = col(PassageRow.document_id) == row.id
    stored = session.exec(select(PassageRow.parts).where(of_document).distinct()).all()
    present = {key for parts in stored for key in parts.splitlines()}
    label = document_label(replace(upsert.label, source=source), upsert.parts, present)
    for parts in stored:
        number = intern_label(session, passage_label(label, upsert.parts, parts.splitlines()))
        of_parts = update(PassageRow).where(of_document, col(PassageRow.parts) == parts)
        session.exec(of_parts.values(label_id=number))
    row.label_id, row.epoch = intern_label(session, label), epoch
    row.url, row.author, row.modified = upsert.url, upsert.author, upsert.modified
    session.add(row)


def remove_document(session: Session, id_: str, epoch: int) -> bool:
    """Take a document away; whether it was there. What remains is that it was."""
    row = session.get(DocumentRow, id_)
    if row is None or row.deleted:
        return False
    session.exec(delete(PassageRow).where(col(PassageRow.document_id) == row.id))
    row.title = row.url = row.author = row.content_digest = ""
    row.title_spans = "[]"
    row.deleted, row.epoch = True, epoch
    session.add(row)
    return True


def note_skips(session: Session, source: str, handled: Iterable[str], skips: Sequence[Skip]) -> None:
    """Say of which documents there is nothing to read, and why; of the others handled, no longer."""
    for some in batched([*handled, *(skip.id for skip in skips)]):
        session.exec(delete(SkipRow).where(col(SkipRow.source) == source, col(SkipRow.external_id).in_(some)))
    session.add_all(SkipRow(source=source, external_id=s.id, path=s.path, reason=s.reason) for s in skips)
