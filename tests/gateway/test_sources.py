"""Every run over a source stands in the trail before it reads anything, and again however it ends."""

from typing import Any

import pytest

from connectors.errors import ConnectorError
from gateway.sources import service
from policies.errors import TrailUnavailableError
from retrieval.ingestion import Ingestion
from tests.gateway.conftest import World, recorded


def sync(world: World) -> None:
    world.services.sources.sync("company", world.services.ingestion, by="test", on_progress=lambda _: None)


def test_a_run_is_recorded_before_it_reads(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = len(recorded(world, "sync:started"))
    seen: list[int] = []

    def changes(_row: object) -> Any:
        seen.append(len(recorded(world, "sync:started")))
        message = "The share is gone."
        raise ConnectorError(message)

    monkeypatch.setattr(service, "_connector", changes)
    with pytest.raises(ConnectorError):
        sync(world)
    assert seen == [begun + 1]
    assert recorded(world, "sync:failed")[-1] == {"by": "test", "source": "company", "error": "ConnectorError"}


def test_a_run_that_cannot_be_recorded_reads_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    monkeypatch.setattr(service, "_connector", read.append)
    world.services.trail.close()
    with pytest.raises(TrailUnavailableError):
        sync(world)
    assert read == []


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt(), MemoryError(), LookupError("defect")])
def test_a_run_that_breaks_off_in_any_way_is_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    """What was committed before it stands, so the trail must not be silent about it."""

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(Ingestion, "sync", fail)
    finished = recorded(world, "sync:finished")
    with pytest.raises(type(failure)):
        sync(world)
    assert recorded(world, "sync:failed")[-1]["error"] == type(failure).__name__
    assert recorded(world, "sync:finished") == finished
