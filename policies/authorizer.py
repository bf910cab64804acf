"""Decisions, made by Cedar. The only module that imports cedarpy.

Cedar skips a policy that errors, a `forbid` too (cedar-policy/cedar#2428), so an Allow counts only when nothing
erred. Whatever goes wrong on the way to a decision is a denial with its reason.
"""

import hashlib
import json
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, Self

import cedarpy

from policies.actions import OF_SOURCES, Action
from policies.context import Channel, Purpose
from policies.context import RequestContext as RequestContext
from policies.decisions import Decision
from policies.entities import (
    SYSTEM,
    Uid,
    label_entity,
    label_uid,
    principal_entity,
    principal_uid,
    reference,
    source_entity,
    uid,
)
from policies.errors import PolicyInvalidError
from policies.labels import Label
from policies.memory import DecisionMemory
from policies.personal_data import KnownTypes, Sensitivity, SpanType
from policies.principals import Principal
from policies.rules import TOO_DEEP, Rule, read_rules, unreadable, words_of_context
from policies.sources import OwnedSource

_log = logging.getLogger(__name__)

_FOLDER = Path(__file__).parent
_MOST_TOGETHER = 200
"""Decisions in one call: cedarpy holds the interpreter's lock meanwhile, for about 5 ms at this size."""
_MOST_LABELS = 4096
"""Labels kept parsed: parsing one takes twice as long as deciding on it."""
_CONTEXTS = 1024
_NUMBERED = re.compile(r"^for policy `policy\d+`, ")
"""How the engine calls a policy whose @id we tell instead."""
_CLOSED = """
@id("health-for-everyone")
@reason("Everybody may ask whether the service runs. No policies can be used, so all else is denied.")
permit (principal, action == Action::"health:read", resource);
"""

_TYPES_BEGIN = "entity EntityType enum ["
_BUILT_IN_TYPES = KnownTypes()
_ANSWERING = RequestContext()


@dataclass(frozen=True, slots=True)
class _Asked:
    """One decision to make; `about` is the kind of personal data, where one is meant."""

    action: Action
    context: RequestContext
    label: Label | None = None
    about: SpanType | None = None
    source: OwnedSource | None = None

    @property
    def resource(self) -> Uid:
        """What it is about: a label, a source, or the product as a whole."""
        if self.source is not None:
            return uid("Source", self.source.name)
        return SYSTEM if self.label is None else label_uid(self.label)


class Decider(Protocol):
    """Whoever decides: one bundle, or the policies that are in force whichever these are."""

    @property
    def revision(self) -> str:
        """Which policies and schema decide."""

    def now(self) -> "Authorizer":
        """The policies as of now; they stay the same while they are held."""

    def decide(self, principal: Principal, action: Action, context: RequestContext = ...) -> Decision:
        """May this principal do this at all?"""

    def decide_sources(
        self, principal: Principal, action: Action, sources: Collection[OwnedSource], context: RequestContext = ...
    ) -> dict[str, Decision]:
        """For which of these sources, by their names, may the principal do this?"""

    def decide_labels(
        self, principal: Principal, labels: Mapping[int, Label], context: RequestContext = ...
    ) -> dict[int, Decision]:
        """Which of these labels may the principal read?"""

    def decide_remote(
        self, principal: Principal, labels: Collection[Label], context: RequestContext = ...
    ) -> dict[Label, Decision]:
        """Of which of these labels may documents be sent to a model on another machine, for this principal?"""

    def decide_reveals(
        self,
        principal: Principal,
        types: Collection[SpanType],
        labels: Collection[Label],
        context: RequestContext = ...,
    ) -> dict[Label, dict[SpanType, Decision]]:
        """Which kinds of personal data may the principal see in documents of each of these labels?"""


