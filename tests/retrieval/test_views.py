"""Which positions are scanned, and which rows they are."""

import random

import numpy as np
import pytest

from retrieval.building import Entry, segment_of
from retrieval.layers import whole
from retrieval.views import View, plan, view_of

VECTOR = np.array([1, 0], dtype=np.float32).tobytes()


PASSAGES = 3


def label_of(label: int, ordinal: int) -> int:
    """The last passage of some documents stands under another label than the rest."""
    return label if ordinal < PASSAGES - 1 or label % 2 else 9 - label


def view(labels: list[int], allowed: set[int]) -> View:
    """Of one document for each of these labels."""
    entries = [
        Entry(PASSAGES * n + ordinal, f"d{n:02}", ordinal, label_of(label, ordinal), {"word": 1}, VECTOR)
        for n, label in enumerate(labels)
        for ordinal in range(PASSAGES)
    ]
    return view_of(whole(segment_of(entries, 2)), allowed)


def ranges(*pairs: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([start for start, _ in pairs], dtype=int), np.array([end for _, end in pairs], dtype=int)


def pairs(of: tuple[np.ndarray, np.ndarray]) -> list[tuple[int, int]]:
    return list(zip(of[0].tolist(), of[1].tolist(), strict=True))


def test_without_narrowing_everything_allowed_is_scanned_at_once() -> None:
    of = view([1, 3, 5, 7, 9], {3, 5, 9})
    scanned = list(of.slices(None))
    assert [(start, end) for start, end, _ in scanned] == pairs((of.starts, of.ends))
    assert [place for _, _, place in scanned] == of.firsts[:-1].tolist()
    assert list(view([1, 3], {5}).slices(None)) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([], []),
        ([(3, 5)], [(3, 5)]),
        ([(0, 5), (9, 12)], [(0, 12)]),
        ([(0, 5), (15, 20)], [(0, 5), (15, 20)]),
        ([(0, 5), (5, 7), (16, 20), (40, 41)], [(0, 20), (40, 41)]),
    ],
)
def test_narrowed_ranges_are_scanned_with_small_gaps_filled(
    wanted: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    assert pairs(plan(ranges(*wanted), bridged=10)) == expected


def test_neighbouring_labels_are_one_range() -> None:
    assert len(view([1, 3, 5, 7, 9], {3, 5, 9}).starts) == 2
    assert len(view([1, 3, 5, 7, 9], {1, 3, 5, 7, 9}).starts) == 1


@pytest.mark.parametrize("seed", range(20))
def test_slices_are_the_rows_of_their_positions(seed: int) -> None:
    chance = random.Random(seed)
    of = view([chance.randrange(6) for _ in range(20)], set(chance.sample(range(6), 3)))
    cuts = sorted(chance.sample(range(len(of) + 1), 4)) if len(of) > 4 else [0, len(of)]
    scanned = ranges(*zip(cuts[::2], cuts[1::2], strict=True))
    rows = [row for start, end, _ in of.slices(scanned) for row in range(start, end)]
    positions = [place + n for start, end, place in of.slices(scanned) for n in range(end - start)]
    assert rows == of.rows(np.array(positions, dtype=int)).tolist()
    assert positions == [position for start, end in pairs(scanned) for position in range(start, end)]


@pytest.mark.parametrize("seed", range(20))
def test_documents_are_found_where_they_are_allowed_and_nowhere_else(seed: int) -> None:
    chance = random.Random(seed)
    labels = [chance.randrange(6) for _ in range(20)]
    allowed, asked = set(chance.sample(range(10), 5)), set(chance.sample(range(30), 10))
    of = view(labels, allowed)
    starts, ends = of.ranges_of_documents([*(f"d{n:02}" for n in asked), "a", "zz", "d99999999999"])
    positions = [position for start, end in pairs((starts, ends)) for position in range(start, end)]
    ids = of.layer.segment.passage_ids[of.rows(np.array(positions, dtype=int))].tolist()
    wanted = [
        PASSAGES * n + ordinal
        for n in asked
        for ordinal in range(PASSAGES)
        if n < 20 and label_of(labels[n], ordinal) in allowed
    ]
    assert sorted(ids) == sorted(wanted)
    assert positions == sorted(positions)
