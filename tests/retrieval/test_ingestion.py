"""A run commits at checkpoints, does nothing twice, and leaves out what it cannot vouch for."""

import sqlite3
from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import event
from sqlmodel import Session, select

from connectors.contract import Change, Checkpoint, Delete, Skip, Upsert
from connectors.errors import AccessUnreadableError
from policies.errors import RedactionFailedError, TextTooLongError
from policies.labels import Label
from policies.personal_data import Span
from policies.principals import Principal
from retrieval import ingestion
from retrieval.errors import SyncBusyError, SyncFailedError
from retrieval.files import exclusive
from retrieval.tables import DocumentRow, PassageRow, SkipRow, SourceRow
from tests.fakes.parsers import ParserHere
from tests.fakes.sources import ListConnector, page
from tests.retrieval.conftest import Corpus

EVERYONE = Label.for_groups("everyone")
OWEN = Principal("owen", frozenset({"everyone"}))


class BreaksOff:
    """Commits one page, yields another, and fails before its checkpoint."""

    def check(self) -> None:
        """Fine so far."""

    def changes(self, since: str | None) -> Iterator[Change]:
        if since is None:
            yield page("a", "Hotels.", EVERYONE)
            yield Checkpoint("1")
        yield page("b", "Lasers.", EVERYONE)
        if since is None:
            message = "The access list cannot be read. Mend it."
            raise AccessUnreadableError(message)
        yield Checkpoint("2")


def test_a_broken_run_keeps_what_was_committed_and_goes_on_from_there(corpus: Corpus) -> None:
    connector = BreaksOff()
    with pytest.raises(SyncFailedError, match="access list cannot be read"):
        corpus.sync_from(connector)
    assert [each.path for each in corpus.search("hotels lasers", OWEN).passages] == ["a.md"]
    report = corpus.sync_from(connector)
    assert report.upserted == 1
    assert {each.path for each in corpus.search("hotels lasers", OWEN).passages} == {"a.md", "b.md"}


