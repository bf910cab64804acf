"""Exact search over ranges of rows: complete, and blind to everything else."""

import math
from dataclasses import replace

import numpy as np
import pytest

from retrieval import nearest as nearest_module
from retrieval import vectors as vectors_module
from retrieval.building import Entry, segment_of
from retrieval.codes import ZERO, coded, encode
from retrieval.layers import Layer, whole
from retrieval.nearest import nearest
from retrieval.segments import Vectors
from retrieval.vectors import codes_are_read_right, margin, rounded, scan, scan_codes, similarities
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


def world(seed: int, rows: int = 5000, dimensions: int = 128) -> tuple[Layer, Vectors]:
    """Many passages around few directions in three labels, some of them dead, some equal, some with rough codes."""
    chance = np.random.default_rng(seed)
    around = unit(12, seed, dimensions)[chance.integers(0, 12, size=rows)]
    vectors = around + 0.6 * unit(rows, seed + 1, dimensions)
    vectors[: rows // 50] = vectors[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[rows // 50 : rows // 40] = np.eye(dimensions, dtype=np.float32)[0]
    vectors = vectors[chance.permutation(rows)]
    entries = [
        Entry(n, f"d{n:06}", 0, n % 3, {"word": 1}, vector.astype("f4").tobytes()) for n, vector in enumerate(vectors)
    ]
    left = whole(segment_of(entries, dimensions)).without_documents([f"d{n:06}" for n in range(0, rows, 9)])
    return left, unit(1, seed + 2, dimensions)[0]


def both_ways(seed: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[int], list[float]]]:
    """The best thirty by codes and by vectors; everywhere, and narrowed to documents."""
    of, question = world(seed)
    view, found = view_of(of, {0, 2}), []
    narrowed = view.ranges_of_documents([f"d{n:06}" for n in range(5000) if n % 4])
    for rows in (1, 10**9):
        monkeypatch.setattr(nearest_module, "_SHORT_ROWS", rows)
        for wanted in (None, narrowed):
            positions, scores = nearest(view, wanted, question, 30)
            best = np.sort(scores)[::-1][:30]
            found.append((set(positions[scores >= best[-1]].tolist()), best.tolist()))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_codes_and_vectors_find_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    of_codes, narrowed_by_codes, of_vectors, narrowed_by_vectors = both_ways(seed, monkeypatch)
    assert of_codes == of_vectors
    assert narrowed_by_codes == narrowed_by_vectors


def test_codes_are_used_at_all_and_without_their_bound_some_would_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the test above."""
    monkeypatch.setattr(nearest_module, "_SHORT_ROWS", 1)
    of, question = world(3)
    assert nearest_module._by_codes(view_of(of, {0, 2}), None, question, 30) is not None
    monkeypatch.setattr(
        nearest_module, "coded", lambda question: replace(coded(question), error=-0.05)
    )  # As if codes proved more than they do.
    found = [both_ways(seed, monkeypatch) for seed in range(4)]
    assert any(of_codes != of_vectors for of_codes, _, of_vectors, _ in found)


@pytest.mark.parametrize("dimensions", [3, 16, 32, 100, 384, 768, 1024])
def test_codes_err_by_no_more_than_they_say(dimensions: int) -> None:
    vectors, question = unit(3000, 3, dimensions), unit(1, 4, dimensions)[0]
    vectors[:5] = question
    codes, rough = encode(vectors)
    asked = coded(question)
    estimates = (codes.astype(np.float64) - ZERO) @ asked.code * asked.unit
    errors = np.abs(estimates - vectors.astype(np.float64) @ question.astype(np.float64))
    assert errors[~rough].max() < asked.error
    assert codes_are_read_right(dimensions)


def test_a_code_depends_on_its_own_vector_alone() -> None:
    vectors = unit(500, 8, 384)
    together, _ = encode(vectors)
    for row in range(0, 500, 61):
        assert encode(vectors[row : row + 1])[0][0].tolist() == together[row].tolist()


def test_rough_vectors_are_found_by_measuring_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_module, "_SHORT_ROWS", 1)
    vectors = unit(4000, 9, 384)
    vectors[7] = np.eye(384, dtype=np.float32)[5]
    assert encode(vectors)[1][7], "its largest component has no code"
    entries = [Entry(n, f"d{n:06}", 0, 1, {"word": 1}, vector.tobytes()) for n, vector in enumerate(vectors)]
    view = view_of(whole(segment_of(entries, 384)), {1})
    question = (vectors[7] + 0.1 * vectors[0]).astype(np.float32)
    positions, scores = nearest(view, None, question / np.linalg.norm(question), 5)
    assert positions[np.argmax(scores)] == 7


def test_wrong_slices_of_codes_are_refused_before_faiss_is_given_addresses() -> None:
    codes = encode(unit(10, 1))[0]
    for slices in ([(8, 12, 0)], [(-3, 2, 0)]):
        with pytest.raises(ValueError, match="do not lie within"):
            scan_codes(codes, slices, coded(unit(1, 2)[0]).code, 5)
    with pytest.raises(ValueError, match="shape"):
        scan_codes(codes, [(0, 5, 0)], np.zeros(8, dtype=np.float32), 5)
    with pytest.raises(ValueError, match="consecutive"):
        scan_codes(codes[:, ::2], [(0, 5, 0)], np.zeros(8, dtype=np.float32), 5)


def test_where_faiss_reads_codes_wrongly_vectors_are_scanned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(vectors_module, "ZERO", 127)  # As if Faiss took another code for zero.
    monkeypatch.setattr(nearest_module, "_SHORT_ROWS", 1)
    of, question = world(3)
    codes_are_read_right.cache_clear()
    assert nearest_module._by_codes(view_of(of, {0, 2}), None, question, 30) is None
    codes_are_read_right.cache_clear()
    assert "scan_of_codes_wrong" in caplog.text
