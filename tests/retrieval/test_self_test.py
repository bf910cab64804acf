"""An index that finds what it must not find does not serve."""

import numpy as np
import pytest

from policies.labels import Label
from retrieval import layers, views
from retrieval.errors import IndexUnsafeError
from retrieval.ranking import Ranking
from retrieval.self_test import check_filter
from tests.fakes.sources import page
from tests.retrieval.conftest import Corpus


@pytest.fixture
def indexed(corpus: Corpus) -> Corpus:
    corpus.sync(
        page("a", "Hotels cost 90.", Label.for_groups("everyone")), page("b", "Salaries.", Label.for_groups("finance"))
    )
    corpus.index.refresh()
    return corpus


def test_a_sound_index_passes(indexed: Corpus) -> None:
    check_filter(indexed.index.layers, 32)
    indexed.index.merge()
    check_filter(indexed.index.layers, 32)
    check_filter((), 32)


def all_ranges(self: object, label_ids: object) -> tuple[object, ...]:
    """A filter that lets everything through."""
    numbers = np.arange(len(self.label_ids))
    return numbers, self.label_starts[numbers], self.label_starts[numbers + 1]


def one_row_more(self: object, label_ids: object) -> tuple[object, ...]:
    """A range that is one row too long, or too early."""
    numbers = np.flatnonzero(np.isin(self.label_ids, list(label_ids)))
    return numbers, np.maximum(self.label_starts[numbers] - 1, 0), self.label_starts[numbers + 1]


def everybody_counts(view: views.View) -> int:
    """Statistics over everything."""
    return len(view.layer)


def nobody_dies(self: layers.Layer, rows: object) -> layers.Layer:
    """Tombstones that are not kept."""
    return self


BROKEN = {
    "everything is allowed": ("retrieval.segments.Segment.ranges_of_labels", all_ranges),
    "a range is too long": ("retrieval.segments.Segment.ranges_of_labels", one_row_more),
    "hidden passages count": ("retrieval.views.View.passages", property(everybody_counts)),
    "hidden lengths count": (
        "retrieval.views.View.total_length",
        property(lambda view: int(view.layer.live_lengths.sum())),
    ),
    "deleted passages are found": ("retrieval.layers.Layer.without_rows", nobody_dies),
    "nothing is found": ("retrieval.self_test.rank", lambda *_: Ranking([], {})),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_broken_filter_is_refused(indexed: Corpus, mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: each of these mistakes stops the index from serving."""
    monkeypatch.setattr(*BROKEN[mistake])
    with pytest.raises(IndexUnsafeError, match="index rebuild"):
        check_filter(indexed.index.layers, 32)
