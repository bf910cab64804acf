"""Tests of policies check what they say, and a mistake in one is told with its line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.errors import BadRequestError
from gateway.policy.testing import PolicyTest, read_tests, run_tests
from policies.actions import Action
from policies.authorizer import Authorizer
from policies.bundles import compile_bundle, read_bundle
from policies.context import Channel, Purpose, RequestContext
from policies.labels import Classification, Label
from policies.principals import Principal, PrincipalKind, Role

EXAMPLES = Path(__file__).parents[3] / "examples" / "policy"
BEGINNING = """\
users:
  ada: {groups: [staff]}
labels:
  plans: {allow_groups: [staff]}
tests:
"""


def read(tmp_path: Path, text: str) -> list[PolicyTest]:
    file = tmp_path / "tests.yaml"
    file.write_text(text, encoding="utf-8")
    return read_tests(file)


def problems(tmp_path: Path, test: str, authorizer: Authorizer | None = None) -> list[str]:
    """What is wrong with one test of reading."""
    tests = read(tmp_path, BEGINNING + f"  - {{user: ada, {test}}}\n")
    return run_tests(authorizer or Authorizer.load(), "tests.yaml", tests)[0].problems


def test_the_example_passes_with_its_bundle_and_fails_without() -> None:
    tests = read_tests(EXAMPLES / "tests.yaml")
    assert len(tests) > 10
    own = compile_bundle(read_bundle(EXAMPLES / "rules"))
    assert [result for result in run_tests(own, "tests.yaml", tests) if not result.passed] == []
    shipped = run_tests(Authorizer.load(), "tests.yaml", tests)
    assert 3 < sum(not result.passed for result in shipped) < len(tests)


def test_every_rule_of_the_example_decides_in_a_test() -> None:
    """A rule taken out must be noticed by the example's own tests."""
    bundle = read_bundle(EXAMPLES / "rules")
    tests = read_tests(EXAMPLES / "tests.yaml")
    texts = bundle.text.split('@id("')
    for number in range(1, len(texts)):
        remaining = texts[0] + "".join(
            f'@id("{text}' for place, text in enumerate(texts[1:], start=1) if place != number
        )
        results = run_tests(Authorizer.load(remaining), "tests.yaml", tests)
        assert not all(result.passed for result in results), texts[number]


def test_everything_a_test_can_say_is_read(tmp_path: Path) -> None:
    text = """\
users:
  ada: {groups: [staff, "42"], roles: [auditor, operator], kind: service, active: false}
  bob:
labels:
  plans:
    allow_groups: [staff]
    allow_users: [ada]
    deny_groups: [board]
    deny_users: [eve]
    classification: restricted
documents: {a/b.md: plans}
tests:
  - name: Reads
    user: ada
    document: a/b.md
    context: {purpose: search, network: office, channel: cli}
    expect: allow
    rules: [x]
    reveals: [PERSON]
    masks: [SECRET]
  - {user: bob, action: "audit:read", expect: deny}
"""
    first, second = read(tmp_path, text)
    ada = Principal(
        "ada", frozenset({"staff", "42"}), frozenset({Role.AUDITOR, Role.OPERATOR}), PrincipalKind.SERVICE, active=False
    )
    label = Label(
        frozenset({"staff"}), frozenset({"ada"}), frozenset({"board"}), frozenset({"eve"}), Classification.RESTRICTED
    )
    assert (first.name, first.line, first.principal, first.label) == ("Reads", 13, ada, label)
    assert first.context == RequestContext(Purpose.SEARCH, "office", Channel.CLI)
    assert (first.action, second.action) == (Action.DOCUMENTS_READ, Action.AUDIT_READ)
    assert (second.principal, second.name, second.rules) == (Principal("bob"), "bob, line 21", None)


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("label: plans, expect: allow", []),
        ("label: plans, expect: allow, rules: [label-allows-group]", []),
        ("label: plans, expect: allow, reveals: [PERSON], masks: [SECRET]", []),
        ("label: plans, expect: deny", ["expected deny, and it is allow by label-allows-group"]),
        (
            "label: plans, expect: allow, rules: []",
            ["expected to be decided by no rule, and it is by label-allows-group"],
        ),
        (
            "label: plans, expect: allow, rules: [x, label-allows-group]",
            ["expected to be decided by label-allows-group, x"],
        ),
        ("label: plans, expect: allow, reveals: [SECRET]", ["expected to reveal SECRET, and it is masked"]),
        ("label: plans, expect: allow, masks: [PERSON]", ["expected to mask PERSON, and it is revealed"]),
        ("action: audit:read, expect: allow", ["expected allow, and it is deny by no rule"]),
        ("action: search:query, expect: allow", []),
        ("label: plans, action: models:send-remote, expect: deny", []),
    ],
)
def test_a_test_fails_when_it_should(tmp_path: Path, test: str, said: list[str]) -> None:
    found = problems(tmp_path, test)
    assert len(found) == len(said)
    assert all(problem.startswith(expected) for problem, expected in zip(found, said, strict=True))


