"""What the database says now of documents that the trail names: their paths, and the passages they consist of."""

import hashlib
import re
from collections.abc import Collection

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from gateway.errors import BadRequestError, NotFoundError
from policies.redaction.placeholders import mask
from retrieval.sessions import batched
from retrieval.spans import read_spans
from retrieval.tables import DocumentRow, PassageRow

_ID = re.compile("d[a-z2-7]{24}")
"""What ids of documents look like: the trail may name one that the database has forgotten."""


def document_named(database: Engine, name: str) -> str:
    """The id of a document, also of one that is gone, by its id or its path.

    Raises:
        BadRequestError: Several have that path.
        NotFoundError: There is and was none.
    """
    if _ID.fullmatch(name):
        return name
    with Session(database) as session:
        rows = session.exec(select(DocumentRow).where(DocumentRow.path == name)).all()
    there = [row for row in rows if not row.deleted] or rows
    if not there:
        message = (
            "There is no such document, and there was none. Name one by its path, or by its id as the trail has it."
        )
        raise NotFoundError(message)
    if len(there) > 1:
        ids = ", ".join(f"{row.id} in {row.source}" for row in there)
        message = f"Several documents have that path. Name one by its id: {ids}."
        raise BadRequestError(message)
    return there[0].id


def paths_of(database: Engine, documents: Collection[str]) -> dict[str, str]:
    """The paths of these documents, as far as they are known; sealed personal data in them is masked."""
    found: dict[str, str] = {}
    with Session(database) as session:
        for some in batched(sorted(set(documents))):
            for row in session.exec(select(DocumentRow).where(col(DocumentRow.id).in_(some))):
                found[row.id] = mask(row.path, read_spans(row.path_spans), lambda _: False)
    return found


def current_passages(database: Engine, document: str) -> frozenset[str]:
    """The digests of the passages that a document consists of now; none once it is gone."""
    with Session(database) as session:
        texts = session.exec(select(PassageRow.text).where(PassageRow.document_id == document))
        return frozenset(hashlib.sha256(text.encode()).hexdigest() for text in texts)
