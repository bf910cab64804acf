"""Decisions that the engine made, kept by all that it was told: equal questions have equal answers.

A key is the whole principal (id, groups, roles, kind, whether active) and the whole question: the action, the request's
context, and the label with whom it names, not its number. Each bundle of policies has a memory of its own. So nothing
has to be forgotten for an answer to stay right: when a group, a label or a policy changes, the question is another one.
Clocks, sources and the state of the database are not among what the engine is told, so they cannot be missing here.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from policies.decisions import Decision
from policies.principals import Principal

_PRINCIPALS = 64
"""Those who asked last; the others are decided on anew, by an engine that takes milliseconds."""
_MOST_DECISIONS = 4_096
"""For each principal; a decision and its key take about 300 bytes, so all together 80 MB at most."""
_Question = TypeVar("_Question", bound=Hashable)


class DecisionMemory(Generic[_Question]):
    """What was decided for those who asked last. Safe across threads; what is given out never changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decided: OrderedDict[Principal, Mapping[_Question, Decision]] = OrderedDict()

    def of(self, principal: Principal) -> Mapping[_Question, Decision]:
        """What is known of this principal as it is now."""
        with self._lock:
            if principal not in self._decided:
                return {}
            self._decided.move_to_end(principal)
            return self._decided[principal]

    def remember(self, principal: Principal, made: Mapping[_Question, Decision]) -> None:
        """Keep what the engine decided. A denial for want of a decision is not kept: the next time may go better."""
        kept = {question: decision for question, decision in made.items() if not decision.failed}
        if not kept:
            return
        with self._lock:
            before = self._decided.get(principal, {})
            together = {**before, **kept} if len(before) + len(kept) <= _MOST_DECISIONS else kept
            if len(together) > _MOST_DECISIONS:
                return
            self._decided[principal] = together
            self._decided.move_to_end(principal)
            while len(self._decided) > _PRINCIPALS:
                self._decided.popitem(last=False)
