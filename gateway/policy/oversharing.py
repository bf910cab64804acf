"""Which documents are read by more people than is good: sensitive ones that many may read come first.

A document's place is `sensitivity x width`. Sensitivity is the weight of its classification, and for each kind of
personal data in it a weight times the logarithm of how often it stands there: the second card number says less than
the first. A part that fewer may read is listed by itself, with its own label and what stands in it, and the document
with what is left. Width is the share of active users who may read it, from anywhere and for any purpose. Width is
worked out once for each label, so the work grows with labels and with documents, but not with documents times users.
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from gateway.policy.readers import alike, contexts_that_differ
from policies.authorizer import Authorizer
from policies.labels import Classification, Label
from policies.personal_data import KnownTypes, Sensitivity, SpanType, span_type
from policies.principals import Principal
from retrieval.labels import all_labels
from retrieval.tables import DocumentRow, PassageRow

_CLASSIFICATION_WEIGHTS = {
    Classification.PUBLIC: 0.0,
    Classification.INTERNAL: 1.0,
    Classification.CONFIDENTIAL: 4.0,
    Classification.RESTRICTED: 8.0,
}
_KIND_WEIGHTS = {Sensitivity.CONTACT: 0.5, Sensitivity.SEALED: 3.0}
"""A card or an account weighs as much as the step from internal to confidential; names stand in most documents."""
_ROWS = 5000
_NO_SPANS = "[]"


class Audience(msgspec.Struct, frozen=True):
    """Who may read a document: how many of the active users, their share, and how many in each group."""

    readers: int
    active_users: int
    share: float
    by_group: dict[str, int]
    without_group: int


class Overshared(msgspec.Struct, frozen=True):
    """A document in the list, with everything its place comes from.

    `part` holds the headings of a part that fewer may read than the rest; it is empty for the rest, and for a whole.
    """

    rank: int
    document: str
    source: str
    path: str
    score: float
    sensitivity: float
    part: list[str]
    classification: str
    classification_weight: float
    personal_data: dict[str, int]
    personal_data_weight: float
    audience: Audience
    reason: str


class Oversharing(msgspec.Struct, frozen=True):
    """The most overshared documents and parts of documents, and what they were found among."""

    policy_revision: str
    documents: int
    parts: int
    labels: int
    active_users: int
    listed: list[Overshared]


class _FoundSpan(msgspec.Struct, frozen=True):
    """Of a stored span, only its kind is needed."""

    type: str


_spans = msgspec.json.Decoder(list[_FoundSpan])


_Key = tuple[str, int]
"""A document, or a part of it: the document's id, and the label."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A document or part before it is known whether it is listed."""

    id: str
    label_id: int
    sensitivity: float
    kinds: Mapping[SpanType, int]


def rank_oversharing(
    database: Engine,
    principals: Iterable[Principal],
    policies: Authorizer,
    networks: Collection[str],
    limit: int,
    sources: Collection[str] | None = None,
) -> Oversharing:
    """The documents with the highest product of sensitivity and width, highest first; of some sources, or of all."""
    with Session(database) as session:
        wanted = select(DocumentRow.id, DocumentRow.label_id).where(col(DocumentRow.deleted).is_(False))
        if sources is not None:
            wanted = wanted.where(col(DocumentRow.source).in_(sources))
        documents = dict(session.exec(wanted).all())
        stored = all_labels(session)
        parts = {(id_, number) for id_, number in session.exec(_PARTS) if id_ in documents}
        units = documents.items() | parts
        labels = {number: stored[number] for _, number in units}
        active = [principal for principal in principals if principal.active]
        audiences = _audiences(policies, active, labels, networks)
        kinds = _kinds(session, documents.keys())
        candidates = (
            _Candidate(
                id_,
                number,
                _sensitivity(labels[number], kinds.get((id_, number), {}), policies.types),
                kinds.get((id_, number), {}),
            )
            for id_, number in units
        )
        # Between equals the id decides, so that two runs list the same.
        best = heapq.nsmallest(
            limit,
            candidates,
            key=lambda one: (-one.sensitivity * audiences[one.label_id].share, one.id, labels[one.label_id].digest),
        )
        listed = [
            _listed(rank, one, labels[one.label_id], audiences[one.label_id], session, policies.types)
            for rank, one in enumerate(best, start=1)
        ]
    return Oversharing(policies.revision, len(documents), len(parts), len(labels), len(active), listed)


