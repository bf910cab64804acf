"""Nothing is allowed that no rule allows, and nothing that goes wrong allows anything."""

import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cedarpy
import pytest

import policies.authorizer
import policies.rules
from policies.actions import OF_SOURCES, Action
from policies.authorizer import Authorizer
from policies.context import Purpose, RequestContext
from policies.decisions import Decision
from policies.entities import principal_entity
from policies.errors import PolicyInvalidError
from policies.labels import Classification, Label
from policies.memory import DecisionMemory
from policies.personal_data import SENSITIVITY, EntityType, Sensitivity
from policies.principals import ANONYMOUS, Principal, PrincipalKind, Role

FOLDER = Path(policies.authorizer.__file__).parent
POLICIES = (FOLDER / "policies.cedar").read_text(encoding="utf-8")
SCHEMA = (FOLDER / "schema.cedarschema").read_text(encoding="utf-8")
ADA = Principal("ada", frozenset({"staff"}))
STAFF = Label.for_groups("staff")
SYSTEM_ACTIONS = set(Action) - {Action.DOCUMENTS_READ, Action.MODELS_SEND_REMOTE, Action.PERSONAL_DATA_REVEAL}
ODD_NAMES = [
    "",
    " ",
    "a",
    "A",
    "ada",
    'qu"o\\te',
    "new\nline",
    "\x00",
    "Z\u0301",
    "Ź",
    "\u202e",
    'User::"ada"',
    "組 é",
    "${x}",
]
CONTACTS = {type_ for type_, sensitivity in SENSITIVITY.items() if sensitivity is Sensitivity.CONTACT}


def allowed_actions(authorizer: Authorizer, principal: Principal) -> set[Action]:
    return {action for action in SYSTEM_ACTIONS if authorizer.decide(principal, action).allowed}


def may_read(authorizer: Authorizer, principal: Principal, label: Label) -> Decision:
    return authorizer.decide_labels(principal, {7: label})[7]


def revealed(authorizer: Authorizer, principal: Principal, label: Label) -> set[EntityType]:
    decisions = authorizer.decide_reveal(principal, tuple(EntityType), label)
    return {type_ for type_, decision in decisions.items() if decision.allowed}


ROLE_ACTIONS = {
    Role.AUDITOR: {Action.AUDIT_READ, Action.AUDIT_REVEAL, Action.OVERSHARING_READ, Action.POLICY_EXPLAIN},
    Role.EMPLOYEE: {
        Action.CHAT_ASK,
        Action.CONVERSATIONS_READ,
        Action.EMBEDDINGS_MAKE,
        Action.MODELS_LIST,
        Action.OPENAPI_READ,
        Action.SEARCH_QUERY,
        Action.USAGE_READ_OWN,
    },
    Role.MONITOR: {Action.METRICS_READ},
    Role.PROVISIONER: {Action.DIRECTORY_MANAGE},
    Role.OPERATOR: {
        Action.DIRECTORY_MANAGE,
        Action.KEYS_MANAGE,
        Action.LABELS_READ,
        Action.METRICS_READ,
        Action.MODELS_LIST,
        Action.OPENAPI_READ,
        Action.SESSIONS_MANAGE,
        Action.OVERSHARING_READ,
        Action.POLICY_EXPLAIN,
        Action.SOURCES_MANAGE,
        Action.SOURCES_READ,
        Action.SOURCES_SYNC,
        Action.USAGE_READ,
        Action.USERS_MANAGE,
    },
    Role.SOURCE_OWNER: set(OF_SOURCES),
}
EVERYBODYS = {Action.HEALTH_READ, Action.SESSION_BEGIN, Action.SESSION_END}
EVERY_USERS = EVERYBODYS | {Action.PASSWORD_CHANGE, Action.SESSION_READ}


@pytest.mark.parametrize("role", Role)
def test_a_role_may_do_its_work_and_nothing_else(authorizer: Authorizer, role: Role) -> None:
    principal = replace(ADA, roles=frozenset({role}))
    assert allowed_actions(authorizer, principal) == ROLE_ACTIONS[role] | EVERY_USERS


def test_no_role_reads_documents_by_itself(authorizer: Authorizer) -> None:
    everything = Principal("root", roles=frozenset(Role))
    assert not may_read(authorizer, everything, STAFF).allowed
    assert not may_read(authorizer, everything, Label.private()).allowed
    assert revealed(authorizer, everything, STAFF) == set()


