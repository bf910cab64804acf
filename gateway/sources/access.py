"""For which sources somebody may do something. A source that one may not ask about looks like one that is not there."""

from gateway.errors import NotFoundError
from gateway.recording import Recorder, new_request_id
from gateway.sources.owners import Owners
from policies.actions import Action
from policies.audit.events import AccessDenied
from policies.authorizer import Decider
from policies.context import RequestContext
from policies.decisions import Decision
from policies.principals import Principal

NO_SUCH_SOURCE = "There is no such source, or you may not do this with it."
"""What is told in both cases."""
_ABSENT = Decision(allowed=False, reason="There is no such source.")


class SourceAccess:
    """Decides for one source after another."""

    def __init__(self, owners: Owners, authorizer: Decider, recorder: Recorder) -> None:
        self._owners = owners
        self._authorizer = authorizer
        self._recorder = recorder

    def allowed(self, principal: Principal, action: Action, context: RequestContext) -> list[str]:
        """The sources for which the principal may do this, by name."""
        decisions = self._authorizer.decide_sources(principal, action, list(self._owners.all().values()), context)
        return sorted(name for name, decision in decisions.items() if decision.allowed)

    def require(self, principal: Principal, action: Action, context: RequestContext, source: str) -> None:
        """Refuse what the principal may not do with a source, and record that it was refused.

        What is no source's name may be anything that somebody typed: the trail has a keyed digest of it.

        Raises:
            NotFoundError: There is no such source, or they may not.
            TrailUnavailableError: The refusal could not be recorded.
        """
        decision = self.decide(principal, action, context, source)
        if decision.allowed:
            return
        event = AccessDenied(
            principal=principal.id,
            action=action.value,
            reason=decision.reason,
            policies=decision.policies,
            request=new_request_id(),
            source=self._recorder.nobody(source) if decision is _ABSENT else source,
        )
        self._recorder.record_now(event)
        raise NotFoundError(NO_SUCH_SOURCE)

    def decide(self, principal: Principal, action: Action, context: RequestContext, source: str) -> Decision:
        """May the principal do this with a source? Not with one that does not exist."""
        owned = self._owners.all().get(source)
        if owned is None:
            return _ABSENT
        return self._authorizer.decide_sources(principal, action, [owned], context)[source]