def _audiences(
    policies: Authorizer, active: list[Principal], labels: Mapping[int, Label], networks: Collection[str]
) -> dict[int, Audience]:
    """Who may read each label, in any context."""
    readers: dict[int, list[Principal]] = defaultdict(list)
    contexts = contexts_that_differ(policies.rules, networks)
    for together in alike(active, labels.values(), policies.rules):
        readable: set[int] = set()
        for context in contexts:
            decisions = policies.decide_labels(together[0], labels, context)
            readable.update(number for number, decision in decisions.items() if decision.allowed)
        for number in readable:
            readers[number] += together
    return {number: _audience(readers[number], len(active)) for number in labels}


def _audience(readers: Iterable[Principal], active: int) -> Audience:
    people = list(readers)
    groups = Counter(group for person in people for group in person.groups)
    return Audience(
        readers=len(people),
        active_users=active,
        share=round(len(people) / active, 4) if active else 0.0,
        by_group=dict(sorted(groups.items(), key=lambda item: (-item[1], item[0]))),
        without_group=sum(not person.groups for person in people),
    )


_PARTS: Any = (
    select(PassageRow.document_id, PassageRow.label_id)
    .join(DocumentRow, col(DocumentRow.id) == PassageRow.document_id)
    .where(col(PassageRow.label_id) != DocumentRow.label_id)
    .distinct()
)


def _kinds(session: Session, wanted: Collection[str]) -> dict[_Key, Counter[SpanType]]:
    """How often each kind of personal data stands under each label in each document that holds any, title included.

    The title is for everybody who may read the document, and so are the headings a passage stands under.
    """
    found: dict[_Key, Counter[SpanType]] = {}
    stored = (
        select(PassageRow.document_id, PassageRow.label_id, PassageRow.spans).where(PassageRow.spans != _NO_SPANS),
        select(DocumentRow.id, DocumentRow.label_id, DocumentRow.title_spans).where(
            DocumentRow.title_spans != _NO_SPANS
        ),
    )
    for query in stored:
        for id_, number, spans in session.exec(query.execution_options(yield_per=_ROWS)):
            if id_ in wanted:
                found.setdefault((id_, number), Counter()).update(span_type(span.type) for span in _spans.decode(spans))
    return found


def _sensitivity(label: Label, kinds: Mapping[SpanType, int], types: KnownTypes) -> float:
    return _CLASSIFICATION_WEIGHTS[_classification(label)] + _personal_data_weight(kinds, types)


def _classification(label: Label) -> Classification:
    """The highest of a label and of those it stands within."""
    return max((part.classification for part in label.parts()), key=_CLASSIFICATION_WEIGHTS.__getitem__)


def _personal_data_weight(kinds: Mapping[SpanType, int], types: KnownTypes) -> float:
    return sum(_KIND_WEIGHTS[types.sensitivity(kind)] * math.log2(1 + count) for kind, count in kinds.items())


def _listed(
    rank: int, one: _Candidate, label: Label, audience: Audience, session: Session, types: KnownTypes
) -> Overshared:
    row = session.get_one(DocumentRow, one.id)
    return Overshared(
        rank=rank,
        document=row.id,
        source=row.source,
        path=row.path,
        score=round(one.sensitivity * audience.share, 3),
        sensitivity=round(one.sensitivity, 3),
        part=_headings(session, row, one.label_id),
        classification=_classification(label).value,
        classification_weight=_CLASSIFICATION_WEIGHTS[_classification(label)],
        personal_data={str(kind): count for kind, count in sorted(one.kinds.items())},
        personal_data_weight=round(_personal_data_weight(one.kinds, types), 3),
        audience=audience,
        reason=_reason(label, one.kinds, audience, types, "part" if one.label_id != row.label_id else "document"),
    )


def _headings(session: Session, row: DocumentRow, label_id: int) -> list[str]:
    """The headings of the parts of a document that have this label; none where it is the document's own."""
    if label_id == row.label_id:
        return []
    of_part = select(PassageRow.parts).where(PassageRow.document_id == row.id, PassageRow.label_id == label_id)
    return sorted({key for keys in session.exec(of_part.distinct()) for key in keys.splitlines()})


def _reason(label: Label, kinds: Mapping[SpanType, int], audience: Audience, types: KnownTypes, what: str) -> str:
    """Why it ranks where it does, in a sentence."""
    sealed = sum(count for kind, count in kinds.items() if types.sensitivity(kind) is Sensitivity.SEALED)
    contacts = sum(count for kind, count in kinds.items() if types.sensitivity(kind) is Sensitivity.CONTACT)
    holds = [f"{sealed} sealed"] * bool(sealed) + [f"{contacts} contact"] * bool(contacts)
    personal = f" with {' and '.join(holds)} values" if holds else ""
    return (
        f"A {what} that is {_classification(label).value}{personal}, "
        f"read by {audience.readers} of {audience.active_users} active users"
    )
