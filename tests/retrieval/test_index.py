"""The index files save time and are never trusted without their MACs."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from policies.labels import Label
from policies.principals import Principal
from retrieval import segment_files
from retrieval.segments import _places
from tests.fakes.sources import page
from tests.retrieval.conftest import Corpus

OWEN = Principal("owen", frozenset({"everyone"}))
EVERYONE = Label.for_groups("everyone")


@pytest.fixture
def saved(corpus: Corpus) -> Path:
    """A folder with a segment of two passages, one of them dead, and a segment of one."""
    corpus.sync(page("a", "Hotels cost 90.", EVERYONE), page("b", "Hotels cost 100.", EVERYONE))
    corpus.index.refresh()
    corpus.sync(page("a", "Hotels cost 120.", EVERYONE))
    corpus.index.refresh()
    corpus.index.save()
    return corpus.files


def segment_paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.segment"))


def test_a_file_of_today_is_used(corpus: Corpus, saved: Path) -> None:
    index = corpus.another_index()
    assert index.restore()
    assert len(index) == 2
    assert len(segment_paths(saved)) == 2


def test_a_flipped_bit_anywhere_is_refused(corpus: Corpus, saved: Path) -> None:
    for path in [saved / "manifest", *segment_paths(saved)]:
        content = path.read_bytes()
        for position in range(0, len(content), 7):
            flipped = bytearray(content)
            flipped[position] ^= 1
            path.write_bytes(bytes(flipped))
            assert not corpus.another_index().restore(), f"byte {position} of {path.name}"
        path.write_bytes(content)
    assert corpus.another_index().restore()


def test_every_array_of_a_segment_is_vouched_for(corpus: Corpus, saved: Path) -> None:
    segments = {len(layer.segment): layer.segment for layer in corpus.index.layers}
    for segment in segments.values():
        [path] = [each for each in segment_paths(saved) if each.read_bytes() == bytes(memoryview(segment.buffer))]
        content = path.read_bytes()
        for name, (dtype, dimensions, offset) in _places(segment.shape)[0].items():
            for position in (offset, offset + dtype.itemsize * int(np.prod(dimensions)) - 1):
                path.write_bytes(content[:position] + bytes([content[position] ^ 128]) + content[position + 1 :])
                assert not corpus.another_index().restore(), f"{name}, byte {position}"
        path.write_bytes(content)


def test_without_macs_a_flipped_vector_would_be_used(
    corpus: Corpus, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the two tests above."""
    path = segment_paths(saved)[0]
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(segment_files.hmac, "compare_digest", lambda *_: True)
    assert corpus.another_index().restore()


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content + b"\0", lambda _: b""])
def test_a_segment_of_another_length_is_refused(corpus: Corpus, saved: Path, change: object) -> None:
    path = segment_paths(saved)[0]
    path.write_bytes(change(path.read_bytes()))
    assert not corpus.another_index().restore()


def test_blocks_cannot_change_places(corpus: Corpus, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_files, "_BLOCK_BYTES", 64)
    corpus.index.merge()
    assert corpus.another_index().restore()
    [path] = segment_paths(saved)
    content = path.read_bytes()
    path.write_bytes(content[64:128] + content[:64] + content[128:])
    assert not corpus.another_index().restore()


def test_a_segment_of_this_installation_cannot_stand_in_for_another(corpus: Corpus, saved: Path) -> None:
    one, other = segment_paths(saved)
    one.write_bytes(other.read_bytes())
    assert not corpus.another_index().restore()


def test_a_segment_behind_a_link_is_refused(corpus: Corpus, saved: Path, tmp_path: Path) -> None:
    path = segment_paths(saved)[0]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert not corpus.another_index().restore()


def test_another_key_is_refused(corpus: Corpus, saved: Path) -> None:
    assert not corpus.another_index(b"z" * 32).restore()


def test_another_embedder_is_refused(corpus: Corpus, saved: Path) -> None:
    other = corpus.another_index()
    other._made_with = "another"
    assert not other.restore()


@pytest.mark.parametrize("content", [b"", b"muniment-index-2", b"x" * 100])
def test_what_is_no_manifest_is_refused(corpus: Corpus, saved: Path, content: bytes) -> None:
    (saved / "manifest").write_bytes(content)
    assert not corpus.another_index().restore()


def test_a_file_of_another_version_is_made_again(corpus: Corpus, saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    (saved / "manifest").write_bytes(b"muniment-index-2" + b"x" * 100)
    index = corpus.another_index()
    assert not index.restore()
    assert "index_format_other" in caplog.text
    assert index.rebuild() == 2


def test_forgotten_vectors_are_read_again(corpus: Corpus, saved: Path) -> None:
    before = corpus.index.search("hotels", corpus.retriever._embedder.embed_query("hotels").reshape(1, -1), {1, 2})
    index = corpus.another_index()
    assert index.restore()
    for layer in index.layers:
        layer.segment.forget_vectors()
    assert index.search("hotels", corpus.retriever._embedder.embed_query("hotels").reshape(1, -1), {1, 2}) == before
    assert before


def test_a_file_of_yesterday_is_not_used(corpus: Corpus, saved: Path) -> None:
    corpus.sync(page("c", "Lasers.", EVERYONE))
    assert not corpus.another_index().restore()


def test_a_file_of_a_state_this_process_has_seen_is_brought_up_to_date(corpus: Corpus, saved: Path) -> None:
    seen = corpus.index._snapshot.state
    corpus.sync(page("c", "Lasers.", EVERYONE))
    later = corpus.another_index()
    assert later.restore(seen)
    later.refresh()
    assert len(later) == 3
    assert isinstance(later.layers[0].segment.buffer, mmap.mmap), "what was on disk is used"


def test_a_missing_file_is_no_error(corpus: Corpus, saved: Path) -> None:
    segment_paths(saved)[0].unlink()
    assert not corpus.another_index().restore()
    (saved / "manifest").unlink()
    assert not corpus.another_index().restore()


def test_rebuilding_gives_the_same_answers(corpus: Corpus, saved: Path) -> None:
    before = corpus.search("hotels", OWEN).passages
    assert corpus.index.rebuild() == 2
    assert corpus.search("hotels", OWEN).passages == before


def test_files_can_be_read_by_their_owner_alone(saved: Path) -> None:
    assert {path.stat().st_mode & 0o077 for path in [saved / "manifest", *segment_paths(saved)]} == {0}


def test_merging_leaves_one_segment_without_the_dead(corpus: Corpus, saved: Path) -> None:
    corpus.index.merge()
    assert len(segment_paths(saved)) == 1
    assert b"90" not in corpus.index.layers[0].segment.terms()
    assert corpus.another_index().restore()
