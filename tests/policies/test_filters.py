"""A filter holds what may be read now; remembering one never keeps a right alive."""

import ast
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import cedarpy
import pytest

import policies.filters
from policies.authorizer import Authorizer
from policies.context import Purpose, RequestContext
from policies.decisions import Decision
from policies.filters import AccessFilter, AccessFilters
from policies.labels import Label
from policies.principals import Principal, Role

ROOT = Path(policies.filters.__file__).parents[1]
ADA = Principal("ada", frozenset({"staff"}))
LABELS = {1: Label.for_groups("staff"), 2: Label.for_groups("board"), 5: Label(allow_users=frozenset({"ada"}))}
CONTEXT = RequestContext()


@dataclass
class Counting:
    """An authorizer that counts how often it is asked."""

    inner: Authorizer
    asked: list[Principal] = field(default_factory=list)
    revision: str = "first"

    def now(self) -> Authorizer:
        return cast("Authorizer", self)

    def decide_labels(
        self, principal: Principal, labels: Mapping[int, Label], context: RequestContext
    ) -> dict[int, Decision]:
        self.asked.append(principal)
        return self.inner.decide_labels(principal, labels, context)


@pytest.fixture
def counting() -> Counting:
    return Counting(Authorizer.load())  # Its own: another would remember what it decided in other tests.


@pytest.fixture
def filters(counting: Counting) -> AccessFilters:
    return AccessFilters(cast("Authorizer", counting))


def test_a_filter_holds_the_labels_that_may_be_read(filters: AccessFilters) -> None:
    access = filters.filter_for(ADA, LABELS, 3, CONTEXT)
    assert access.label_ids == {1, 5}
    assert [access.allows(number) for number in (1, 2, 5, 99)] == [True, False, True, False]
    assert (access.principal, access.context, access.epoch, access.policy_revision) == (ADA, CONTEXT, 3, "first")
    assert (access.denied, access.policies) == (1, ("label-allows-group", "label-allows-user"))


def test_nobody_reads_nothing_where_there_is_nothing(filters: AccessFilters) -> None:
    assert filters.filter_for(ADA, {}, 0, CONTEXT).label_ids == frozenset()


def test_the_same_question_is_decided_once(filters: AccessFilters, counting: Counting) -> None:
    first = filters.filter_for(ADA, LABELS, 3, CONTEXT)
    again = filters.filter_for(replace(ADA), dict(LABELS), 3, RequestContext())
    assert again == first
    assert len(counting.asked) == 1


@pytest.mark.parametrize(
    ("principal", "labels", "epoch", "context", "expected"),
    [
        (replace(ADA, groups=frozenset()), LABELS, 3, CONTEXT, {5}),
        (replace(ADA, groups=frozenset({"board"})), LABELS, 3, CONTEXT, {2, 5}),
        (replace(ADA, active=False), LABELS, 3, CONTEXT, set()),
        (replace(ADA, id="bob"), LABELS, 3, CONTEXT, {1}),
        (replace(ADA, roles=frozenset(Role)), LABELS, 3, CONTEXT, {1, 5}),
        (ADA, LABELS | {1: Label.private()}, 3, CONTEXT, {5}),
        (ADA, LABELS | {2: Label.for_groups("staff")}, 4, CONTEXT, {1, 2, 5}),
        (ADA, LABELS, 2, CONTEXT, {1, 5}),
        (ADA, LABELS, 3, RequestContext(Purpose.SEARCH), {1, 5}),
    ],
    ids=["no groups", "other groups", "inactive", "other user", "roles", "labels", "epoch", "earlier", "context"],
)
def test_whatever_changes_is_decided_anew(
    filters: AccessFilters,
    counting: Counting,
    principal: Principal,
    labels: dict[int, Label],
    epoch: int,
    context: RequestContext,
    expected: set[int],
) -> None:
    filters.filter_for(ADA, LABELS, 3, CONTEXT)
    assert filters.filter_for(principal, labels, epoch, context).label_ids == expected
    assert len(counting.asked) == 2


def test_other_policies_decide_anew(filters: AccessFilters, counting: Counting) -> None:
    filters.filter_for(ADA, LABELS, 3, CONTEXT)
    counting.revision = "second"
    assert filters.filter_for(ADA, LABELS, 3, CONTEXT).policy_revision == "second"
    assert len(counting.asked) == 2