@pytest.mark.parametrize(
    "principal",
    [
        ANONYMOUS,
        replace(ADA, active=False, roles=frozenset(Role)),
        replace(ANONYMOUS, roles=frozenset(Role), groups=frozenset({"staff"})),
        Principal("", frozenset({"staff"}), frozenset(Role)),
    ],
    ids=["anonymous", "inactive", "anonymous with rights", "nameless"],
)
def test_who_is_not_somebody_active_sees_the_health_and_no_more(authorizer: Authorizer, principal: Principal) -> None:
    """Signing in aside, where somebody anonymous begins."""
    label = Label(frozenset({"staff", ""}), frozenset({"ada", "anonymous", ""}))
    somebody = principal.active and principal.id
    assert allowed_actions(authorizer, principal) == (EVERYBODYS if somebody else {Action.HEALTH_READ})
    assert not may_read(authorizer, principal, label).allowed
    assert revealed(authorizer, principal, label) == set()
    assert may_read(authorizer, ADA, label).allowed, "the same label must open for somebody, or this shows nothing"


@pytest.mark.parametrize(
    ("label", "allowed", "rules"),
    [
        (Label.for_groups("staff"), True, ("label-allows-group",)),
        (Label(allow_users=frozenset({"ada"})), True, ("label-allows-user",)),
        (Label(frozenset({"staff"}), frozenset({"ada"})), True, ("label-allows-group", "label-allows-user")),
        (Label.private(), False, ()),
        (Label.for_groups("ada"), False, ()),
        (Label(allow_users=frozenset({"staff"})), False, ()),
        (Label(frozenset({"staff"}), deny_groups=frozenset({"staff"})), False, ("label-denies",)),
        (Label(frozenset({"staff"}), deny_users=frozenset({"ada"})), False, ("label-denies",)),
        (Label(frozenset({"staff"}), deny_groups=frozenset({"ada"})), True, ("label-allows-group",)),
    ],
)
def test_a_label_says_who_reads(authorizer: Authorizer, label: Label, *, allowed: bool, rules: tuple[str, ...]) -> None:
    decision = may_read(authorizer, ADA, label)
    assert (decision.allowed, decision.policies, decision.failed) == (allowed, rules, False)
    assert decision.reason


def test_a_service_is_not_the_user_of_its_name(authorizer: Authorizer) -> None:
    service = replace(ADA, kind=PrincipalKind.SERVICE)
    assert not may_read(authorizer, service, Label(allow_users=frozenset({"ada"}))).allowed
    assert may_read(authorizer, service, STAFF).allowed
    assert may_read(authorizer, service, replace(STAFF, deny_users=frozenset({"ada"}))).allowed


def test_a_reader_sees_contacts_and_nothing_sealed(authorizer: Authorizer) -> None:
    assert revealed(authorizer, ADA, STAFF) == CONTACTS
    assert revealed(authorizer, replace(ADA, groups=frozenset()), STAFF) == set()


def test_a_site_may_reveal_more_but_only_to_who_may_read() -> None:
    authorizer = Authorizer.load(
        """@id("payroll-ibans")
        permit (principal in Group::"payroll", action == Action::"personal-data:reveal", resource)
        when { context.entity_type == EntityType::"IBAN_CODE" };"""
    )
    payroll = Principal("eve", frozenset({"payroll"}))
    both = replace(payroll, groups=frozenset({"payroll", "staff"}))
    assert revealed(authorizer, both, STAFF) == CONTACTS | {EntityType.IBAN_CODE}
    assert revealed(authorizer, payroll, STAFF) == set()
    assert revealed(authorizer, both, replace(STAFF, deny_groups=frozenset({"payroll"}))) == set()


def test_a_site_may_forbid_by_classification_and_purpose() -> None:
    authorizer = Authorizer.load(
        """@id("no-restricted-search") @reason("Restricted documents are not searched.")
        forbid (principal, action == Action::"documents:read", resource)
        when { resource.classification == Classification::"restricted" && context.purpose == "search" };"""
    )
    restricted = replace(STAFF, classification=Classification.RESTRICTED)
    searched = authorizer.decide_labels(ADA, {1: STAFF, 2: restricted}, RequestContext(Purpose.SEARCH))
    assert {number for number, decision in searched.items() if decision.allowed} == {1}
    assert searched[2] == Decision(False, "Restricted documents are not searched.", ("no-restricted-search",))
    assert may_read(authorizer, ADA, restricted).allowed


