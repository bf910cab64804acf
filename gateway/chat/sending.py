"""What a model on another machine is given of what was found: only what policy lets be sent there, each time anew.

Earlier answers of a conversation are not sent there at all: which documents they stood on is not kept with them, and a
client may send along whatever it likes as one. What the asker typed goes out as they typed it, pseudonymised.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gateway.chat.store import Message
from models.engine import Speaker
from policies.audit.events import PassagesSent
from policies.authorizer import Decider
from policies.context import RequestContext
from policies.decisions import Decision
from policies.labels import Label
from policies.principals import Principal
from retrieval.retriever import FoundPassage


@dataclass(frozen=True, slots=True)
class Sendable:
    """What was found, in what may be sent and what must stay here, with the decisions on their labels."""

    sent: tuple[FoundPassage, ...]
    kept: tuple[FoundPassage, ...]
    decisions: Mapping[Label, Decision]
    policy_revision: str

    def holds_back(self, passages: Collection[FoundPassage]) -> int:
        """How many of these passages, or of the passages that these are excerpts of, must stay here."""
        kept = {passage.passage_id for passage in self.kept}
        return sum(passage.passage_id in kept for passage in passages)

    def event(self, request: str, model: str, given: Sequence[FoundPassage], stand_in: str = "") -> PassagesSent:
        """What the trail says before `given` is sent, or before it goes to a model of this machine instead."""
        sent = () if stand_in else tuple(given)
        rules = {rule for passage in sent for rule in self.decisions[passage.label].policies}
        return PassagesSent(
            request=request,
            model=model,
            policy_revision=self.policy_revision,
            passages=tuple(passage.sha256 for passage in sent),
            labels=tuple(passage.label.digest for passage in sent),
            policies=tuple(sorted(rules)),
            kept=tuple(passage.sha256 for passage in self.kept),
            kept_labels=tuple(passage.label.digest for passage in self.kept),
            kept_decisions=tuple(_told(self.decisions[passage.label]) for passage in self.kept),
            stand_in=stand_in,
        )


def sendable(
    found: Sequence[FoundPassage], authorizer: Decider, principal: Principal, context: RequestContext
) -> Sendable:
    """Decide on everything that was found; a label that was not decided on, or wrongly, stays here."""
    policies = authorizer.now()
    decisions = policies.decide_remote(principal, {passage.label for passage in found}, context)
    return Sendable(
        tuple(passage for passage in found if decisions[passage.label].allowed),
        tuple(passage for passage in found if not decisions[passage.label].allowed),
        decisions,
        policies.revision,
    )


def sendable_history(messages: Sequence[Message]) -> list[Message]:
    """Of a conversation, what the asker said."""
    return [message for message in messages if message.speaker is Speaker.USER]


def _told(decision: Decision) -> str:
    return "denied error" if decision.failed else " ".join(["denied", *decision.policies])
