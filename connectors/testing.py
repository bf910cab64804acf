"""The conformance kit: what every connector must do, as checks its author runs against a source they may change.

    @pytest.mark.parametrize("standard", STANDARDS, ids=lambda standard: standard.name)
    def test_keeps_the_standard(standard, tmp_path):
        assert standard.shortcomings(MySource(tmp_path)) == []

It needs no test framework of its own, and nothing of the product but the contract.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from connectors.contract import Change, Checkpoint, Connector, Delete, Skip, Upsert
from policies.labels import Label


class SourceUnderTest(Protocol):
    """A fresh source of at least five documents, one of which cannot be read, and a way to change it.

    It should be configured so that a full run takes several checkpoints.
    """

    def connect(self) -> Connector:
        """A new connector to the source, as after a restart."""
        ...

    def add(self) -> None:
        """Put one more document into the source."""
        ...

    def edit(self) -> None:
        """Change the content of one document."""
        ...

    def remove(self) -> None:
        """Take one document out of the source."""
        ...


@dataclass(frozen=True, slots=True)
class Standard:
    """One thing a connector must do; `shortcomings` says in sentences where it does not."""

    name: str
    shortcomings: Callable[[SourceUnderTest], list[str]]


def _full_run_is_well_formed(source: SourceUnderTest) -> list[str]:
    source.connect().check()
    changes = list(source.connect().changes(None))
    found = [] if changes and isinstance(changes[-1], Checkpoint) else ["A run does not end with a checkpoint."]
    if sum(isinstance(change, Upsert) for change in changes) < 4:  # noqa: PLR2004 - as SourceUnderTest promises
        found.append("A full run yields fewer than four documents.")
    ids = [change.id for change in changes if isinstance(change, Upsert | Skip)]
    if len(ids) != len(set(ids)):
        found.append("Two documents of one run have the same id.")
    return found + [problem for change in changes for problem in _malformed(change)]


def _malformed(change: Change) -> Iterator[str]:
    match change:
        case Upsert():
            if not change.id or not change.path or not change.media_type:
                yield f"The document {change.id!r} lacks an id, a path or a media type."
            if "\\" in change.path or change.path.startswith("/"):
                yield f"The path {change.path!r} is not relative with forward slashes."
            label: object = change.label  # What a connector without type checks may have put there.
            if not isinstance(label, Label):
                yield f"The document {change.id!r} has no label."
            if change.modified is not None and change.modified.utcoffset() is None:
                yield f"The time of {change.id!r} does not say that it is UTC."
        case Skip():
            if not (change.reason[:1].isupper() and change.reason.endswith(".") and " " in change.reason):
                yield f"The reason {change.reason!r} is not a sentence."


def _unreadable_is_skipped(source: SourceUnderTest) -> list[str]:
    skipped = any(isinstance(change, Skip) for change in source.connect().changes(None))
    return [] if skipped else ["A document that cannot be read is passed over without a Skip."]


def _nothing_new_yields_nothing(source: SourceUnderTest) -> list[str]:
    cursor = _cursor(source.connect().changes(None))
    again = [change for change in source.connect().changes(cursor) if not isinstance(change, Checkpoint)]
    return [f"A second run without changes yields {len(again)} changes."] if again else []


def _ids_are_stable(source: SourceUnderTest) -> list[str]:
    first, second = (_ids(source.connect().changes(None)) for _ in range(2))
    return [] if first == second else [f"Another run gives other ids: {sorted(first ^ second)}."]


def _changes_are_seen(source: SourceUnderTest) -> list[str]:
    before = list(source.connect().changes(None))
    cursor, ids = _cursor(before), _ids(before)
    found = []
    source.edit()
    edited = list(source.connect().changes(cursor))
    if len(_ids(edited)) != 1 or not _ids(edited) <= ids:
        found.append(f"After one edit the run yields {sorted(_ids(edited))} instead of the one known document.")
    source.add()
    added = list(source.connect().changes(_cursor(edited)))
    if len(_ids(added)) != 1 or _ids(added) & ids:
        found.append(f"After one addition the run yields {sorted(_ids(added))} instead of one new document.")
    return found


def _deletions_are_seen(source: SourceUnderTest) -> list[str]:
    before = list(source.connect().changes(None))
    source.remove()
    gone = [change.id for change in source.connect().changes(_cursor(before)) if isinstance(change, Delete)]
    if len(gone) == 1 and gone[0] in _ids(before):
        return []
    return [f"After one removal the run deletes {gone} instead of the one known document."]


def _every_checkpoint_resumes(source: SourceUnderTest) -> list[str]:
    """A run may break off anywhere: what stands at a checkpoint and what a resumed run yields are all there is."""
    changes = list(source.connect().changes(None))
    everything = _ids(changes)
    places = [place for place, change in enumerate(changes) if isinstance(change, Checkpoint)]
    found = [] if len(places) > 1 else ["A full run takes only one checkpoint, so resuming cannot be checked."]
    for place in places:
        committed = changes[: place + 1]
        resumed = list(source.connect().changes(_cursor(committed)))
        if lost := everything - _ids(committed) - _ids(resumed):
            found.append(f"Resuming from checkpoint {places.index(place) + 1} loses {sorted(lost)}.")
        if again := _ids(committed) & _ids(resumed):
            found.append(f"Resuming from checkpoint {places.index(place) + 1} repeats {sorted(again)}.")
        if any(isinstance(change, Delete) for change in resumed):
            found.append(f"Resuming from checkpoint {places.index(place) + 1} deletes what is still there.")
    return found


def _changes_during_a_break_are_seen(source: SourceUnderTest) -> list[str]:
    """What changes between breaking off and resuming is neither lost nor left behind."""
    committed: list[Change] = []
    for change in source.connect().changes(None):
        committed.append(change)
        if isinstance(change, Checkpoint):
            break
    source.add()
    source.remove()
    resumed = list(source.connect().changes(_cursor(committed)))
    gone = {change.id for change in resumed if isinstance(change, Delete)}
    indexed = (_upserted(committed) | _upserted(resumed)) - gone
    present = _upserted(source.connect().changes(None))
    return [] if indexed == present else [f"After a break these differ from the source: {sorted(indexed ^ present)}."]


STANDARDS: tuple[Standard, ...] = (
    Standard("a full run is well formed", _full_run_is_well_formed),
    Standard("what cannot be read is skipped with a reason", _unreadable_is_skipped),
    Standard("nothing new yields nothing", _nothing_new_yields_nothing),
    Standard("ids are stable", _ids_are_stable),
    Standard("additions and edits are seen", _changes_are_seen),
    Standard("deletions are seen", _deletions_are_seen),
    Standard("every checkpoint resumes", _every_checkpoint_resumes),
    Standard("changes during a break are seen", _changes_during_a_break_are_seen),
)


def _ids(changes: Iterable[Change]) -> set[str]:
    return {change.id for change in changes if isinstance(change, Upsert | Skip)}


def _upserted(changes: Iterable[Change]) -> set[str]:
    return {change.id for change in changes if isinstance(change, Upsert)}


def _cursor(changes: Iterable[Change]) -> str | None:
    """The last cursor; None when there is none, as for a reader that never reached a checkpoint."""
    cursors = [change.cursor for change in changes if isinstance(change, Checkpoint)]
    return cursors[-1] if cursors else None