class Authorizer:
    """Decides by one bundle of policies, which never changes once loaded. Safe across threads."""

    def __init__(
        self,
        policies: str,
        schema: str,
        site_policies: str = "",
        networks: Collection[str] | None = None,
        types: KnownTypes = _BUILT_IN_TYPES,
    ) -> None:
        """Read and check the bundle: the shipped policies, the schema, and a site's own rules.

        With `networks`, a rule that names another network is refused. `types` are the kinds of personal data there are
        here; of one that is not among them, nothing is ever revealed.

        Raises:
            PolicyInvalidError: The policies or the schema cannot be read, or do not fit each other.
        """
        self.types = types
        schema = with_types(schema, types)
        self._schema = _read_schema(schema)
        self.rules = _read_policies(policies, site_policies, self._schema, networks)
        self._reasons = {rule.id: rule.reason for rule in self.rules}
        self.revision = hashlib.sha256(f"{policies}\0{site_policies}\0{schema}".encode()).hexdigest()
        self._nobody = cedarpy.Entities.from_json_str("[]", self._schema)
        self._about = lru_cache(self._policies_about)
        self._memory: DecisionMemory[_Asked] = DecisionMemory()
        self._known: tuple[frozenset[Label], cedarpy.Entities] = (frozenset(), self._nobody)

    @classmethod
    def load(
        cls, site_policies: str = "", networks: Collection[str] | None = None, types: KnownTypes = _BUILT_IN_TYPES
    ) -> Self:
        """The shipped policies, with a site's own rules after them.

        Raises:
            PolicyInvalidError: They do not fit the schema.
        """
        return cls(*shipped(), site_policies, networks, types)

    @classmethod
    def closed(cls) -> Self:
        """What decides where no policies can be used: everything is denied but asking for the health."""
        return cls(_CLOSED, shipped()[1])

    def now(self) -> Self:
        """Itself: it never changes."""
        return self

    def decide(self, principal: Principal, action: Action, context: RequestContext = _ANSWERING) -> Decision:
        """May this principal do this at all?"""
        return self._decide(principal, [_Asked(action, context)])[0]

    def decide_sources(
        self,
        principal: Principal,
        action: Action,
        sources: Collection[OwnedSource],
        context: RequestContext = _ANSWERING,
    ) -> dict[str, Decision]:
        """For which of these sources, by their names, may the principal do this? Doing it at all takes `decide` too.

        Raises:
            ValueError: The action is not one that is decided for sources.
        """
        if action not in OF_SOURCES:
            message = f"{action} is not decided for a source; decide it for the product as a whole."
            raise ValueError(message)
        named = {source.name: source for source in sources}
        decided = self._decide(
            principal, [_Asked(action, context), *(_Asked(action, context, source=s) for s in named.values())]
        )
        return {name: _all([decided[0], decision]) for name, decision in zip(named, decided[1:], strict=True)}

    def decide_labels(
        self, principal: Principal, labels: Mapping[int, Label], context: RequestContext = _ANSWERING
    ) -> dict[int, Decision]:
        """Which of these labels may the principal read?"""
        distinct = list(dict.fromkeys(part for label in labels.values() for part in label.parts()))
        asked = [_Asked(Action.DOCUMENTS_READ, context, label) for label in distinct]
        decisions = dict(zip(distinct, self._decide(principal, asked), strict=True))
        return {number: _all([decisions[part] for part in label.parts()]) for number, label in labels.items()}

    def decide_remote(
        self, principal: Principal, labels: Collection[Label], context: RequestContext = _ANSWERING
    ) -> dict[Label, Decision]:
        """Of which of these labels may documents be sent to a model on another machine, for this principal?

        Sending takes reading.
        """
        distinct = list(dict.fromkeys(part for label in labels for part in label.parts()))
        reading = self._decide(principal, [_Asked(Action.DOCUMENTS_READ, context, part) for part in distinct])
        sending = self._decide(principal, [_Asked(Action.MODELS_SEND_REMOTE, context, part) for part in distinct])
        decisions = {
            part: send if read.allowed else read for part, read, send in zip(distinct, reading, sending, strict=True)
        }
        return {label: _all([decisions[part] for part in label.parts()]) for label in labels}

    def decide_reveal(
        self,
        principal: Principal,
        types: Collection[SpanType],
        label: Label,
        context: RequestContext = _ANSWERING,
    ) -> dict[SpanType, Decision]:
        """Which kinds of personal data may the principal see in documents of this label? Revealing takes reading."""
        return self.decide_reveals(principal, types, [label], context)[label]

    def decide_reveals(
        self,
        principal: Principal,
        types: Collection[SpanType],
        labels: Collection[Label],
        context: RequestContext = _ANSWERING,
    ) -> dict[Label, dict[SpanType, Decision]]:
        """`decide_reveal` for many labels; a part that several of them stand within is asked about once."""
        known = [kind for kind in dict.fromkeys(types) if kind in self.types]
        kinds: list[SpanType | None] = [None, *known]  # None: may it be read at all?
        pairs = list(dict.fromkeys((part, kind) for label in labels for part in label.parts() for kind in kinds))
        asked = [
            _Asked(Action.DOCUMENTS_READ if kind is None else Action.PERSONAL_DATA_REVEAL, context, part, kind)
            for part, kind in pairs
        ]
        decided = dict(zip(pairs, self._decide(principal, asked), strict=True))
        revealed: dict[Label, dict[SpanType, Decision]] = {}
        for label in labels:
            reading = _all([decided[part, None] for part in label.parts()])
            revealing = {
                kind: _all([decided[part, kind] for part in label.parts()]) if kind in known else _not_known(kind)
                for kind in types
            }
            revealed[label] = {kind: each if reading.allowed else reading for kind, each in revealing.items()}
        return revealed

    def _decide(self, principal: Principal, asked: Sequence[_Asked]) -> list[Decision]:
        try:
            remembered = self._memory.of(principal)
            new = list(dict.fromkeys(item for item in asked if item not in remembered))
        except TypeError:  # Something in it is of another type than it should be and no key: the engine is to judge it.
            return self._decided(principal, asked)
        made = dict(zip(new, self._decided(principal, new), strict=True))
        self._memory.remember(principal, made)
        return [made[item] if item in made else remembered[item] for item in asked]

    def _decided(self, principal: Principal, asked: Sequence[_Asked]) -> list[Decision]:
        decisions: list[Decision] = []
        for start in range(0, len(asked), _MOST_TOGETHER):
            decisions += self._decide_together(principal, asked[start : start + _MOST_TOGETHER])
        return decisions

    def _decide_together(self, principal: Principal, asked: Sequence[_Asked]) -> list[Decision]:
        """One call's decisions. If it fails as a whole, halves are tried, so that one bad label denies only itself."""
        try:
            results = self._ask(principal, asked)
            return [self._decision(result) for result in results]
        except Exception as error:  # noqa: BLE001 - whatever the engine raises must end in a denial
            if len(asked) > 1 and self._can_be_told(principal):
                half = len(asked) // 2
                return self._decide_together(principal, asked[:half]) + self._decide_together(principal, asked[half:])
            return [_failed(f"{type(error).__name__}: {error}")] * len(asked)

    def satisfied(
        self, principal: Principal, action: Action, label: Label | None, context: RequestContext, parts: Sequence[Any]
    ) -> list[bool]:
        """Which of these policies, in Cedar's JSON, match a request, each taken by itself. For explaining, only.

        Raises:
            PolicyInvalidError: The engine could not tell.
        """
        policies = {str(number): part for number, part in enumerate(parts)}
        try:
            result = self._ask(principal, [_Asked(action, context, label)], _policy_set(policies))[0]
        except Exception as error:
            message = f"Why it was decided so cannot be told: {type(error).__name__}: {error}"
            raise PolicyInvalidError(message) from error
        matching = set(result.diagnostics.reasons)
        return [number in matching for number in policies]

    def _ask(
        self, principal: Principal, asked: Sequence[_Asked], policies: cedarpy.PolicySet | None = None
    ) -> list[cedarpy.AuthzResult]:
        labels = tuple(dict.fromkeys(item.label for item in asked if item.label is not None))
        sources = {item.source.name: source_entity(item.source) for item in asked if item.source is not None}
        entities = self._with_labels(labels).with_added_json_str(
            json.dumps([principal_entity(principal), *sources.values()]), self._schema
        )
        asking = principal_uid(principal)
        requests = [
            {
                "principal": asking,
                "action": uid("Action", item.action.value),
                "resource": item.resource,
                "context": _context(item.context, item.about, self._sensitivity(item.about)),
            }
            for item in asked
        ]
        deciding = policies or self._about(frozenset(item.action for item in asked))
        results: list[cedarpy.AuthzResult] = cedarpy.is_authorized_batch(requests, deciding, entities, self._schema)
        if len(results) != len(asked):
            message = f"{len(results)} answers to {len(asked)} questions"
            raise ValueError(message)
        return results

    def _sensitivity(self, about: SpanType | None) -> Sensitivity | None:
        return None if about is None else self.types.sensitivity(about)

    def _policies_about(self, actions: frozenset[Action]) -> cedarpy.PolicySet:
        """The rules that have a say on any of these actions; trying the others as well takes a quarter of the time."""
        concerned = [rule for rule in self.rules if any(rule.concerns(action.value) for action in actions)]
        return _policy_set({rule.id: rule.body for rule in concerned})

    def _with_labels(self, labels: tuple[Label, ...]) -> cedarpy.Entities:
        """Entities that hold these labels at least. Labels never change, so those told once are kept."""
        known, entities = self._known
        new = [label for label in labels if label not in known]
        if not new:
            return entities
        if len(known) + len(new) > _MOST_LABELS:
            known, entities, new = frozenset(), self._nobody, list(labels)
        entities = entities.with_added_json_str(json.dumps([label_entity(label) for label in new]), self._schema)
        # Of two threads that get here at once one may win: the other's labels are told again next time.
        self._known = known.union(new), entities
        return entities

    def _can_be_told(self, principal: Principal) -> bool:
        try:
            cedarpy.Entities.from_json_str(json.dumps([principal_entity(principal)]), self._schema)
        except Exception:  # noqa: BLE001 - then each of its decisions fails, and each says why
            return False
        return True

    def _decision(self, result: cedarpy.AuthzResult) -> Decision:
        diagnostics = result.diagnostics
        if diagnostics.errors:
            return _failed("; ".join(diagnostics.errors))
        if result.decision not in {cedarpy.Decision.Allow, cedarpy.Decision.Deny}:
            return _failed("the engine made no decision")
        rules = tuple(sorted(diagnostics.id_annotations_by_reason[id_] for id_ in diagnostics.reasons))
        if result.decision is cedarpy.Decision.Allow and not rules:
            return _failed("the engine allows it and names no rule that does")
        reason = " ".join(self._reasons[rule] for rule in rules) or "No rule allows it."
        return Decision(result.decision is cedarpy.Decision.Allow, reason, rules)


