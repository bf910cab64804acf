"""Decisions, made by Cedar. The only module that imports cedarpy.

Cedar skips a policy that errors, a `forbid` too (cedar-policy/cedar#2428), so an Allow counts only when nothing
erred. Whatever goes wrong on the way to a decision is a denial with its reason.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Self

import cedarpy

from policies.actions import Action
from policies.decisions import Decision
from policies.entities import SYSTEM, Uid, label_entity, label_uid, principal_entity, principal_uid, reference, uid
from policies.errors import PolicyInvalidError
from policies.labels import Label
from policies.personal_data import SENSITIVITY, EntityType
from policies.principals import Principal

_log = logging.getLogger(__name__)

_FOLDER = Path(__file__).parent
_MOST_TOGETHER = 200
"""Decisions in one call: cedarpy holds the interpreter's lock meanwhile, for about 5 ms at this size."""
_LABEL_SETS = 64
"""Sets of labels kept parsed: parsing 200 labels takes several times as long as deciding on them."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a policy may ask about the request besides who and what; always set by us, never taken from a client."""

    purpose: str = "answer"


_ANSWERING = RequestContext()


@dataclass(frozen=True, slots=True)
class _Asked:
    """One decision to make."""

    action: Action
    resource: Uid
    context: Mapping[str, Any]
    labels: tuple[Label, ...] = ()


class Authorizer:
    """Decides by one bundle of policies, which never changes once loaded. Safe across threads."""

    def __init__(self, policies: str, schema: str) -> None:
        """Read and check the bundle.

        Raises:
            PolicyInvalidError: The policies or the schema cannot be read, or do not fit each other.
        """
        self._schema = _read_schema(schema)
        self._policies, self._reasons = _read_policies(policies, self._schema)
        self.revision = hashlib.sha256(f"{policies}\0{schema}".encode()).hexdigest()
        self._labels = lru_cache(_LABEL_SETS)(self._parse_labels)

    @classmethod
    def load(cls, site_policies: str = "") -> Self:
        """The shipped policies, with a site's own rules after them.

        Raises:
            PolicyInvalidError: They do not fit the schema.
        """
        shipped = (_FOLDER / "policies.cedar").read_text(encoding="utf-8")
        return cls(f"{shipped}\n{site_policies}", (_FOLDER / "schema.cedarschema").read_text(encoding="utf-8"))

    def decide(self, principal: Principal, action: Action, context: RequestContext = _ANSWERING) -> Decision:
        """May this principal do this at all?"""
        return self._decide(principal, [_Asked(action, SYSTEM, _context(context))])[0]

    def decide_labels(
        self, principal: Principal, labels: Mapping[int, Label], context: RequestContext = _ANSWERING
    ) -> dict[int, Decision]:
        """Which of these labels may the principal read?"""
        distinct = list(dict.fromkeys(part for label in labels.values() for part in label.parts()))
        asked = [_reading(label, context) for label in distinct]
        decisions = dict(zip(distinct, self._decide(principal, asked), strict=True))
        return {number: _all([decisions[part] for part in label.parts()]) for number, label in labels.items()}

    def decide_reveal(
        self,
        principal: Principal,
        types: Collection[EntityType],
        label: Label,
        context: RequestContext = _ANSWERING,
    ) -> dict[EntityType, Decision]:
        """Which kinds of personal data may the principal see in documents of this label? Revealing takes reading."""
        parts = label.parts()
        distinct = list(dict.fromkeys(types))
        asked = [_reading(part, context) for part in parts]
        asked += [_revealing(type_, part, context) for type_ in distinct for part in parts]
        decisions = iter(self._decide(principal, asked))
        reading, *revealing = (_all(list(islice(decisions, len(parts)))) for _ in range(len(distinct) + 1))
        return {
            type_: decision if reading.allowed else reading for type_, decision in zip(distinct, revealing, strict=True)
        }

    def _decide(self, principal: Principal, asked: Sequence[_Asked]) -> list[Decision]:
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

    def _ask(self, principal: Principal, asked: Sequence[_Asked]) -> list[cedarpy.AuthzResult]:
        labels = tuple(dict.fromkeys(label for item in asked for label in item.labels))
        entities = self._labels(labels).with_added_json_str(json.dumps([principal_entity(principal)]), self._schema)
        requests = [
            {
                "principal": principal_uid(principal),
                "action": uid("Action", item.action.value),
                "resource": item.resource,
                "context": item.context,
            }
            for item in asked
        ]
        results: list[cedarpy.AuthzResult] = cedarpy.is_authorized_batch(
            requests, self._policies, entities, self._schema
        )
        if len(results) != len(asked):
            message = f"{len(results)} answers to {len(asked)} questions"
            raise ValueError(message)
        return results

    def _parse_labels(self, labels: tuple[Label, ...]) -> cedarpy.Entities:
        text = json.dumps([label_entity(label) for label in labels])
        return cedarpy.Entities.from_json_str(text, self._schema, release_gil=True)

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
        rules = tuple(sorted(diagnostics.id_annotations_by_reason[id_] for id_ in diagnostics.reasons))
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