def test_unchanged_content_is_not_read_again(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.sync(page("a", "Hotels.", EVERYONE))

    def never(*_: object) -> None:
        pytest.fail("parsed again")

    monkeypatch.setattr(ParserHere, "parse", never)
    assert corpus.sync(page("a", "Hotels.", EVERYONE)).upserted == 0


def test_a_run_without_changes_begins_no_epoch(corpus: Corpus) -> None:
    corpus.sync(page("a", "Hotels.", EVERYONE))
    before = corpus.index.refresh()
    corpus.sync()
    assert corpus.index.refresh() == before


def test_what_cannot_be_parsed_is_skipped_with_a_reason(corpus: Corpus) -> None:
    report = corpus.sync(page("a", "", EVERYONE), page("b", "Hotels.", EVERYONE))
    assert (report.upserted, report.skipped) == (1, 1)
    with Session(corpus.database) as session:
        [skip] = session.exec(select(SkipRow)).all()
    assert skip.path == "a.md"
    assert skip.reason.endswith(".")


def test_a_page_that_becomes_unreadable_leaves_the_index(corpus: Corpus) -> None:
    corpus.sync(page("a", "Hotels.", EVERYONE))
    corpus.sync_from(ListConnector(Skip("a", "a.md", "The file cannot be read: permission denied.")))
    assert corpus.search("hotels", OWEN).passages == ()


def test_a_page_whose_personal_data_is_unknown_is_left_out(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_texts: Sequence[str]) -> list[list[Span]]:
        message = "Personal data could not be looked for. Try again."
        raise RedactionFailedError(message)

    monkeypatch.setattr(corpus.ingestion._redactor, "find_many", fails)
    report = corpus.sync(page("a", "Hotels.", EVERYONE))
    assert (report.upserted, report.skipped) == (0, 1)
    assert corpus.search("hotels", OWEN).passages == ()


class Shelf:
    """A source that names everything when it is read anew, and nothing that it named before otherwise."""

    def __init__(self, *pages: Upsert) -> None:
        self.pages = list(pages)
        self.runs: list[str | None] = []

    def check(self) -> None:
        """Always readable."""

    def changes(self, since: str | None) -> Iterator[Change]:
        self.runs.append(since)
        yield from () if since else self.pages
        yield Checkpoint("read")


def test_a_page_that_failed_for_a_moment_is_tried_again(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the source's cursor says: nobody would edit the page for our sake."""
    shelf = Shelf(page("a", "Hotels.", EVERYONE), page("b", "Lasers.", EVERYONE))
    corpus.sync_from(shelf)
    shelf.pages[0] = page("a", "Hotels in Oslo.", EVERYONE)

    def fails(texts: Sequence[str]) -> list[list[Span]]:
        if "Hotels in Oslo." in texts:
            message = "Personal data could not be looked for (TimeoutError). Try again."
            raise RedactionFailedError(message)
        return [[] for _ in texts]

    monkeypatch.setattr(corpus.ingestion._redactor, "find_many", fails)
    corpus.ingestion._read_with = "newer"
    assert corpus.sync_from(shelf).again == 1
    monkeypatch.undo()
    assert corpus.sync_from(shelf).upserted == 1
    assert corpus.search("hotels", OWEN).passages[0].text == "Hotels in Oslo."
    corpus.sync_from(shelf)
    assert shelf.runs == [None, None, None, "read"]


def test_what_is_too_long_for_ever_is_not_tried_again(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_long(_texts: Sequence[str]) -> list[list[Span]]:
        message = "Too long."
        raise TextTooLongError(message)

    shelf = Shelf(page("a", "Hotels.", EVERYONE))
    monkeypatch.setattr(corpus.ingestion._redactor, "find_many", too_long)
    assert corpus.sync_from(shelf).skipped == 1
    corpus.sync_from(shelf)
    assert shelf.runs == [None, "read"]


def test_without_recognition_nothing_is_lost(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.sync(page("a", "Hotels.", EVERYONE))

    def damaged() -> None:
        message = "The model that finds names could not be loaded. Pull it again."
        raise RedactionFailedError(message)

    monkeypatch.setattr(corpus.ingestion._redactor, "load", damaged)
    with pytest.raises(SyncFailedError, match="Pull it again"):
        corpus.sync(page("a", "Hotels in Oslo.", EVERYONE))
    assert corpus.search("hotels", OWEN).passages[0].text == "Hotels."


def test_new_rules_read_everything_anew_and_forget_what_is_gone(corpus: Corpus) -> None:
    shelf = Shelf(page("a", "Hotels.", EVERYONE), page("b", "Lasers.", EVERYONE))
    corpus.sync_from(shelf)
    shelf.pages.pop()
    assert corpus.sync_from(shelf).seen == 0
    corpus.ingestion._read_with = "newer"
    report = corpus.sync_from(shelf)
    assert (report.upserted, report.deleted) == (1, 1)
    assert {found.path for found in corpus.search("hotels lasers", OWEN).passages} == {"a.md"}
    assert corpus.sync_from(shelf).seen == 0


def test_a_deleted_page_keeps_no_text(corpus: Corpus) -> None:
    corpus.sync(page("a", "# Secret plan\n\nHotels.", EVERYONE))
    corpus.sync(Delete("a"))
    with Session(corpus.database) as session:
        assert session.exec(select(PassageRow)).all() == []
        [row] = session.exec(select(DocumentRow)).all()
        assert "Secret" not in row.model_dump_json()


def test_a_second_run_on_the_same_source_waits_its_turn(corpus: Corpus) -> None:
    with exclusive(corpus.ingestion._locks / "pages.lock", "source pages"), pytest.raises(SyncBusyError):
        corpus.sync(page("a", "Hotels.", EVERYONE))


def test_forgetting_a_source_takes_its_documents_out(corpus: Corpus) -> None:
    corpus.sync(page("a", "Hotels.", EVERYONE), page("b", "Hotels.", Label.private()))
    assert corpus.ingestion.forget("pages") == 2
    assert corpus.search("hotels", OWEN).passages == ()


def test_a_crash_in_the_middle_of_a_commit_leaves_the_old_state(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.sync(page("a", "Hotels.", EVERYONE))

    def crash(*_: object) -> None:
        message = "power cut"
        raise RuntimeError(message)

    monkeypatch.setattr(ingestion, "note_skips", crash)
    with pytest.raises(RuntimeError, match="power cut"):
        corpus.sync(page("a", "Lasers.", EVERYONE))
    monkeypatch.undo()
    assert corpus.search("hotels", OWEN).passages[0].text == "Hotels."
    with Session(corpus.database) as session:
        assert session.get_one(SourceRow, "pages").cursor == "1"


@pytest.fixture
def few_variables(corpus: Corpus) -> int:
    """How many variables a statement takes from now on: builds of SQLite differ in that."""
    most = 1000
    corpus.database.dispose()
    event.listen(corpus.database, "connect", lambda made, _: made.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, most))
    return most


def test_more_pages_go_at_once_than_a_statement_takes_variables(corpus: Corpus, few_variables: int) -> None:
    corpus.sync(page("kept", "Hotels.", EVERYONE), page("gone", "Lasers.", EVERYONE))
    corpus.sync_from(ListConnector(Skip("odd", "odd.pdf", "It is encrypted.")))
    many = [Delete(f"page-{number}") for number in range(few_variables)]
    report = corpus.sync_from(ListConnector(*many, Delete("odd"), Delete("gone")))
    assert report.deleted == 1
    with Session(corpus.database) as session:
        assert session.exec(select(SkipRow)).all() == []


def test_more_pages_are_looked_up_at_once_than_a_statement_takes_variables(corpus: Corpus, few_variables: int) -> None:
    corpus.sync(page("kept", "Hotels.", EVERYONE))
    many = {f"page-{number}": page("x", "", EVERYONE) for number in range(few_variables)}
    assert set(corpus.ingestion._known_digests("pages", many | {"kept": page("kept", "", EVERYONE)})) == {"kept"}
