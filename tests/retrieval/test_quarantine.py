"""What is in quarantine is not found and counts for nothing, as if it were not there; the text that is released is."""

from collections.abc import Callable

from sqlmodel import select

from policies.authorizer import Authorizer
from policies.filters import AccessFilters
from policies.labels import Label
from retrieval.flags import Flag
from retrieval.index import PassageIndex
from retrieval.labels import next_epoch
from retrieval.options import RetrievalOptions
from retrieval.quarantine import Quarantine
from retrieval.retriever import Found, Retriever
from retrieval.segment_files import IndexFiles
from retrieval.sessions import writing
from retrieval.tables import DocumentRow, PassageRow
from tests.fakes.hash_embedder import HashEmbedder
from tests.fakes.sources import page
from tests.retrieval.conftest import KEY, Corpus
from tests.retrieval.test_flags_stored import ORDER
from tests.retrieval.test_ingestion import EVERYONE, OWEN

BOARD = Label.for_groups("board")
PAGES = [page(f"p{number}", f"Hotels near {place}.", EVERYONE) for number, place in enumerate(["Oslo", "Bergen"])]
NOBODY = Quarantine(frozenset())


def seen(found: Found) -> list[tuple[str, float, float, str]]:
    return [(each.path, each.score, each.keyword_score, each.text) for each in found.passages]


def change_release(corpus: Corpus, path: str, *, released: bool) -> None:
    with writing(corpus.database) as session:
        row = session.exec(select(DocumentRow).where(DocumentRow.path == path)).one()
        row.epoch = next_epoch(session)
        session.add(row)
        for passage in session.exec(select(PassageRow).where(PassageRow.document_id == row.id, PassageRow.flags != "")):
            passage.released = released
            session.add(passage)
        session.commit()


def with_quarantine(corpus: Corpus, quarantine: Quarantine, authorizer: Authorizer) -> Corpus:
    """The same database as an installation with other settings sees it."""
    embedder = HashEmbedder()
    index = PassageIndex(corpus.database, embedder.dimensions, embedder.id, IndexFiles(corpus.files, KEY), quarantine)
    options = RetrievalOptions(quarantine=tuple(quarantine.flags))
    retriever = Retriever(corpus.database, index, embedder, authorizer, AccessFilters(authorizer), options=options)
    return Corpus(corpus.database, index, corpus.ingestion, retriever, corpus.files)


def test_a_passage_in_quarantine_is_not_found(corpus: Corpus) -> None:
    corpus.sync(*PAGES, page("bad", ORDER, EVERYONE))
    assert {each.path for each in corpus.search("hotels instructions", OWEN).passages} == {"p0.md", "p1.md"}


def test_without_quarantine_it_would_be_found(corpus: Corpus, authorizer: Authorizer) -> None:
    """Negative control: it is found first, so that the test above can fail."""
    corpus.sync(*PAGES, page("bad", ORDER, EVERYONE))
    open_to_all = with_quarantine(corpus, NOBODY, authorizer)
    assert open_to_all.search("hotels instructions", OWEN).passages[0].path == "bad.md"


def test_the_other_passages_of_its_document_are_found(corpus: Corpus) -> None:
    corpus.sync(
        page("bad", f"# Page\n\n## One\n\n{ORDER} {'More of it. ' * 40}\n\n## Two\n\n{'Lasers here. ' * 40}", EVERYONE)
    )
    found = {each.heading for each in corpus.search("lasers hotels", OWEN).passages}
    assert found == {"Two"}


def test_what_is_in_quarantine_counts_for_nothing(make_corpus: Callable[[], Corpus]) -> None:
    """Scores, word statistics and order are those of a corpus without it."""
    with_it, without = make_corpus(), make_corpus()
    bad = [page(f"bad{number}", f"{ORDER} Oslo Oslo.", EVERYONE) for number in range(5)]
    with_it.sync(bad[0], *PAGES, *bad[1:])
    without.sync(*PAGES)
    for question in ("hotels oslo", "instructions", "bergen", "free"):
        assert seen(with_it.search(question, OWEN)) == seen(without.search(question, OWEN))


