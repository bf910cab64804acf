"""The set of labels one principal may read. An `AccessFilter` is made here and nowhere else."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from policies.authorizer import Decider
from policies.context import RequestContext
from policies.decisions import Decision
from policies.labels import Label
from policies.principals import Principal

_MOST_CACHED = 4096
"""Filters remembered: one for each of the principals who ask within one epoch."""


@dataclass(frozen=True, slots=True)
class LabelsDecided:
    """What was decided on every label there is, for the trail: digests of labels, and a decision for each.

    A decision is `allowed` or `denied` with the rules that say so; `denied` alone where no rule allows, `denied stale`
    where the source's permissions are too old to be relied on, and `denied error` where it could not be decided.
    `sha256` is the digest of all of it and of the policies: whoever gets the same decisions by them has the same one.
    """

    labels: tuple[str, ...]
    decisions: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """What `principal` may read at one epoch and under one bundle of policies.

    `denied` counts the labels it does not hold, `policies` names the rules that let the others through, and `decided`
    says which rule decided on each label: all are for the trail, and none is ever shown to the principal.
    """

    principal: Principal
    context: RequestContext
    label_ids: frozenset[int]
    denied: int
    policies: tuple[str, ...]
    epoch: int
    policy_revision: str
    decided: LabelsDecided

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

    def __init__(self, authorizer: Decider, most_cached: int = _MOST_CACHED) -> None:
        self._authorizer = authorizer
        self._most_cached = most_cached
        self._lock = threading.Lock()
        self._epoch = -1
        self._labels: Mapping[int, Label] = {}
        self._digests: Mapping[int, str] = {}
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
        authorizer = self._authorizer.now()
        key = (principal, context, authorizer.revision, stale)
        with self._lock:
            if self._epoch == epoch and self._labels == labels and key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        fresh = {number: label for number, label in labels.items() if not is_stale(label, stale)}
        decisions = authorizer.decide_labels(principal, fresh, context)
        decided = labels_decided(authorizer.revision, self._digests_of(epoch, labels), decisions)
        made = _filter(principal, context, epoch, decisions, authorizer.revision, decided)
        # What an error denied may be allowed again in a moment.
        if not any(decision.failed for decision in decisions.values()):
            with self._lock:
                self._turn_to(epoch, labels)
                self._remembered[key] = made
                if len(self._remembered) > self._most_cached:
                    self._remembered.popitem(last=False)
        return made

    def _digests_of(self, epoch: int, labels: Mapping[int, Label]) -> Mapping[int, str]:
        """The digest of each label; hashing them anew for each principal would take a third as long as deciding."""
        with self._lock:
            self._turn_to(epoch, labels)
            if not self._digests:
                self._digests = {number: label.digest for number, label in labels.items()}
            return self._digests

    def _turn_to(self, epoch: int, labels: Mapping[int, Label]) -> None:
        """Forget everything of another epoch: nobody asks for it again."""
        if self._epoch != epoch or self._labels != labels:
            self._epoch, self._labels, self._digests = epoch, labels, {}
            self._remembered.clear()


def _filter(
    principal: Principal,
    context: RequestContext,
    epoch: int,
    decisions: Mapping[int, Decision],
    revision: str,
    decided: LabelsDecided,
) -> AccessFilter:
    allowed = {label_id: decision for label_id, decision in decisions.items() if decision.allowed}
    return AccessFilter(
        principal=principal,
        context=context,
        label_ids=frozenset(allowed),
        denied=len(decided.labels) - len(allowed),
        policies=tuple(sorted({rule for decision in allowed.values() for rule in decision.policies})),
        epoch=epoch,
        policy_revision=revision,
        decided=decided,
    )


def labels_decided(revision: str, digests: Mapping[int, str], decisions: Mapping[int, Decision]) -> LabelsDecided:
    """The decisions by the digests of their labels, in the order of these; one that was not asked for is stale."""
    told = sorted((digest, _told(decisions.get(number))) for number, digest in digests.items())
    lines = "".join(f"{digest} {decision}\n" for digest, decision in told)
    labels, said = tuple(digest for digest, _ in told), tuple(decision for _, decision in told)
    return LabelsDecided(labels, said, hashlib.sha256(f"{revision}\n{lines}".encode()).hexdigest())


def _told(decision: Decision | None) -> str:
    if decision is None:
        return "denied stale"
    if decision.failed:
        return "denied error"
    return " ".join(["allowed" if decision.allowed else "denied", *decision.policies])
