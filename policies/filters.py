"""The set of labels one principal may read. An `AccessFilter` is made here and nowhere else."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from policies.authorizer import Authorizer, RequestContext
from policies.labels import Label
from policies.principals import Principal

_MOST_CACHED = 4096


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """What `principal` may read at one epoch and under one bundle of policies.

    `denied` counts the labels it does not hold, and `policies` names the rules that let the others through: both are
    for the trail, and neither is ever shown to the principal.
    """

    principal: Principal
    context: RequestContext
    label_ids: frozenset[int]
    denied: int
    policies: tuple[str, ...]
    epoch: int
    policy_revision: str

    def allows(self, label_id: int) -> bool:
        """Whether passages with this label may be looked at."""
        return label_id in self.label_ids


class AccessFilters:
    """Makes access filters, and remembers the latest. Safe across threads.

    All that a decision depends on is part of the key, so a remembered filter is never an outdated one: the principal
    as a whole (groups, roles, active), the request's context, the epoch, and the policies.
    """

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._lock = threading.Lock()
        self._remembered: OrderedDict[tuple[Principal, RequestContext, int, str], AccessFilter] = OrderedDict()

    def filter_for(
        self, principal: Principal, labels: Mapping[int, Label], epoch: int, context: RequestContext
    ) -> AccessFilter:
        """The labels this principal may read, of all the labels there are at this epoch."""
        key = (principal, context, epoch, self._authorizer.revision)
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        decisions = self._authorizer.decide_labels(principal, labels, context)
        allowed = frozenset(label_id for label_id, decision in decisions.items() if decision.allowed)
        rules = {rule for decision in decisions.values() if decision.allowed for rule in decision.policies}
        made = AccessFilter(
            principal=principal,
            context=context,
            label_ids=allowed,
            denied=len(labels) - len(allowed),
            policies=tuple(sorted(rules)),
            epoch=epoch,
            policy_revision=self._authorizer.revision,
        )
        with self._lock:
            self._remembered[key] = made
            while len(self._remembered) > _MOST_CACHED:
                self._remembered.popitem(last=False)
        return made
