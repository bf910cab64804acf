"""T4: whatever is wrong with policies, entities, schema, context or engine ends in a denial, and somebody is told.

Each case breaks one thing of a world in which Ada may read. The case counts when nothing is allowed afterwards, and
when it was told: the bundle was refused with its problems, or the decision says that it failed and the log has it.
"""

import json
import logging
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cedarpy
import pytest

import policies.authorizer
from policies.actions import Action
from policies.authorizer import Authorizer, shipped
from policies.context import RequestContext
from policies.entities import label_entity, principal_entity
from policies.errors import PolicyInvalidError
from policies.labels import Label
from policies.personal_data import EntityType
from policies.principals import Principal

POLICIES, SCHEMA = shipped()
ADA = Principal("ada", frozenset({"staff"}))
STAFF = Label.for_groups("staff")
CONTEXT = RequestContext()
RULE = '@id("site") forbid (principal in Role::"monitor", action == Action::"documents:read", resource);'
COUNTS = [130, pytest.param(1_000, marks=pytest.mark.deep)]
"""Of each of five kinds: 650 cases in the quick subset."""


@dataclass(frozen=True)
class Case:
    """One broken world."""

    name: str
    policies: str = POLICIES
    site: str = RULE
    schema: str = SCHEMA
    context: RequestContext = CONTEXT
    patches: tuple[tuple[Any, str, Any], ...] = ()


class Trusting(Authorizer):
    """The negative control: a bundle with faults is in force without the faulty part, and an Allow is believed."""

    def __init__(self, policies: str, schema: str, site_policies: str = "", networks: Any = None) -> None:
        super().__init__(POLICIES, SCHEMA)
        self._schema = None
        for part in (policies + "\n" + site_policies, policies, POLICIES):
            try:
                everything = cedarpy.PolicySet.from_str(part)
                self._about: Any = lambda _, everything=everything: everything
                break
            except ValueError:
                continue

    def _decision(self, result: Any) -> Any:
        allowed = getattr(result, "decision", None) is not cedarpy.Decision.Deny
        return policies.authorizer.Decision(allowed, "")


def changed_word(rng: random.Random, text: str, pattern: str) -> str:
    """The text with one of the words that match spelt in another way."""
    chosen = rng.choice(list(re.finditer(pattern, text)))
    word = chosen[1]
    place = rng.randrange(len(word))
    other = rng.choice(["", word[place] * 2, word[place].swapcase() + "x", "\u200b" + word[place], "ж"])
    start, end = chosen.span(1)
    return text[:start] + word[:place] + other + word[place + 1 :] + text[end:]


def broken_policies(rng: random.Random) -> Case:
    """Bundles that must be refused: in grammar, in words, in what they may do."""
    conditions = [
        "9223372036854775807 + 1 > 0",
        "principal has active",
        "principal.salary > 3",
        'ip("x").isIpv4()',
        'decimal("1.23456").lessThan(decimal("2.0"))',
        'resource.classification == "internal"',
        'resource.classification == Classification::"intern"',
        'context.purpose == "anser"',
        "context.user == principal",
        "context.purpose == 3",
        "resource",
        "[].isEmpty()",
        "(" * rng.randrange(101, 3000) + "true" + ")" * 3000,
        "unknown(true)",
        "true && " * rng.randrange(900, 3000) + "true",
    ]
    effect = rng.choice(["permit", "forbid"])
    head = f'@id("site{rng.randrange(99)}") {effect} (principal, action == Action::"documents:read", resource)'
    return rng.choice(
        [
            lambda: Case("condition", site=f"{head} when {{ {rng.choice(conditions)} }};"),
            lambda: Case("word", site=changed_word(rng, RULE, r"(?:Role|Action)::\"([\w:-]+)\"")),
            lambda: Case("keyword", site=changed_word(rng, RULE, r"\b(forbid|principal|action|resource|in)\b")),
            lambda: Case("cut", site=RULE[: rng.randrange(5, len(RULE) - 1)]),
            lambda: Case("twice", site=RULE + RULE),
            lambda: Case("redefined", site=RULE.replace("site", rng.choice(["label-denies", "inactive-denied"]))),
            lambda: Case(
                "nameless", site=RULE.replace('@id("site")', rng.choice(["", '@id("")', "@id", '@name("x")']))
            ),
            lambda: Case("template", site=RULE.replace('principal in Role::"monitor"', "principal == ?principal")),
            lambda: Case(
                "bytes", site=RULE + "".join(chr(rng.randrange(33, 0x2FF)) for _ in range(rng.randrange(3, 40)))
            ),
        ]
    )()


