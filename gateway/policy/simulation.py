"""What a proposed bundle would change: for questions of the past, and for everybody and everything there is.

Nothing is decided here but by Cedar: the same questions are put to the policies in force and to the proposed ones.
Users are those of today; the trail names who asked, not the groups they were in then.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session

from gateway.policy.readers import alike, contexts_that_differ
from gateway.policy.replaying import MOST_LISTED, Advance, Replay, replay
from gateway.sources.store import owned_sources
from policies.actions import OF_SOURCES, Action
from policies.audit.people import Names
from policies.audit.places import TrailPlace
from policies.authorizer import Authorizer
from policies.bundles import RuleChanges, rule_changes
from policies.context import RequestContext
from policies.decisions import Decision
from policies.labels import Label
from policies.personal_data import SpanType
from policies.principals import Principal
from policies.sources import OwnedSource
from retrieval.labels import all_labels, label_uses

_LABEL_ACTIONS = {Action.DOCUMENTS_READ, Action.MODELS_SEND_REMOTE, Action.PERSONAL_DATA_REVEAL}


class LabelTold(msgspec.Struct, frozen=True):
    """A label, with how many documents have it, or a part with it."""

    digest: str
    classification: str
    allow_groups: list[str]
    allow_users: list[str]
    documents: int


class Change(msgspec.Struct, frozen=True):
    """Somebody may do something they may not do now, or the other way round.

    `action` is what; `label` in documents of which label; `kinds` of personal data they would see or no longer see;
    `contexts` where and for what, as purpose, network and channel; `policies` the rules that decide it then; `source`
    for which source, where an action is decided for each.
    """

    users: list[str]
    action: str
    policies: list[str]
    label: LabelTold | None = None
    kinds: list[str] = []
    contexts: list[str] = []
    source: str = ""


class Totals(msgspec.Struct, frozen=True):
    """Counts: pairs of a user and a document, of a user and an action, and of a user, a document and a kind.

    A part of a document that has a label of its own counts as a document.
    """

    documents: int
    actions: int
    kinds: int


class Simulation(msgspec.Struct, frozen=True):
    """What a bundle would change."""

    revision: str
    proposed: str
    rules_added: list[str]
    rules_removed: list[str]
    rules_changed: list[str]
    users: int
    labels: int
    replay: Replay
    gains: Totals
    losses: Totals
    gained: list[Change]
    lost: list[Change]

    @property
    def somebody_gains(self) -> bool:
        """Whether anybody may do anything that they may not do now."""
        return bool(self.gains.documents or self.gains.actions or self.gains.kinds or self.gained)


@dataclass(slots=True)
class _Found:
    """Changes in one direction: the first of them, and how many in all."""

    listed: list[Change] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, weight: int, change: Change) -> None:
        self.counted[what] += weight
        if len(self.listed) < MOST_LISTED:
            self.listed.append(change)

    def totals(self) -> Totals:
        return Totals(self.counted["documents"], self.counted["actions"], self.counted["kinds"])


@dataclass(frozen=True, slots=True)
class _World:
    """Everything the two bundles are compared on."""

    before: Authorizer
    after: Authorizer
    changes: RuleChanges
    labels: Mapping[int, Label]
    """Those that documents have."""
    every_label: Mapping[int, Label]
    """Those that documents had, too."""
    documents: Mapping[int, int]
    sources: list[OwnedSource]
    principals: Mapping[str, Principal]
    readers: list[list[Principal]]
    contexts: list[RequestContext]

    def differ(self, action: Action) -> bool:
        """Whether the bundles can differ on an action: whether any rule that has a say on it came, went or changed."""
        altered = {*self.changes.added, *self.changes.removed, *self.changes.changed}
        both = (*self.before.rules, *self.after.rules)
        return any(rule.id in altered and rule.concerns(action.value) for rule in both)


def simulate(
    database: Engine,
    principals: Sequence[Principal],
    trail: TrailPlace,
    before: Authorizer,
    after: Authorizer,
    networks: Iterable[str],
    *,
    since: datetime | None = None,
    names: Names | None = None,
    on_progress: Advance,
) -> tuple[Simulation, int]:
    """Compare two bundles on what was asked and on what could be; with it, how many entries of the trail were read.

    Raises:
        TrailUnreadableError: The trail's file is missing or damaged.
    """
    world = _world(database, principals, before, after, frozenset(networks))
    gained, lost = _Found(), _Found()
    _compare_actions(world, gained, lost)
    _compare_sources(world, gained, lost)
    _compare_labels(world, gained, lost, on_progress)
    replayed, entries = replay(
        trail, world.principals, world.every_label, before, after, since=since, names=names, on_progress=on_progress
    )
    return (
        Simulation(
            revision=before.revision,
            proposed=after.revision,
            rules_added=list(world.changes.added),
            rules_removed=list(world.changes.removed),
            rules_changed=list(world.changes.changed),
            users=len(world.principals),
            labels=len(world.labels),
            replay=replayed,
            gains=gained.totals(),
            losses=lost.totals(),
            gained=gained.listed,
            lost=lost.listed,
        ),
        entries,
    )


def _world(
    database: Engine,
    principals: Sequence[Principal],
    before: Authorizer,
    after: Authorizer,
    networks: frozenset[str],
) -> _World:
    with Session(database) as session:
        labels = all_labels(session)
        documents, parts = map(Counter, label_uses(session))
        sources = list(owned_sources(session).values())
    used, rules = documents + parts, (*before.rules, *after.rules)
    return _World(
        before=before,
        after=after,
        changes=rule_changes(before.rules, after.rules),
        labels={number: label for number, label in labels.items() if number in used},
        every_label=labels,
        documents=used,
        sources=sources,
        principals={principal.id: principal for principal in principals},
        readers=alike(principals, labels.values(), rules, sources),
        contexts=contexts_that_differ(rules, networks),
    )


def _compare_actions(world: _World, gained: _Found, lost: _Found) -> None:
    """What the product as a whole lets people do."""
    for action in Action:
        if action in _LABEL_ACTIONS or not world.differ(action):
            continue
        for users in world.readers:
            for context in world.contexts:
                then = world.after.decide(users[0], action, context)
                if then.allowed == world.before.decide(users[0], action, context).allowed:
                    continue
                change = Change(_names(users), action.value, list(then.policies), contexts=[_told(context)])
                (gained if then.allowed else lost).add("actions", len(users), change)
                break


def _compare_sources(world: _World, gained: _Found, lost: _Found) -> None:
    """What people may do with which source; the first context that makes a difference stands for all."""
    for action, users in product(sorted(OF_SOURCES), world.readers):
        if not world.differ(action):
            continue
        told: set[tuple[str, bool]] = set()
        for context in world.contexts:
            now = world.before.decide_sources(users[0], action, world.sources, context)
            then = world.after.decide_sources(users[0], action, world.sources, context)
            for name, decision in then.items():
                key = (name, decision.allowed)
                if decision.allowed != now[name].allowed and key not in told:
                    told.add(key)
                    change = Change(
                        _names(users), action.value, list(decision.policies), contexts=[_told(context)], source=name
                    )
                    (gained if decision.allowed else lost).add("actions", len(users), change)


def _compare_labels(world: _World, gained: _Found, lost: _Found, on_progress: Advance) -> None:
    """What people may read, see unmasked, and have sent to models elsewhere."""
    for number, users in enumerate(world.readers):
        on_progress("readers", number, len(world.readers))
        _compare_reading(world, users, gained, lost)
        _compare_kinds(world, users, gained, lost)
        _compare_sending(world, users, gained, lost)
    on_progress("readers", len(world.readers), len(world.readers))


def _compare_reading(world: _World, users: list[Principal], gained: _Found, lost: _Found) -> None:
    if not world.differ(Action.DOCUMENTS_READ):
        return
    pairs = _label_decisions(world, lambda policies, context: policies.decide_labels(users[0], world.labels, context))
    _note_labels(world, users, Action.DOCUMENTS_READ, "documents", pairs, gained, lost)


def _compare_sending(world: _World, users: list[Principal], gained: _Found, lost: _Found) -> None:
    if not (world.differ(Action.MODELS_SEND_REMOTE) or world.differ(Action.DOCUMENTS_READ)):
        return

    def decide(policies: Authorizer, context: RequestContext) -> dict[int, Decision]:
        decisions = policies.decide_remote(users[0], world.labels.values(), context)
        return {number: decisions[label] for number, label in world.labels.items()}

    pairs = _label_decisions(world, decide)
    _note_labels(world, users, Action.MODELS_SEND_REMOTE, "actions", pairs, gained, lost)


def _label_decisions(
    world: _World, decide: Callable[[Authorizer, RequestContext], dict[int, Decision]]
) -> list[tuple[RequestContext, dict[int, Decision], dict[int, Decision]]]:
    """For each context, what is decided of every label now and then."""
    return [(context, decide(world.before, context), decide(world.after, context)) for context in world.contexts]


def _note_labels(
    world: _World,
    users: list[Principal],
    action: Action,
    counted: str,
    pairs: list[tuple[RequestContext, dict[int, Decision], dict[int, Decision]]],
    gained: _Found,
    lost: _Found,
) -> None:
    for number in world.labels:
        for found, becomes in ((gained, True), (lost, False)):
            differing = [
                (context, then[number])
                for context, now, then in pairs
                if then[number].allowed is becomes and now[number].allowed is not becomes
            ]
            if differing:
                change = Change(
                    users=_names(users),
                    action=action.value,
                    policies=sorted({rule for _, decision in differing for rule in decision.policies}),
                    label=_label_told(world, number),
                    contexts=[_told(context) for context, _ in differing],
                )
                found.add(counted, len(users) * world.documents[number], change)


def _compare_kinds(world: _World, users: list[Principal], gained: _Found, lost: _Found) -> None:
    if not (world.differ(Action.PERSONAL_DATA_REVEAL) or world.differ(Action.DOCUMENTS_READ)):
        return
    for number, label in world.labels.items():
        now, then = (
            {context: _kinds(policies, users[0], label, context) for context in world.contexts}
            for policies in (world.before, world.after)
        )
        for found, more, fewer in ((gained, then, now), (lost, now, then)):
            differing = {context: each for context in world.contexts if (each := more[context] - fewer[context])}
            kinds = sorted({str(kind) for each in differing.values() for kind in each})
            if kinds:
                change = Change(
                    users=_names(users),
                    action=Action.PERSONAL_DATA_REVEAL.value,
                    policies=[],
                    label=_label_told(world, number),
                    kinds=kinds,
                    contexts=[_told(context) for context in differing],
                )
                found.add("kinds", len(users) * world.documents[number] * len(kinds), change)


def _kinds(policies: Authorizer, principal: Principal, label: Label, context: RequestContext) -> frozenset[SpanType]:
    decisions = policies.decide_reveal(principal, tuple(policies.types), label, context)
    return frozenset(type_ for type_, decision in decisions.items() if decision.allowed)


def _names(users: list[Principal]) -> list[str]:
    return sorted(user.id for user in users)


def _told(context: RequestContext) -> str:
    return f"{context.purpose.value} from {context.network} by {context.channel.value}"


def _label_told(world: _World, number: int) -> LabelTold:
    label = world.labels[number]
    return LabelTold(
        digest=label.digest,
        classification=label.classification.value,
        allow_groups=sorted(label.allow_groups),
        allow_users=sorted(label.allow_users),
        documents=world.documents[number],
    )
