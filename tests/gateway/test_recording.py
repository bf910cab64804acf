"""What the trail is told of a retrieval: each label that was allowed or denied, and by which rule, once and bounded."""

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

import gateway.recording
from gateway.recording import Recorder, labels_decided, passages_retrieved
from policies.audit.events import LabelsDecided, PassagesRetrieved
from policies.audit.store import EntryRef
from policies.context import RequestContext
from policies.errors import TrailUnavailableError
from policies.filters import AccessFilters
from policies.labels import Label
from retrieval.retriever import Found
from tests.gateway.conftest import World, recorded


def found_by(world: World, user: str) -> Found:
    retriever = world.services.retriever
    access = retriever.access(world.services.users.principal(user), RequestContext())
    return retriever.search("budget", access, 3)


def decided(entry: dict[str, Any]) -> dict[str, str]:
    return dict(zip(entry["labels"], entry["decisions"], strict=True))


async def test_each_label_is_told_with_its_rule_and_named_by_the_retrieval(world: World) -> None:
    for request, user in (("r1", "bob"), ("r2", "alice"), ("r3", "bob")):
        await world.services.recorder.record_retrieval(request, found_by(world, user))
    bob, alice = recorded(world, LabelsDecided.kind)
    first, second, third = recorded(world, PassagesRetrieved.kind)
    assert [entry["access_sha256"] for entry in (first, second, third)] == [
        bob["access_sha256"],
        alice["access_sha256"],
        bob["access_sha256"],
    ]
    (finance,) = {label for label in alice["labels"] if decided(bob)[label] == "denied"}
    assert decided(alice)[finance] == "allowed label-allows-group"
    assert sorted(decided(bob).values()) == ["allowed label-allows-group", "denied"]
    assert (first["labels_allowed"], first["labels_denied"]) == (1, 1)


async def test_it_is_told_again_after_a_day_and_by_another_process(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, found = world.services, found_by(world, "bob")
    await services.recorder.record_retrieval("r1", found)
    monkeypatch.setattr(gateway.recording, "_TELL_AGAIN_SECONDS", 0.0)
    await services.recorder.record_retrieval("r2", found)
    await Recorder(services.trail, services.keys, 60, services.subjects).record_retrieval("r3", found)
    assert len(recorded(world, LabelsDecided.kind)) == 3


async def test_what_was_not_durable_was_not_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, found = world.services.recorder, found_by(world, "bob")

    def full(_: Any, patience_seconds: float) -> "Future[EntryRef]":
        failed: Future[EntryRef] = Future()
        failed.set_exception(TrailUnavailableError(f"full for {patience_seconds} s"))
        return failed

    with monkeypatch.context() as broken:
        broken.setattr(world.services.trail, "submit", full)
        with pytest.raises(TrailUnavailableError):
            await recorder.record_retrieval("r1", found)
    await recorder.record_retrieval("r2", found)
    assert len(recorded(world, LabelsDecided.kind)) == 1


def test_many_labels_are_told_in_parts_of_bounded_size(world: World) -> None:
    labels = {number: Label.for_groups(f"g{number}") for number in range(2500)}
    bob = world.services.users.principal("bob")
    access = AccessFilters(world.services.authorizer).filter_for(bob, labels, 1, RequestContext())
    parts = labels_decided(access)
    assert [(part.part, part.parts, len(part.labels)) for part in parts] == [(1, 3, 1000), (2, 3, 1000), (3, 3, 500)]
    assert {label for part in parts for label in part.labels} == {label.digest for label in labels.values()}
    event = passages_retrieved("r1", replace(found_by(world, "bob"), access=access))
    assert event.access_sha256 == parts[0].access_sha256
