"""Tests of policies, written by whoever writes the policies: a YAML file of users, labels and what is expected.

Needs no installation, so that a site runs it in its own continuous integration. Reading is strict: an unknown or
doubled key, a wrong type or a name that nothing defines is an error with its line, never a test that checks nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

from gateway.errors import BadRequestError
from policies.actions import OF_SOURCES, Action
from policies.authorizer import Authorizer
from policies.context import OTHER_NETWORK, Channel, Purpose, RequestContext
from policies.decisions import Decision
from policies.labels import Classification, Label
from policies.personal_data import KnownTypes, SpanType, span_type
from policies.principals import Principal, PrincipalKind, Role
from policies.sources import OwnedSource

_LARGEST_BYTES = 5_000_000
_BUILT_IN_TYPES = KnownTypes()
_E = TypeVar("_E", bound=StrEnum)


class Expectation(StrEnum):
    """What a test expects."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """One expectation: somebody, something, some circumstances.

    With a label and no action named, reading it is meant. `rules`, `reveals` and `masks` are only checked where given:
    `rules` are exactly those that decide, `reveals` and `masks` some kinds of personal data that are shown or are not.
    """

    name: str
    line: int
    principal: Principal
    action: Action
    label: Label | None
    source: OwnedSource | None
    context: RequestContext
    expected: Expectation
    rules: frozenset[str] | None
    reveals: frozenset[SpanType]
    masks: frozenset[SpanType]


class TestResult(msgspec.Struct, frozen=True):
    """How a test went; `problems` are sentences, none when it passed."""

    file: str
    line: int
    name: str
    passed: bool
    problems: list[str]
    decided_by: list[str]


def read_tests(path: Path, types: KnownTypes = _BUILT_IN_TYPES) -> list[PolicyTest]:
    """The tests of a file; `types` are the kinds of personal data that they may name.

    Raises:
        BadRequestError: The file cannot be read, or says something it must not; the line is named.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            message = f"{path} is larger than {_LARGEST_BYTES} bytes. Split it."
            raise BadRequestError(message)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        message = f"The tests {path} cannot be read: {error.strerror}."
        raise BadRequestError(message) from error
    except UnicodeDecodeError as error:
        message = f"The tests {path} cannot be read: they are not UTF-8 text."
        raise BadRequestError(message) from error
    return _Reader(str(path), types).read(text)


def run_tests(authorizer: Authorizer, file: str, tests: Sequence[PolicyTest]) -> list[TestResult]:
    """Put every test to the policies."""
    return [_run(authorizer, file, test) for test in tests]


def _run(authorizer: Authorizer, file: str, test: PolicyTest) -> TestResult:
    decision = _decide(authorizer, test)
    problems: list[str] = []
    if decision.allowed is not (test.expected is Expectation.ALLOW):
        problems.append(f"expected {test.expected.value}, and it is {_verdict(decision)}: {decision.reason}")
    if test.rules is not None and test.rules != set(decision.policies):
        problems.append(f"expected to be decided by {_listed(test.rules)}, and it is by {_listed(decision.policies)}")
    if test.label is not None and (test.reveals or test.masks):
        problems += _revealed_wrongly(authorizer, test, test.label)
    return TestResult(file, test.line, test.name, not problems, problems, list(decision.policies))


def _decide(authorizer: Authorizer, test: PolicyTest) -> Decision:
    if test.source is not None:
        return authorizer.decide_sources(test.principal, test.action, [test.source], test.context)[test.source.name]
    if test.label is None:
        return authorizer.decide(test.principal, test.action, test.context)
    if test.action is Action.MODELS_SEND_REMOTE:
        return authorizer.decide_remote(test.principal, [test.label], test.context)[test.label]
    return authorizer.decide_labels(test.principal, {0: test.label}, test.context)[0]


def _revealed_wrongly(authorizer: Authorizer, test: PolicyTest, label: Label) -> list[str]:
    kinds = test.reveals | test.masks
    decisions = authorizer.decide_reveal(test.principal, sorted(kinds), label, test.context)
    hidden = {kind for kind in test.reveals if not decisions[kind].allowed}
    shown = {kind for kind in test.masks if decisions[kind].allowed}
    problems = [f"expected to reveal {_listed(hidden)}, and it is masked"] if hidden else []
    return problems + ([f"expected to mask {_listed(shown)}, and it is revealed"] if shown else [])


def _verdict(decision: Decision) -> str:
    decided = "allow" if decision.allowed else "deny"
    return f"{decided} by {_listed(decision.policies)}" if decision.policies else f"{decided} by no rule"


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "no rule"


_Fields = dict[str, tuple[yaml.Node, int]]
"""The values of a mapping by their keys, each with the line its key is on."""