def _all(decisions: Sequence[Decision]) -> Decision:
    """One decision for a label and those it stands within: the first denial, else what allowed each of them."""
    for decision in decisions:
        if not decision.allowed:
            return decision
    if len(decisions) == 1:
        return decisions[0]
    rules = tuple(sorted({rule for decision in decisions for rule in decision.policies}))
    return Decision(True, " ".join(dict.fromkeys(decision.reason for decision in decisions)), rules)


def shipped() -> tuple[str, str]:
    """The policies and the schema of this version."""
    return (
        (_FOLDER / "policies.cedar").read_text(encoding="utf-8"),
        (_FOLDER / "schema.cedarschema").read_text(encoding="utf-8"),
    )


def with_types(schema: str, types: KnownTypes) -> str:
    """The schema with a site's own kinds of personal data among those that rules may name.

    What each is stands beside it, so that the revision changes with it. Kinds that the schema has already stay: one
    that was stored with a bundle is that bundle's.
    """
    new = [f'\n  "{name}", // {sensitivity}' for name, sensitivity in types.site if f'"{name}"' not in schema]
    return schema.replace(_TYPES_BEGIN, _TYPES_BEGIN + "".join(new), 1)


def complaint(text: str) -> str | None:
    """What keeps a text from being read as policies at all; none when it can be read. For naming the file at fault."""
    try:
        return unreadable(text) or (cedarpy.policies_to_json_str(text) and None)
    except ValueError as error:
        return str(error)


