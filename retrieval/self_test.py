"""A test of the index that serves, before it serves: planted passages that must not be found are looked for.

An allowed, a forbidden and a deleted passage are put beside the passages of the index: as a layer in memory, as one
that is merged and mapped as a large index is, and as several. A search with the allowed label alone, by the forbidden
passage's own vector and words, must give exactly what it gives where only the allowed passage exists.
"""

import mmap
from collections.abc import Iterator, Sequence

import numpy as np

from retrieval.building import Entry, merge, segment_of
from retrieval.errors import IndexUnsafeError
from retrieval.layers import Layer, whole
from retrieval.ranking import rank

_ALLOWED, _FORBIDDEN = -1, -2
"""Reserved: labels in the database are numbered from 1."""
_FINDABLE = 2
"""How many planted passages the two labels hold."""
_WORDS = {"muniment": 3, "planted": 2}


def check_filter(layers: Sequence[Layer], dimensions: int) -> None:
    """See that the filter holds in an index of these layers.

    Raises:
        IndexUnsafeError: A forbidden or deleted passage was found, or changed what was found.
    """
    for name, planted, alone in _worlds(dimensions):
        for vector in np.eye(dimensions, dtype=np.float32)[:2]:
            found = rank([*layers, *planted], list(_WORDS), vector, {_ALLOWED})
            if found != rank(alone, list(_WORDS), vector, {_ALLOWED}) or len(found.candidates) != 1:
                _refuse(f"a passage that must not be found changed what was found ({name})")
        if len(rank([*layers, *planted], list(_WORDS), vector, {_ALLOWED, _FORBIDDEN}).candidates) != _FINDABLE:
            _refuse(f"a passage that must be found was not found ({name}), so the test proves nothing")


def _worlds(dimensions: int) -> Iterator[tuple[str, list[Layer], list[Layer]]]:
    """Planted layers and, beside them, layers with the allowed passage alone."""
    towards, away = np.eye(dimensions, dtype=np.float32)[:2]
    allowed = Entry(-1, "allowed", 0, _ALLOWED, {"planted": 1}, away.tobytes())
    forbidden = Entry(-2, "forbidden", 0, _FORBIDDEN, _WORDS, towards.tobytes())
    deleted = Entry(-3, "deleted", 0, _ALLOWED, _WORDS, towards.tobytes())
    alone = [whole(segment_of([allowed], dimensions))]
    together = whole(segment_of([allowed, forbidden, deleted], dimensions)).without_documents(["deleted"])
    yield "in memory", [together], alone
    mapped = merge([whole(together.segment)], dimensions, lambda size: mmap.mmap(-1, size)).segment
    yield "mapped", [whole(mapped).without_documents(["deleted"])], alone
    apart = [whole(segment_of([entry], dimensions)) for entry in (forbidden, allowed)]
    yield "in several layers", apart, alone


def _refuse(what: str) -> None:
    message = (
        f"The index failed its test at start: {what}. Nothing is searched. Run `muniment index rebuild`; if it fails "
        "again, this program is damaged or was changed: install it anew."
    )
    raise IndexUnsafeError(message)
