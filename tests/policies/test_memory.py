"""A decision is used again for the very same question only, and never one that failed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cedarpy
import pytest

import policies.authorizer
from policies.authorizer import Authorizer
from policies.context import Channel, Purpose, RequestContext
from policies.labels import Classification, Label
from policies.memory import DecisionMemory
from policies.principals import Principal, PrincipalKind, Role

ADA = Principal("ada", frozenset({"staff"}))
STAFF = Label.for_groups("staff")
CONTEXT = RequestContext()
Question = tuple[Principal, Label, RequestContext]
CHANGED: dict[str, Question] = {
    "group": (replace(ADA, groups=frozenset({"guests"})), STAFF, CONTEXT),
    "another group": (replace(ADA, groups=frozenset({"staff", "guests"})), STAFF, CONTEXT),
    "active": (replace(ADA, active=False), STAFF, CONTEXT),
    "id": (replace(ADA, id="eve"), STAFF, CONTEXT),
    "kind": (replace(ADA, kind=PrincipalKind.SERVICE), STAFF, CONTEXT),
    "roles": (replace(ADA, roles=frozenset({Role.OPERATOR})), STAFF, CONTEXT),
    "purpose": (ADA, STAFF, replace(CONTEXT, purpose=Purpose.SEARCH)),
    "network": (ADA, STAFF, replace(CONTEXT, network="local")),
    "channel": (ADA, STAFF, replace(CONTEXT, channel=Channel.CLI)),
    "readers": (ADA, Label.for_groups("board"), CONTEXT),
    "denied": (ADA, replace(STAFF, deny_users=frozenset({"ada"})), CONTEXT),
    "classification": (ADA, replace(STAFF, classification=Classification.RESTRICTED), CONTEXT),
    "source": (ADA, replace(STAFF, source="wiki"), CONTEXT),
    "outer label": (ADA, replace(STAFF, within=Label.for_groups("board")), CONTEXT),
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many decisions each call asked the engine for."""
    made: list[int] = []
    engine: Callable[..., Any] = cedarpy.is_authorized_batch

    def counting(requests: list[Any], *rest: Any) -> Any:
        made.append(len(requests))
        return engine(requests, *rest)

    monkeypatch.setattr(cedarpy, "is_authorized_batch", counting)
    return made


def allowed(authorizer: Authorizer, principal: Principal, label: Label, context: RequestContext) -> bool:
    # The number stays the same: what a label says counts, and not what it is called by.
    return authorizer.decide_labels(principal, {7: label}, context)[7].allowed


def test_the_same_question_is_decided_once(calls: list[int]) -> None:
    authorizer = Authorizer.load()
    first = authorizer.decide_labels(ADA, {1: STAFF, 2: Label.private()})
    assert authorizer.decide_labels(ADA, {5: Label.private(), 6: STAFF}) == {5: first[2], 6: first[1]}
    assert calls == [2]


@pytest.mark.parametrize("changed", CHANGED)
def test_a_changed_question_is_decided_anew(changed: str, calls: list[int]) -> None:
    authorizer = Authorizer.load()
    assert allowed(authorizer, ADA, STAFF, CONTEXT)
    fresh = allowed(Authorizer.load(), *CHANGED[changed])
    calls.clear()
    assert allowed(authorizer, *CHANGED[changed]) == fresh
    assert calls == [len(CHANGED[changed][1].parts())], "what differs was asked of the engine, once"


def test_another_bundle_decides_for_itself() -> None:
    assert allowed(Authorizer.load(), ADA, STAFF, CONTEXT)
    closed = '@id("none")\n@reason("Nobody.")\nforbid (principal, action, resource);'
    assert not allowed(Authorizer.load(closed), ADA, STAFF, CONTEXT)


def test_a_failure_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    authorizer = Authorizer.load()
    with monkeypatch.context() as broken:
        broken.setattr(cedarpy, "is_authorized_batch", lambda *_: None)
        assert authorizer.decide_labels(ADA, {7: STAFF})[7].failed
    assert allowed(authorizer, ADA, STAFF, CONTEXT)


@pytest.mark.parametrize(
    ("forgotten", "changed"),
    [
        ("groups", "group"),
        ("active", "active"),
        ("context", "network"),
        ("label", "denied"),
        ("label", "outer label"),
        ("label", "readers"),
    ],
)
def test_a_key_without_one_of_them_gives_an_old_answer(
    forgotten: str, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: each key that lacks something is noticed by the test above."""
    rule = (
        '@id("near")\n@reason("Not there.")\nforbid (principal, action, resource) when { context.network == "local" };'
    )

    class Forgetful(DecisionMemory[Any]):
        def of(self, principal: Principal) -> Any:
            kept = super().of(without(principal))
            return Guessing(kept)

        def remember(self, principal: Principal, made: Any) -> None:
            super().remember(without(principal), {question(asked): decision for asked, decision in made.items()})

    class Guessing(dict[Any, Any]):
        def __contains__(self, asked: object) -> bool:
            return super().__contains__(question(asked))

        def __getitem__(self, asked: object) -> Any:
            return super().__getitem__(question(asked))

    def without(principal: Principal) -> Principal:
        if forgotten in {"groups", "active"}:
            return replace(principal, **{forgotten: getattr(ADA, forgotten)})
        return principal

    def question(asked: Any) -> Any:
        return replace(asked, **{forgotten: None}) if forgotten in {"context", "label"} else asked

    monkeypatch.setattr(policies.authorizer, "DecisionMemory", Forgetful)
    authorizer = Authorizer.load(rule)
    assert allowed(authorizer, ADA, STAFF, CONTEXT)
    assert allowed(authorizer, *CHANGED[changed]), "it should have been denied"
    monkeypatch.undo()
    assert not allowed(Authorizer.load(rule), *CHANGED[changed])


def test_who_asked_longest_ago_is_forgotten_and_what_is_given_out_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.memory._PRINCIPALS", 2)
    memory: DecisionMemory[int] = DecisionMemory()
    decision = Authorizer.load().decide_labels(ADA, {7: STAFF})[7]
    for name in ("a", "b", "a", "c"):
        memory.remember(replace(ADA, id=name), {1: decision})
        held = memory.of(replace(ADA, id="a"))
        memory.remember(replace(ADA, id="a"), {2: decision})
    assert 2 in memory.of(replace(ADA, id="a"))
    assert memory.of(replace(ADA, id="b")) == {}
    assert 1 in memory.of(replace(ADA, id="c"))
    assert 1 in held


def test_who_cannot_be_a_key_is_decided_on_each_time(calls: list[int]) -> None:
    authorizer, odd = Authorizer.load(), replace(ADA, groups=["staff"])  # type: ignore[arg-type] # That is the point.
    for _ in range(2):
        authorizer.decide_labels(odd, {7: STAFF})
    assert calls == [1, 1]
