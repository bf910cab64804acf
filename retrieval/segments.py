"""A segment: passages that never change, as plain arrays over one buffer, whether memory or a mapped file.

Rows are sorted by label, then document, then ordinal: each label is one contiguous range of rows. A document may stand
under several labels. There are no Python objects per passage, nothing is unpickled, and opening one parses nothing.
"""

import mmap
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Buffer = Any
"""Anything with the buffer protocol; writable while a segment is filled."""
Vectors = NDArray[np.float32]
"""Shape (n, dimensions), each row of length 1."""
Codes = NDArray[np.uint8]
"""Shape (n, dimensions): vectors in one byte a dimension (`retrieval/codes.py`)."""
Rows = NDArray[np.integer[Any]]
"""Row numbers of a segment."""

_ALIGNMENT_BYTES = 64
MOST_COUNTED = 65_535
"""A word standing more often in one passage counts as often as this; a passage is a page of text at most."""


class Shape(msgspec.Struct, array_like=True, frozen=True):
    """How large a segment's arrays are; `document_bytes` is the length of its longest document id."""

    rows: int
    dimensions: int
    labels: int
    documents: int
    document_bytes: int
    terms: int
    term_bytes: int
    postings: int


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Segment:
    """Passages as arrays.

    Attributes:
        shape: The sizes of the arrays.
        buffer: What the arrays lie in.
        vectors: By row.
        codes: By row, its vector in one byte a dimension.
        rough: By row, whether its code is too far from its vector to tell anything.
        passage_ids: By row.
        documents: By row, the number of the passage's document.
        ordinals: By row, the passage's place in its document.
        lengths: By row, how many search terms the passage has.
        label_ids: The labels, ascending.
        label_starts: The first row of each label, and the number of rows.
        document_ids: UTF-8, ascending.
        document_starts: Where the rows of each document begin in `document_rows`, and its end.
        document_rows: By document its rows, ascending.
        term_starts: Where each term begins in `term_blob`, and its end.
        term_blob: All terms in UTF-8, ascending.
        posting_starts: Where the rows of each term begin in `posting_rows`, and its end.
        posting_rows: By term the rows that hold it, ascending.
        posting_counts: How often each of these rows holds it.
    """

    shape: Shape
    buffer: Buffer
    vectors: Vectors
    codes: Codes
    rough: NDArray[np.bool_]
    passage_ids: NDArray[np.int64]
    documents: NDArray[np.int32]
    ordinals: NDArray[np.int32]
    lengths: NDArray[np.int32]
    label_ids: NDArray[np.int64]
    label_starts: NDArray[np.int64]
    document_ids: NDArray[np.bytes_]
    document_starts: NDArray[np.int64]
    document_rows: NDArray[np.int32]
    term_starts: NDArray[np.int64]
    term_blob: NDArray[np.uint8]
    posting_starts: NDArray[np.int64]
    posting_rows: NDArray[np.int32]
    posting_counts: NDArray[np.uint16]

    def postings(self, term: str) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
        """The rows that hold a term, ascending, and how often each does."""
        wanted = term.encode()
        number = bisect_left(range(self.shape.terms), wanted, key=self.term)
        if number == self.shape.terms or self.term(number) != wanted:
            return self.posting_rows[:0], self.posting_counts[:0]
        start, end = self.posting_starts[number : number + 2]
        return self.posting_rows[start:end], self.posting_counts[start:end]

    def term(self, number: int) -> bytes:
        """A term in UTF-8."""
        start, end = self.term_starts[number : number + 2]
        return self.term_blob[start:end].tobytes()

    def terms(self) -> list[bytes]:
        """All terms in UTF-8, ascending."""
        blob, ends = self.term_blob.tobytes(), self.term_starts.tolist()
        return [blob[start:end] for start, end in pairwise(ends)]

    def ranges_of_labels(self, label_ids: Collection[int]) -> tuple[Rows, Rows, Rows]:
        """The labels of these that the segment holds, by their number in it, with the start and end of their rows."""
        wanted = np.fromiter(label_ids, dtype=np.int64, count=len(label_ids))
        numbers = np.flatnonzero(np.isin(self.label_ids, wanted))
        return numbers, self.label_starts[numbers], self.label_starts[numbers + 1]

    def rows_of_documents(self, document_ids: Iterable[str]) -> Rows:
        """The rows of these documents, whatever their labels."""
        width = max(1, self.shape.document_bytes)
        wanted = [id_ for id_ in (document.encode() for document in document_ids) if len(id_) <= width]
        names = np.unique(np.array(wanted, dtype=f"S{width}"))
        places = np.searchsorted(self.document_ids, names)
        inside = places < self.shape.documents
        places, names = places[inside], names[inside]
        numbers = places[self.document_ids[places] == names]
        return self.document_rows[rows_between(self.document_starts[numbers], self.document_starts[numbers + 1])]

    def labels_of_rows(self, rows: Rows) -> Rows:
        """The number of each row's label."""
        return np.searchsorted(self.label_starts, rows, side="right") - 1

    def forget_vectors(self) -> None:
        """Take the vectors of a mapped file out of the memory of this process.

        They stay in the file and, while there is room, in the cache of the system: reading them again is only slower.
        """
        if isinstance(self.buffer, mmap.mmap):
            offset = _places(self.shape)[0]["vectors"][2]
            start = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
            length = (offset + self.vectors.nbytes - start) // mmap.PAGESIZE * mmap.PAGESIZE
            if length > 0:
                self.buffer.madvise(mmap.MADV_DONTNEED, start, length)

    def __len__(self) -> int:
        return self.shape.rows