def broken_schema(rng: random.Random) -> Case:
    """Schemas that do not fit the policies or what is told of principals and labels."""
    lines = SCHEMA.splitlines(keepends=True)
    attributes = r"^  (active|allow_groups|allow_users|classification|deny_groups|deny_users): "
    entities = r"entity (?:Service, )?(System|Role|Group|User|Classification|Label|EntityType|Sensitivity)\b"
    return rng.choice(
        [
            lambda: Case("attribute", schema=changed_word(rng, SCHEMA, f"(?m){attributes}")),
            lambda: Case("entity", schema=changed_word(rng, SCHEMA, entities)),
            lambda: Case("action", schema=changed_word(rng, SCHEMA, r"action \"(documents:read)\"")),
            lambda: Case("role", schema=changed_word(rng, SCHEMA, r"\"(auditor|employee|monitor|operator)\"")),
            lambda: Case("cut", schema="".join(lines[: rng.randrange(1, len(lines) - 9)])),
            lambda: Case(
                "type", schema=SCHEMA.replace("active: Bool", f"active: {rng.choice(['Long', 'String', 'Set<Bool>'])}")
            ),
            lambda: Case(
                "noise", schema=SCHEMA + rng.choice(["entity", "}", "entity User;", "action x", "type Bool = ;"])
            ),
            lambda: Case("empty", schema=rng.choice(["", " ", "//", "\x00", "{}", "namespace X {}"])),
        ]
    )()


WRONG = [None, 0, -1, "", "no", [], [True], {}, {"__entity": {"type": "Role", "id": "auditor"}}, 1.5, "\ud800"]


def telling(make: Callable[[Any], Any], change: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Any]:
    """What is told of something, changed."""
    return lambda subject: change(make(subject))


def broken_entities(rng: random.Random) -> Case:
    """What is told of the principal or the label is not what the schema expects."""
    wrong = rng.choice(WRONG)
    gone = rng.choice(["uid", "attrs"])
    strange = rng.choice(["Rolle", "Label", "", "User::x", "System"])
    principal: list[Callable[[dict[str, Any]], Any]] = [
        lambda told: told | {"attrs": {"active": wrong}},
        lambda told: told | {"attrs": {}},
        lambda told: told | {"attrs": told["attrs"] | {f"extra{rng.randrange(9)}": True}},
        lambda told: told | {"parents": [*told["parents"], {"type": strange, "id": "staff"}]},
        lambda told: told | {"parents": [*told["parents"], {"type": "Role", "id": "emperor"}]},
        lambda told: told | {"parents": wrong if wrong != [] else 3},
        lambda told: told | {"uid": wrong},
        lambda told: {key: told[key] for key in told if key != gone},
    ]
    name = rng.choice(["allow_groups", "allow_users", "deny_groups", "deny_users", "classification"])
    label: list[Callable[[dict[str, Any]], Any]] = [
        lambda told: told | {"attrs": told["attrs"] | {name: wrong if wrong != [] else 7}},
        lambda told: told | {"attrs": {key: told["attrs"][key] for key in told["attrs"] if key != name}},
        lambda told: told | {"attrs": told["attrs"] | {"owner": "ada"}},
        lambda told: (
            told | {"attrs": told["attrs"] | {"classification": {"__entity": {"type": "Classification", "id": "x"}}}}
        ),
        lambda told: told | {"uid": wrong},
        lambda told: told | {"parents": [{"type": strange, "id": "x"}]},
    ]
    if rng.random() < 0.5:
        change = rng.choice(principal)
        return Case(
            "principal", patches=((policies.authorizer, "principal_entity", telling(principal_entity, change)),)
        )
    return Case("label", patches=((policies.authorizer, "label_entity", telling(label_entity, rng.choice(label))),))


def broken_context(rng: random.Random) -> Case:
    """A context that holds something else than our own values, or is told in another form."""
    if rng.random() < 0.6:
        wrong = rng.choice([*WRONG[:-1], {"purpose": "answer"}, ["answer"], b"answer", 10**30])
        field = rng.choice(["purpose", "network", "channel"])
        # An empty or unusual text is a network's name like any other.
        wrong = 7 if field == "network" and isinstance(wrong, str) else wrong
        return Case(field, context=replace(CONTEXT, **{field: wrong}))
    told = {"channel": "http", "network": "other", "purpose": "answer"}
    gone = rng.choice(sorted(told))
    forms: list[Any] = [
        told | {"user": "root"},
        {key: told[key] for key in told if key != gone},
        told | {rng.choice(sorted(told)): {"__entity": {"type": "Role", "id": "auditor"}}},
        told | {rng.choice(sorted(told)): rng.choice([1, True, ["answer"], {"a": "b"}])},
        {"__entity": {"type": "Role", "id": "auditor"}},
        [],
    ]
    text = rng.choice([json.dumps(rng.choice(forms)), "{", "", "nonsense", '{"purpose":'])
    return Case("form", patches=((policies.authorizer, "_context", lambda *_: text),))


