"""Rules as data: what each is called, why it is there, where it came from, and what is wrong with it.

Everything here reads Cedar's JSON form of policies; `policies/authorizer.py` makes it and asks the engine.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from policies.actions import Action
from policies.context import Channel, Purpose

Json = Mapping[str, Any]
_ID = re.compile(r"[\w.:-]{1,100}")
_ANNOTATIONS = {"id", "reason"}
_NOT_BRACKETS = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|[^()\[\]{}"/]+|.', re.DOTALL)
_ACTIONS = frozenset(Action)
_CONTEXT = {"Var": "context"}
_VOCABULARIES: Mapping[str, frozenset[str]] = {"channel": frozenset(Channel), "purpose": frozenset(Purpose)}
_RESOURCE = {"Var": "resource"}
_OWNERS = frozenset({"owner_groups", "owner_users"})
_NOT_WORDS = 'compares the context with something else than words; write context.purpose == "search", or a list of them'
_DEEPEST = 100
"""Brackets within brackets. From about 500 on the engine's parser overflows its stack, and the process is gone."""
_LONGEST = 1_000_000
TOO_DEEP = f"it is nested too deeply; write it with at most {_DEEPEST} brackets within each other"
_SAFE = frozenset(
    {
        *("Record", "Set", "Value", "Var", ".", "if-then-else"),
        *("!", "&&", "||", "!=", "==", "<", "<=", ">", ">="),
        *("contains", "containsAll", "containsAny", "in", "is", "isEmpty", "like"),
    }
)
"""Operators that cannot fail once a rule fits the schema; arithmetic can overflow, functions of extensions can fail."""


class Effect(StrEnum):
    """What a rule does when it matches."""

    FORBID = "forbid"
    PERMIT = "permit"


class Origin(StrEnum):
    """Where a rule came from."""

    SHIPPED = "shipped"
    SITE = "site"


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy: `@id`, `@reason`, what it does, and its Cedar JSON; `digest` changes when what it says changes."""

    id: str
    reason: str
    effect: Effect
    origin: Origin
    body: Json = field(compare=False, repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of what the rule says, whatever way it is laid out."""
        return hashlib.sha256(json.dumps(self.body, sort_keys=True).encode()).hexdigest()

    def concerns(self, action: str) -> bool:
        """Whether the rule can have a say on this action."""
        scope = self.body["action"]
        if scope["op"] == "All":
            return True
        entities = scope.get("entities") or [scope["entity"]]
        ids = {entity["id"] for entity in entities}
        # A name that is no action of ours may stand for a group of them.
        return action in ids or not ids <= _ACTIONS


def unreadable(text: str) -> str | None:
    """Why a text must not be given to the engine to read; none when it may."""
    if len(text) > _LONGEST:
        return f"it is longer than {_LONGEST} characters; write fewer or shorter rules"
    depth = 0
    for token in _NOT_BRACKETS.findall(text):
        depth += (token in {"(", "[", "{"}) - (token in {")", "]", "}"})
        if depth > _DEEPEST:
            return TOO_DEEP
    return None


def read_rules(parsed: Json, shipped: Collection[str]) -> tuple[tuple[Rule, ...], list[str]]:
    """The rules of a parsed bundle, and every problem with them; `shipped` are the ids of the rules that we ship."""
    problems: list[str] = []
    if parsed["templates"]:
        problems.append("a policy with ?principal or ?resource decides nothing; write out whom and what it is about")
    rules: dict[str, Rule] = {}
    for number, body in enumerate(parsed["staticPolicies"].values(), start=1):
        annotations = body.get("annotations", {})
        name = annotations.get("id") or ""
        called = name or f"policy {number}"
        if not _ID.fullmatch(name):
            problems.append(f"{called} needs an @id of its own: letters, digits and . : - _, and has {name!r}")
        elif name in rules:
            whose = "a shipped rule has that @id, and shipped rules are not replaced" if name in shipped else "twice"
            problems.append(f"{called} needs an @id of its own, and has {name!r}: {whose}")
        strange = sorted(annotations.keys() - _ANNOTATIONS)
        problems += [f"{called}: there is no annotation @{one}, only @id and @reason" for one in strange]
        problems += [f"{called}: {problem}" for problem in [*dangers(body), *words_of_context(body)[1]]]
        origin = Origin.SHIPPED if name in shipped else Origin.SITE
        reason = annotations.get("reason") or f"Rule {name}."
        rules.setdefault(name, Rule(name, reason, Effect(body["effect"]), origin, body))
    return tuple(rules.values()), problems


