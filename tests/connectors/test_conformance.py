"""The folder connector keeps every standard, and each standard catches a connector that does not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors import Change, Checkpoint, Delete, Label, Skip, Upsert
from connectors.folder.connector import FolderConnector, FolderOptions
from connectors.testing import STANDARDS, Standard


class FolderUnderTest:
    def __init__(self, root: Path) -> None:
        self.root = root
        for name in "abcdef":
            (root / f"{name}.md").write_text(name)
        (root / "link.md").symlink_to("a.md")

    def connect(self) -> FolderConnector:
        return FolderConnector(FolderOptions(str(self.root)), None, checkpoint_documents=2)

    def add(self) -> None:
        (self.root / "added.md").write_text("new")

    def edit(self) -> None:
        (self.root / "b.md").write_text("changed")

    def remove(self) -> None:
        (self.root / "a.md").unlink()


@pytest.mark.parametrize("standard", STANDARDS, ids=lambda standard: standard.name)
def test_the_folder_connector_keeps_the_standard(standard: Standard, root: Path) -> None:
    assert standard.shortcomings(FolderUnderTest(root)) == []


Bend = Callable[[list[Change], str | None], list[Change]]


class Broken(FolderUnderTest):
    """A folder source whose connector bends what it yields."""

    def __init__(self, root: Path, bend: Bend) -> None:
        super().__init__(root)
        self.bend = bend

    def connect(self) -> FolderConnector:
        honest, bend = super().connect(), self.bend

        class Bent(FolderConnector):
            def changes(self, since: str | None) -> Iterator[Change]:
                yield from bend(list(honest.changes(since)), since)

        return Bent(honest.options, None, 2)


def checkpoint_too_early(changes: list[Change], _since: str | None) -> list[Change]:
    """The last cursor stands at the first checkpoint."""
    last = changes[-1]
    return [last if isinstance(change, Checkpoint) else change for change in changes]


def without(*kinds: type) -> Bend:
    return lambda changes, _since: [change for change in changes if not isinstance(change, kinds)]


def without_final_checkpoint(changes: list[Change], _since: str | None) -> list[Change]:
    return changes[:-1]


_runs = iter(range(1_000_000))


def other_ids_each_run(changes: list[Change], _since: str | None) -> list[Change]:
    run = next(_runs)
    return [_with(change, id=f"{run}/{change.id}") if isinstance(change, Upsert) else change for change in changes]


def forgets_the_cursor(changes: list[Change], since: str | None) -> list[Change]:
    if since is None:
        return changes
    return [Upsert("a.md", "a.md", b"", "text/plain", Label.private()), *changes]


def curt_reasons(changes: list[Change], _since: str | None) -> list[Change]:
    return [Skip(change.id, change.path, "EACCES") if isinstance(change, Skip) else change for change in changes]


def no_labels(changes: list[Change], _since: str | None) -> list[Change]:
    return [_with(change, label=None) if isinstance(change, Upsert) else change for change in changes]


def local_times(changes: list[Change], _since: str | None) -> list[Change]:
    return [
        _with(change, modified=change.modified.replace(tzinfo=None))
        if isinstance(change, Upsert) and change.modified
        else change
        for change in changes
    ]


def absolute_paths(changes: list[Change], _since: str | None) -> list[Change]:
    return [_with(change, path=f"/srv/{change.path}") if isinstance(change, Upsert) else change for change in changes]


def one_id_for_all(changes: list[Change], _since: str | None) -> list[Change]:
    return [_with(change, id="x") if isinstance(change, Upsert) else change for change in changes]


def ignores_edits(changes: list[Change], since: str | None) -> list[Change]:
    return changes if since is None else [c for c in changes if not isinstance(c, Upsert) or c.id == "added.md"]


def _with(change: Upsert, **fields: object) -> Upsert:
    values = {name: getattr(change, name) for name in Upsert.__slots__}
    return Upsert(**{**values, **fields})


@pytest.mark.parametrize(
    ("bend", "name"),
    [
        (checkpoint_too_early, "every checkpoint resumes"),
        (checkpoint_too_early, "changes during a break are seen"),
        (without(Checkpoint), "a full run is well formed"),
        (without_final_checkpoint, "a full run is well formed"),
        (curt_reasons, "a full run is well formed"),
        (no_labels, "a full run is well formed"),
        (local_times, "a full run is well formed"),
        (absolute_paths, "a full run is well formed"),
        (one_id_for_all, "a full run is well formed"),
        (without(Skip), "what cannot be read is skipped with a reason"),
        (without(Delete), "deletions are seen"),
        (other_ids_each_run, "ids are stable"),
        (forgets_the_cursor, "nothing new yields nothing"),
        (forgets_the_cursor, "every checkpoint resumes"),
        (ignores_edits, "additions and edits are seen"),
    ],
)
def test_a_broken_connector_is_caught(bend: Bend, name: str, root: Path) -> None:
    (standard,) = [standard for standard in STANDARDS if standard.name == name]
    assert standard.shortcomings(Broken(root, bend)) != []


def test_every_standard_has_a_connector_it_catches() -> None:
    marks = test_a_broken_connector_is_caught.pytestmark  # type: ignore[attr-defined]
    assert {name for _, name in marks[0].args[1]} == {standard.name for standard in STANDARDS}