def _reading(label: Label, context: RequestContext) -> _Asked:
    return _Asked(Action.DOCUMENTS_READ, label_uid(label), _context(context), (label,))


def _revealing(type_: EntityType, label: Label, context: RequestContext) -> _Asked:
    about = {
        "entity_type": reference(uid("EntityType", type_.value)),
        "sensitivity": reference(uid("Sensitivity", SENSITIVITY[type_].value)),
    }
    return _Asked(Action.PERSONAL_DATA_REVEAL, label_uid(label), _context(context) | about, (label,))


def _context(context: RequestContext) -> dict[str, Any]:
    return {"purpose": context.purpose}


def _failed(why: str) -> Decision:
    _log.error("policy_not_evaluated reason=%s", why)
    return Decision(allowed=False, reason=f"A rule could not be evaluated, so it is denied: {why}", failed=True)


def _read_schema(text: str) -> cedarpy.Schema:
    try:
        return cedarpy.Schema.from_str(text)
    except ValueError as error:
        raise _invalid([f"the schema: {error}"]) from error


def _read_policies(text: str, schema: cedarpy.Schema) -> tuple[cedarpy.PolicySet, dict[str, str]]:
    """The policies, and the sentence that each of them, by its `@id`, gives as a reason."""
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(text))
        policies = cedarpy.PolicySet.from_str(text)
        checked = cedarpy.validate_policies(text, schema)
    except ValueError as error:
        raise _invalid([str(error)]) from error
    annotations = {id_: policy.get("annotations", {}) for id_, policy in parsed["staticPolicies"].items()}
    problems = [f"{annotations.get(e.policy_id, {}).get('id', 'a policy')}: {e.error}" for e in checked.errors]
    if not checked.validation_passed and not problems:
        problems.append("they do not fit the schema")
    if parsed["templates"]:
        problems.append("a policy with ?principal or ?resource decides nothing; write out whom and what it is about")
    # Every attribute of the schema is always there, so `has` is only ever right or misspelt, and Cedar accepts both.
    problems += [
        f"{annotations[id_].get('id', 'a policy')}: asks with `has` for what is always there; leave that out"
        for id_, policy in parsed["staticPolicies"].items()
        if _asks_presence(policy["conditions"])
    ]
    reasons: dict[str, str] = {}
    for number, annotated in enumerate(annotations.values(), start=1):
        name = annotated.get("id")
        if not name or name in reasons:
            problems.append(f"policy {number} needs an @id of its own, and has {name!r}")
        else:
            reasons[name] = annotated.get("reason") or f"Rule {name}."
    if problems:
        raise _invalid(problems)
    return policies, reasons


def _asks_presence(node: Any) -> bool:
    """Whether a condition, in Cedar's JSON, tests for an attribute with `has`."""
    if isinstance(node, Mapping):
        return "has" in node or any(_asks_presence(value) for value in node.values())
    return isinstance(node, list) and any(_asks_presence(value) for value in node)


def _invalid(problems: Sequence[str]) -> PolicyInvalidError:
    listed = "".join(f"\n  - {problem}" for problem in problems)
    return PolicyInvalidError(f"The policies were not loaded; those in force stay. Correct:{listed}")
