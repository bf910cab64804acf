"""The set of labels one principal may read. An `AccessFilter` is made here and nowhere else."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from policies.authorizer import Authorizer, RequestContext
from policies.decisions import Decision
from policies.labels import Label
from policies.principals import Principal

_MOST_CACHED = 4096
"""Filters remembered: one for each of the principals who ask within one epoch."""


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


_Key = tuple[Principal, RequestContext, int, str]


class AccessFilters:
    """Makes access filters, and remembers the latest. Safe across threads.

    All that a decision depends on is part of the key, so a remembered filter is never an outdated one: the principal
    as a whole (groups, roles, active), the request's context, the epoch, and the policies. The labels are compared too,
    since a database restored from a backup comes to an epoch a second time.
    """

    def __init__(self, authorizer: Authorizer, most_cached: int = _MOST_CACHED) -> None:
        self._authorizer = authorizer
        self._most_cached = most_cached
        self._lock = threading.Lock()
        self._remembered: OrderedDict[_Key, tuple[Mapping[int, Label], AccessFilter]] = OrderedDict()

    def filter_for(
        self, principal: Principal, labels: Mapping[int, Label], epoch: int, context: RequestContext
    ) -> AccessFilter:
        """The labels this principal may read, of all the labels there are at this epoch; `labels` must not change."""
        key = (principal, context, epoch, self._authorizer.revision)
        with self._lock:
            known_labels, known = self._remembered.get(key, (None, None))
            if known is not None and known_labels == labels:
                self._remembered.move_to_end(key)
                return known
        decisions = self._authorizer.decide_labels(principal, labels, context)
        made = self._filter(principal, context, epoch, decisions)
        # What an error denied may be allowed again in a moment.
        if not any(decision.failed for decision in decisions.values()):
            self._remember(key, labels, made)
        return made

    def _filter(
        self, principal: Principal, context: RequestContext, epoch: int, decisions: Mapping[int, Decision]
    ) -> AccessFilter:
        allowed = {label_id: decision for label_id, decision in decisions.items() if decision.allowed}
        return AccessFilter(
            principal=principal,
            context=context,
            label_ids=frozenset(allowed),
            denied=len(decisions) - len(allowed),
            policies=tuple(sorted({rule for decision in allowed.values() for rule in decision.policies})),
            epoch=epoch,
            policy_revision=self._authorizer.revision,
        )

    def _remember(self, key: _Key, labels: Mapping[int, Label], made: AccessFilter) -> None:
        with self._lock:
            self._remembered[key] = (labels, made)
            self._remembered.move_to_end(key)
            while len(self._remembered) > self._most_cached:
                self._remembered.popitem(last=False)