def dangers(body: Json) -> list[str]:
    """What in a rule could make it fail when it is evaluated, or hide a misspelt word."""
    found: list[str] = []
    operators = {name for condition in body["conditions"] for node in _nodes(condition["body"]) for name in node}
    if "has" in operators:
        # Every attribute is always there, so `has` is only ever right or misspelt, and Cedar accepts both.
        found.append("asks with `has` for what is always there; leave that out")
    nodes = [node for condition in body["conditions"] for node in _nodes(condition["body"])]
    if any("." in node and node["."]["attr"] in _OWNERS and node["."]["left"] != _RESOURCE for node in nodes):
        # Of a label's source the engine is not told who owns it, so the rule would fail, and deny everything.
        found.append("asks who owns a label's source; owning a source is no reading, so name a group in the label")
    failing = sorted(operators - _SAFE - {"has"})
    if failing:
        found.append(f"uses {', '.join(failing)}, which can fail when it is evaluated; say it without")
    return found


def words_of_context(body: Json) -> tuple[frozenset[tuple[str, str]], list[str]]:
    """The words that a rule compares the context with, each with its field; and what is wrong with how it does.

    The engine takes any text for a purpose, so a misspelt one would make a rule that never applies. A context is
    therefore only compared with words, and words can be looked up.
    """
    words: set[tuple[str, str]] = set()
    compared = 0
    nodes = [node for condition in body["conditions"] for node in _nodes(condition["body"])]
    for node in nodes:
        for field_, values in _comparisons(node):
            compared += 1
            words.update((field_, value) for value in values)
    typed = sum("." in node and node["."]["left"] == _CONTEXT and _context_field(node) is None for node in nodes)
    # Every mention of the context is a comparison with words, or asks for the kind of personal data, which is typed.
    wrong = [] if nodes.count(_CONTEXT) == compared + typed else [_NOT_WORDS]
    for field_, known in _VOCABULARIES.items():
        unknown = sorted(word for name, word in words if name == field_ and word not in known)
        wrong += [f"there is no {field_} {word!r}; there is {', '.join(sorted(known))}" for word in unknown]
    return frozenset(words), wrong


def named(body: Json, type_: str) -> frozenset[str]:
    """The ids of all entities of a type that a rule names."""
    scopes = [body["principal"], body["resource"], body["action"]]
    conditions = [condition["body"] for condition in body["conditions"]]
    return frozenset(_entities([*scopes, *conditions], type_))


def asks_of_context(body: Json) -> frozenset[str]:
    """The fields of the context that a rule asks about."""
    return frozenset(
        field_
        for condition in body["conditions"]
        for node in _nodes(condition["body"])
        if (field_ := _context_field(node)) is not None
    )


def _context_field(node: Any) -> str | None:
    """The field of the context that an expression is; one that only some requests have is typed, and not meant."""
    match node:
        case {".": {"left": {"Var": "context"}, "attr": "channel" | "network" | "purpose" as name}}:
            return str(name)
    return None


def _comparisons(node: Json) -> Iterator[tuple[str, list[str]]]:
    """A field of the context and the words it is compared with, where a node is such a comparison."""
    match node:
        case {"==": {"left": left, "right": right}} | {"!=": {"left": left, "right": right}}:
            for one, other in ((left, right), (right, left)):
                if (name := _context_field(one)) is not None and isinstance(word := _text(other), str):
                    yield name, [word]
        case {"contains": {"left": {"Set": listed}, "right": right}}:
            texts = [_text(one) for one in listed]
            if (name := _context_field(right)) is not None and all(isinstance(text, str) for text in texts):
                yield name, [str(text) for text in texts]


def _text(node: Any) -> Any:
    return node.get("Value") if isinstance(node, Mapping) else None


def _nodes(root: Any) -> Iterator[Json]:
    """Every operator in a condition, without recursion: a hostile rule may be nested very deep."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Mapping):
            continue
        yield node
        for name, operands in node.items():
            waiting += _operands(name, operands)


def _operands(name: str, operands: Any) -> list[Any]:
    match name:
        case "Value" | "Var":
            return []
        case "Record":
            return list(operands.values())
        case _:
            parts = operands if isinstance(operands, list) else [operands]
            below: list[Any] = []
            for part in parts:
                # `{"left": ..., "right": ...}` names operands; anything else is an operand itself.
                is_named = isinstance(part, Mapping) and not isinstance(operands, list)
                below += part.values() if is_named else [part]
            return below


def _entities(roots: list[Any], type_: str) -> Iterator[str]:
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            if node.get("type") == type_ and isinstance(node.get("id"), str):
                yield node["id"]
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
