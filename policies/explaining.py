"""Why a decision was made: every rule that has a say, whether it matches, and what it lacks if it does not.

The parts of a rule (whom it is about, and each of its conditions) are put to Cedar one by one; nothing here decides.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from policies.actions import Action
from policies.authorizer import Authorizer, as_text
from policies.context import RequestContext
from policies.decisions import Decision
from policies.labels import Label
from policies.principals import Principal
from policies.rules import Effect, Rule

Json = Mapping[str, Any]
_MOST_NAMED = 20
"""Names listed in a sentence; a label may hold thousands."""
_ANY = {"op": "All"}


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """What one rule says of a request: whether it matches, and a sentence for each part that does not hold."""

    rule: Rule
    matches: bool
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelExplanation:
    """Why a principal may read a label or may not.

    `allowing` are the rules that match and permit, also where a denial wins over them; `denying` those that match and
    forbid; `would_allow` those that would permit if the principal had what they lack. `label` is the one they speak of.
    """

    decision: Decision
    allowing: tuple[RuleVerdict, ...]
    denying: tuple[RuleVerdict, ...]
    would_allow: tuple[RuleVerdict, ...]
    label: Label


def explain_label(
    authorizer: Authorizer, principal: Principal, label: Label, context: RequestContext
) -> LabelExplanation:
    """Why may this principal read documents of this label, or why not?

    A label within others is read only where each of them allows it. The rules told are those of one of them, which
    `label` is: the first that denies, else the innermost.

    Raises:
        PolicyInvalidError: The engine decided, but could not tell why.
    """
    layers = dict(enumerate(label.parts()))
    alone = {number: replace(layer, within=None) for number, layer in layers.items()}
    decisions = authorizer.decide_labels(principal, alone, context)
    denying = next((number for number, decision in decisions.items() if not decision.allowed), None)
    decision = authorizer.decide_labels(principal, {0: label}, context)[0]
    label = alone[denying or 0]
    rules = [rule for rule in authorizer.rules if rule.concerns(Action.DOCUMENTS_READ)]
    verdicts = list(_verdicts(authorizer, rules, principal, label, context))
    return LabelExplanation(
        decision=decision,
        allowing=tuple(each for each in verdicts if each.matches and each.rule.effect is Effect.PERMIT),
        denying=tuple(each for each in verdicts if each.matches and each.rule.effect is Effect.FORBID),
        would_allow=tuple(each for each in verdicts if not each.matches and each.rule.effect is Effect.PERMIT),
        label=label,
    )


def _verdicts(
    authorizer: Authorizer, rules: Sequence[Rule], principal: Principal, label: Label, context: RequestContext
) -> Iterator[RuleVerdict]:
    parts = [list(_parts(rule.body)) for rule in rules]
    asked = [part for each in parts for part in each]
    held = iter(authorizer.satisfied(principal, Action.DOCUMENTS_READ, label, context, asked))
    for rule, each in zip(rules, parts, strict=True):
        missing = [part for part in each if not next(held)]
        yield RuleVerdict(rule, not missing, tuple(_lack(part, principal, label, context) for part in missing))


def _parts(body: Json) -> Iterator[Json]:
    """A rule as policies of one condition each; the rule matches when all of them do."""
    if body["principal"] != _ANY:
        yield _permit(principal=body["principal"])
    if body["resource"] != _ANY:
        yield _permit(resource=body["resource"])
    for condition in body["conditions"]:
        if condition["kind"] == "when":
            yield from (_permit(when=part) for part in _split(condition["body"], "&&"))
        else:
            yield from (_permit(when={"!": {"arg": part}}) for part in _split(condition["body"], "||"))


def _permit(*, principal: Json = _ANY, resource: Json = _ANY, when: Json | None = None) -> Json:
    conditions = [] if when is None else [{"kind": "when", "body": when}]
    return {
        "effect": "permit",
        "principal": principal,
        "action": _ANY,
        "resource": resource,
        "conditions": conditions,
    }


def _split(condition: Json, operator: str) -> Iterator[Json]:
    """What a chain of `&&` or `||` holds, from left to right."""
    later: list[Json] = []
    while operator in condition:
        later.append(condition[operator]["right"])
        condition = condition[operator]["left"]
    yield condition
    yield from reversed(later)


def _lack(part: Json, principal: Principal, label: Label, context: RequestContext) -> str:
    """A sentence for a part of a rule that does not hold."""
    if part["conditions"]:
        condition = part["conditions"][0]["body"]
        known = _lack_of_label(condition, principal, label) or _lack_of_context(condition, context)
        return known or f"does not hold: {_condition_text(part)}"
    return _lack_of_scope(part["principal"]) or f"is not about this: {as_text(part).strip()}"


def _lack_of_label(condition: Json, principal: Principal, label: Label) -> str | None:
    match condition:
        case {"in": {"left": {"Var": "principal"}, "right": {".": {"left": {"Var": "resource"}, "attr": attribute}}}}:
            return _lack_of_member(str(attribute), principal, label)
    return None


def _lack_of_member(attribute: str, principal: Principal, label: Label) -> str | None:
    if attribute == "allow_groups":
        own = f"is only in {_listed(principal.groups)}" if principal.groups else "is in no group"
        return (
            f"is in none of {_listed(label.allow_groups)}; {own}" if label.allow_groups else "the label allows no group"
        )
    if attribute == "allow_users":
        return f"is none of {_listed(label.allow_users)}" if label.allow_users else "the label allows nobody by name"
    return None


def _lack_of_context(condition: Json, context: RequestContext) -> str | None:
    match condition:
        case {
            "==": {
                "left": {".": {"left": {"Var": "context"}, "attr": "channel" | "network" | "purpose" as field}},
                "right": {"Value": str(wanted)},
            }
        }:
            return f"the {field} is {getattr(context, str(field))}, not {wanted}"
    return None


def _lack_of_scope(scope: Json) -> str | None:
    match scope:
        case {"op": "in", "entity": {"type": "Group", "id": name}}:
            return f"is not in group {name}"
        case {"op": "in", "entity": {"type": "Role", "id": name}}:
            return f"has not the role {name}"
        case {"op": "==", "entity": {"type": kind, "id": name}}:
            return f"is not {str(kind).lower()} {name}"
        case {"op": "is", "entity_type": kind}:
            return f"is no {str(kind).lower()}"
    return None


def _condition_text(part: Json) -> str:
    """A condition as its author might have written it."""
    text = " ".join(as_text(part).split())
    return text.partition("when { ")[2].removesuffix("};").strip()


def _listed(names: frozenset[str]) -> str:
    shown = sorted(names)[:_MOST_NAMED]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
