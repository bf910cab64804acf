"""Which documents name a person, by what an identity file says they are called. Texts stay where they are."""

import os
from collections.abc import Iterator

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from gateway.identity_file import Identity
from policies.personal_data import Span
from policies.redaction.erased import Erased, digests_of
from policies.redaction.placeholders import mask
from retrieval.spans import read_spans
from retrieval.tables import DocumentRow, PassageRow

_KEY_BYTES = 32
_TOGETHER = 1000


class NamingDocument(msgspec.Struct, frozen=True):
    """A document that names a person: in so many passages; other people in its title are masked."""

    id: str
    source: str
    title: str
    is_author: bool
    passages: int


def documents_naming(database: Engine, identity: Identity) -> list[NamingDocument]:
    """The documents in whose text, title, path or author the person is named.

    Raises:
        ErasedValueError: A value is too short or too long to be looked for.
    """
    key = os.urandom(_KEY_BYTES)  # The digests are forgotten with it.
    person = Erased(key, frozenset(digests_of(key, identity.spellings())))
    with Session(database) as session:
        passages: dict[str, int] = {}
        for document, text in _texts(session):
            if person.is_in(text):
                passages[document] = passages.get(document, 0) + 1
        rows = session.exec(select(DocumentRow).where(col(DocumentRow.deleted).is_(False)))
        named = [row for row in rows if row.id in passages or person.is_in(row.title, row.path, row.author)]
        found = [_document(row, passages.get(row.id, 0), person) for row in named]
    return sorted(found, key=lambda one: (one.source, one.title, one.id))


def _texts(session: Session) -> Iterator[tuple[str, str]]:
    """Every passage with its heading, and the document it is of."""
    query = select(PassageRow.document_id, PassageRow.heading, PassageRow.text)
    for document, heading, text in session.exec(query.execution_options(yield_per=_TOGETHER)):
        yield document, f"{heading}\n{text}"


def _document(row: DocumentRow, passages: int, person: Erased) -> NamingDocument:
    return NamingDocument(
        id=row.id,
        source=row.source,
        title=_without_others(row.title, row.title_spans, person),
        is_author=person.is_in(row.author),
        passages=passages,
    )


def _without_others(text: str, spans: str, person: Erased) -> str:
    def is_theirs(span: Span) -> bool:
        return person.is_in(text[span.start : span.end])

    return mask(text, read_spans(spans), is_theirs)