MISTAKES: dict[str, tuple[str, int, str]] = {
    "empty": ("", 1, "empty"),
    "no mapping": ("- a\n- b\n", 1, "names with values are expected"),
    "no tests": ("users: {ada: }\n", 1, "`tests` is missing"),
    "empty tests": ("users:\n  ada:\ntests: []\n", 3, "nothing would be checked"),
    "unknown key": (BEGINNING + "  - {user: ada, label: plans, expects: allow}\n", 6, "there is no `expects` here"),
    "unknown section": ("users:\n  ada:\nlables: {}\ntests: []\n", 3, "there is no `lables` here"),
    "key twice": (
        BEGINNING + "  - user: ada\n    label: plans\n    user: ada\n    expect: deny\n",
        8,
        "`user` stands here twice",
    ),
    "user twice": ("users:\n  ada:\n  ada:\ntests: []\n", 3, "`ada` stands here twice"),
    "missing expect": (BEGINNING + "  - {user: ada, label: plans}\n", 6, "`expect` is missing"),
    "unknown user": (
        BEGINNING + "  - {user: eve, label: plans, expect: deny}\n",
        6,
        "there is no user 'eve' in this file",
    ),
    "unknown label": (BEGINNING + "  - {user: ada, label: plan, expect: deny}\n", 6, "there is no label 'plan'"),
    "unknown document": (BEGINNING + "  - {user: ada, document: x, expect: deny}\n", 6, "there is no document 'x'"),
    "unknown action": (BEGINNING + "  - {user: ada, action: chat, expect: deny}\n", 6, "'chat' is none of"),
    "unknown kind": (
        BEGINNING + "  - {user: ada, label: plans, expect: allow, masks: [NAME]}\n",
        6,
        "'NAME' is none of",
    ),
    "unknown expectation": (BEGINNING + "  - {user: ada, label: plans, expect: maybe}\n", 6, "'maybe' is none of"),
    "unknown purpose": (
        BEGINNING + "  - {user: ada, label: plans, expect: deny, context: {purpose: fun}}\n",
        6,
        "'fun' is",
    ),
    "a truth for a text": (
        BEGINNING + "  - {user: ada, label: plans, expect: yes}\n",
        6,
        "a text is expected here, not yes",
    ),
    "a number for a name": ("users:\n  ada: {groups: [7]}\ntests: []\n", 2, "a text is expected here, not 7"),
    "a text for a list": ("users:\n  ada: {groups: staff}\ntests: []\n", 2, "a list is expected here"),
    "a text for a truth": ('users:\n  ada: {active: "no"}\ntests: []\n', 2, "`active` is true or false"),
    "label and document": (
        "users:\n  ada:\nlabels:\n  p:\ndocuments: {d: p}\ntests:\n  - {user: ada, label: p, document: d, expect: x}\n",
        7,
        "not both",
    ),
    "neither": (BEGINNING + "  - {user: ada, expect: deny}\n", 6, "names a label, a document or an action"),
    "action with label": (
        BEGINNING + "  - {user: ada, action: 'audit:read', label: plans, expect: deny}\n",
        6,
        "about no document",
    ),
    "reading nothing": (BEGINNING + "  - {user: ada, action: 'documents:read', expect: deny}\n", 6, "needs a label"),
    "revealing": (
        BEGINNING + "  - {user: ada, action: 'personal-data:reveal', label: plans, expect: deny}\n",
        6,
        "`reveals`",
    ),
    "reveals of nothing": (
        BEGINNING + "  - {user: ada, action: 'audit:read', reveals: [PERSON], expect: deny}\n",
        6,
        "about documents",
    ),
    "broken": (BEGINNING + "  - {user: ada\n", 7, "this is no YAML"),
    "a tag": ("users: !!python/object/apply:os.system ['true']\ntests: []\n", 1, "names with values are expected"),
    "an alias": ("users: &all\n  ada:\nlabels: *all\ntests: []\n", 3, "aliases"),
    "deep": ("users: " + "[" * 5000 + "]" * 5000, 1, "no YAML that can be read"),
}


@pytest.mark.parametrize(("text", "line", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(tmp_path, text)
    assert f"tests.yaml, line {line}: " in str(caught.value)
    assert said in str(caught.value)


def test_a_lenient_reader_would_check_nothing(tmp_path: Path) -> None:
    """Negative control: what is refused above for standing twice is taken by the usual reader, last one first."""
    read_leniently: Any = yaml.safe_load("expect: deny\nexpect: allow\n")
    assert read_leniently == {"expect": "allow"}


def test_files_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="cannot be read"):
        read_tests(tmp_path / "nowhere.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadRequestError, match="UTF-8"):
        read_tests(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").write_bytes(b"#" * 6_000_000)
    with pytest.raises(BadRequestError, match="larger than"):
        read_tests(tmp_path / "c.yaml")
