"""Whatever happened to an index, it finds what an index made afresh of only the allowed documents would find."""

import math
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.building import Entry, merge, segment_of
from retrieval.fusion import fuse
from retrieval.layers import Layer, whole
from retrieval.ranking import Candidate, rank
from retrieval.views import view_of

DIMENSIONS = 8
WORDS = [f"w{number}" for number in range(12)]
LABELS = range(1, 7)
QUESTIONS = 4


def vector(chance: random.Random) -> bytes:
    """Few distinct ones, so that there are ties."""
    row = np.random.default_rng(chance.randrange(9)).normal(size=DIMENSIONS).astype(np.float32)
    if chance.random() < 0.3:
        row += np.random.default_rng(chance.randrange(10**9)).normal(size=DIMENSIONS).astype(np.float32) / 8
    return (row / np.linalg.norm(row)).astype(np.float32).tobytes()


@dataclass
class World:
    """Documents as they are, and the layers of an index that lived through all that made them so."""

    chance: random.Random
    documents: dict[str, list[Entry]] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    next_id: int = 1

    def document(self, name: str) -> list[Entry]:
        labels = self.chance.choices(LABELS, k=1 if self.chance.random() < 0.7 else 3)
        entries = []
        for ordinal in range(self.chance.randrange(1, 4)):
            counts = dict.fromkeys(self.chance.sample(WORDS, self.chance.randrange(1, 5)), 1)
            counts[self.chance.choice(WORDS)] = self.chance.randrange(1, 4)
            entries.append(Entry(self.next_id, name, ordinal, self.chance.choice(labels), counts, vector(self.chance)))
            self.next_id += 1
        return entries

    def put(self, *documents: list[Entry]) -> None:
        """As the index takes in changes: first what was is dead, then what is comes as a new layer."""
        names = [document[0].document for document in documents]
        self.forget(*names)
        self.documents |= zip(names, documents, strict=True)
        entries = [entry for document in documents for entry in document]
        self.layers.append(whole(segment_of(entries, DIMENSIONS)))

    def forget(self, *names: str) -> None:
        for name in names:
            self.documents.pop(name, None)
        self.layers = [left for layer in self.layers if len(left := layer.without_documents(names))]

    def add(self) -> None:
        count = self.chance.randrange(1, 12)
        self.put(*(self.document(f"d{self.chance.randrange(60):02}x{number}") for number in range(count)))

    def change(self) -> None:
        self.put(*(self.document(name) for name in self.some()))

    def delete(self) -> None:
        self.forget(*self.some())

    def relabel(self) -> None:
        label = self.chance.choice(LABELS)
        self.put(*([replace(entry, label=label) for entry in self.documents[name]] for name in self.some()))

    def merge_all(self) -> None:
        if self.layers:
            self.layers = [whole(merge(self.layers, DIMENSIONS).segment)]

    def merge_two(self) -> None:
        if len(self.layers) > 1:
            at = self.chance.randrange(len(self.layers) - 1)
            self.layers[at : at + 2] = [whole(merge(self.layers[at : at + 2], DIMENSIONS).segment)]

    def some(self) -> list[str]:
        return self.chance.sample(sorted(self.documents), min(len(self.documents), self.chance.randrange(1, 6)))

    def step(self) -> None:
        steps = [self.add, self.add, self.merge_all, self.merge_two]
        if self.documents:
            steps += [self.change, self.delete, self.relabel]
        self.chance.choice(steps)()

    def question(self) -> tuple[list[str], np.ndarray, set[int], set[str] | None]:
        chance = self.chance
        among = set(chance.sample(sorted(self.documents), len(self.documents) // 2)) if chance.random() < 0.3 else None
        labels = set(chance.sample(LABELS, chance.randrange(1, len(LABELS) + 1)))
        return chance.sample(WORDS, 3), np.frombuffer(vector(chance), dtype=np.float32), labels, among

    def readable(self, labels: set[int]) -> list[Entry]:
        return [entry for document in self.documents.values() for entry in document if entry.label in labels]


def private(entries: Sequence[Entry]) -> list[Layer]:
    return [whole(segment_of(entries, DIMENSIONS))] if entries else []


def oracle(
    entries: Sequence[Entry], terms: Sequence[str], question: np.ndarray, among: set[str] | None
) -> list[Candidate]:
    """The same from the definitions, with exact sums and no arrays."""
    if not entries:
        return []
    mean = sum(sum(entry.counts.values()) for entry in entries) / len(entries)
    held = {term: sum(term in entry.counts for entry in entries) for term in terms}
    near: dict[int, float] = {}
    words: dict[int, float] = {}
    place: dict[int, tuple[str, int]] = {}
    for entry in entries:
        if among is not None and entry.document not in among:
            continue
        row = np.frombuffer(entry.vector, dtype=np.float32).tolist()
        near[entry.id] = round(math.fsum(a * b for a, b in zip(row, question.tolist(), strict=True)), 6)
        norm = 1.2 * (1 - 0.75 + 0.75 * sum(entry.counts.values()) / mean)
        words[entry.id] = round(
            sum(
                math.log(1 + (len(entries) - held[term] + 0.5) / (held[term] + 0.5))
                * 2.2 * entry.counts[term] / (entry.counts[term] + norm)
                for term in terms
                if term in entry.counts
            ),
            6,
        )  # fmt: skip
        place[entry.id] = (entry.document, entry.ordinal)
    by_meaning = sorted(near, key=lambda id_: (-near[id_], place[id_]))[:50]
    by_word = sorted((id_ for id_ in words if words[id_]), key=lambda id_: (-words[id_], place[id_]))[:50]
    proposed = {*by_meaning, *by_word}
    fused = fuse(({id_: near[id_] for id_ in proposed}, 1.0), ({id_: words[id_] for id_ in proposed}, 0.4))
    order = sorted(fused, key=lambda id_: (-round(fused[id_], 6), place[id_]))
    return [Candidate(id_, round(fused[id_], 6), near[id_], words[id_]) for id_ in order]


def shown(found: Sequence[Candidate], world: World) -> list[Candidate]:
    """To 6 decimals, as scores are shown; what then ties in the order of documents."""
    place = {entry.id: (entry.document, entry.ordinal) for entry in world.readable(set(LABELS))}
    rounded = [
        Candidate(each.passage_id, *(round(n, 6) for n in (each.score, each.similarity, each.keyword_score)))
        for each in found
    ]
    return sorted(rounded, key=lambda each: (-each.score, place[each.passage_id]))


def check(world: World) -> None:
    for _ in range(QUESTIONS):
        terms, question, labels, among = world.question()
        ranking = rank(world.layers, terms, question, labels, among)
        found = ranking.candidates
        readable = world.readable(labels)
        assert ranking == rank(private(readable), terms, question, set(LABELS), among)
        expected = oracle(readable, terms, question, among)
        assert [each.passage_id for each in shown(found, world)] == [each.passage_id for each in expected]
        for mine, theirs in zip(shown(found, world), expected, strict=True):
            assert mine.score == pytest.approx(theirs.score, abs=2e-6)
            assert mine.similarity == pytest.approx(theirs.similarity, abs=2e-6)
            assert mine.keyword_score == pytest.approx(theirs.keyword_score, abs=2e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 12))
def test_a_history_leaves_no_trace(seed: int, steps: int) -> None:
    world = World(random.Random(seed))
    for _ in range(steps):
        world.step()
    check(world)


@pytest.mark.deep
@settings(max_examples=3000, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 20))
def test_no_history_leaves_a_trace(seed: int, steps: int) -> None:
    world = World(random.Random(seed))
    for _ in range(steps):
        world.step()
        check(world)


