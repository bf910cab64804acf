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


_Key = tuple[Principal, RequestContext, str, frozenset[str]]


def is_stale(label: Label, stale: frozenset[str]) -> bool:
    """Whether a label, or one it stands within, comes from a source whose permissions are not to be relied on."""
    return any(part.source in stale for part in label.parts())


class AccessFilters:
    """Makes access filters, and remembers those of the latest epoch. Safe across threads.

    All that a decision depends on must be the same for a filter to be remembered: the principal as a whole (groups,
    roles, active), the request's context, the epoch, the labels, the policies, and which sources are stale. Labels are
    compared and not only the epoch, since a database restored from a backup comes to an epoch a second time.
    """

    def __init__(self, authorizer: Authorizer, most_cached: int = _MOST_CACHED) -> None:
        self._authorizer = authorizer
        self._most_cached = most_cached
        self._lock = threading.Lock()
        self._epoch = -1
        self._labels: Mapping[int, Label] = {}
        self._remembered: OrderedDict[_Key, AccessFilter] = OrderedDict()

    def filter_for(
        self,
        principal: Principal,
        labels: Mapping[int, Label],
        epoch: int,
        context: RequestContext,
        stale: frozenset[str] = frozenset(),
    ) -> AccessFilter:
        """The labels this principal may read, of all the labels there are at this epoch; `labels` must not change.

        Labels of `stale` sources, whose permissions were read too long ago, are denied whatever the rules say.
        """
        key = (principal, context, self._authorizer.revision, stale)
        with self._lock:
            if self._epoch == epoch and self._labels == labels and key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        fresh = {number: label for number, label in labels.items() if not is_stale(label, stale)}
        decisions = self._authorizer.decide_labels(principal, fresh, context)
        made = self._filter(principal, context, epoch, decisions, len(labels))
        # What an error denied may be allowed again in a moment.
        if not any(decision.failed for decision in decisions.values()):
            with self._lock:
                self._turn_to(epoch, labels)
                self._remembered[key] = made
                if len(self._remembered) > self._most_cached:
                    self._remembered.popitem(last=False)
        return made

    def _turn_to(self, epoch: int, labels: Mapping[int, Label]) -> None:
        """Forget everything of another epoch: nobody asks for it again."""
        if self._epoch != epoch or self._labels != labels:
            self._epoch, self._labels = epoch, labels
            self._remembered.clear()

    def _filter(
        self,
        principal: Principal,
        context: RequestContext,
        epoch: int,
        decisions: Mapping[int, Decision],
        labels: int,
    ) -> AccessFilter:
        allowed = {label_id: decision for label_id, decision in decisions.items() if decision.allowed}
        return AccessFilter(
            principal=principal,
            context=context,
            label_ids=frozenset(allowed),
            denied=labels - len(allowed),
            policies=tuple(sorted({rule for decision in allowed.values() for rule in decision.policies})),
            epoch=epoch,
            policy_revision=self._authorizer.revision,
        )
