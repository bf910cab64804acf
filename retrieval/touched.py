"""Which documents a run over a source changed, and from which label to which they went: bounded, for the trail."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlmodel import Session, col, select

from retrieval.sessions import batched
from retrieval.tables import DocumentRow, LabelRow

_MOST_NAMED = 500
"""Documents named of each kind of change in one run; the others are counted."""


class Change(StrEnum):
    """What happened to a document: a new one is changed as well."""

    CHANGED = "changed"
    DELETED = "deleted"
    RELABELLED = "relabelled"


@dataclass(slots=True)
class Touched:
    """What a run did to documents so far.

    `documents` names the first of each kind, `more` counts the others. `labels` counts documents by the digests of the
    label they had and of the one they have; a document that is new had none, and one that is gone has none.
    """

    documents: dict[Change, list[str]] = field(default_factory=dict)
    more: Counter[Change] = field(default_factory=Counter)
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, before: Mapping[str, str], after: Mapping[str, str], changed: Collection[str]) -> None:
        """Add what a transaction did: labels of documents by their ids before and after, and whose text is new."""
        for id_ in sorted({*before, *after, *changed}):
            was, is_now = before.get(id_, ""), after.get(id_, "")
            if was != is_now:
                self.labels[was, is_now] += 1
            if not is_now:
                self._add(Change.DELETED, id_)
            elif id_ in changed:
                self._add(Change.CHANGED, id_)
            elif was != is_now:
                self._add(Change.RELABELLED, id_)

    def _add(self, change: Change, id_: str) -> None:
        named = self.documents.setdefault(change, [])
        if len(named) < _MOST_NAMED:
            named.append(id_)
        else:
            self.more[change] += 1


def labels_now(session: Session, ids: Collection[str]) -> dict[str, str]:
    """The digests of the labels that these documents have, as the session sees them; those that are gone have none."""
    found: dict[str, str] = {}
    for some in batched(sorted(set(ids))):
        query = select(DocumentRow.id, LabelRow.digest).join(LabelRow, col(LabelRow.id) == DocumentRow.label_id)
        here = (col(DocumentRow.id).in_(some), col(DocumentRow.deleted).is_(False))
        found |= dict(session.exec(query.where(*here)).all())
    return found