SENDING = '@id("send") permit (principal in Role::"employee", action == Action::"models:send-remote", resource);'


def sent(authorizer: Authorizer, principal: Principal, label: Label) -> bool:
    return authorizer.decide_remote(principal, [label])[label].allowed


def test_nothing_is_sent_to_other_machines_until_a_site_permits_it(authorizer: Authorizer) -> None:
    permitting = Authorizer.load(SENDING)
    for classification in Classification:
        label = replace(STAFF, classification=classification)
        assert not sent(authorizer, ADA, label)
        assert sent(permitting, ADA, label) is (classification in {Classification.PUBLIC, Classification.INTERNAL})


def test_sending_takes_reading(authorizer: Authorizer) -> None:
    permitting = Authorizer.load(SENDING)
    board = Label.for_groups("board")
    assert permitting.decide_remote(ADA, [STAFF, board]) == {
        STAFF: Decision(True, "Rule send.", ("send",)),
        board: Decision(False, "No rule allows it."),
    }


OPENING_EVERYTHING = """@id("everything") permit (principal, action, resource);
@id("again") permit (principal in Group::"staff", action, resource);"""


@pytest.mark.parametrize("closed", ["all", "reading", "deny group", "deny user", "inactive"])
def test_a_denial_wins_whatever_else_permits(closed: str) -> None:
    """Everything is permitted twice over, and one denial stands against it."""
    rule = {
        "all": '@id("closed") forbid (principal, action, resource);',
        "reading": '@id("closed") forbid (principal, action == Action::"documents:read", resource);',
    }.get(closed, "")
    authorizer, opened = Authorizer.load(OPENING_EVERYTHING + rule), Authorizer.load(OPENING_EVERYTHING)
    denied = {
        "deny group": replace(STAFF, deny_groups=frozenset({"staff"})),
        "deny user": replace(STAFF, allow_users=frozenset({"ada"}), deny_users=frozenset({"ada"})),
    }
    label = denied.get(closed, STAFF)
    who = replace(ADA, roles=frozenset(Role), active=closed != "inactive")
    assert not may_read(authorizer, who, label).allowed
    assert revealed(authorizer, who, label) == set()
    assert not sent(authorizer, who, label)
    if closed in {"all", "inactive"}:
        assert allowed_actions(authorizer, who) - {Action.HEALTH_READ} == set()
    assert may_read(opened, ADA, STAFF).allowed
    assert revealed(opened, ADA, STAFF) == set(EntityType)
    assert sent(opened, ADA, STAFF)
    assert allowed_actions(opened, ADA) == SYSTEM_ACTIONS


def test_only_rules_without_a_say_are_left_out() -> None:
    (rule,) = (rule for rule in Authorizer.load(SENDING).rules if rule.id == "send")
    assert (rule.concerns("models:send-remote"), rule.concerns("documents:read")) == (True, False)
    group = replace(rule, body={**rule.body, "action": {"op": "in", "entity": {"type": "Action", "id": "a group"}}})
    assert group.concerns("documents:read"), "what is no action of ours may stand for some of them"
    for id_ in ("inactive-denied", "label-denies"):
        denying = next(rule for rule in Authorizer.load().rules if rule.id == id_)
        assert denying.concerns("documents:read")


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if name])
def test_names_match_as_they_are_whatever_they_contain(authorizer: Authorizer, name: str) -> None:
    member = Principal(name, frozenset({name}))
    others = [other for other in ODD_NAMES if other != name]
    assert may_read(authorizer, member, Label.for_groups(name)).allowed
    assert may_read(authorizer, member, Label(allow_users=frozenset({name}))).allowed
    assert not may_read(authorizer, member, Label.for_groups(*others)).allowed
    assert not may_read(authorizer, member, Label(allow_users=frozenset(others))).allowed


def test_an_empty_name_allows_nobody_and_still_denies(authorizer: Authorizer) -> None:
    careless = replace(ADA, groups=frozenset({"", "staff"}))
    assert not may_read(authorizer, careless, Label.for_groups("")).allowed
    assert not may_read(authorizer, careless, replace(STAFF, deny_groups=frozenset({""}))).allowed