def as_text(body: Mapping[str, Any]) -> str:
    """A policy in Cedar's JSON, as people write it."""
    bundle = {"staticPolicies": {"policy": body}, "templates": {}, "templateLinks": []}
    return str(cedarpy.policies_from_json_str(json.dumps(bundle)))


@lru_cache(_CONTEXTS)
def _context(given: RequestContext, about: SpanType | None, sensitivity: Sensitivity | None) -> str:
    """What a rule may ask about the request, as JSON. Only values of our own types are told, whatever is given."""
    network: object = given.network
    if type(network) is not str:
        message = f"a network's name is not a text but {type(network).__name__}"
        raise TypeError(message)
    told: dict[str, Any] = {
        "channel": Channel(given.channel).value,
        "network": network,
        "purpose": Purpose(given.purpose).value,
    }
    if about is not None and sensitivity is not None:
        told["entity_type"] = reference(uid("EntityType", str(about)))
        told["sensitivity"] = reference(uid("Sensitivity", sensitivity.value))
    return json.dumps(told)


def _not_known(kind: SpanType) -> Decision:
    return Decision(False, f"The settings no longer have the kind {kind}, so it is masked for everybody.")


def _failed(why: str) -> Decision:
    _log.error("policy_not_evaluated reason=%s", why)
    return Decision(allowed=False, reason=f"A rule could not be evaluated, so it is denied: {why}", failed=True)


