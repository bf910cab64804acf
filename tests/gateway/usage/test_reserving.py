"""Questions at the same time get no more than there is, in one process or several; what a dead one held comes back."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlmodel import Session, select

import gateway.usage.book
from gateway.database import open_database
from gateway.errors import DatabaseUnusableError, NotReadyError
from gateway.subjects import SubjectRow
from gateway.usage.book import EXPIRE_SECONDS, Book, Reservation
from gateway.usage.limits import Count, Refusal, period_at
from gateway.usage.options import Measure, Period, UsageOptions
from gateway.usage.store import NOBODY, UsageCountRow, UsageReservationRow, UsageRow
from gateway.usage.taken import Demand
from policies.principals import Principal
from retrieval.sessions import writing
from tests.gateway.usage.limits_of import one_limit

BOB, ALICE = Principal("bob"), Principal("alice")
ONE = Demand(1, 100, 0)
NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(tmp_path / "muniment.db")
    yield opened
    opened.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


MakeBook = Callable[[UsageOptions], Book]


@pytest.fixture
def book_of(database: Engine, clock: Clock) -> Iterator[MakeBook]:
    made: list[Book] = []

    def make(options: UsageOptions) -> Book:
        made.append(Book(lambda: database, options, lambda name: name, clock))
        return made[-1]

    yield make
    for book in made:
        book.close()


def got(replies: list[Future[Reservation | Refusal]]) -> list[Reservation]:
    """Those that were let in."""
    return [found for reply in replies if isinstance(found := reply.result(10), Reservation)]


def wish(book: Book, principal: Principal = BOB, demand: Demand = ONE) -> Reservation | Refusal:
    return book.wish(principal, ("small",), demand).result(10)


def at_once(books: list[Book], count: int) -> list[Reservation]:
    """Questions from many threads at the same moment."""
    barrier, replies = threading.Barrier(count), list[Future[Reservation | Refusal]]()

    def ask(number: int) -> None:
        barrier.wait()
        replies.append(books[number % len(books)].wish(BOB, ("small",), ONE))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got(replies)


@pytest.mark.parametrize("books", [1, 4])
@pytest.mark.parametrize(
    ("options", "most"),
    [
        (one_limit(10), 10),
        (one_limit(1050, Measure.TOKENS), 10),
        (one_limit(10, together=True), 10),
        (one_limit(10, user="bob"), 10),
        (one_limit(10, user="alice"), 96),
        (UsageOptions(questions_per_minute=1, burst=10), 10),
    ],
)
def test_of_many_questions_at_once_no_more_get_in_than_there_is_room_for(
    book_of: MakeBook, options: UsageOptions, most: int, books: int
) -> None:
    """Several books are several processes, as far as the database can tell."""
    assert len(at_once([book_of(options) for _ in range(books)], 96)) == most


def test_checking_without_reserving_overruns(book_of: MakeBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a build that looks, and reserves nothing."""
    monkeypatch.setattr(gateway.usage.book, "reserve", lambda *_: None)
    assert len(at_once([book_of(one_limit(10))], 96)) == 96