def lived(seed: int) -> World:
    world = World(random.Random(seed))
    for _ in range(8):
        world.step()
    return world


def check_many(seeds: range) -> None:
    for seed in seeds:
        check(lived(seed))


@pytest.mark.parametrize("broken", ["the dead count", "all labels count", "the dead are found"])
def test_the_check_notices_a_broken_index(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: each of these mistakes is seen in some world."""
    if broken == "the dead count":
        monkeypatch.setattr("retrieval.views.View.passages", property(len))
    elif broken == "all labels count":
        monkeypatch.setattr("retrieval.views.View.passages", property(lambda view: len(view.layer)))
    else:
        monkeypatch.setattr("retrieval.views.View.dead", lambda _self: None)
    with pytest.raises(AssertionError):
        check_many(range(30))


def test_merged_segments_have_no_gaps_and_forget_the_words_of_the_dead() -> None:
    for seed in range(10):
        world = lived(seed)
        world.merge_all()
        for layer in world.layers:
            fresh = segment_of([entry for document in world.documents.values() for entry in document], DIMENSIONS)
            assert layer.segment.shape == fresh.shape
            assert bytes(memoryview(layer.segment.buffer)) == bytes(memoryview(fresh.buffer)), "to the byte"


def test_a_thousand_equal_passages_come_in_the_order_of_documents() -> None:
    entries = [Entry(7000 - n, f"d{n:04}", 0, 1, {"word": 1}, vector(random.Random(1))) for n in range(1000)]
    question = np.frombuffer(vector(random.Random(1)), dtype=np.float32)
    spread = [whole(segment_of(entries[start::7], DIMENSIONS)) for start in range(7)]
    for layers in (spread, [whole(merge(spread, DIMENSIONS).segment)], private(entries)):
        assert [each.passage_id for each in rank(layers, ["word"], question, {1}).candidates] == [
            7000 - n for n in range(50)
        ]


def test_a_view_holds_no_row_of_another_label() -> None:
    for seed in range(20):
        world = lived(seed)
        labels = set(world.chance.sample(LABELS, 2))
        for layer in world.layers:
            view = view_of(layer, labels)
            rows = view.rows(np.arange(len(view)))
            assert set(layer.segment.label_ids[layer.segment.labels_of_rows(rows)].tolist()) <= labels


def test_searches_in_many_threads_give_the_same() -> None:
    world = lived(5)
    question = world.question()[:3]
    expected = rank(world.layers, *question)
    found: list[bool] = []
    threads = [
        threading.Thread(target=lambda: found.extend(rank(world.layers, *question) == expected for _ in range(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 200
