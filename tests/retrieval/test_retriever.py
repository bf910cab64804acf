"""What a person finds is what an index of only their documents would find (promise 1)."""

import itertools
import random
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import Session

from connectors.contract import Delete, Upsert
from policies.context import RequestContext
from policies.labels import Label
from policies.principals import Principal
from retrieval.index import PassageIndex
from retrieval.retriever import Found, Narrowing
from retrieval.tables import PassageRow
from tests.fakes.sources import page
from tests.retrieval.conftest import Corpus

GROUPS = ["everyone", "finance", "people", "legal"]
WORDS = "salary budget hotel laser contract review policy audit leave price server".split()
OWEN = Principal("owen", frozenset({"everyone"}))
NADIA = Principal("nadia", frozenset({"everyone", "finance"}))


def may_read(principal: Principal, label: Label) -> bool:
    """The oracle: written without looking at the product's rules."""
    if not principal.active:
        return False
    if principal.id in label.deny_users or principal.groups & label.deny_groups:
        return False
    return principal.id in label.allow_users or bool(principal.groups & label.allow_groups)


def random_label(chance: random.Random) -> Label:
    def some(names: list[str], most: int) -> frozenset[str]:
        return frozenset(chance.sample(names, chance.randrange(most + 1)))

    return Label(some(GROUPS, 2), some(["u0", "u1"], 1), some(GROUPS, 1) if chance.random() < 0.2 else frozenset())


def random_pages(chance: random.Random, count: int) -> list[Upsert]:
    return [
        page(f"doc-{number}", f"# Page {number}\n\n" + " ".join(chance.choices(WORDS, k=20)), random_label(chance))
        for number in range(count)
    ]


def random_person(chance: random.Random, number: int) -> Principal:
    groups = frozenset(chance.sample(GROUPS, chance.randrange(len(GROUPS))))
    return Principal(f"u{number}", groups, active=chance.random() > 0.1)


def seen(found: Found) -> list[dict[str, object]]:
    """All of a result that its reader can observe."""
    hidden = {"passage_id", "label"}
    return [
        {name: value for name, value in asdict(passage).items() if name not in hidden} for passage in found.passages
    ]


def test_somebody_else_finds_nothing_and_the_reader_does(corpus: Corpus) -> None:
    corpus.sync(page("pay", "# Pay\n\nSalaries rise by 3.4 per cent.", Label.for_groups("finance")))
    assert corpus.search("salaries", OWEN).passages == ()
    [passage] = corpus.search("salaries", NADIA).passages
    assert (passage.path, passage.title) == ("pay.md", "Pay")
    assert "3.4 per cent" in passage.text


@pytest.mark.parametrize("seed", range(6))
def test_every_result_equals_a_private_index(make_corpus: Callable[[], Corpus], seed: int) -> None:
    chance = random.Random(seed)
    pages = random_pages(chance, 25)
    shared = make_corpus()
    shared.sync(*pages)
    for number in range(3):
        person = random_person(chance, number)
        private = make_corpus()
        private.sync(*(each for each in pages if may_read(person, each.label)))
        for _ in range(4):
            question = " ".join(chance.sample(WORDS, 2))
            assert seen(shared.search(question, person)) == seen(private.search(question, person))


def test_without_the_filter_hidden_pages_would_show(corpus: Corpus) -> None:
    """Negative control: the same index, searched in all labels, does return what the oracle forbids."""
    chance = random.Random(3)
    pages = random_pages(chance, 25)
    corpus.sync(*pages)
    corpus.index.refresh()
    question = corpus.retriever._embedder.embed_query("salary budget").reshape(1, -1)
    hits = corpus.index.search("salary budget", question, range(100)).candidates
    by_id = {each.id: each for each in pages}
    with Session(corpus.database) as session:
        found = {session.get_one(PassageRow, hit.passage_id).document_id for hit in hits}
    forbidden = {id_ for id_, each in by_id.items() if not may_read(OWEN, each.label)}
    assert any(corpus.ingestion._id("pages", id_) in found for id_ in forbidden)