def test_ten_thousand_groups_decide_as_one_does(authorizer: Authorizer) -> None:
    crowd = replace(ADA, groups=frozenset(f"group-{number}" for number in range(10_000)))
    assert may_read(authorizer, crowd, Label.for_groups("group-9999")).allowed
    assert not may_read(authorizer, crowd, STAFF).allowed
    assert not may_read(authorizer, crowd, Label(crowd.groups, deny_groups=frozenset({"group-17"}))).allowed


def test_more_labels_than_fit_one_call_are_all_decided(authorizer: Authorizer) -> None:
    labels = {number: Label.for_groups("staff" if number % 3 == 0 else f"g{number}") for number in range(450)}
    decisions = authorizer.decide_labels(ADA, labels)
    assert {number for number, decision in decisions.items() if decision.allowed} == set(range(0, 450, 3))


def test_a_label_that_cannot_be_told_denies_only_itself(authorizer: Authorizer) -> None:
    labels = {number: STAFF if number % 2 else Label.for_groups(f"g{number}", "staff") for number in range(40)}
    labels[13] = Label.for_groups("staff", "\ud800")
    decisions = authorizer.decide_labels(ADA, labels)
    assert {number for number, decision in decisions.items() if not decision.allowed} == {13}
    assert decisions[13].failed


def test_a_principal_that_cannot_be_told_is_denied(authorizer: Authorizer) -> None:
    for principal in (replace(ADA, id="\ud800"), replace(ADA, groups=frozenset({"staff", "\ud800"}))):
        assert not may_read(authorizer, principal, STAFF).allowed
        assert authorizer.decide(principal, Action.CHAT_ASK).failed


SMUGGLED = [
    {"__entity": {"type": "Role", "id": "auditor"}},
    {"type": "Network", "id": "office"},
    {"__extn": {"fn": "ip", "arg": "10.0.0.1"}},
    None,
    3,
    True,
    ["answer"],
    {1, 2},
    b"answer",
]


@pytest.mark.parametrize("field", ["purpose", "network", "channel"])
@pytest.mark.parametrize("smuggled", SMUGGLED, ids=str)
def test_a_context_that_is_not_of_our_types_is_denied(authorizer: Authorizer, field: str, smuggled: Any) -> None:
    context = replace(RequestContext(), **{field: smuggled})
    decisions = [
        authorizer.decide(ADA, Action.CHAT_ASK, context),
        authorizer.decide_labels(ADA, {1: STAFF}, context)[1],
        *authorizer.decide_reveal(ADA, [EntityType.PERSON], STAFF, context).values(),
        *authorizer.decide_remote(ADA, [STAFF], context).values(),
    ]
    assert {(decision.allowed, decision.failed) for decision in decisions} == {(False, True)}


@pytest.mark.parametrize("name", ["office", "__entity", '{"__entity": {"type": "Role", "id": "auditor"}}', "\x00", "é"])
def test_a_networks_name_is_a_name_whatever_it_contains(name: str) -> None:
    site = """@id("office-only") forbid (principal, action == Action::"documents:read", resource)
    unless { context.network == "office" };"""
    authorizer = Authorizer.load(site)
    decision = authorizer.decide_labels(ADA, {1: STAFF}, RequestContext(network=name))[1]
    assert (decision.allowed, decision.failed) == (name == "office", False)


def test_the_revision_names_policies_and_schema() -> None:
    same = [Authorizer.load().revision, Authorizer(POLICIES, SCHEMA).revision]
    other = [Authorizer(f"{POLICIES}\n", SCHEMA).revision, Authorizer.load("// a remark").revision]
    assert len(set(same)) == 1
    assert len({*same, *other}) == 3
    assert re.fullmatch("[0-9a-f]{64}", same[0])


def enumerated(type_: str) -> set[str]:
    found = re.search(rf"entity {type_} enum \[(.*?)\]", SCHEMA, re.DOTALL)
    assert found
    return set(re.findall(r'"([^"]+)"', found[1]))


