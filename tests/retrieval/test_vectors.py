"""Exact search over ranges of rows: complete, and blind to everything else."""

import math

import numpy as np
import pytest

from retrieval.building import Entry, segment_of
from retrieval.layers import Layer, whole
from retrieval.ranking import nearest
from retrieval.segments import Vectors
from retrieval.vectors import margin, rounded, scan, similarities
from retrieval.views import view_of

DIMENSIONS = 16


def unit(count: int, seed: int, dimensions: int = DIMENSIONS) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def layer(vectors_by_label: dict[int, Vectors]) -> Layer:
    """Passages numbered by label and place, each a document of its own."""
    return whole(
        segment_of(
            [
                Entry(label * 100 + place, f"d{label * 100 + place:04}", 0, label, {"word": 1}, vector.tobytes())
                for label, vectors in vectors_by_label.items()
                for place, vector in enumerate(vectors)
            ],
            DIMENSIONS,
        )
    )


def found(of: Layer, question: Vectors, labels: set[int], limit: int) -> dict[int, float]:
    view = view_of(of, labels)
    positions, scores = nearest(view, None, question, limit)
    return dict(zip(of.segment.passage_ids[view.rows(positions)].tolist(), scores.tolist(), strict=True))


@pytest.fixture
def five_labels() -> Layer:
    return layer({label: unit(40, label) for label in range(5)})


def test_finds_exactly_the_best_of_the_allowed_labels(five_labels: Layer) -> None:
    question = unit(1, 99)[0]
    hits = sorted(found(five_labels, question, {1, 3}, 10).items(), key=lambda hit: -hit[1])[:10]
    ids = [*range(100, 140), *range(300, 340)]
    rows = [*unit(40, 1).tolist(), *unit(40, 3).tolist()]
    scores = [round(math.fsum(a * b for a, b in zip(row, question.tolist(), strict=True)), 6) for row in rows]
    assert hits == sorted(zip(ids, scores, strict=True), key=lambda hit: -hit[1])[:10]


def test_other_labels_change_no_bit_of_a_score(five_labels: Layer) -> None:
    question = unit(1, 7)[0]
    assert found(five_labels, question, {3}, 5) == found(layer({3: unit(40, 3)}), question, {3}, 5)


def test_what_lies_outside_the_ranges_is_not_even_read() -> None:
    """Rows that are not numbers would spoil every sum they take layer in."""
    vectors = np.full((30, DIMENSIONS), np.nan, dtype=np.float32)
    vectors[10:20] = unit(10, 1)
    out = np.zeros(10, dtype=np.float32)
    scan(vectors, [(10, 20, 0)], unit(1, 2)[0], out)
    assert np.isfinite(out).all()
    scan(vectors, [(9, 19, 0)], unit(1, 2)[0], out)
    assert not np.isfinite(out).all(), "negative control: one row too many shows"


def test_all_that_tie_with_the_last_are_returned() -> None:
    same = layer({1: np.repeat(unit(1, 5), 20, axis=0)})
    assert len(found(same, unit(1, 6)[0], {1}, 3)) == 20


def test_removed_passages_are_gone(five_labels: Layer) -> None:
    left = five_labels.without_documents([f"d{id_:04}" for id_ in range(200, 239)])
    assert list(found(left, unit(1, 1)[0], {2}, 10)) == [239]
    assert found(left.without_documents(["d0239"]), unit(1, 1)[0], {2}, 10) == {}
    assert len(found(five_labels, unit(1, 1)[0], {2}, 40)) == 40, "the layer before is as it was"


@pytest.mark.parametrize("dimensions", [3, 32, 384, 1000])
def test_a_similarity_does_not_depend_on_where_its_row_lies(dimensions: int) -> None:
    vectors, question = unit(400, dimensions, dimensions), unit(1, 1, dimensions)[0]
    together = similarities(vectors, np.arange(400), question)
    for row in range(0, 400, 37):
        assert similarities(vectors, np.array([row]), question)[0] == together[row]
        shifted = np.empty(dimensions + 1, dtype=np.float32)[1:]  # Not aligned to 64 bytes.
        shifted[:] = vectors[row]
        assert similarities(shifted.reshape(1, -1), np.array([0]), question)[0] == together[row]


@pytest.mark.parametrize("dimensions", [16, 384, 1024])
def test_the_scan_errs_by_less_than_half_its_margin(dimensions: int) -> None:
    vectors, question = unit(5000, 3, dimensions), unit(1, 4, dimensions)[0]
    out = np.empty(5000, dtype=np.float32)
    scan(vectors, [(0, 5000, 0)], question, out)
    exact = vectors.astype(np.float64) @ question.astype(np.float64)
    assert np.abs(out - exact).max() < margin(dimensions) / 2


def test_without_the_margin_a_near_tie_could_be_lost() -> None:
    """Negative control: single precision alone orders some pairs wrongly."""
    vectors, question = unit(1, 3, 384), unit(1, 4, 384)[0]
    near = np.repeat(vectors, 2000, axis=0) + np.random.default_rng(1).normal(size=(2000, 384)).astype("f4") * 1e-8
    out = np.empty(2000, dtype=np.float32)
    scan(near, [(0, 2000, 0)], question, out)
    exact = near.astype(np.float64) @ question.astype(np.float64)
    assert np.argsort(out).tolist() != np.argsort(exact).tolist()


def test_a_vector_that_is_not_numbers_hides_no_other() -> None:
    vectors = unit(80, 5)
    vectors[3], vectors[4, 2] = np.nan, np.inf
    assert set(range(101, 103)) < found(layer({1: vectors}), unit(1, 6)[0], {1}, 79).keys()


def test_wrong_slices_are_refused_before_faiss_is_given_addresses() -> None:
    out = np.zeros(5, dtype=np.float32)
    for slices in ([(8, 12, 0)], [(0, 5, 1)], [(-3, 2, 0)]):
        with pytest.raises(ValueError, match="do not lie within"):
            scan(unit(10, 1), slices, unit(1, 2)[0], out)
    with pytest.raises(ValueError, match="shape"):
        scan(unit(10, 1), [(0, 5, 0)], unit(1, 2, 8)[0], out)


def test_rounding_leaves_no_negative_zero() -> None:
    assert not np.signbit(rounded(np.array([-1e-9, 0.0]))).any()
