"""An index goes on working while it changes, whatever fails, and whoever else uses its folder."""

import errno
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlmodel import col, delete

from connectors.contract import Delete, Upsert
from policies.labels import Label
from policies.principals import Principal
from retrieval import index as index_module
from retrieval.index import PassageIndex
from retrieval.sessions import writing
from retrieval.tables import CorpusRow, PassageRow
from tests.fakes.sources import page
from tests.retrieval.conftest import Corpus
from tests.retrieval.test_retriever import may_read, random_label, random_pages, random_person, seen

OWEN = Principal("owen", frozenset({"everyone"}))
EVERYONE = Label.for_groups("everyone")


@pytest.fixture
def kept(corpus: Corpus) -> Corpus:
    """A corpus whose index is on disk, and has changed since in memory and in the database."""
    corpus.sync(*(page(f"d{n}", f"Hotels cost {n}.", EVERYONE) for n in range(5)))
    corpus.index.refresh()
    corpus.index.save()
    corpus.sync(page("d0", "Hotels cost nothing.", EVERYONE), Delete("d1"), page("new", "Lasers.", EVERYONE))
    corpus.index.refresh()
    return corpus


def held_by_disk(corpus: Corpus) -> int | None:
    """How many passages the next start finds, if the database were as when the index was kept."""
    manifest = corpus.index._files._read_manifest()
    if manifest is None:
        return None
    found = corpus.index._files.read({manifest.state}, "hash-embedder", 32)
    return None if found is None else sum(map(len, found[1]))


STEPS: dict[str, tuple[object, str]] = {
    "taking room": (os, "posix_fallocate"),
    "opening a file": (os, "open"),
    "syncing": (os, "fsync"),
    "naming a segment": (Path, "rename"),
    "naming the manifest": (Path, "replace"),
}


def failing(monkeypatch: pytest.MonkeyPatch, step: str, at: int) -> Callable[[], int]:
    """Let the step fail when it comes for the time `at`, counting from 0; gives how often it came."""
    owner, name = STEPS[step]
    honest, calls = getattr(owner, name), []

    def fail(*arguments: object, **options: object) -> object:
        calls.append(name)
        if len(calls) > at:
            raise OSError(errno.ENOSPC, "No space left on device")
        return honest(*arguments, **options)

    monkeypatch.setattr(owner, name, fail)
    return lambda: len(calls)