def test_the_schema_knows_the_words_everybody_shares() -> None:
    assert enumerated("Role") == set(Role)
    assert enumerated("Classification") == set(Classification)
    assert enumerated("EntityType") == set(EntityType)
    assert enumerated("Sensitivity") == set(Sensitivity)
    listed = re.search(r"^action\n(.*?)^appliesTo", SCHEMA, re.DOTALL | re.MULTILINE)
    assert listed
    assert set(re.findall(r'"([^"]+)"', listed[1])) == SYSTEM_ACTIONS - OF_SOURCES
    of_sources = re.search(r"^action (.*)\nappliesTo \{\n.*\n  resource: \[Source, System\]", SCHEMA, re.MULTILINE)
    assert of_sources
    assert set(re.findall(r'"([^"]+)"', of_sources[1])) == OF_SOURCES


# What is wrong with a bundle is found when it is loaded.

READING = '@id("x") forbid (principal, action == Action::"documents:read", resource) when { %s };'


@pytest.mark.parametrize(
    "broken",
    [
        "permit (",
        "permit (principal, action, resource);",
        '@id("") permit (principal, action, resource);',
        '@id("label-allows-group") permit (principal, action, resource);',
        '@id("x") permit (principal == ?principal, action, resource);',
        '@id("x") forbid (principal in Role::"auditors", action, resource);',
        '@id("x") forbid (principal, action == Action::"documents:raed", resource);',
        READING % 'resource.clasification == Classification::"internal"',
        READING % 'resource.classification == Classification::"secret"',
        READING % 'context.porpoise == "answer"',
        READING % 'context.purpose == "anwser"',
        READING % 'context.purpose == "answer" || context.channel == "carrier pigeon"',
        READING % "context.purpose == context.channel",
        READING % 'context.purpose like "ans*"',
        READING % '["answer", "serch"].contains(context.purpose)',
        READING % '["answer", context.channel].contains(context.purpose)',
        READING % 'context == {channel: "cli", network: "local", purpose: "answer"}',
        READING % 'if context.purpose == "answer" then true else "search" != context.purpsoe',
        READING % "context.time > 3",
        READING % "principal has actve && principal.active",
        READING % 'principal.active == "yes"',
    ],
)
def test_a_rule_that_could_not_work_is_refused(broken: str) -> None:
    with pytest.raises(PolicyInvalidError, match="were not loaded"):
        Authorizer.load(broken)


@pytest.mark.parametrize(
    "condition",
    [
        'context.purpose == "answer"',
        '"answer" != context.purpose',
        '!(["answer", "search"].contains(context.purpose)) || context.network == "anything at all"',
        'context.channel == "cli" && (if context.purpose == "search" then true else resource.allow_users.isEmpty())',
    ],
)
def test_a_rule_may_compare_the_context_with_words(condition: str) -> None:
    assert len(Authorizer.load(READING % condition).rules) == len(Authorizer.load().rules) + 1


def test_a_network_that_the_settings_do_not_name_is_refused() -> None:
    rule = READING % 'context.network != "office" && ["office", "lab"].contains(context.network)'
    assert Authorizer.load(rule, {"office", "lab"})
    with pytest.raises(PolicyInvalidError, match="x: there is no network lab"):
        Authorizer.load(rule, {"office"})


def test_every_problem_is_listed_with_the_rule_it_is_in() -> None:
    with pytest.raises(PolicyInvalidError) as caught:
        Authorizer.load(
            """@id("first") forbid (principal in Role::"boss", action, resource);
            @id("second") forbid (principal, action, resource) when { principal.salary > 3 };"""
        )
    assert "- first: " in str(caught.value)
    assert "- second: " in str(caught.value)


@pytest.mark.parametrize("schema", ["", "entity User = {", "entity User;", SCHEMA.replace("deny_users", "deny_people")])
def test_a_schema_that_does_not_fit_is_refused(schema: str) -> None:
    with pytest.raises(PolicyInvalidError, match="were not loaded"):
        Authorizer(POLICIES, schema)


# A rule that fails when it is evaluated must close the door, though Cedar itself would skip it.

OVERFLOWING = [
    "9223372036854775807 + 1 > 0",
    "-9223372036854775807 - 2 < 0",
    "9223372036854775807 * 2 == 0",
    "0 - 9223372036854775807 - 1 - 1 < 5",
]


class NaiveAuthorizer(Authorizer):
    """The negative control: believes an Allow whatever else was said."""

    def _decision(self, result: cedarpy.AuthzResult) -> Decision:
        return Decision(result.decision is cedarpy.Decision.Allow, "")