def rows_between(starts: Rows, ends: Rows) -> Rows:
    """All rows of these ranges, one range after the other."""
    sizes = np.asarray(ends, dtype=np.int64) - starts
    before = np.concatenate([[0], np.cumsum(sizes)])
    rows: Rows = np.arange(before[-1]) + np.repeat(starts - before[:-1], sizes)
    return rows


def size_bytes(shape: Shape) -> int:
    """How large a buffer a segment of this shape takes."""
    return _places(shape)[1]


def segment_over(shape: Shape, buffer: Buffer) -> Segment:
    """The segment whose arrays lie in a buffer of `size_bytes(shape)`.

    Raises:
        ValueError: The buffer is too short.
    """
    places, _ = _places(shape)
    arrays: dict[str, Any] = {
        name: np.frombuffer(buffer, dtype=dtype, count=prod(dimensions), offset=offset).reshape(dimensions)
        for name, (dtype, dimensions, offset) in places.items()
    }
    return Segment(shape, buffer, **arrays)


def _places(shape: Shape) -> tuple[Mapping[str, tuple[np.dtype[Any], tuple[int, ...], int]], int]:
    """Type, dimensions and offset of each array, and the size of all."""
    rows, documents = (shape.rows,), (shape.documents,)
    arrays: dict[str, tuple[str, tuple[int, ...]]] = {
        "codes": ("u1", (shape.rows, shape.dimensions)),
        "vectors": ("<f4", (shape.rows, shape.dimensions)),
        "rough": ("?", rows),
        "passage_ids": ("<i8", rows),
        "documents": ("<i4", rows),
        "ordinals": ("<i4", rows),
        "lengths": ("<i4", rows),
        "label_ids": ("<i8", (shape.labels,)),
        "label_starts": ("<i8", (shape.labels + 1,)),
        "document_ids": (f"S{max(1, shape.document_bytes)}", documents),
        "document_starts": ("<i8", (shape.documents + 1,)),
        "document_rows": ("<i4", rows),
        "term_starts": ("<i8", (shape.terms + 1,)),
        "term_blob": ("u1", (shape.term_bytes,)),
        "posting_starts": ("<i8", (shape.terms + 1,)),
        "posting_rows": ("<i4", (shape.postings,)),
        "posting_counts": ("<u2", (shape.postings,)),
    }
    places: dict[str, tuple[np.dtype[Any], tuple[int, ...], int]] = {}
    offset = 0
    for name, (type_, dimensions) in arrays.items():
        dtype = np.dtype(type_)
        places[name] = (dtype, dimensions, offset)
        length = dtype.itemsize * prod(dimensions)
        offset += -(-length // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
    return places, offset