class _Reader:
    """Reads one file. Works on YAML's nodes, which know their lines; nothing is constructed from tags."""

    def __init__(self, file: str, types: KnownTypes) -> None:
        self._file = file
        self._types = types
        self._users: dict[str, Principal] = {}
        self._labels: dict[str, Label] = {}
        self._documents: dict[str, str] = {}
        self._sources: dict[str, OwnedSource] = {}

    def read(self, text: str) -> list[PolicyTest]:
        try:
            # An alias may stand for a tree that grows without end, and nobody needs one here.
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                if isinstance(event, yaml.AliasEvent):
                    raise self._wrong(event.start_mark.line + 1, "aliases (*) are not taken; write it out")
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise self._wrong(line, f"this is no YAML: {error.problem}") from error
        except (yaml.YAMLError, RecursionError) as error:
            raise self._wrong(1, "this is no YAML that can be read") from error
        if root is None:
            raise self._wrong(1, "the file is empty; it needs users and tests")
        fields = self._fields(root, {"users", "labels", "documents", "sources", "tests"}, {"users", "tests"})
        self._users = {name: self._user(name, node) for name, node in self._named(fields, "users")}
        self._labels = {name: self._label(node) for name, node in self._named(fields, "labels")}
        self._documents = {
            path: self._known(node, self._labels, "label") for path, node in self._named(fields, "documents")
        }
        self._sources = {name: self._source(name, node) for name, node in self._named(fields, "sources")}
        node, line = fields["tests"]
        tests = [self._test(each) for each in self._items(node)]
        if not tests:
            raise self._wrong(line, "there are no tests, so nothing would be checked")
        return tests

    def _user(self, name: str, node: yaml.Node) -> Principal:
        fields = self._fields(node, {"groups", "roles", "kind", "active"})
        roles = self._words(fields, "roles", Role)
        return Principal(
            name,
            frozenset(self._texts(fields, "groups")),
            frozenset({Role.EMPLOYEE}) if roles is None else roles,
            self._word(fields, "kind", PrincipalKind, PrincipalKind.USER),
            active=self._truth(fields, "active", default=True),
        )

    def _label(self, node: yaml.Node) -> Label:
        sets = ("allow_groups", "allow_users", "deny_groups", "deny_users")
        fields = self._fields(node, {*sets, "classification"})
        allow_groups, allow_users, deny_groups, deny_users = (frozenset(self._texts(fields, name)) for name in sets)
        return Label(
            allow_groups,
            allow_users,
            deny_groups,
            deny_users,
            self._word(fields, "classification", Classification, Classification.INTERNAL),
        )

    def _source(self, name: str, node: yaml.Node) -> OwnedSource:
        fields = self._fields(node, {"owner_groups", "owner_users"})
        groups, users = (frozenset(self._texts(fields, which)) for which in ("owner_groups", "owner_users"))
        return OwnedSource(name, groups, users)

    def _test(self, node: yaml.Node) -> PolicyTest:
        optional = {"name", "label", "document", "source", "action", "context", "rules", "reveals", "masks"}
        fields = self._fields(node, {"user", "expect", *optional}, {"user", "expect"})
        line = node.start_mark.line + 1
        label = self._label_of(fields, line)
        action = self._action(fields, label, line)
        source = self._source_of(fields, action)
        reveals, masks = (self._kinds(fields, name) for name in ("reveals", "masks"))
        if (reveals or masks) and label is None:
            raise self._wrong(line, "`reveals` and `masks` are about documents; name a label or a document")
        user = self._known(fields["user"][0], self._users, "user")
        what = self._text(fields["name"][0]) if "name" in fields else f"{user}, line {line}"
        rules = frozenset(self._texts(fields, "rules")) if "rules" in fields else None
        return PolicyTest(
            name=what,
            line=line,
            principal=self._users[user],
            action=action,
            label=label,
            source=source,
            context=self._context(fields),
            expected=self._word(fields, "expect", Expectation, Expectation.DENY),
            rules=rules,
            reveals=reveals,
            masks=masks,
        )

    def _label_of(self, fields: _Fields, line: int) -> Label | None:
        if "label" in fields and "document" in fields:
            raise self._wrong(line, "a test names a label or a document, not both")
        if "label" in fields:
            return self._labels[self._known(fields["label"][0], self._labels, "label")]
        if "document" in fields:
            return self._labels[self._documents[self._known(fields["document"][0], self._documents, "document")]]
        return None

    def _source_of(self, fields: _Fields, action: Action) -> OwnedSource | None:
        if "source" not in fields:
            return None
        if action not in OF_SOURCES:
            raise self._wrong(fields["source"][1], f"{action.value} is not decided for a source")
        return self._sources[self._known(fields["source"][0], self._sources, "source")]

    def _action(self, fields: _Fields, label: Label | None, line: int) -> Action:
        of_documents = {Action.DOCUMENTS_READ, Action.MODELS_SEND_REMOTE}
        if "action" not in fields:
            if label is None:
                raise self._wrong(line, "a test names a label, a document or an action")
            return Action.DOCUMENTS_READ
        action = self._word(fields, "action", Action, Action.DOCUMENTS_READ)
        if action is Action.PERSONAL_DATA_REVEAL:
            raise self._wrong(fields["action"][1], "kinds of personal data are named under `reveals` and `masks`")
        if (action in of_documents) is not (label is not None):
            needs = "needs a label or a document" if action in of_documents else "is about no document"
            raise self._wrong(fields["action"][1], f"{action.value} {needs}")
        return action

    def _context(self, fields: _Fields) -> RequestContext:
        if "context" not in fields:
            return RequestContext()
        given = self._fields(fields["context"][0], {"purpose", "network", "channel"})
        return RequestContext(
            self._word(given, "purpose", Purpose, Purpose.ANSWER),
            self._text(given["network"][0]) if "network" in given else OTHER_NETWORK,
            self._word(given, "channel", Channel, Channel.HTTP),
        )

    def _fields(self, node: yaml.Node, known: Collection[str], needed: Collection[str] = ()) -> _Fields:
        """A mapping's values; a mapping that is left empty is one without values."""
        fields: _Fields = {}
        for key, value in self._pairs(node):
            line = key.start_mark.line + 1
            name = self._text(key)
            if name not in known:
                raise self._wrong(line, f"there is no `{name}` here; there is {', '.join(sorted(known))}")
            fields[name] = (value, line)
        for name in sorted(needed):
            if name not in fields:
                raise self._wrong(node.start_mark.line + 1, f"`{name}` is missing")
        return fields

    def _named(self, fields: _Fields, name: str) -> list[tuple[str, yaml.Node]]:
        if name not in fields:
            return []
        return [(self._text(key), value) for key, value in self._pairs(fields[name][0])]

    def _pairs(self, node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
            return []
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node.start_mark.line + 1, "names with values are expected here, as in `groups: [staff]`")
        seen: set[str] = set()
        for key, _ in node.value:
            name = self._text(key)
            if name in seen:
                raise self._wrong(key.start_mark.line + 1, f"`{name}` stands here twice")
            seen.add(name)
        return list(node.value)

    def _items(self, node: yaml.Node) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._wrong(node.start_mark.line + 1, "a list is expected here, as in `[staff, board]`")
        return list(node.value)

    def _text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str":
            found = node.value if isinstance(node, yaml.ScalarNode) else "a list or mapping"
            raise self._wrong(node.start_mark.line + 1, f"a text is expected here, not {found}; put it in quotes")
        return str(node.value)

    def _texts(self, fields: _Fields, name: str) -> list[str]:
        return [self._text(item) for item in self._items(fields[name][0])] if name in fields else []

    def _truth(self, fields: _Fields, name: str, *, default: bool) -> bool:
        if name not in fields:
            return default
        node = fields[name][0]
        if not isinstance(node, yaml.ScalarNode) or node.value not in {"true", "false"}:
            raise self._wrong(fields[name][1], f"`{name}` is true or false")
        return bool(node.value == "true")

    def _word(self, fields: _Fields, name: str, words: type[_E], default: _E) -> _E:
        return self._one_of(fields[name][0], words) if name in fields else default

    def _kinds(self, fields: _Fields, name: str) -> frozenset[SpanType]:
        return frozenset(self._kind(item) for item in (self._items(fields[name][0]) if name in fields else ()))

    def _kind(self, node: yaml.Node) -> SpanType:
        text = self._text(node)
        kind = span_type(text)
        if kind not in self._types:
            raise self._wrong(node.start_mark.line + 1, f"{text!r} is none of {', '.join(self._types)}")
        return kind

    def _words(self, fields: _Fields, name: str, words: type[_E]) -> frozenset[_E] | None:
        if name not in fields:
            return None
        return frozenset(self._one_of(item, words) for item in self._items(fields[name][0]))

    def _one_of(self, node: yaml.Node, words: type[_E]) -> _E:
        text = self._text(node)
        try:
            return words(text)
        except ValueError as error:
            known = ", ".join(word.value for word in words)
            raise self._wrong(node.start_mark.line + 1, f"{text!r} is none of {known}") from error

    def _known(self, node: yaml.Node, names: Mapping[str, object], what: str) -> str:
        name = self._text(node)
        if name not in names:
            defined = ", ".join(sorted(names)) or "none"
            raise self._wrong(node.start_mark.line + 1, f"there is no {what} {name!r} in this file; there is {defined}")
        return name

    def _wrong(self, line: int, why: str) -> BadRequestError:
        return BadRequestError(f"{self._file}, line {line}: {why}.")
