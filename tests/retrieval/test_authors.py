"""One author does not fill a result where others compete, and nobody's answer is lost to that."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from connectors.contract import Upsert
from gateway.chat.passages import cut
from retrieval import authors
from retrieval.authors import author_key, take
from retrieval.retriever import FoundPassage
from tests.fakes.sources import page
from tests.retrieval.conftest import Corpus
from tests.retrieval.test_ingestion import EVERYONE, OWEN


def taken(items: str, most: int, share: float) -> str:
    """Letters are authors, dots passages without one; digits after them do not count."""
    return "".join(take(items, most, share, lambda letter: None if letter == "." else letter))


@pytest.mark.parametrize(
    ("items", "most", "share", "expected"),
    [
        ("aaaabbcc", 4, 0.5, "aabb"),
        ("aaaabc", 4, 0.5, "aabc"),
        ("abaaaac", 4, 0.5, "abac"),
        ("aaaaaa", 4, 0.5, "aaaa"),
        ("aaaaab", 4, 0.5, "aaab"),
        ("aaaabb", 4, 1.0, "aaaa"),
        ("aaabbb", 4, 0.1, "aabb"),
        ("aabbcc", 3, 0.1, "abc"),
        ("......", 4, 0.5, "...."),
        ("....ab", 4, 0.5, "...."),
        ("aa..aa", 4, 0.5, "aa.."),
        ("ab", 4, 0.5, "ab"),
        ("", 4, 0.5, ""),
        ("aaa", 1, 0.5, "a"),
    ],
)
def test_the_first_that_fit_are_taken_in_their_order(items: str, most: int, share: float, expected: str) -> None:
    assert taken(items, most, share) == expected


def test_as_many_are_taken_as_there_are() -> None:
    for items in ("aaaa", "abab", "a.a.", "bbbbbbbbb"):
        for most in range(6):
            assert len(taken(items, most, 0.5)) == min(most, len(items))


def test_a_name_counts_within_its_source_however_it_is_written() -> None:
    assert author_key("mail", "Ada  Brandt") == author_key("mail", "ada brandt ")
    assert author_key("mail", "Ada Brandt") != author_key("wiki", "Ada Brandt")
    assert author_key("mail", " ") is None


def written_by(author: str, id_: str, text: str) -> Upsert:
    return replace(page(id_, text, EVERYONE), author=author)


def flood(corpus: Corpus) -> None:
    """Six passages of one author that answer best, and two of others."""
    mine = [written_by("mallory", f"m{number}", f"hotels hotels hotels {number}") for number in range(6)]
    corpus.sync(*mine, written_by("ada", "a", "hotels and rooms"), written_by("bo", "b", "rooms and hotels and lifts"))


def authors_of(passages: Sequence[FoundPassage]) -> list[str]:
    return [passage.author for passage in passages]


def test_one_author_does_not_fill_a_search(corpus: Corpus) -> None:
    flood(corpus)
    found = corpus.search("hotels", OWEN, limit=4).passages
    assert sorted(authors_of(found)) == ["ada", "bo", "mallory", "mallory"]
    assert [passage.rank for passage in found] == [1, 2, 3, 4]
    assert [passage.score for passage in found] == sorted((passage.score for passage in found), reverse=True)


def test_without_the_cap_one_would(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    flood(corpus)
    monkeypatch.setattr(corpus.retriever, "_author_share", 1.0)
    assert authors_of(corpus.search("hotels", OWEN, limit=4).passages) == ["mallory"] * 4


def test_a_search_for_more_gives_all_of_them(corpus: Corpus) -> None:
    flood(corpus)
    assert len(corpus.search("hotels", OWEN, limit=10).passages) == 8


def test_one_author_does_not_fill_an_answer(corpus: Corpus) -> None:
    """What is searched for an answer is more than what it is made from."""
    flood(corpus)
    found = corpus.search("hotels", OWEN, limit=8).passages
    assert authors_of(cut(found, most=4, most_tokens=700, author_share=1.0)) == ["mallory"] * 4
    kept = cut(found, most=4, most_tokens=700, author_share=0.5)
    assert sorted(authors_of(kept)) == ["ada", "bo", "mallory", "mallory"]
    assert kept[0] == found[0]
    assert kept == sorted(kept, key=lambda passage: passage.rank)


def test_names_as_sources_write_them_are_used(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of what counts as one author: by document, a flood of documents would pass."""
    flood(corpus)
    monkeypatch.setattr(authors, "author_key", lambda _source, author: author)
    monkeypatch.setattr("retrieval.retriever.author_key", lambda *_: None)
    assert authors_of(corpus.search("hotels", OWEN, limit=4).passages) == ["mallory"] * 4
