"""Explaining a decision: the same Cedar decision that search makes, with everything that went into it."""

from typing import Any

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session, col, or_, select

from gateway.errors import BadRequestError, NotFoundError
from policies.authorizer import Authorizer
from policies.labels import Label
from policies.personal_data import EntityType
from policies.principals import Principal
from retrieval.labels import all_labels
from retrieval.tables import DocumentRow


class Explanation(msgspec.Struct, frozen=True):
    """Why somebody may read a document or may not; `revealed` are the kinds of personal data they would see in it."""

    user: str
    groups: list[str]
    active: bool
    document: str
    source: str
    path: str
    allowed: bool
    reason: str
    policies: list[str]
    label: dict[str, Any]
    revealed: list[str]


def explain(database: Engine, authorizer: Authorizer, principal: Principal, document: str) -> Explanation:
    """May this principal read the document of that id or path, and why? For operators: it tells what exists.

    Raises:
        NotFoundError: There is no such document.
        BadRequestError: Several have that path.
    """
    with Session(database) as session:
        row = _document(session, document)
        label = all_labels(session)[row.label_id]
        decision = authorizer.decide_labels(principal, {row.label_id: label})[row.label_id]
        reveals = authorizer.decide_reveal(principal, tuple(EntityType), label)
        return Explanation(
            user=principal.id,
            groups=sorted(principal.groups),
            active=principal.active,
            document=row.id,
            source=row.source,
            path=row.path,
            allowed=decision.allowed,
            reason=decision.reason,
            policies=list(decision.policies),
            label=_members(label),
            revealed=[type_.value for type_, reveal in reveals.items() if reveal.allowed and decision.allowed],
        )


def _document(session: Session, name: str) -> DocumentRow:
    query = select(DocumentRow).where(col(DocumentRow.deleted).is_(False))
    rows = session.exec(query.where(or_(col(DocumentRow.id) == name, col(DocumentRow.path) == name))).all()
    if not rows:
        message = f"There is no document {name}. `muniment search --json` gives ids and paths."
        raise NotFoundError(message)
    if len(rows) > 1:
        ids = ", ".join(f"{row.id} in {row.source}" for row in rows)
        message = f"Several documents have the path {name}. Name one by its id: {ids}."
        raise BadRequestError(message)
    return rows[0]


def _members(label: Label) -> dict[str, Any]:
    return {
        "allow_groups": sorted(label.allow_groups),
        "allow_users": sorted(label.allow_users),
        "deny_groups": sorted(label.deny_groups),
        "deny_users": sorted(label.deny_users),
        "classification": label.classification.value,
    }
