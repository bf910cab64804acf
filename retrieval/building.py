"""Segments from entries, and one segment from several: sorted, without gaps, and without what is dead.

Merging needs no text and no database. It works in slices, so that it takes little memory beside what it writes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from retrieval.codes import encode
from retrieval.errors import IndexUnusableError
from retrieval.layers import Layer
from retrieval.segments import MOST_COUNTED, Buffer, Rows, Segment, Shape, Vectors, segment_over, size_bytes

Allocate = Callable[[int], Buffer]
"""Gives a writable buffer of so many bytes."""

_SLICE_ROWS = 32_768
_SLICE_POSTINGS = 4_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index keeps of a passage; `document` and `ordinal` order passages that score the same."""

    id: int
    document: str
    ordinal: int
    label: int
    counts: Mapping[str, int]
    vector: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """A segment, and by layer where each old row went; -1 for rows that were dead."""

    segment: Segment
    new_rows: Sequence[NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """Which document, ordinal and label stand at each row of a new segment."""

    document_ids: NDArray[np.bytes_]
    documents: Rows
    ordinals: Rows
    labels: Rows


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    """The terms of a new segment, and how many of its rows hold each."""

    terms: Sequence[bytes]
    sizes: NDArray[np.int64]


def in_memory(size: int) -> Buffer:
    """A buffer that goes with the process."""
    return np.zeros(max(size, 1), dtype=np.uint8)


def segment_of(entries: Iterable[Entry], dimensions: int) -> Segment:
    """A segment in memory.

    Raises:
        IndexUnusableError: A vector does not have so many dimensions.
    """
    ordered = sorted(entries, key=lambda entry: (entry.label, entry.document, entry.ordinal))
    names, documents = np.unique(
        np.array([entry.document.encode() for entry in ordered], dtype=np.bytes_), return_inverse=True
    )
    order = _Order(
        names,
        documents,
        np.array([entry.ordinal for entry in ordered], dtype=np.int32),
        np.array([entry.label for entry in ordered], dtype=np.int64),
    )
    words = list(chain.from_iterable(entry.counts for entry in ordered))
    vocabulary = sorted(set(words))
    number = {word: place for place, word in enumerate(vocabulary)}
    of_posting = np.fromiter(map(number.__getitem__, words), dtype=np.int64, count=len(words))
    sizes = np.bincount(of_posting, minlength=len(vocabulary))
    segment = _laid_out(order, _Words([word.encode() for word in vocabulary], sizes), dimensions, in_memory)
    by_term = np.argsort(of_posting, kind="stable")
    rows = np.repeat(np.arange(len(ordered)), [len(entry.counts) for entry in ordered])
    counts = np.fromiter(chain.from_iterable(entry.counts.values() for entry in ordered), np.int64, count=len(words))
    segment.posting_rows[:] = rows[by_term]
    segment.posting_counts[:] = np.minimum(counts, MOST_COUNTED)[by_term]
    segment.lengths[:] = [sum(entry.counts.values()) for entry in ordered]
    segment.passage_ids[:] = [entry.id for entry in ordered]
    segment.vectors[:] = _matrix(ordered, dimensions)
    segment.codes[:], segment.rough[:] = encode(segment.vectors)
    return segment


def merge(layers: Sequence[Layer], dimensions: int, allocate: Allocate = in_memory) -> Merged:
    """One segment with the live passages of all layers, in a buffer that is allocated once its size is known."""
    rows = [layer.live_rows() for layer in layers]
    unsorted = _joined(layers, rows)
    order = np.lexsort((unsorted.ordinals, unsorted.documents, unsorted.labels))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    new_rows, start = [], 0
    for layer, live in zip(layers, rows, strict=True):
        moved = np.full(len(layer.segment), -1, dtype=np.int64)
        moved[live] = place[start : start + len(live)]
        new_rows.append(moved)
        start += len(live)
    ordered = _Order(unsorted.document_ids, unsorted.documents[order], unsorted.ordinals[order], unsorted.labels[order])
    words, numbers = _vocabulary(layers)
    segment = _laid_out(ordered, words, dimensions, allocate)
    for layer, moved, live in zip(layers, new_rows, rows, strict=True):
        _move_rows(layer.segment, live, moved, segment)
    _move_postings(layers, new_rows, numbers, segment)
    return Merged(segment, new_rows)


def _matrix(entries: Sequence[Entry], dimensions: int) -> Vectors:
    matrix = np.frombuffer(b"".join(entry.vector for entry in entries), dtype=np.float32)
    try:
        # What is not a number would order nothing: such a passage is near to no question, and found by words only.
        return np.nan_to_num(matrix, nan=0, posinf=0, neginf=0).reshape(len(entries), dimensions)
    except ValueError as error:
        message = (
            f"The stored vectors do not have {dimensions} dimensions: they were made by another embedder. "
            "Run `muniment index rebuild`."
        )
        raise IndexUnusableError(message) from error


def _laid_out(order: _Order, words: _Words, dimensions: int, allocate: Allocate) -> Segment:
    """A segment with everything but rows' own data and postings filled in."""
    label_ids, label_starts = np.unique(order.labels, return_index=True)
    numbers, documents = np.unique(order.documents, return_inverse=True)
    names = order.document_ids[numbers]
    blob = b"".join(words.terms)
    width = int(np.char.str_len(names).max()) if len(names) else 1
    shape = Shape(
        len(order.labels), dimensions, len(label_ids), len(names), width, len(words.terms), len(blob),
        int(words.sizes.sum()),
    )  # fmt: skip
    segment = segment_over(shape, allocate(size_bytes(shape)))
    segment.documents[:] = documents
    segment.ordinals[:] = order.ordinals
    segment.label_ids[:] = label_ids
    segment.label_starts[:] = [*label_starts, len(order.labels)]
    segment.document_ids[:] = names
    segment.document_starts[0] = 0
    np.cumsum(np.bincount(documents, minlength=len(names)), out=segment.document_starts[1:])
    segment.document_rows[:] = np.argsort(documents, kind="stable")
    segment.term_starts[:] = np.cumsum([0, *map(len, words.terms)])
    segment.term_blob[:] = np.frombuffer(blob, dtype=np.uint8)
    segment.posting_starts[0] = 0
    np.cumsum(words.sizes, out=segment.posting_starts[1:])
    return segment


def _joined(layers: Sequence[Layer], rows: Sequence[Rows]) -> _Order:
    """The live rows of all layers, one layer after the other, with documents numbered across layers."""
    names = np.unique(np.concatenate([layer.segment.document_ids for layer in layers]))
    documents, ordinals, labels = [], [], []
    for layer, live in zip(layers, rows, strict=True):
        segment = layer.segment
        documents.append(np.searchsorted(names, segment.document_ids)[segment.documents[live]])
        ordinals.append(segment.ordinals[live])
        labels.append(segment.label_ids[segment.labels_of_rows(live)])
    return _Order(names, np.concatenate(documents), np.concatenate(ordinals), np.concatenate(labels))


def _vocabulary(layers: Sequence[Layer]) -> tuple[_Words, list[NDArray[np.int64]]]:
    """The terms that live passages hold, and by layer the new number of each old term; -1 for terms that are gone."""
    held = [(layer.segment.terms(), _live_sizes(layer)) for layer in layers]
    alive = {term for terms, sizes in held for term, size in zip(terms, sizes.tolist(), strict=True) if size}
    terms = sorted(alive)
    number = {term: place for place, term in enumerate(terms)}
    total = np.zeros(len(terms), dtype=np.int64)
    numbers = []
    for old, sizes in held:
        new = np.fromiter((number.get(term, -1) for term in old), dtype=np.int64, count=len(old))
        kept = sizes > 0
        total[new[kept]] += sizes[kept]
        numbers.append(new)
    return _Words(terms, total), numbers


def _live_sizes(layer: Layer) -> NDArray[np.int64]:
    """How many live rows hold each term."""
    starts = layer.segment.posting_starts
    if layer.dead is None or not len(starts) - 1:
        return np.diff(starts)
    alive = np.zeros(len(starts) - 1, dtype=np.int64)
    for first, last in _term_slices(starts):
        begin, end = starts[first], starts[last]
        living = ~layer.dead[layer.segment.posting_rows[begin:end]]
        sums = np.concatenate([[0], np.cumsum(living)])
        alive[first:last] = np.diff(sums[starts[first : last + 1] - begin])
    return alive


def _term_slices(starts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of terms that together have about `_SLICE_POSTINGS` postings, at least one term each."""
    first, terms = 0, len(starts) - 1
    while first < terms:
        last = int(np.searchsorted(starts, starts[first] + _SLICE_POSTINGS, side="right")) - 1
        last = min(max(last, first + 1), terms)
        yield first, last
        first = last


def _move_rows(source: Segment, live: Rows, moved: Rows, target: Segment) -> None:
    target.passage_ids[moved[live]] = source.passage_ids[live]
    target.lengths[moved[live]] = source.lengths[live]
    target.rough[moved[live]] = source.rough[live]
    for start in range(0, len(live), _SLICE_ROWS):
        some = live[start : start + _SLICE_ROWS]
        target.vectors[moved[some]] = source.vectors[some]
        target.codes[moved[some]] = source.codes[some]


def _move_postings(
    layers: Sequence[Layer], new_rows: Sequence[Rows], numbers: Sequence[NDArray[np.int64]], target: Segment
) -> None:
    """Merge postings term by term: the layers' sorted runs are joined by a sort that notices runs."""
    for first, last in _term_slices(target.posting_starts):
        runs = [
            _run(layer, moved, new, (first, last), len(target))
            for layer, moved, new in zip(layers, new_rows, numbers, strict=True)
        ]
        keys = np.concatenate([run[0] for run in runs])
        order = np.argsort(keys, kind="stable")
        begin, end = target.posting_starts[first], target.posting_starts[last]
        target.posting_rows[begin:end] = keys[order] % len(target)
        target.posting_counts[begin:end] = np.concatenate([run[1] for run in runs])[order]


def _run(
    layer: Layer, moved: Rows, new: NDArray[np.int64], terms: tuple[int, int], rows: int
) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """A layer's postings of the new terms in a range, keyed by new term and new row of so many; and their counts."""
    segment = layer.segment
    chosen = np.flatnonzero((new >= terms[0]) & (new < terms[1]))
    if not chosen.size:
        return np.empty(0, dtype=np.int64), segment.posting_counts[:0]
    # Terms that are gone may stand between these; all of their postings are dead.
    low, high = int(chosen[0]), int(chosen[-1]) + 1
    begin, end = segment.posting_starts[low], segment.posting_starts[high]
    placed = moved[segment.posting_rows[begin:end]]
    of_term = np.repeat(new[low:high], np.diff(segment.posting_starts[low : high + 1]))
    living = placed >= 0
    return of_term[living] * rows + placed[living], segment.posting_counts[begin:end][living]
