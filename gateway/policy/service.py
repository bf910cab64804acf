"""Explaining a decision: the same Cedar decision that search makes, with everything that went into it."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session, col, func, or_, select

from gateway.errors import BadRequestError, NotFoundError
from gateway.identity.users import Users
from gateway.policy.schemas import ContextUsed, Explanation, PartExplained, RuleSaid
from gateway.recording import Recorder, new_request_id
from gateway.sources.access import SourceAccess
from gateway.sources.labels import label_members
from policies.actions import Action
from policies.audit.events import PolicyExplained
from policies.authorizer import Authorizer, Decider
from policies.clock import SteadyClock, zoned
from policies.context import RequestContext
from policies.explaining import LabelExplanation, RuleVerdict, explain_label
from policies.filters import is_stale
from policies.labels import Label
from policies.principals import Principal
from retrieval.labels import all_labels, stale_sources
from retrieval.tables import DocumentRow, PassageRow, SourceRow

NO_SUCH = "There is no such user or document, or you may not ask about it."
"""What callers over HTTP are told in each of these cases, so that asking finds out nothing."""
_NAME_CHARACTERS = 200
"""How much of a name that names nothing goes to the trail."""
_LEAST_TRUSTED = RequestContext()
_STALE = "The source's permissions were read too long ago, so nobody is shown it until the source is synced."


class Explanations:
    """Answers why, and keeps a record of who asked."""

    def __init__(
        self,
        database: Engine,
        users: Users,
        authorizer: Decider,
        recorder: Recorder,
        sources: SourceAccess,
        clock: SteadyClock,
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._database = database
        self._users = users
        self._authorizer = authorizer
        self._recorder = recorder

    def explain(
        self,
        user: str,
        document: str,
        by: str,
        context: RequestContext = _LEAST_TRUSTED,
        sources: Collection[str] | None = None,
    ) -> Explanation:
        """May this user read the document of that id or path, and why? With `sources`, a document of one of these.

        Raises:
            NotFoundError: There is no such user or document.
            BadRequestError: Several documents have that path.
            TrailUnavailableError: The question could not be recorded, so it is not answered.
        """
        explained: Explanation | None = None
        asked_of = self._recorder.nobody(user)
        try:
            principal = self._users.principal(user)
            asked_of = principal.id
            explained = explain(
                self._database, self._authorizer, principal, document, self._clock.now(), context, sources
            )
        finally:
            self._recorder.record_now(
                PolicyExplained(
                    by=by,
                    user=asked_of,
                    document=explained.document if explained else document[:_NAME_CHARACTERS],
                    allowed=explained is not None and explained.allowed,
                    policy_revision=self._authorizer.revision,
                    request=new_request_id(),
                )
            )
        return explained

    async def explain_to(
        self, asker: Principal, asking: RequestContext, user: str, document: str, context: RequestContext
    ) -> Explanation:
        """The same over HTTP, where nothing that is missing is told from anything else.

        Only documents of sources that the asker may ask about are there; `asking` is the context of the request itself.

        Raises:
            NotFoundError: There is no such user or document, or several documents have that path.
            TrailUnavailableError: The question could not be recorded, so it is not answered.
        """

        def explained() -> Explanation:
            sources = self._sources.allowed(asker, Action.POLICY_EXPLAIN, asking)
            return self.explain(user, document, asker.id, context, sources)

        try:
            return await asyncio.to_thread(explained)
        except (NotFoundError, BadRequestError) as error:
            raise NotFoundError(NO_SUCH) from error


def explain(
    database: Engine,
    authorizer: Decider,
    principal: Principal,
    document: str,
    now: datetime,
    context: RequestContext = _LEAST_TRUSTED,
    sources: Collection[str] | None = None,
) -> Explanation:
    """May this principal read the document of that id or path, as of now, and why?

    Raises:
        NotFoundError: There is no such document.
        BadRequestError: Several have that path.
        PolicyInvalidError: The engine decided, but could not tell why.
    """
    policies = authorizer.now()
    with Session(database) as session:
        row = _document(session, document, sources)
        labels = all_labels(session)
        parts = _parts(session, row)
        source = session.get(SourceRow, row.source)
        stale = is_stale(labels[row.label_id], stale_sources(session, now))
    told = _Told.of(policies, principal, labels[row.label_id], context, stale=stale)
    return Explanation(
        user=principal.id,
        groups=sorted(principal.groups),
        roles=sorted(principal.roles),
        active=principal.active,
        document=row.id,
        source=row.source,
        path=row.path,
        allowed=told.allowed,
        reason=told.reason,
        policies=told.policies,
        policy_revision=policies.revision,
        context=ContextUsed(context.purpose.value, context.network, context.channel.value),
        allowed_by=_said(told.explained.allowing),
        denied_by=_said(told.explained.denying),
        would_be_allowed_by=_said(told.explained.would_allow),
        label=_members(labels[row.label_id]),
        revealed=told.revealed,
        masked=told.masked,
        parts=[
            _part(headings, count, labels[number], _Told.of(policies, principal, labels[number], context, stale=stale))
            for headings, number, count in parts
        ],
        access_stale=stale,
        access_read_at=zoned(source.access_read_at) if source and source.access_read_at else None,
        max_acl_age_seconds=source.max_acl_age_seconds if source else 0,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """A decision on a label with everything that is told of it."""

    explained: LabelExplanation
    allowed: bool
    reason: str
    policies: list[str]
    revealed: list[str]
    masked: list[str]

    @classmethod
    def of(
        cls, policies: Authorizer, principal: Principal, label: Label, context: RequestContext, *, stale: bool
    ) -> Self:
        explained = explain_label(policies, principal, label, context)
        if stale:
            return cls(explained, False, _STALE, [], [], [str(type_) for type_ in policies.types])
        reveals = policies.decide_reveal(principal, tuple(policies.types), label, context)
        decision = explained.decision
        return cls(
            explained,
            decision.allowed,
            decision.reason,
            list(decision.policies),
            [str(type_) for type_, reveal in reveals.items() if reveal.allowed],
            [str(type_) for type_, reveal in reveals.items() if not reveal.allowed],
        )


def _part(headings: list[str], passages: int, label: Label, told: _Told) -> PartExplained:
    return PartExplained(
        headings=headings,
        passages=passages,
        allowed=told.allowed,
        reason=told.reason,
        policies=told.policies,
        allowed_by=_said(told.explained.allowing),
        denied_by=_said(told.explained.denying),
        would_be_allowed_by=_said(told.explained.would_allow),
        label=_members(label),
        revealed=told.revealed,
        masked=told.masked,
    )


def _parts(session: Session, row: DocumentRow) -> list[tuple[list[str], int, int]]:
    """The parts of a document that have a label of their own: their headings, the label, and how many passages."""
    found: Any = (
        select(PassageRow.parts, PassageRow.label_id, func.count())
        .where(PassageRow.document_id == row.id, PassageRow.label_id != row.label_id)
        .group_by(PassageRow.parts, col(PassageRow.label_id))
        .order_by(func.min(PassageRow.ordinal))
    )
    return [(keys.splitlines(), number, count) for keys, number, count in session.exec(found)]


def _said(verdicts: Iterable[RuleVerdict]) -> list[RuleSaid]:
    return [RuleSaid(each.rule.id, each.rule.reason, each.rule.origin.value, list(each.lacks)) for each in verdicts]


def _document(session: Session, name: str, sources: Collection[str] | None) -> DocumentRow:
    query = select(DocumentRow).where(col(DocumentRow.deleted).is_(False))
    if sources is not None:
        query = query.where(col(DocumentRow.source).in_(sources))
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
    members: dict[str, Any] = msgspec.to_builtins(label_members(label))
    return members
