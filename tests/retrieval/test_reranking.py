"""What was found is ordered once more by the words of the question, with nothing but what its asker may read."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlmodel import col, select, update

from models.embedder import Embedded
from policies.context import RequestContext
from policies.labels import Label
from retrieval import interaction
from retrieval.ranking import Candidate
from retrieval.reranking import Stored, reranked
from retrieval.sessions import writing
from retrieval.tables import PassageRow
from retrieval.terms import terms
from tests.fakes.hash_embedder import HashEmbedder
from tests.fakes.sources import page
from tests.retrieval.conftest import Corpus
from tests.retrieval.test_retriever import NADIA, OWEN, WORDS, seen

EMBEDDER = HashEmbedder()
EVERYONE, FINANCE = Label.for_groups("everyone"), Label.for_groups("finance")


def stored(document: str, text: str) -> Stored:
    values: dict[str, Any] = dict.fromkeys(Stored._fields, "") | {"document": document, "ordinal": 0, "text": text}
    return Stored(**values | {"tokens": interaction.token_codes(text, EMBEDDER.embed_whole(text))})


def ordered(question: str, *rows: Stored, rarities: Mapping[str, float]) -> list[str]:
    """The texts in their order, where meaning and words see no difference."""
    admitted = [(Candidate(number, 0.5, 0.5, 1.0), row) for number, row in enumerate(rows)]
    asked = interaction.asked(question, EMBEDDER.embed_whole(question), rarities)
    return [row.text for _, row in reranked(admitted, asked)]


def test_the_passage_that_meets_more_words_comes_first() -> None:
    rarities = {"budget": 1.0, "laptop": 1.0}
    rows = stored("a", "laptop policy"), stored("b", "laptop budget")
    assert ordered("laptop budget", *rows, rarities=rarities) == ["laptop budget", "laptop policy"]


def test_the_rarer_word_decides() -> None:
    rows = stored("a", "laptop policy"), stored("b", "budget policy")
    assert ordered("laptop budget", *rows, rarities={"laptop": 1.0, "budget": 3.0})[0] == "budget policy"
    assert ordered("laptop budget", *rows, rarities={"laptop": 3.0, "budget": 1.0})[0] == "laptop policy"


def test_another_good_passage_of_the_same_document_helps() -> None:
    rarities = {"laptop": 1.0, "budget": 1.0}
    rows = stored("a", "laptop one"), stored("b", "laptop two"), stored("b", "laptop budget"), stored("c", "nothing")
    assert ordered("laptop budget", *rows, rarities=rarities) == [
        "laptop budget",
        "laptop two",
        "laptop one",
        "nothing",
    ]


def test_what_scores_the_same_comes_in_the_order_of_documents() -> None:
    rows = [stored(name, "laptop budget") for name in ("c", "a", "b")]
    admitted = [(Candidate(number, 0.5, 0.5, 1.0), row) for number, row in enumerate(rows)]
    asked = interaction.asked("laptop", EMBEDDER.embed_whole("laptop"), {"laptop": 1.0})
    assert [row.document for _, row in reranked(admitted, asked)] == ["a", "b", "c"]


def test_passages_read_by_an_earlier_version_keep_the_order_of_the_index(corpus: Corpus) -> None:
    """They have no tokens until the next sync; one such among them, and the others' are not used either."""
    corpus.sync(*(page(f"d{number}", f"hotels {word} budget", EVERYONE) for number, word in enumerate(WORDS)))
    with_tokens = [passage.score for passage in corpus.search("hotels laser", OWEN).passages]
    with writing(corpus.database) as session:
        one = session.exec(select(PassageRow.id)).first()
        session.exec(update(PassageRow).where(col(PassageRow.id) == one).values(tokens=None))
        session.commit()
    found = corpus.search("hotels laser", OWEN).passages
    assert len(found) == 10
    assert [passage.score for passage in found] == sorted((passage.score for passage in found), reverse=True)
    assert [passage.score for passage in found] != with_tokens


def test_it_can_be_switched_off(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.sync(*(page(f"d{number}", f"hotels {word} budget", EVERYONE) for number, word in enumerate(WORDS)))
    reordered = seen(corpus.search("hotels laser", OWEN))
    monkeypatch.setattr(corpus.retriever, "_rerank", False)
    assert seen(corpus.search("hotels laser", OWEN)) != reordered


def test_sentences_are_scored_where_they_are_asked_for(corpus: Corpus) -> None:
    corpus.sync(page("travel", "Book trains early.\n\nHotels cost 150 euros.", EVERYONE))
    access = corpus.retriever.access(OWEN, RequestContext())
    [passage] = corpus.retriever.search("hotels euros.", access, 5, in_sentences=True).passages
    best = max(passage.sentences, key=lambda sentence: sentence.score)
    assert passage.text[best.start : best.end] == "Hotels cost 150 euros."
    [plain] = corpus.search("hotels", OWEN).passages
    assert plain.sentences == ()


def hiding(make_corpus: Callable[[], Corpus], seed: int) -> tuple[Corpus, Corpus, str]:
    """One corpus with what Owen may not read, one without, and a question."""
    chance = random.Random(seed)
    visible = [page(f"v{n}", " ".join(chance.choices(WORDS, k=12)), EVERYONE) for n in range(12)]
    hidden = [page(f"h{n}", " ".join(chance.choices(WORDS[:2], k=12)), FINANCE) for n in range(12)]
    shared, private = make_corpus(), make_corpus()
    shared.sync(*visible, *hidden)
    private.sync(*visible)
    return shared, private, f"{WORDS[0]} {WORDS[3]}"


@pytest.mark.parametrize("seed", range(3))
def test_hidden_passages_change_no_score_and_no_order(make_corpus: Callable[[], Corpus], seed: int) -> None:
    shared, private, question = hiding(make_corpus, seed)
    assert seen(shared.search(question, OWEN)) == seen(private.search(question, OWEN))
    assert len(shared.search(question, NADIA, limit=99).passages) == 24


def test_control_rarities_of_all_passages_would_tell(
    make_corpus: Callable[[], Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How often a word stands in what Owen may not read, as its weight: his scores change."""
    shared, private, question = hiding(make_corpus, 0)
    honest = interaction.asked

    def of(corpus: Corpus) -> list[dict[str, object]]:
        def everywhere(text: str, embedded: Embedded, rarities: Mapping[str, float]) -> interaction.Question:
            with writing(corpus.database) as session:
                texts = session.exec(select(PassageRow.text)).all()
            counted = {term: 1 / (1 + sum(term in terms(each) for each in texts)) for term in rarities}
            return honest(text, embedded, counted)

        monkeypatch.setattr("retrieval.retriever.asked", everywhere)
        return seen(corpus.search(question, OWEN))

    assert of(shared) != of(private)
