"""Explaining a decision: the same Cedar decision that search makes, with everything that went into it."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, col, or_, select

from gateway.errors import BadRequestError, NotFoundError
from gateway.identity.users import Users
from gateway.policy.schemas import ContextUsed, Explanation, RuleSaid
from gateway.recording import Recorder, new_request_id
from gateway.sources.access import SourceAccess
from policies.actions import Action
from policies.audit.events import PolicyExplained
from policies.authorizer import Decider
from policies.context import RequestContext
from policies.explaining import RuleVerdict, explain_label
from policies.labels import Label
from policies.personal_data import EntityType
from policies.principals import Principal
from retrieval.labels import all_labels
from retrieval.tables import DocumentRow

NO_SUCH = "There is no such user or document, or you may not ask about it."
"""What callers over HTTP are told in each of these cases, so that asking finds out nothing."""
_NAME_CHARACTERS = 200
"""How much of a name that names nothing goes to the trail."""
_LEAST_TRUSTED = RequestContext()


class Explanations:
    """Answers why, and keeps a record of who asked."""

    def __init__(
        self, database: Engine, users: Users, authorizer: Decider, recorder: Recorder, sources: SourceAccess
    ) -> None:
        self._sources = sources
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
        try:
            principal = self._users.principal(user)
            explained = explain(self._database, self._authorizer, principal, document, context, sources)
        finally:
            self._recorder.record_now(
                PolicyExplained(
                    by=by,
                    user=user[:_NAME_CHARACTERS],
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
    context: RequestContext = _LEAST_TRUSTED,
    sources: Collection[str] | None = None,
) -> Explanation:
    """May this principal read the document of that id or path, and why?

    Raises:
        NotFoundError: There is no such document.
        BadRequestError: Several have that path.
        PolicyInvalidError: The engine decided, but could not tell why.
    """
    policies = authorizer.now()
    with Session(database) as session:
        row = _document(session, document, sources)
        label = all_labels(session)[row.label_id]
    explained = explain_label(policies, principal, label, context)
    reveals = policies.decide_reveal(principal, tuple(EntityType), label, context)
    return Explanation(
        user=principal.id,
        groups=sorted(principal.groups),
        roles=sorted(principal.roles),
        active=principal.active,
        document=row.id,
        source=row.source,
        path=row.path,
        allowed=explained.decision.allowed,
        reason=explained.decision.reason,
        policies=list(explained.decision.policies),
        policy_revision=policies.revision,
        context=ContextUsed(context.purpose.value, context.network, context.channel.value),
        allowed_by=_said(explained.allowing),
        denied_by=_said(explained.denying),
        would_be_allowed_by=_said(explained.would_allow),
        label=_members(label),
        revealed=[type_.value for type_, reveal in reveals.items() if reveal.allowed],
        masked=[type_.value for type_, reveal in reveals.items() if not reveal.allowed],
    )


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
    return {
        "allow_groups": sorted(label.allow_groups),
        "allow_users": sorted(label.allow_users),
        "deny_groups": sorted(label.deny_groups),
        "deny_users": sorted(label.deny_users),
        "classification": label.classification.value,
    }