def test_what_is_forgotten_is_decided_anew(counting: Counting) -> None:
    filters = AccessFilters(cast("Authorizer", counting), most_cached=2)
    people = [replace(ADA, id=f"user-{number}") for number in range(4)]
    for principal in people:
        filters.filter_for(principal, LABELS, 3, CONTEXT)
    filters.filter_for(people[3], LABELS, 3, CONTEXT)
    assert len(counting.asked) == 4
    filters.filter_for(people[0], LABELS, 3, CONTEXT)
    assert len(counting.asked) == 5


def test_an_error_denies_and_is_not_remembered(
    filters: AccessFilters, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(cedarpy, "is_authorized_batch", lambda *_: None)
        assert filters.filter_for(ADA, LABELS, 3, CONTEXT).label_ids == frozenset()
    assert filters.filter_for(ADA, LABELS, 3, CONTEXT).label_ids == {1, 5}
    assert len(counting.asked) == 2


class CarelessFilters(AccessFilters):
    """The negative control: remembers by name and epoch alone."""

    def filter_for(
        self, principal: Principal, labels: Mapping[int, Label], epoch: int, context: RequestContext
    ) -> AccessFilter:
        return super().filter_for(Principal(principal.id, frozenset({"staff"})), LABELS, epoch, context)


def test_the_checks_above_would_notice_a_right_that_outlives_its_group(counting: Counting) -> None:
    careless = CarelessFilters(cast("Authorizer", counting))
    assert careless.filter_for(replace(ADA, groups=frozenset()), LABELS, 3, CONTEXT).label_ids != {5}


def test_many_threads_get_what_each_may_read(authorizer: Authorizer) -> None:
    filters = AccessFilters(authorizer, most_cached=4)
    wrong: list[AccessFilter] = []

    def ask(number: int) -> None:
        for turn in range(30):
            groups = frozenset({"staff"}) if (number + turn) % 2 else frozenset({"board"})
            access = filters.filter_for(Principal(f"user-{turn % 6}", groups), LABELS, turn % 3, CONTEXT)
            if access.label_ids != ({1} if "staff" in groups else {2}) or access.epoch != turn % 3:
                wrong.append(access)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def makers_of_filters(source: str) -> bool:
    """Whether a module makes an `AccessFilter`, or changes one."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return any("AccessFilter" in {getattr(call.func, "id", ""), getattr(call.func, "attr", "")} for call in calls)


def test_access_filters_are_made_in_one_place() -> None:
    packages = ("connectors", "gateway", "models", "policies", "retrieval")
    modules = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    makers = {
        file.relative_to(ROOT).as_posix() for file in modules if makers_of_filters(file.read_text(encoding="utf-8"))
    }
    assert makers == {"policies/filters.py"}
    assert makers_of_filters("import policies.filters as f\nf.AccessFilter(1, 2)"), "the control must be noticed"


def test_each_label_is_told_with_its_decision_and_rules(authorizer: Authorizer) -> None:
    labels = {
        1: Label.for_groups("staff"),
        2: Label.private(),
        3: Label(allow_groups=frozenset({"staff"}), deny_users=frozenset({"ada"})),
        4: Label(allow_groups=frozenset({"staff"}), source="old"),
    }
    principal = ADA
    access = AccessFilters(authorizer).filter_for(principal, labels, 1, CONTEXT, frozenset({"old"}))
    told = dict(zip(access.decided.labels, access.decided.decisions, strict=True))
    assert [told[label.digest] for label in labels.values()] == [
        "allowed label-allows-group",
        "denied",
        "denied label-denies",
        "denied stale",
    ]
    assert list(access.decided.labels) == sorted(access.decided.labels)


def test_who_gets_the_same_decisions_has_the_same_digest(authorizer: Authorizer) -> None:
    labels = {1: Label.for_groups("staff"), 2: Label.for_groups("finance")}
    filters = AccessFilters(authorizer)

    def digest(*groups: str, epoch: int = 1) -> str:
        principal = Principal("-".join(groups), groups=frozenset(groups))
        return filters.filter_for(principal, labels, epoch, CONTEXT).decided.sha256

    assert digest("staff") == digest("staff", "cooks") == digest("staff", epoch=2)
    assert digest("staff") != digest("finance") != digest("staff", "finance")