def test_counting_it_would_be_noticed(make_corpus: Callable[[], Corpus], authorizer: Authorizer) -> None:
    """Negative control: with its words counted and only its passages left out of the result, scores differ."""
    with_it, without = make_corpus(), make_corpus()
    with_it.sync(*PAGES, *[page(f"bad{number}", f"{ORDER} Oslo Oslo.", EVERYONE) for number in range(5)])
    without.sync(*PAGES)
    with_it.retriever._index = with_quarantine(with_it, NOBODY, authorizer).index
    found, alone = with_it.search("hotels oslo", OWEN), without.search("hotels oslo", OWEN)
    assert {each.path for each in found.passages} == {each.path for each in alone.passages}
    assert seen(found) != seen(alone)


def test_an_index_that_does_not_know_yet_shows_nothing_of_it(corpus: Corpus) -> None:
    """The second key: what was flagged since the index was made is left out all the same."""
    corpus.sync(*PAGES)
    corpus.search("hotels", OWEN)
    with writing(corpus.database) as session:
        row = session.exec(select(PassageRow).where(PassageRow.text == "Hotels near Oslo.")).one()
        row.flags = Flag.SMUGGLED + " " + Flag.INVISIBLE
        session.add(row)
        session.commit()
    assert {each.path for each in corpus.search("hotels", OWEN).passages} == {"p1.md"}


def test_only_the_flags_of_the_setting_count(corpus: Corpus, authorizer: Authorizer) -> None:
    corpus.sync(page("bad", ORDER, EVERYONE), page("odd", "Hotels of <|im_start|>.", EVERYONE))
    found = with_quarantine(corpus, Quarantine(frozenset({Flag.SMUGGLED})), authorizer).search("hotels", OWEN)
    assert [each.path for each in found.passages] == ["bad.md"]


def test_another_setting_makes_the_index_anew(corpus: Corpus, authorizer: Authorizer) -> None:
    corpus.sync(*PAGES, page("bad", ORDER, EVERYONE))
    corpus.index.refresh()
    corpus.index.save()
    assert corpus.another_index().restore()
    other = with_quarantine(corpus, NOBODY, authorizer)
    assert not other.index.restore()
    other.index.rebuild()
    assert len(other.index) == len(corpus.index) + 1


def test_a_released_document_is_found_until_its_text_changes(corpus: Corpus) -> None:
    corpus.sync(*PAGES, page("bad", ORDER, EVERYONE))
    assert corpus.search("instructions", OWEN).passages[0].path != "bad.md"
    change_release(corpus, "bad.md", released=True)
    assert corpus.search("instructions", OWEN).passages[0].path == "bad.md"
    corpus.ingestion._read_with = "newer"
    corpus.sync(page("bad", ORDER, EVERYONE))
    assert corpus.search("instructions", OWEN).passages[0].path == "bad.md"
    corpus.sync(page("bad", f"{ORDER} Now.", EVERYONE))
    assert "bad.md" not in {each.path for each in corpus.search("instructions", OWEN).passages}
    corpus.sync(page("bad", ORDER, EVERYONE))
    assert "bad.md" not in {each.path for each in corpus.search("instructions", OWEN).passages}


def test_a_release_is_of_a_passage_and_says_nothing_of_others(corpus: Corpus) -> None:
    """What changes in one part of a document must not show to readers of another."""

    def text(other: str) -> str:
        return f"# Page\n\n## One\n\n{ORDER} {'More of it. ' * 40}\n\n## Two\n\n{other} {'Lasers here. ' * 40}"

    corpus.sync(page("bad", text(ORDER), EVERYONE))
    change_release(corpus, "bad.md", released=True)
    corpus.sync(page("bad", text(f"{ORDER} And more."), EVERYONE))
    assert {each.heading for each in corpus.search("lasers hotels", OWEN).passages} == {"One"}


def test_a_release_is_taken_back(corpus: Corpus) -> None:
    corpus.sync(page("bad", ORDER, EVERYONE))
    change_release(corpus, "bad.md", released=True)
    assert len(corpus.search("hotels", OWEN).passages) == 1
    change_release(corpus, "bad.md", released=False)
    assert corpus.search("hotels", OWEN).passages == ()


def test_a_title_that_gives_orders_takes_its_whole_document_out(corpus: Corpus) -> None:
    corpus.sync(page("bad", f"# {ORDER}\n\n## One\n\nHotels.\n\n## Two\n\nLasers.", EVERYONE))
    assert corpus.search("hotels lasers", OWEN).passages == ()