def test_the_second_check_refuses_what_the_first_let_through(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An index that ignored its filter would still leak nothing."""
    corpus.sync(
        page("pay", "# Pay\n\nSalaries rise.", Label.for_groups("finance")),
        page("a", "Salaries.", Label.for_groups("everyone")),
    )
    honest = PassageIndex.search
    monkeypatch.setattr(
        PassageIndex,
        "search",
        lambda self, question, vector, _labels, among: honest(self, question, vector, range(9), among),
    )
    assert [passage.path for passage in corpus.search("salaries", OWEN).passages] == ["a.md"]
    assert "passage_refused_by_second_check" in caplog.text


def test_a_changed_label_works_at_the_next_request(corpus: Corpus) -> None:
    corpus.sync(page("pay", "# Pay\n\nSalaries rise.", Label.for_groups("everyone")))
    assert corpus.search("salaries", OWEN).passages
    report = corpus.sync(page("pay", "# Pay\n\nSalaries rise.", Label.for_groups("finance")))
    assert (report.relabelled, report.upserted) == (1, 0)
    assert corpus.search("salaries", OWEN).passages == ()
    assert corpus.search("salaries", NADIA).passages


def test_a_label_changed_behind_the_index_works_at_once(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index has not refreshed, as when a change lands between look-up and answer: the second check sees it."""
    corpus.sync(page("pay", "# Pay\n\nSalaries rise.", Label.for_groups("everyone")))
    corpus.search("salaries", OWEN)
    corpus.sync(page("pay", "# Pay\n\nSalaries rise.", Label.for_groups("finance")))
    now = corpus.retriever.access(OWEN, RequestContext()).epoch
    monkeypatch.setattr(PassageIndex, "refresh", lambda _self: now)
    assert corpus.search("salaries", OWEN).passages == ()


def test_a_filter_made_before_a_change_is_made_anew(corpus: Corpus) -> None:
    """What changes between the making of the filter and the search counts for both, the receipt included."""
    corpus.sync(page("pay", "# Pay\n\nSalaries rise.", Label.for_groups("finance")))
    before = corpus.retriever.access(OWEN, RequestContext())
    corpus.sync(page("pay", "# Pay\n\nSalaries rise.", Label.for_groups("everyone")))
    found = corpus.retriever.search("salaries", before, 10)
    assert [passage.path for passage in found.passages] == ["pay.md"]
    assert found.access.epoch == corpus.index.refresh() > before.epoch


def test_documents_that_never_stand_still_are_searched(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while a directory is read in: each membership begins an epoch. The newest filter serves."""
    corpus.sync(page("pay", "# Pay\n\nSalaries rise.", Label.for_groups("everyone")))
    corpus.index.refresh()
    epochs = itertools.count(1000)
    monkeypatch.setattr(PassageIndex, "refresh", lambda _self: next(epochs))
    assert [passage.path for passage in corpus.search("salaries", OWEN).passages] == ["pay.md"]


def test_a_disabled_user_reads_nothing(corpus: Corpus) -> None:
    corpus.sync(page("pay", "Salaries.", Label(allow_users=frozenset({"owen"}))))
    assert corpus.search("salaries", OWEN).passages
    gone = Principal("owen", frozenset({"everyone"}), active=False)
    assert corpus.search("salaries", gone).passages == ()


def test_deleted_and_changed_pages_leave_no_trace(make_corpus: Callable[[], Corpus]) -> None:
    label = Label.for_groups("everyone")
    lived, fresh = make_corpus(), make_corpus()
    lived.sync(page("a", "Hotels cost 90.", label), page("b", "Hotels cost 100.", label), page("c", "Lasers.", label))
    lived.search("hotels", OWEN)
    lived.sync(Delete("b"), page("a", "Hotels cost 120 now.", label))
    fresh.sync(page("a", "Hotels cost 120 now.", label), page("c", "Lasers.", label))
    assert seen(lived.search("hotels", OWEN)) == seen(fresh.search("hotels", OWEN))


def test_a_client_may_narrow_and_never_widen(corpus: Corpus) -> None:
    old = Upsert(
        "old",
        "old.md",
        b"Hotels cost 90.",
        "text/markdown",
        Label.for_groups("everyone"),
        modified=datetime(2020, 1, 1, tzinfo=UTC),
    )
    new = Upsert(
        "new",
        "new.md",
        b"Hotels cost 120.",
        "text/markdown",
        Label.for_groups("everyone"),
        modified=datetime(2026, 1, 1, tzinfo=UTC),
    )
    hidden = page("pay", "Hotels for the board.", Label.for_groups("finance"))
    corpus.sync(old, new, hidden)
    recent = Narrowing(modified_after=datetime(2025, 1, 1, tzinfo=UTC))
    assert [each.path for each in corpus.search("hotels", OWEN, narrowing=recent).passages] == ["new.md"]
    everything = Narrowing(
        sources=frozenset({"pages", "others"}), modified_after=datetime.now(UTC) - timedelta(days=99999)
    )
    assert {each.path for each in corpus.search("hotels", OWEN, narrowing=everything).passages} == {"old.md", "new.md"}
    assert corpus.search("hotels", OWEN, narrowing=Narrowing(sources=frozenset())).passages == ()


def test_two_processes_see_one_another(make_corpus: Callable[[], Corpus], corpus: Corpus) -> None:
    other = corpus.another_index()
    other.refresh()
    corpus.sync(page("a", "Hotels.", Label.for_groups("everyone")))
    other.refresh()
    assert len(other) == 1


def test_identifiers_do_not_count_documents(make_corpus: Callable[[], Corpus]) -> None:
    few, many = make_corpus(), make_corpus()
    few.sync(page("a", "Hotels.", Label.for_groups("everyone")))
    many.sync(
        *(page(f"x{n}", "Hidden.", Label.private()) for n in range(5)),
        page("a", "Hotels.", Label.for_groups("everyone")),
    )
    assert seen(few.search("hotels", OWEN)) == seen(many.search("hotels", OWEN))
