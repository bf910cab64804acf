"""The index file saves time and is never trusted without its MAC."""

from pathlib import Path

import pytest

from policies.labels import Label
from policies.principals import Principal
from retrieval.index import PassageIndex
from tests.fakes.sources import page
from tests.retrieval.conftest import KEY, Corpus

OWEN = Principal("owen", frozenset({"everyone"}))


@pytest.fixture
def saved(corpus: Corpus, tmp_path: Path) -> Path:
    corpus.sync(page("a", "Hotels cost 90.", Label.for_groups("everyone")))
    corpus.index.refresh()
    corpus.index.save(tmp_path / "index.bin", KEY)
    return tmp_path / "index.bin"


def another(corpus: Corpus) -> PassageIndex:
    return PassageIndex(corpus.database, 32, "hash-embedder")


def test_a_file_of_today_is_used(corpus: Corpus, saved: Path) -> None:
    index = another(corpus)
    assert index.restore(saved, KEY)
    assert len(index) == 1


def test_a_flipped_bit_anywhere_is_refused(corpus: Corpus, saved: Path) -> None:
    content = saved.read_bytes()
    for position in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[position] ^= 1
        saved.write_bytes(bytes(flipped))
        assert not another(corpus).restore(saved, KEY), f"byte {position}"


def test_another_key_is_refused(corpus: Corpus, saved: Path) -> None:
    assert not another(corpus).restore(saved, b"z" * 32)


@pytest.mark.parametrize("content", [b"", b"muniment-index-1", b"x" * 100])
def test_what_is_no_index_is_refused(corpus: Corpus, saved: Path, content: bytes) -> None:
    saved.write_bytes(content)
    assert not another(corpus).restore(saved, KEY)


def test_a_file_of_yesterday_is_not_used(corpus: Corpus, saved: Path) -> None:
    corpus.sync(page("b", "Lasers.", Label.for_groups("everyone")))
    assert not another(corpus).restore(saved, KEY)


def test_a_missing_file_is_no_error(corpus: Corpus, tmp_path: Path) -> None:
    assert not another(corpus).restore(tmp_path / "none", KEY)


def test_rebuilding_gives_the_same_answers(corpus: Corpus, saved: Path) -> None:
    before = corpus.search("hotels", OWEN).passages
    assert corpus.index.rebuild() == 1
    assert corpus.search("hotels", OWEN).passages == before