def test_reserving_without_the_write_lock_overruns_or_fails(book_of: MakeBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the lock is what makes looking and reserving one step for several processes."""
    both = threading.Barrier(2)
    real = gateway.usage.book.read_count

    def slow(*args: Any) -> Count:
        found = real(*args)
        both.wait(5)
        return found

    monkeypatch.setattr(gateway.usage.book, "writing", Session)
    monkeypatch.setattr(gateway.usage.book, "read_count", slow)
    replies = [book.wish(BOB, ("small",), ONE) for book in (book_of(one_limit(1)), book_of(one_limit(1)))]
    failures = [reply.exception(20) for reply in replies]
    assert any(failures) or len(got(replies)) == 2


def test_what_was_not_needed_is_free_again_and_what_was_taken_is_not(book_of: MakeBook) -> None:
    book = book_of(one_limit(250, Measure.TOKENS))
    first, second = wish(book), wish(book)
    assert isinstance(first, Reservation)
    assert isinstance(second, Reservation)
    assert isinstance(wish(book), Refusal)
    book.settle(first, Demand(1, 30, 0))
    third = wish(book)
    assert isinstance(third, Reservation), "30 used and 200 reserved"
    book.settle(second, Demand())
    book.settle(third, Demand(1, 100, 0))
    assert isinstance(wish(book), Reservation), "130 used and 100 reserved"
    found = wish(book)
    assert isinstance(found, Refusal)
    assert found.left == 20


def test_each_has_their_own_and_what_is_shared_is_shared(book_of: MakeBook) -> None:
    own, shared = book_of(one_limit(1)), book_of(one_limit(3, together=True))
    assert isinstance(wish(own), Reservation)
    assert isinstance(wish(own), Refusal)
    assert isinstance(wish(own, ALICE), Reservation)
    assert isinstance(wish(shared), Reservation)
    assert isinstance(wish(shared, ALICE), Reservation)
    assert [type(wish(shared, who)) for who in (BOB, ALICE)] == [Reservation, Refusal]


@pytest.mark.parametrize("per", Period)
def test_a_new_period_begins_anew_and_a_clock_set_back_gives_nothing(
    book_of: MakeBook, clock: Clock, per: Period
) -> None:
    book = book_of(one_limit(1, per=per))
    for later in (timedelta(0), timedelta(days=40)):
        clock.now = NOON + later
        made = wish(book)
        assert isinstance(made, Reservation)
        book.settle(made, ONE)
        assert isinstance(wish(book), Refusal)
    clock.now = NOON
    assert isinstance(wish(book), Refusal)


def test_counting_by_the_clock_alone_would_give_it_back(
    book_of: MakeBook, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""

    def by_the_clock(count: Count, per: Period, now: datetime) -> Count:
        period = period_at(per, now)
        return count if count.period == period else Count(period, 0, count.reserved)

    monkeypatch.setattr(gateway.usage.book, "current", by_the_clock)
    with pytest.raises(AssertionError):
        test_a_new_period_begins_anew_and_a_clock_set_back_gives_nothing(book_of, clock, Period.DAY)


def test_what_is_in_progress_is_renewed_and_what_a_dead_process_held_expires(
    book_of: MakeBook, clock: Clock, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.usage.book, "_RENEW_SECONDS", 0.01)
    living = book_of(one_limit(2, together=True))
    assert isinstance(wish(living), Reservation)
    with writing(database) as session:
        expires = int(NOON.timestamp()) + EXPIRE_SECONDS
        session.add(UsageReservationRow(id="dead", limit="only", token=NOBODY, amount=1, expires=expires))
        session.commit()
    assert isinstance(wish(living), Refusal)
    for _ in range(10):
        clock.now += timedelta(seconds=EXPIRE_SECONDS // 3)
        living.add("bob", "2026-12-01", "small", {"answered": 1})
        living.flush(30)
    assert isinstance(wish(living), Reservation)
    assert isinstance(wish(living), Refusal), "its own first one still holds"


def test_a_question_that_outlived_its_reservation_is_charged_all_the_same(book_of: MakeBook, clock: Clock) -> None:
    book = book_of(one_limit(1))
    made = wish(book)
    assert isinstance(made, Reservation)
    clock.now += timedelta(seconds=EXPIRE_SECONDS * 2)
    book.settle(made, ONE)
    assert isinstance(wish(book), Refusal)


def test_a_limit_with_another_name_begins_anew(book_of: MakeBook) -> None:
    first = book_of(one_limit(1))
    assert isinstance(wish(first), Reservation)
    options = one_limit(1)
    renamed = UsageOptions(limits=tuple(type(one)(**{**to_dict(one), "name": "other"}) for one in options.limits))
    assert isinstance(wish(book_of(renamed)), Reservation)


def to_dict(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def test_a_database_that_fails_refuses_and_loses_no_count(
    book_of: MakeBook, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = book_of(one_limit(2))
    made = wish(book)
    assert isinstance(made, Reservation)

    def fail(_: Engine) -> Session:
        message = "the disk is full"
        raise DatabaseUnusableError(message)

    monkeypatch.setattr(gateway.usage.book, "_RETRY_SECONDS", 0.01)
    with monkeypatch.context() as broken:
        broken.setattr(gateway.usage.book, "writing", fail)
        book.settle(made, ONE)
        book.add("bob", "2026-12-01", "small", {"answered": 1})
        with pytest.raises(DatabaseUnusableError):
            wish(book)
    book.flush(30)
    with Session(database) as session:
        assert session.exec(select(UsageCountRow.used)).one() == 1
        assert session.exec(select(UsageRow.answered)).one() == 1
        assert session.exec(select(UsageReservationRow)).all() == []


def test_totals_are_added_up_by_day_person_and_model(book_of: MakeBook, database: Engine) -> None:
    with writing(database) as session:
        session.add(SubjectRow(token="bob", name_hmac="x", key=b"", name=b""))
        session.commit()
    first, second = book_of(UsageOptions()), book_of(UsageOptions())
    for book in (first, second):
        for _ in range(50):
            book.add("bob", "2026-12-01", "small", {"answered": 1, "prompt_tokens": 10})
        book.add("bob", "2026-12-02", "small", {"answered": 1})
        book.add("somebody erased", "2026-12-01", "small", {"answered": 1})
        book.flush(30)
    with Session(database) as session:
        rows = {(row.day, row.token): (row.answered, row.prompt_tokens) for row in session.exec(select(UsageRow))}
    assert rows == {("2026-12-01", "bob"): (100, 1000), ("2026-12-02", "bob"): (2, 0), ("2026-12-01", NOBODY): (2, 0)}


def test_closing_writes_what_is_left(book_of: MakeBook, database: Engine) -> None:
    book = book_of(UsageOptions())
    book.add("bob", "2026-12-01", "small", {"answered": 1})
    book.close()
    with closing(database.connect()) as connection:
        assert connection.execute(text("SELECT answered FROM usage")).scalar() == 1


def test_a_book_that_is_closed_takes_nothing_more(book_of: MakeBook) -> None:
    book = book_of(UsageOptions())
    book.close()
    with pytest.raises(NotReadyError):
        wish(book)


def test_who_reads_waits_for_no_writer_where_nothing_is_to_be_written(book_of: MakeBook, database: Engine) -> None:
    book = book_of(UsageOptions())
    book.add("bob", "2026-12-01", "small", {"answered": 1})
    book.flush(30)
    with writing(database):
        book.flush(30)
        book.add("bob", "2026-12-01", "small", {"answered": 1})
        began = time.monotonic()
        book.flush(0.1)
        assert time.monotonic() - began < 10, "and no longer than it says where something is"


def started(database: Path, most: int, tries: int, ahead: int = 0) -> subprocess.Popen[str]:
    """A process that will reserve once it is told to."""
    arguments = [str(database), str(most), str(tries), str(ahead)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.gateway.usage.reserving_process", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> int:
    assert process.stdout
    return int(process.stdout.readline())


def test_several_processes_have_no_more_together_and_one_that_is_killed_gives_back(
    tmp_path: Path, database: Engine
) -> None:
    path = tmp_path / "muniment.db"
    processes = [started(path, 20, 64) for _ in range(3)]
    for process in processes:
        told(process)
    shares = [answer(process) for process in processes]
    assert sum(shares) == 20
    for process in processes:
        process.kill()
        process.communicate()
    soon, later = started(path, 20, 64), started(path, 20, 64, ahead=EXPIRE_SECONDS + 60)
    told(soon)
    assert answer(soon) == 0
    told(later)
    assert answer(later) == 20
    for process in (soon, later):
        process.communicate("end\n", timeout=60)
