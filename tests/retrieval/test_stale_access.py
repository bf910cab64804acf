"""Permissions that were read too long ago deny, and so does a clock that cannot be right."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import Session

from connectors.contract import Change
from connectors.errors import SourceUnavailableError
from policies.authorizer import RequestContext
from policies.clock import SteadyClock
from policies.labels import Label
from policies.principals import Principal
from retrieval.errors import SyncFailedError
from retrieval.sessions import writing
from retrieval.tables import SourceRow
from tests.fakes.sources import ListConnector, page
from tests.retrieval.conftest import Corpus

OWEN = Principal("owen", frozenset({"everyone"}))
DAY = timedelta(days=1)


class Moved:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.wall, self.monotonic = datetime.now(UTC), 0.0

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall, lambda: self.monotonic)


@pytest.fixture
def moved() -> Moved:
    return Moved()


@pytest.fixture
def limited(corpus: Corpus, moved: Moved) -> Corpus:
    """A corpus whose permissions are good for a day."""
    corpus.retriever._clock = moved.clock()
    with writing(corpus.database) as session:
        row = session.get_one(SourceRow, "pages")
        row.max_acl_age_seconds = int(DAY.total_seconds())
        session.add(row)
        session.commit()
    corpus.sync(page("holidays", "# Holidays\n\nThere are 27 days.", Label.for_groups("everyone")))
    return corpus


def finds(corpus: Corpus) -> bool:
    return bool(corpus.search("holidays", OWEN).passages)


def test_fresh_permissions_count_and_old_ones_deny(limited: Corpus, moved: Moved) -> None:
    moved.wall += DAY - timedelta(minutes=1)
    assert finds(limited)
    moved.wall += timedelta(minutes=2)
    assert not finds(limited)


def test_the_next_run_makes_them_count_again(limited: Corpus, moved: Moved) -> None:
    limited.retriever._clock = SteadyClock(lambda: datetime.now(UTC) + 2 * DAY, lambda: 0.0)
    assert not finds(limited)
    limited.retriever._clock = SteadyClock()
    limited.sync()
    assert finds(limited)


def test_a_run_that_broke_off_does_not_count(limited: Corpus) -> None:
    class BreaksOff(ListConnector):
        def changes(self, since: str | None) -> Iterator[Change]:
            yield from super().changes(since)
            message = "The directory is down."
            raise SourceUnavailableError(message)

    with Session(limited.database) as session:
        before = session.get_one(SourceRow, "pages").access_read_at
    with pytest.raises(SyncFailedError):
        limited.sync_from(BreaksOff())
    with Session(limited.database) as session:
        assert session.get_one(SourceRow, "pages").access_read_at == before


def test_a_clock_set_back_makes_nothing_young_again(limited: Corpus, moved: Moved) -> None:
    moved.monotonic += 2 * DAY.total_seconds()
    assert not finds(limited), "two days went by, whatever the wall clock says"
    moved.wall -= timedelta(days=30)
    assert not finds(limited)


def test_permissions_from_the_future_are_not_believed(limited: Corpus, moved: Moved) -> None:
    """As after a restart with a clock that is wrong."""
    moved.wall -= timedelta(days=30)
    limited.retriever._clock = moved.clock()
    assert not finds(limited)


def test_without_a_limit_age_does_not_matter(corpus: Corpus, moved: Moved) -> None:
    corpus.sync(page("holidays", "# Holidays\n\nThere are 27 days.", Label.for_groups("everyone")))
    moved.wall += timedelta(days=3650)
    corpus.retriever._clock = moved.clock()
    assert finds(corpus)


def test_a_filter_made_while_they_were_fresh_is_not_used_afterwards(limited: Corpus, moved: Moved) -> None:
    """The negative control: the second check alone must refuse, too."""
    access = limited.retriever.access(OWEN, RequestContext())
    assert limited.retriever.search("holidays", access, 5).passages
    moved.wall += 2 * DAY
    assert limited.retriever.search("holidays", access, 5).passages == ()


def test_the_operator_is_told_once(limited: Corpus, moved: Moved, caplog: pytest.LogCaptureFixture) -> None:
    moved.wall += 2 * DAY
    for _ in range(3):
        finds(limited)
    assert caplog.text.count("source_access_stale source=pages") == 1
