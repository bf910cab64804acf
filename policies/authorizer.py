"""Decisions, made by Cedar. The only module that imports cedarpy.

Cedar skips a policy that errors, a `forbid` too (cedar-policy/cedar#2428), so an Allow counts only when nothing
erred. Whatever goes wrong on the way to a decision is a denial with its reason.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cedarpy

from policies.actions import Action
from policies.decisions import Decision
from policies.errors import PolicyInvalidError
from policies.labels import Label
from policies.personal_data import SENSITIVITY, EntityType
from policies.principals import Principal

_FOLDER = Path(__file__).parent
_BATCH = 200
"""Decisions in one call: cedarpy holds the interpreter's lock meanwhile, for about 5 ms at this size."""
_SYSTEM = {"type": "System", "id": "muniment"}


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a policy may ask about the request besides who and what; always set by us, never taken from a client."""

    purpose: str = "answer"


@dataclass(frozen=True, slots=True)
class _Asked:
    """One decision to make; `what` names the resource in reasons."""

    action: Action
    resource: dict[str, str]
    context: dict[str, str]
    what: str


class Authorizer:
    """Decides by one bundle of policies, which never changes once loaded."""

    def __init__(self, policies: str, schema: str) -> None:
        try:
            self._schema = cedarpy.Schema.from_str(schema)
            checked = cedarpy.validate_policies(policies, self._schema)
            problems = [str(error) for error in checked.errors] if not checked.validation_passed else []
            self._policies = cedarpy.PolicySet.from_str(policies)
        except ValueError as error:
            problems = [str(error)]
        if problems:
            message = f"The policies were not loaded, the ones in force stay: {'; '.join(problems)}"
            raise PolicyInvalidError(message)
        self.revision = hashlib.sha256(f"{policies}\0{schema}".encode()).hexdigest()

    @classmethod
    def load(cls, site_policies: str = "") -> Self:
        """The shipped policies, with a site's own rules after them.

        Raises:
            PolicyInvalidError: They do not fit the schema.
        """
        shipped = (_FOLDER / "policies.cedar").read_text(encoding="utf-8")
        return cls(f"{shipped}\n{site_policies}", (_FOLDER / "schema.cedarschema").read_text(encoding="utf-8"))

    def decide(self, principal: Principal, action: Action, context: RequestContext | None = None) -> Decision:
        """May this principal do this at all?"""
        asked = _Asked(action, _SYSTEM, _context(context), action.value)
        return self._decide(principal, [asked], {})[0]

    def decide_labels(
        self, principal: Principal, labels: Mapping[int, Label], context: RequestContext | None = None
    ) -> dict[int, Decision]:
        """Which of these labels may the principal read?"""
        asked = [
            _Asked(Action.DOCUMENTS_READ, _label_id(label), _context(context), "documents with this label")
            for label in labels.values()
        ]
        decisions = self._decide(principal, asked, {label.digest: label for label in labels.values()})
        return dict(zip(labels, decisions, strict=True))

    def decide_reveal(
        self,
        principal: Principal,
        types: Collection[EntityType],
        label: Label,
        context: RequestContext | None = None,
    ) -> dict[EntityType, Decision]:
        """Which kinds of personal data may the principal see in documents of this label?"""
        asked = [
            _Asked(
                Action.PERSONAL_DATA_REVEAL,
                _label_id(label),
                _context(context) | {"entity_type": type_.value, "sensitivity": SENSITIVITY[type_].value},
                f"{type_.value} in documents with this label",
            )
            for type_ in types
        ]
        return dict(zip(types, self._decide(principal, asked, {label.digest: label}), strict=True))

    def _decide(
        self, principal: Principal, asked: Sequence[_Asked], labels: Mapping[str, Label]
    ) -> list[Decision]:
        decisions: list[Decision] = []
        for batch in _batches(asked, _BATCH):
            needed = {item.resource["id"] for item in batch}
            entities = _entities(principal, {id_: label for id_, label in labels.items() if id_ in needed})
            decisions.extend(self._decide_batch(principal, batch, entities))
        return decisions

    def _decide_batch(
        self, principal: Principal, asked: Sequence[_Asked], entities: list[dict[str, Any]]
    ) -> list[Decision]:
        requests = [
            {
                "principal": _user_id(principal.id),
                "action": {"type": "Action", "id": item.action.value},
                "resource": item.resource,
                "context": item.context,
            }
            for item in asked
        ]
        try:
            results = cedarpy.is_authorized_batch(requests, self._policies, json.dumps(entities), self._schema)
            return [_decision(principal, item, result) for item, result in zip(asked, results, strict=True)]
        except Exception as error:  # noqa: BLE001 - whatever the engine raises must end in a denial
            reason = f"No decision could be made about {principal.id}: {type(error).__name__}: {error}"
            return [Decision(allowed=False, reason=reason)] * len(asked)


def _decision(principal: Principal, asked: _Asked, result: cedarpy.AuthzResult) -> Decision:
    who = principal.id
    diagnostics = result.diagnostics
    rules = tuple(sorted(diagnostics.id_annotations_by_reason.get(id_) or id_ for id_ in diagnostics.reasons))
    if diagnostics.errors:
        return Decision(allowed=False, reason=f"A policy failed for {who} and {asked.what}, so it is denied.", policies=rules)
    if result.decision is cedarpy.Decision.Allow:
        return Decision(allowed=True, reason=f"{who} may {asked.action.value}: {', '.join(rules)}.", policies=rules)
    if rules:
        return Decision(allowed=False, reason=f"{who} may not {asked.action.value}: {', '.join(rules)} forbids it.", policies=rules)
    return Decision(allowed=False, reason=f"{who} may not {asked.action.value}: no rule allows it for {asked.what}.")


def _entities(principal: Principal, labels: Mapping[str, Label]) -> list[dict[str, Any]]:
    """The entity set of a call: the principal with its groups, and the labels.

    Groups need no entities of their own, and other users that labels name neither. Sets drop duplicates, which would
    turn every decision of the call into none.
    """
    user = {
        "uid": _user_id(principal.id),
        "attrs": {"active": principal.active, "kind": principal.kind.value, "roles": sorted(principal.roles)},
        "parents": [_group_id(group) for group in sorted(principal.groups)],
    }
    return [user, *(_label_entity(label) for label in labels.values())]


def _label_entity(label: Label) -> dict[str, Any]:
    return {
        "uid": _label_id(label),
        "attrs": {
            "allow_groups": _references(_group_id(group) for group in sorted(label.allow_groups)),
            "allow_users": _references(_user_id(user) for user in sorted(label.allow_users)),
            "classification": label.classification.value,
            "deny_groups": _references(_group_id(group) for group in sorted(label.deny_groups)),
            "deny_users": _references(_user_id(user) for user in sorted(label.deny_users)),
        },
        "parents": [],
    }


def _batches(items: Sequence[_Asked], size: int) -> Iterable[Sequence[_Asked]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _references(uids: Iterable[dict[str, str]]) -> list[dict[str, dict[str, str]]]:
    return [{"__entity": uid} for uid in uids]


def _user_id(id_: str) -> dict[str, str]:
    return {"type": "User", "id": id_}


def _group_id(name: str) -> dict[str, str]:
    return {"type": "Group", "id": name}


def _label_id(label: Label) -> dict[str, str]:
    return {"type": "Label", "id": label.digest}


def _context(context: RequestContext | None) -> dict[str, str]:
    return {"purpose": (context or RequestContext()).purpose}