@pytest.mark.parametrize("crash", [False, True], ids=["error", "crash"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("work", [PassageIndex.merge, PassageIndex.save])
def test_whatever_fails_the_old_state_stays_in_use(
    kept: Corpus, work: Callable[[PassageIndex], None], step: str, *, crash: bool
) -> None:
    """The step fails when it comes first, then when it comes second, and so on until it does not come so often."""
    for at in range(20):
        old, new = held_by_disk(kept), len(kept.index)
        before = seen(kept.search("hotels", OWEN, 99))
        with pytest.MonkeyPatch.context() as patch:
            calls = failing(patch, step, at)
            if crash:  # What would be tidied up stays.
                patch.setattr(Path, "unlink", lambda *_, **__: None)
            with suppress(OSError):
                work(kept.index)
        assert held_by_disk(kept) in {old, new}, "either the old state or the new one, whole"
        assert seen(kept.search("hotels", OWEN, 99)) == before
        work(kept.index)
        later = kept.another_index()
        assert later.restore()
        assert len(later) == new
        if calls() <= at:
            return
        kept.sync(page(f"at{at}", f"Hotels cost {at}.", EVERYONE))
        kept.index.refresh()
    pytest.fail("it came more often than expected")


def test_a_manifest_written_in_place_would_be_noticed(kept: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the test above."""

    def in_place(path: Path, content: bytes) -> None:
        path.write_bytes(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("retrieval.segment_files.replace_private", in_place)
    with suppress(OSError):
        kept.index.save()
    assert held_by_disk(kept) is None


def test_what_a_failed_write_leaves_is_removed(kept: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.MonkeyPatch.context() as patch:
        failing(patch, "syncing", 0)
        with pytest.raises(OSError, match="No space"):
            kept.index.merge()
    assert len(list(kept.files.glob("*.segment")) + list(kept.files.glob(".*"))) == 1
    abandoned = kept.files / ".0123.segment"
    abandoned.touch()
    os.utime(abandoned, (0, 0))
    fresh = kept.files / ".4567.segment"
    fresh.touch()
    kept.index.merge()
    assert not abandoned.exists(), "a crash's"
    assert fresh.exists(), "perhaps another process is writing it"


def merges() -> Iterator[threading.Thread]:
    return (thread for thread in threading.enumerate() if thread.name == "index-merge")


def settle() -> None:
    for thread in merges():
        thread.join()


def test_much_that_is_new_is_merged_in_the_background(kept: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(kept.index.layers) == 2
    monkeypatch.setattr(index_module, "_STALE_PASSAGES", 1)
    kept.index.refresh()
    settle()
    assert len(kept.index.layers) == 1
    assert kept.another_index().restore()


def test_without_room_merging_waits_and_searching_goes_on(
    kept: Corpus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(index_module, "_STALE_PASSAGES", 1)
    with pytest.MonkeyPatch.context() as patch:
        calls = failing(patch, "taking room", 0)
        kept.index.refresh()
        settle()
        kept.index.refresh()
        settle()
    assert calls() == 1, "not at each question again"
    assert "index_merge_failed" in caplog.text
    assert len(kept.search("hotels", OWEN).passages) == 5


def test_what_changes_while_parts_are_merged_is_in_the_result(
    kept: Corpus, make_corpus: Callable[[], Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = index_module.merge
    held: list[str] = []

    def slow(*arguments: object) -> object:
        done = honest(*arguments)
        if not held:
            held.append("once")
            kept.sync(page("d2", "Hotels cost 2000.", EVERYONE), Delete("d3"), page("late", "Hotels.", EVERYONE))
            kept.sync(page("d4", "Hotels cost 4.", Label.for_groups("finance")))
            assert len(kept.search("hotels", OWEN).passages) == 4, "searches see it while the merge goes on"
        return done

    monkeypatch.setattr(index_module, "merge", slow)
    kept.index.merge()
    fresh = make_corpus()
    fresh.sync(
        page("d0", "Hotels cost nothing.", EVERYONE),
        page("new", "Lasers.", EVERYONE),
        page("d2", "Hotels cost 2000.", EVERYONE),
        page("late", "Hotels.", EVERYONE),
        page("d4", "Hotels cost 4.", Label.for_groups("finance")),
    )
    assert seen(kept.search("hotels", OWEN)) == seen(fresh.search("hotels", OWEN))
    later = kept.another_index()
    assert later.restore()
    assert len(later) == len(kept.index) == 5


def test_rebuilding_while_parts_are_merged_loses_nothing(kept: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = index_module.merge

    def slow(*arguments: object) -> object:
        done = honest(*arguments)
        monkeypatch.setattr(index_module, "merge", honest)
        kept.index.rebuild()
        return done

    monkeypatch.setattr(index_module, "merge", slow)
    kept.index.merge()
    assert len(kept.index) == 5
    assert len(kept.search("hotels", OWEN).passages) == 5


def test_searches_and_changes_and_merges_do_not_disturb_one_another(corpus: Corpus) -> None:
    """Every search sees each page once, in its old or its new form, never none and never both."""
    corpus.sync(*(page(f"d{n}", f"Hotels cost {n}.", EVERYONE) for n in range(8)))
    corpus.index.refresh()
    vector = corpus.retriever._embedder.embed_query("hotels").reshape(1, -1)
    stop, wrong, searches = threading.Event(), [], []

    def search() -> None:
        while not stop.is_set():
            found = corpus.index.search("hotels", vector, {1})
            searches.append(1)
            if len(found.candidates) != 8:
                wrong.append(found)

    def merge() -> None:
        while not stop.is_set():
            corpus.index.merge()

    threads = [threading.Thread(target=work) for work in (search, search, merge)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        corpus.sync(*(page(f"d{n}", f"Hotels cost {n} and {turn}.", EVERYONE) for n in range(turn % 8, 8, 3)))
        corpus.index.refresh()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert searches


def test_a_search_does_not_wait_for_a_change(kept: Corpus) -> None:
    vector = kept.retriever._embedder.embed_query("hotels").reshape(1, -1)
    with kept.index._changing, kept.index._merging:
        started = time.monotonic()
        finder = threading.Thread(target=lambda: (kept.index.search("hotels", vector, {1}), kept.index.refresh()))
        finder.start()
        finder.join(20)
        assert not finder.is_alive(), f"it waited {time.monotonic() - started} s"


def test_two_processes_share_one_folder(kept: Corpus) -> None:
    """Each may replace the files the other has mapped; both go on, and the last to keep them is read."""
    before = seen(kept.search("hotels", OWEN))
    other = kept.another_index()
    other.refresh()
    other.merge()
    assert seen(kept.search("hotels", OWEN)) == before
    kept.sync(page("more", "More hotels.", EVERYONE))
    kept.index.refresh()
    kept.index.save()
    later = kept.another_index()
    assert later.restore()
    assert len(later) == len(kept.index) == 6
    other.save()
    assert later.restore(), "who lags behind the database does not keep an old state"


def test_a_database_put_back_to_an_earlier_state_is_read_anew(kept: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    with writing(kept.database) as session:
        row = session.get_one(CorpusRow, 1)
        row.epoch, row.stamp = row.epoch - 1, "another"
        session.exec(delete(PassageRow).where(col(PassageRow.ordinal) == 0))
        session.add(row)
        session.commit()
    kept.index.refresh()
    assert len(kept.index) == 0


def test_a_file_that_goes_while_it_is_opened_is_looked_for_again(kept: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.index.save()
    later = kept.another_index()
    honest = later._files._open_all
    monkeypatch.setattr(
        later._files,
        "_open_all",
        lambda manifest: (monkeypatch.undo(), kept.index.merge(), honest(manifest))[2],
    )
    assert later.restore()
    assert len(later) == 5


def changed(chance: random.Random, pages: dict[str, Upsert], step: int) -> list[Upsert | Delete]:
    """Some pages new, some different, some under another label, some gone."""
    new = random_pages(chance, chance.randrange(1, 4))
    batch: list[Upsert | Delete] = [page(f"{each.id}-{step}", each.content.decode(), each.label) for each in new]
    for id_ in chance.sample(sorted(pages), min(len(pages), 4)):
        text = pages[id_].content.decode()
        fate = chance.random()
        if fate < 0.3:
            batch.append(Delete(id_))
        else:
            batch.append(page(id_, text if fate < 0.6 else text + " salary", random_label(chance)))
    return batch


@pytest.mark.parametrize("seed", range(4))
def test_a_life_with_restarts_equals_a_private_index(make_corpus: Callable[[], Corpus], seed: int) -> None:
    chance = random.Random(seed)
    lived, pages = make_corpus(), {}
    for step in range(6):
        batch = changed(chance, pages, step)
        for change in batch:
            pages.pop(change.id, None)
            if isinstance(change, Upsert):
                pages[change.id] = change
        lived.sync(*batch)
        lived.index.refresh()
        if chance.random() < 0.4:
            lived.index.merge()
        if chance.random() < 0.6:
            lived.index.save()
            lived.index = lived.retriever._index = lived.another_index()
            assert lived.index.restore()
    for number in range(2):
        person = random_person(chance, number)
        private = make_corpus()
        private.sync(*(each for each in pages.values() if may_read(person, each.label)))
        for question in ("salary budget", "hotel", "audit policy review"):
            assert seen(lived.search(question, person)) == seen(private.search(question, person))