def broken_engine(rng: random.Random) -> Case:
    """An engine that raises, says nonsense, or says too much, too little or something contradictory."""

    def raising(*_: Any, **__: Any) -> Any:
        raise rng.choice([RuntimeError, ValueError, TypeError, MemoryError, OSError, KeyError, RecursionError])(wrong)

    wrong = f"broken {rng.randrange(10**6)}"
    allow = {"decision": "Allow", "diagnostics": {"reason": [], "errors": []}}
    errors = ["policy12: overflow", "unknown", ""]
    answers: list[Callable[[int], Any]] = [
        lambda count: [cedarpy.AuthzResult(allow)] * (count + rng.randrange(1, 5)),
        lambda count: [cedarpy.AuthzResult(allow)] * (count - 1),
        lambda count: (
            [cedarpy.AuthzResult(allow | {"diagnostics": {"reason": [], "errors": [rng.choice(errors)]}})] * count
        ),
        lambda count: (
            [cedarpy.AuthzResult(allow | {"diagnostics": {"reason": [f"policy{rng.randrange(50, 99)}"]}})] * count
        ),
        lambda count: [cedarpy.AuthzResult({"decision": rng.choice(["Perhaps", "allow", "", None, 1])})] * count,
        lambda count: [cedarpy.AuthzResult({"decision": "NoDecision"})] * count,
        lambda count: [cedarpy.AuthzResult({})] * count,
        lambda count: [cedarpy.AuthzResult(allow)] * count,
        lambda count: rng.choice([None, 3, "Allow", {}, [None] * count, ["Allow"] * count, [True] * count, object()]),
    ]
    answer = rng.choice(answers)
    engine = raising if rng.random() < 0.3 else lambda requests, *_, **__: answer(len(requests))
    return Case("engine", patches=((cedarpy, "is_authorized_batch", engine),))


KINDS = {
    "policies": broken_policies,
    "schema": broken_schema,
    "entities": broken_entities,
    "context": broken_context,
    "engine": broken_engine,
}


def outcome(authorizer_type: type[Authorizer], case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[bool, bool]:
    """Whether anything is allowed that concerns documents, and whether somebody was told of a fault."""
    try:
        authorizer = authorizer_type(case.policies, case.schema, case.site)
    except PolicyInvalidError as refused:
        return False, bool(refused.problems)
    context: AbstractContextManager[Any] = monkeypatch.context() if case.patches else nullcontext()
    with context as patching:
        for where, name, what in case.patches:
            patching.setattr(where, name, what)
        decisions = [
            *authorizer.decide_labels(ADA, {1: STAFF, 2: Label.private()}, case.context).values(),
            *authorizer.decide_reveal(ADA, [EntityType.PERSON], STAFF, case.context).values(),
            *authorizer.decide_remote(ADA, [STAFF], case.context).values(),
        ]
    return any(decision.allowed for decision in decisions), any(decision.failed for decision in decisions)


def cases(kind: str, count: int) -> Iterator[Case]:
    rng = random.Random(f"{kind} {count}")
    for _ in range(count):
        yield KINDS[kind](rng)


def test_the_sound_world_allows() -> None:
    """Without this, denying everything would pass."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert outcome(Authorizer, Case("sound"), monkeypatch) == (True, False)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_denies_and_is_told(
    kind: str, count: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: Counter[str] = Counter()
    opened = 0
    for case in cases(kind, count):
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            allowed, told = outcome(Authorizer, case, monkeypatch)
        assert not allowed, case
        logged = any(record.message.startswith("policy_not_evaluated") for record in caplog.records)
        refused = told and not logged
        assert told, case
        assert logged or refused
        seen[case.name] += 1
    # The control cannot even answer some faults, and opens on many of the others.
    for case in cases(kind, count):
        try:
            opened += outcome(Trusting, case, monkeypatch)[0]
        except Exception:  # noqa: BLE001 - a control that breaks down is not one that opens
            continue
    assert opened > count / 20, "the control must open"
    assert len(seen) > 1 or kind == "engine"


def test_the_files_that_are_broken_here_are_the_shipped_ones() -> None:
    folder = Path(policies.authorizer.__file__).parent
    assert (folder / "policies.cedar").read_text(encoding="utf-8") == POLICIES
    assert Action.DOCUMENTS_READ.value in SCHEMA
