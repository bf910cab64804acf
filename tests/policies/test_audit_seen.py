"""A trail from an earlier day is not written on; a clock that runs back is held up, or said."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policies.audit.events import SearchAsked
from policies.audit.places import TrailPlace
from policies.audit.reader import EntryQuery, read_entries
from policies.audit.seen import SeenFile
from policies.audit.store import Trail
from policies.audit.writer import ChainWriter
from policies.clock import SteadyClock
from policies.errors import TrailUnavailableError
from policies.keys import Keys
from tests.policies.trails import administrating, rows

WAIT_SECONDS = 20.0


def asked(number: int = 0) -> SearchAsked:
    return SearchAsked(f"r{number}", "ada", "test", "0" * 64, "1" * 64)


def write(place: TrailPlace, keys: Keys, seen: SeenFile | None, entries: int = 2) -> None:
    with Trail.open(place, keys, seen=seen) as trail:
        for number in range(entries):
            trail.record(asked(number), WAIT_SECONDS)


def restore_yesterdays(place: TrailPlace) -> None:
    """The trail as it was after its first checkpoint."""
    with administrating(place) as administrator:
        administrator.execute("DELETE FROM entries WHERE id > 2")
        administrator.execute("DELETE FROM checkpoints WHERE number > 1")


@pytest.fixture
def seen(tmp_path: Path) -> SeenFile:
    return SeenFile(tmp_path / "trail.seen")


def test_a_trail_goes_on_where_it_was(place: TrailPlace, keys: Keys, seen: SeenFile, tmp_path: Path) -> None:
    for number in range(1, 4):
        write(place, keys, seen)
        assert (tmp_path / "trail.seen").stat().st_mode & 0o777 == 0o600
        newest = seen.newest()
        assert newest is not None
        assert newest.checkpoint.count == number * 2


def test_a_trail_from_an_earlier_day_is_not_written_on(place: TrailPlace, keys: Keys, seen: SeenFile) -> None:
    write(place, keys, seen)
    write(place, keys, seen, entries=3)
    restore_yesterdays(place)
    for _ in range(2):
        with pytest.raises(TrailUnavailableError, match=r"lacks checkpoint 2 of 20.*entries 3 to 5.*go-on"):
            Trail.open(place, keys, seen=seen)
    assert rows(place, "SELECT count(*) FROM entries") == [(2,)]
    seen.forget()
    write(place, keys, seen)
    assert rows(place, "SELECT count(*) FROM entries") == [(4,)]


def test_without_the_file_nothing_is_noticed(place: TrailPlace, keys: Keys) -> None:
    """Negative control."""
    write(place, keys, None)
    write(place, keys, None)
    restore_yesterdays(place)
    write(place, keys, None)


def test_what_was_written_past_it_again_is_still_not_the_same(place: TrailPlace, keys: Keys, seen: SeenFile) -> None:
    write(place, keys, seen)
    write(place, keys, seen)
    restore_yesterdays(place)
    write(place, keys, None, entries=9)
    with pytest.raises(TrailUnavailableError, match="what was signed then"):
        Trail.open(place, keys, seen=seen)


def test_another_trail_in_its_place_is_not_written_on(
    place: TrailPlace, keys: Keys, seen: SeenFile, tmp_path: Path
) -> None:
    write(tmp_path / "other.db", keys, seen)
    with pytest.raises(TrailUnavailableError, match="this installation wrote to"):
        Trail.open(place, keys, seen=seen)


@pytest.mark.parametrize("content", ["", "{", '{"checkpoint":{"at":"20'])
def test_a_file_that_was_cut_off_says_nothing(place: TrailPlace, keys: Keys, tmp_path: Path, content: str) -> None:
    (tmp_path / "trail.seen").write_text(content)
    write(place, keys, SeenFile(tmp_path / "trail.seen"))


def test_an_older_checkpoint_does_not_replace_a_newer_one(place: TrailPlace, keys: Keys, seen: SeenFile) -> None:
    """As when two processes tell of theirs in turn."""
    told = []
    with Trail.open(place, keys, told.append) as trail:
        trail.record(asked(), WAIT_SECONDS)
    with Trail.open(place, keys, told.append) as trail:
        trail.record(asked(), WAIT_SECONDS)
    for signed in reversed(told):
        seen.note(signed)
    newest = seen.newest()
    assert newest is not None
    assert newest.checkpoint.number == 2


def test_a_home_that_cannot_be_written_is_said(place: TrailPlace, keys: Keys, tmp_path: Path) -> None:
    chain = ChainWriter(place, keys, seen=SeenFile(tmp_path / "none" / "trail.seen"))
    chain.append(["{}"])
    with pytest.raises(TrailUnavailableError, match=r"trail\.seen"):
        chain.seal()
    chain.close()


# Clocks.


class Clock:
    """A wall clock that is set back, and one that goes on."""

    def __init__(self) -> None:
        self.wall = datetime.now(UTC)
        self.passed = 0.0

    def steady(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall, lambda: self.passed)


def times(place: TrailPlace) -> list[datetime]:
    return [entry.at for entry in reversed(read_entries(place, EntryQuery()))]


def test_entries_never_run_back_in_time(place: TrailPlace, keys: Keys) -> None:
    clock = Clock()
    began = clock.wall
    with Trail(ChainWriter(place, keys), clock=clock.steady()) as trail:
        for wall, passed in ((0, 0), (-3600, 10), (7200, 20), (-86400, 30), (7300, 40)):
            clock.wall, clock.passed = began + timedelta(seconds=wall), passed
            trail.record(asked(), WAIT_SECONDS)
    seconds = [round((at - began).total_seconds()) for at in times(place)]
    assert seconds == [0, 10, 7200, 7200, 7300]


def test_a_clock_behind_the_trail_is_said(place: TrailPlace, keys: Keys) -> None:
    clock = Clock()
    clock.wall += timedelta(hours=1)
    with Trail(ChainWriter(place, keys), clock=clock.steady()) as trail:
        trail.record(asked(), WAIT_SECONDS)
    write(place, keys, None, entries=1)
    kinds = [entry.kind for entry in read_entries(place, EntryQuery())]
    assert kinds == ["search:asked", "clock:behind", "search:asked"]
    [entry] = read_entries(place, EntryQuery(kind="clock:behind"))
    assert 3500 < entry.event["seconds"] <= 3600
    write(place, keys, None, entries=1)
    assert len(read_entries(place, EntryQuery(kind="clock:behind"))) == 1, "once, and no more when it is right again"