@pytest.mark.parametrize("effect", ["forbid", "permit"])
@pytest.mark.parametrize("condition", OVERFLOWING)
def test_a_rule_that_fails_denies_and_says_so(effect: str, condition: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = f'@id("fails") {effect} (principal, action, resource) when {{ {condition} }};'
    with pytest.raises(PolicyInvalidError, match="can fail when it is evaluated"):
        Authorizer.load(rule)
    monkeypatch.setattr(policies.rules, "dangers", lambda _: [])
    authorizer, naive = Authorizer.load(rule), NaiveAuthorizer.load(rule)
    decisions = [
        authorizer.decide(ADA, Action.CHAT_ASK),
        may_read(authorizer, ADA, STAFF),
        *authorizer.decide_reveal(ADA, tuple(EntityType), STAFF).values(),
    ]
    assert {(decision.allowed, decision.failed) for decision in decisions} == {(False, True)}
    assert all("could not be evaluated" in decision.reason for decision in decisions)
    assert may_read(naive, ADA, STAFF).allowed, "the control must show that Cedar skips the rule"


def raising(*_: object) -> None:
    message = "the engine is broken"
    raise RuntimeError(message)


BROKEN_ENGINES: dict[str, Callable[..., Any]] = {
    "raises": raising,
    "says nothing": lambda *_: [],
    "says too much": lambda requests, *_: [cedarpy.AuthzResult({"decision": "Allow"})] * (len(requests) + 1),
    "allows without a reason it can name": lambda requests, *_: (
        [cedarpy.AuthzResult({"decision": "Allow", "diagnostics": {"reason": ["policy99"]}})] * len(requests)
    ),
    "makes no decision": lambda requests, *_: [cedarpy.AuthzResult({"decision": "NoDecision"})] * len(requests),
    "speaks in tongues": lambda requests, *_: [cedarpy.AuthzResult({"decision": "Perhaps"})] * len(requests),
    "answers nonsense": lambda *_: 3,
}


@pytest.mark.parametrize("engine", BROKEN_ENGINES.values(), ids=BROKEN_ENGINES.keys())
def test_whatever_the_engine_does_is_a_denial(
    authorizer: Authorizer, engine: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert may_read(authorizer, ADA, STAFF).allowed
    authorizer = Authorizer.load()  # What the engine decided while it was sound would be used again.
    monkeypatch.setattr(cedarpy, "is_authorized_batch", engine)
    assert not may_read(authorizer, ADA, STAFF).allowed
    assert not authorizer.decide(ADA, Action.CHAT_ASK).allowed
    assert revealed(authorizer, ADA, STAFF) == set()


# Mutated bundles and entities (T4): whatever breaks is refused or denied, and what still works opens nothing.

QUICK, DEEP = 60, 600
COUNTS = [QUICK, pytest.param(DEEP, marks=pytest.mark.deep)]
CLOSING_RULES = [
    f'@id("closed") forbid (principal, action == Action::"documents:read", resource) when {{ {condition} }};'
    for condition in (
        'resource.classification == Classification::"internal"',
        'principal in Role::"employee" && context.purpose == "answer"',
        "principal.active || resource.allow_users.isEmpty()",
        'resource.allow_groups.contains(Group::"staff") && !(principal is Service)',
        'if principal is User then context.purpose != "search" else false',
    )
]
FREE_TEXT = {"closed", "staff"}
"""What a rule may spell as it likes: names."""


class TrustingAuthorizer(Authorizer):
    """The negative control: loads what parses, evaluates without a schema, and believes an Allow."""

    def __init__(
        self, policies: str, schema: str, site_policies: str = "", networks: Any = None, types: Any = None
    ) -> None:
        super().__init__(POLICIES, schema)
        try:
            everything = cedarpy.PolicySet.from_str(f"{policies}\n{site_policies}")
        except ValueError as error:
            raise PolicyInvalidError from error
        self._about: Any = lambda _: everything

    def _ask(self, principal: Principal, asked: Any, policies: Any = None) -> list[cedarpy.AuthzResult]:
        schema, self._schema = self._schema, None
        try:
            return super()._ask(principal, asked, policies)
        finally:
            self._schema = schema

    def _decision(self, result: cedarpy.AuthzResult) -> Decision:
        return Decision(result.decision is cedarpy.Decision.Allow, "")


class OpenHandedAuthorizer(Authorizer):
    """The negative control: takes everything that is not a denial for a permission."""

    def _decision(self, result: cedarpy.AuthzResult) -> Decision:
        return Decision(result.decision is not cedarpy.Decision.Deny, "")


def misspelt(rng: random.Random, text: str, spared: Collection[str] = ()) -> str:
    """The text with one of its words misspelt."""
    words = [match for match in re.finditer(r"[A-Za-z_]+", text) if match[0] not in spared]
    while True:
        chosen = rng.choice(words)
        word = list(chosen[0])
        place = rng.randrange(len(word))
        match rng.randrange(4):
            case 0:
                del word[place]
            case 1:
                word.insert(place, rng.choice("aeiostrn"))
            case 2:
                word[place] = word[place].swapcase()
            case _:
                word[place - 1], word[place] = word[place], word[place - 1]
        if "".join(word) != chosen[0]:
            return text[: chosen.start()] + "".join(word) + text[chosen.end() :]


def may_read_under(authorizer_type: type[Authorizer], rules: str, schema: str = SCHEMA) -> bool:
    """Whether Ada may read the staff's documents; not, when the bundle is refused."""
    try:
        return may_read(authorizer_type(f"{POLICIES}{rules}", schema), ADA, STAFF).allowed
    except PolicyInvalidError:
        return False


@pytest.mark.parametrize("count", COUNTS)
def test_a_misspelt_rule_does_not_open_what_the_rule_closes(count: int) -> None:
    rng = random.Random(count)
    assert may_read_under(Authorizer, "")
    for rule in CLOSING_RULES:
        assert not may_read(Authorizer.load(rule), ADA, STAFF).allowed
    mutations = [misspelt(rng, rng.choice(CLOSING_RULES), FREE_TEXT) for _ in range(count)]
    assert [rule for rule in mutations if may_read_under(Authorizer, rule)] == []
    assert sum(may_read_under(TrustingAuthorizer, rule) for rule in mutations) > count / 10, "the control must open"


def allowed_under(authorizer_type: type[Authorizer], schema: str) -> set[str]:
    """Everything Ada and others may do, as text; nothing, when the bundle is refused."""
    try:
        authorizer = authorizer_type(POLICIES, schema)
    except PolicyInvalidError:
        return set()
    denied = replace(STAFF, deny_users=frozenset({"ada"}))
    gone = replace(ADA, active=False)
    return {
        *(f"{who.id} {who.active} {action}" for who in (ADA, gone) for action in allowed_actions(authorizer, who)),
        *(
            f"{who.active} {n}"
            for who in (ADA, gone)
            for n, label in enumerate((STAFF, denied, Label.private()))
            if may_read(authorizer, who, label).allowed
        ),
        *revealed(authorizer, ADA, STAFF),
    }


@pytest.mark.parametrize("count", COUNTS)
def test_a_damaged_schema_allows_nothing_more(count: int) -> None:
    rng = random.Random(count)
    sound = allowed_under(Authorizer, SCHEMA)
    lines = SCHEMA.splitlines(keepends=True)
    opened = 0
    for number in range(count):
        if number % 2:
            schema = misspelt(rng, SCHEMA)
        else:
            gone = rng.randrange(len(lines))
            schema = "".join(lines[:gone] + lines[gone + 1 :])
        assert allowed_under(Authorizer, schema) <= sound, schema
        opened += not allowed_under(OpenHandedAuthorizer, schema) <= sound
    assert opened, "the control must open"


def damaged_entity(rng: random.Random, sound: dict[str, Any]) -> dict[str, Any]:
    """What the directory says of somebody inactive, damaged in one way of many; never so that it says active."""
    wrong = rng.choice(
        [None, 0, 1, -1, "", "no", "yes", [], [True], {}, {"__entity": {"type": "Role", "id": "auditor"}}]
    )
    return rng.choice(
        [
            sound | {"attrs": {"active": wrong}},
            sound | {"attrs": {}},
            sound | {"attrs": {"Active": True}},
            sound | {"attrs": sound["attrs"] | {f"extra{rng.randrange(9)}": wrong}},
            sound | {"parents": sound["parents"] + [{"type": rng.choice(["Rolle", "Label", ""]), "id": "staff"}]},
            sound | {"parents": sound["parents"] + [sound["uid"]]},
            sound | {"parents": sound["parents"] + [{"type": "Role", "id": "emperor"}]},
            sound | {"uid": {"type": "User", "id": f"other{rng.randrange(9)}"}},
            sound | {"uid": {"type": rng.choice(["Service", "Group", "Nobody"]), "id": sound["uid"]["id"]}},
            sound | {"uid": wrong},
            {key: value for key, value in sound.items() if key != rng.choice(["uid", "attrs", "parents"])},
        ]
    )


@pytest.mark.parametrize("count", COUNTS)
def test_damaged_identity_data_opens_nothing(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(count)
    authorizer, trusting = Authorizer.load(), TrustingAuthorizer.load()
    gone = replace(ADA, active=False)
    sound = principal_entity(gone)
    opened = 0
    for _ in range(count):
        entity = damaged_entity(rng, sound)
        monkeypatch.setattr(policies.authorizer, "principal_entity", lambda _, entity=entity: entity)
        for each in (authorizer, trusting):
            each._memory = DecisionMemory()  # The principal stays the same, which otherwise says all there is to say.
        decision = may_read(authorizer, gone, STAFF)
        assert not decision.allowed, entity
        opened += may_read(trusting, gone, STAFF).allowed
    assert opened > count / 20, "the control must open"


# Random worlds, against rules written down a second time.


def oracle_reads(principal: Principal, label: Label) -> bool:
    """Who reads, from the design and not from the policies."""
    if not principal.active or not principal.id or principal.kind is PrincipalKind.ANONYMOUS:
        return False
    names = {principal.id} if principal.kind is PrincipalKind.USER else set()
    if principal.groups & label.deny_groups or names & label.deny_users:
        return False
    return bool((principal.groups & label.allow_groups) - {""} or (names & label.allow_users) - {""})


def some(rng: random.Random, most: int) -> frozenset[str]:
    return frozenset(rng.choice(ODD_NAMES) for _ in range(rng.randrange(most + 1)))


def random_principal(rng: random.Random) -> Principal:
    return Principal(
        rng.choice(ODD_NAMES),
        some(rng, 5),
        frozenset(role for role in Role if rng.random() < 0.3),
        rng.choice([*PrincipalKind, PrincipalKind.USER, PrincipalKind.USER]),
        active=rng.random() < 0.9,
    )


def random_label(rng: random.Random) -> Label:
    denies = rng.random() < 0.4
    return Label(
        some(rng, 3),
        some(rng, 2),
        some(rng, 2) if denies else frozenset(),
        some(rng, 1) if denies else frozenset(),
        rng.choice(list(Classification)),
    )


def worlds(count: int) -> Iterator[tuple[Principal, dict[int, Label]]]:
    rng = random.Random(count)
    for _ in range(count):
        yield random_principal(rng), {number: random_label(rng) for number in range(rng.randrange(1, 60))}


@pytest.mark.parametrize("count", [200, pytest.param(5_000, marks=pytest.mark.deep)])
def test_random_worlds_are_decided_as_the_design_says(authorizer: Authorizer, count: int) -> None:
    decided: Counter[bool] = Counter()
    without_denials = 0
    for principal, labels in worlds(count):
        decisions = authorizer.decide_labels(principal, labels)
        expected = {number: oracle_reads(principal, label) for number, label in labels.items()}
        assert {number: decision.allowed for number, decision in decisions.items()} == expected, (principal, labels)
        assert not any(decision.failed for decision in decisions.values())
        decided.update(expected.values())
        forgiving = {n: replace(label, deny_groups=frozenset(), deny_users=frozenset()) for n, label in labels.items()}
        without_denials += expected != {number: oracle_reads(principal, label) for number, label in forgiving.items()}
    assert min(decided.values()) > count, "the worlds must hold both answers"
    assert without_denials > count / 20, "an authorizer that forgot denials must be noticed"


def test_reveals_of_many_labels_are_those_of_each() -> None:
    """One faulty label hides what stands under it and changes nothing for the others."""
    authorizer = Authorizer.load()
    labels = [STAFF, Label.private(), Label.for_groups("elsewhere"), replace(STAFF, source="\ud800")]
    together = authorizer.decide_reveals(ADA, tuple(EntityType), labels)
    assert list(together) == labels
    for label in labels:
        assert together[label] == authorizer.decide_reveal(ADA, tuple(EntityType), label)
    shown = [{type_ for type_, each in together[label].items() if each.allowed} for label in labels]
    assert shown == [CONTACTS, set(), set(), set()]
    assert together[labels[-1]][EntityType.PERSON].failed