def _read_schema(text: str) -> cedarpy.Schema:
    try:
        return cedarpy.Schema.from_str(text)
    except ValueError as error:
        raise _invalid([f"the schema: {error}"]) from error


def _read_policies(
    policies: str, site_policies: str, schema: cedarpy.Schema, networks: Collection[str] | None
) -> tuple[Rule, ...]:
    """The policies, each of them as data."""
    text = f"{policies}\n{site_policies}"
    if (reason := unreadable(text)) is not None:
        raise _invalid([reason])
    try:
        ours = json.loads(cedarpy.policies_to_json_str(policies))["staticPolicies"].values()
        parsed = json.loads(cedarpy.policies_to_json_str(text))
        checked = cedarpy.validate_policies(text, schema)
    except RecursionError as error:
        raise _invalid([TOO_DEEP]) from error
    except ValueError as error:
        raise _invalid([str(error)]) from error
    names = {id_: policy.get("annotations", {}).get("id") for id_, policy in parsed["staticPolicies"].items()}
    rules, problems = read_rules(parsed, {policy.get("annotations", {}).get("id") for policy in ours})
    mistyped = [
        f"{names.get(error.policy_id) or 'a policy'}: {_NUMBERED.sub('', error.error)}" for error in checked.errors
    ]
    if not checked.validation_passed and not mistyped:
        mistyped.append("they do not fit the schema")
    for rule in rules if networks is not None else ():
        problems += [
            f"{rule.id}: there is no network {network}; the settings name those there are, under [networks]"
            for field_, network in sorted(words_of_context(rule.body)[0])
            if field_ == "network" and network not in (networks or ())
        ]
    if mistyped or problems:
        raise _invalid([*mistyped, *problems])
    return rules


def _policy_set(policies: Mapping[str, Mapping[str, Any]]) -> cedarpy.PolicySet:
    """Policies in Cedar's JSON by their ids, as the engine takes them."""
    bundle = {"staticPolicies": policies, "templates": {}, "templateLinks": []}
    return cedarpy.PolicySet.from_json_str(json.dumps(bundle))


def _invalid(problems: Sequence[str]) -> PolicyInvalidError:
    listed = "".join(f"\n  - {problem}" for problem in problems)
    message = f"The policies were not loaded; those in force stay. Correct:{listed}"
    return PolicyInvalidError(message, tuple(problems))
