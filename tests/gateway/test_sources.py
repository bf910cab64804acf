"""Every run over a source stands in the trail before it reads anything, and again however it ends."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import ConnectorError
from gateway.sources import service
from policies.errors import TrailUnavailableError
from retrieval.ingestion import Ingestion, SyncReport
from retrieval.sessions import writing
from retrieval.tables import SourceRow
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


def test_what_a_run_changed_is_in_the_trail_by_document_and_label(world: World, tmp_path: Path) -> None:
    first = recorded(world, "documents:changed")
    assert [(one["change"], len(one["documents"]), one["more"]) for one in first] == [("changed", 3, 0)]
    (labels,) = recorded(world, "labels:changed")
    assert (labels["labels_before"], labels["counts"]) == (["", ""], ["2", "1"])
    handbook, finance = labels["labels"]
    services = world.services
    row = next(one for one in services.sources.listed() if one.name == "company")
    access = tmp_path / "access.json"
    rules = [{"prefix": "handbook/travel", "groups": ["finance"]}, {"prefix": "handbook/", "groups": ["everyone"]}]
    access.write_text(json.dumps({"groups": ["everyone", "finance"], "users": {}, "rules": rules}))
    documents = tmp_path / "documents"
    shutil.copytree(row.settings["path"], documents)
    (documents / "finance" / "budget.md").unlink()
    (documents / "handbook" / "holidays.md").write_text("# Holidays\n\nEveryone has 30 days.")
    with writing(services.database) as session:
        source = session.get_one(SourceRow, "company")
        source.settings, source.access_file = json.dumps({"path": str(documents)}), str(access)
        session.add(source)
        session.commit()
    sync(world)
    later = recorded(world, "documents:changed")[1:]
    assert [(one["change"], len(one["documents"])) for one in later] == [
        ("changed", 1),
        ("deleted", 1),
        ("relabelled", 1),
    ]
    moved = recorded(world, "labels:changed")[1]
    ways = dict(zip(zip(moved["labels_before"], moved["labels"], strict=True), moved["counts"], strict=True))
    assert ways == {(handbook, finance): "1", (finance, ""): "1"}
    sync(world)
    assert len(recorded(world, "documents:changed")) == 4, "a run that changes nothing tells of no change"


def test_what_a_run_had_changed_before_it_broke_off_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_off(_self: object, name: str, _connector: object, on_progress: Any) -> None:
        report = SyncReport(name)
        report.touched.note({"d1": "l1"}, {}, ())
        on_progress(report)
        raise LookupError

    monkeypatch.setattr(Ingestion, "sync", breaks_off)
    with pytest.raises(LookupError):
        sync(world)
    assert recorded(world, "documents:changed")[-1]["documents"] == ["d1"]
    assert recorded(world, "labels:changed")[-1]["labels_before"] == ["l1"]
    assert recorded(world, "sync:failed")[-1]["error"] == "LookupError"
