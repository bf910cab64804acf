"""The index: vectors and keywords of every passage, kept in step with the database by epoch.

Rows in SQL are the truth. What a search sees is a snapshot that never changes: a large layer, usually mapped from a
file, and small layers of what came since, each without its dead. Taking in changes makes a new snapshot; so searches
wait for nobody. When what came since has grown, all layers are merged into one in the background.
"""

import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.orm import load_only
from sqlmodel import Session, col, select

from retrieval.building import Entry, Merged, merge, segment_of
from retrieval.changes import Changes
from retrieval.chunks import index_text
from retrieval.embeddings import use_of, vector_of
from retrieval.labels import CorpusState, corpus_state
from retrieval.layers import Layer, whole
from retrieval.quarantine import Quarantine
from retrieval.ranking import Ranking, rank
from retrieval.segment_files import IndexFiles, PurgedError
from retrieval.segments import Rows, Vectors
from retrieval.sessions import batched
from retrieval.tables import DocumentRow, PassageRow
from retrieval.terms import term_counts, terms

_log = logging.getLogger(__name__)

_BATCH_PASSAGES = 20_000
"""So many entries are Python objects at a time while the database is read."""
_STALE_PASSAGES = 2_000
_STALE_SHARE = 0.1
"""Parts are merged when more passages than both of these are dead or came since."""
_RETRY_SECONDS = 300.0
"""After a merge that failed, for want of room for example."""
_NOTHING = CorpusState(-1, "")


class _Snapshot(NamedTuple):
    """What a search sees. Parts beyond the first came later."""

    state: CorpusState
    layers: tuple[Layer, ...]


class _Document(NamedTuple):
    """A document as the index needs it."""

    id: str
    title: str
    deleted: bool


class PassageIndex:
    """Every passage, searchable within a set of labels. Safe across threads; a search never waits for a change."""

    def __init__(
        self,
        database: Engine,
        dimensions: int,
        embedder: str,
        files: IndexFiles | None = None,
        quarantine: Quarantine | None = None,
        changes: Changes | None = None,
        vectors_of: str = "",
    ) -> None:
        self._database = database
        self._vectors_of = vectors_of
        self._changes = changes or Changes(database)
        self._dimensions = dimensions
        self._quarantine = quarantine or Quarantine()
        self._made_with = f"{embedder}/{self._quarantine.name}"
        self._files = files
        self._snapshot = _Snapshot(_NOTHING, ())
        self._changing = threading.RLock()  # Held while a snapshot is made from the one before it.
        self._merging = threading.Lock()  # Held while layers are merged, which takes long.
        self._merged: frozenset[int] = frozenset()  # Identities of the segments that are being merged.
        self._not_before = 0.0
        self._generation = self._files_generation()

    def search(
        self, question: str, vector: Vectors, label_ids: Collection[int], among: Collection[str] | None = None
    ) -> Ranking:
        """The best passages of these labels, best first; `among` narrows to documents by id.

        The result is a function of the question and of the passages these labels hold, and of nothing else.
        """
        return rank(self._snapshot.layers, terms(question), vector[0], label_ids, among)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What a search of now looks into."""
        return self._snapshot.layers

    def refresh(self) -> int:
        """Take in what changed in the database since the last time; returns the epoch the index now shows.

        Raises:
            IndexUnusableError: The stored vectors were made by another embedder.
        """
        state = self._changes.marks().corpus
        epoch = state.epoch if state == self._snapshot.state else self._take_in()
        if self._wants_merge() and time.monotonic() >= self._not_before:
            self._not_before = time.monotonic() + 1
            threading.Thread(target=self._merge_quietly, name="index-merge", daemon=True).start()
        return epoch

    def _wants_merge(self) -> bool:
        """Whether merging pays, or must be because what is dead is to be nowhere any more."""
        return _is_due(self._snapshot.layers) or self._files_generation() != self._generation

    def _files_generation(self) -> str:
        return self._files.generation if self._files else ""

    def _take_in(self) -> int:
        # The session begins once it is our turn: what others took in meanwhile must not look undone.
        with self._changing, Session(self._database) as session:
            state, (shown, layers) = corpus_state(session), self._snapshot
            if state == shown:
                return state.epoch
            if state.epoch <= shown.epoch:  # The database was replaced by one that went another way.
                shown, layers = _NOTHING, ()
            changed = _documents(session, since=shown.epoch)
            layers = tuple(left for layer in layers if len(left := layer.without_documents(changed)))
            living = {id_: row for id_, row in changed.items() if not row.deleted}
            entries = _entries(session, living, self._quarantine, self._vectors_of, self._dimensions)
            while batch := list(islice(entries, _BATCH_PASSAGES)):
                layers = self._with(layers, whole(segment_of(batch, self._dimensions)))
            self._snapshot = _Snapshot(state, layers)
            return state.epoch

    def _with(self, layers: tuple[Layer, ...], new: Layer) -> tuple[Layer, ...]:
        """The layers and a new one. Small neighbours are merged, so that there are never many; the first stays."""
        *older, last = [*layers, new]
        while len(older) > 1 and len(older[-1]) < 2 * len(last) and id(older[-1].segment) not in self._merged:
            last = whole(merge([older.pop(), last], self._dimensions).segment)
        return (*older, last)

    def merge(self) -> None:
        """Make one layer of all, without what is dead; on disk if there is a place for it. Searches go on meanwhile.

        Raises:
            OSError: There is no room for it; everything is as before.
        """
        with self._merging:
            self._merge_all()

    def _merge_all(self) -> None:
        generation = self._files_generation()
        if generation != self._generation:
            self._take_in()  # What was purged is dead from now on, and so in nothing that is merged.
        try:
            with self._changing:
                layers = self._snapshot.layers
                self._merged = frozenset(id(layer.segment) for layer in layers)
            if layers:
                self._put_in_place(layers, *self._merge(layers, generation), generation)
            else:
                self._generation = generation
        finally:
            self._merged = frozenset()

    def _merge(self, layers: Sequence[Layer], generation: str) -> tuple[Layer, Merged]:
        if self._files is None:
            merged = merge(layers, self._dimensions)
            return whole(merged.segment), merged
        with self._files.current(generation), self._files.new_segment() as new:
            merged = merge(layers, self._dimensions, new.allocate)
            return whole(self._files.finish(new, merged.segment.shape)), merged

    def _put_in_place(self, before: Sequence[Layer], layer: Layer, merged: Merged, generation: str) -> None:
        with self._changing:
            self._generation = generation
            state, now = self._snapshot
            left = {id(layer.segment): layer for layer in now}
            for old, new_rows in zip(before, merged.new_rows, strict=True):
                layer = layer.without_rows(_died(left.pop(id(old.segment), None), new_rows))
            layers = tuple(each for each in (layer, *left.values()) if len(each))
            self._snapshot = _Snapshot(state, layers)
        self._write()

    def _write(self) -> None:
        """Keep the snapshot, unless the database has gone on: another process may have kept a newer one."""
        state, layers = self._snapshot
        with Session(self._database) as session:
            if self._files is not None and corpus_state(session) == state:
                self._files.write(state, self._made_with, self._dimensions, layers, self._generation)

    def _merge_quietly(self) -> None:
        """In the background: what fails is tried again later, and costs only room and time meanwhile."""
        if not self._merging.acquire(blocking=False):
            return
        try:
            self._merge_all()
        except PurgedError:
            _log.info("index_purged; it is merged again")
        except (OSError, MemoryError) as error:
            self._not_before = time.monotonic() + _RETRY_SECONDS
            _log.warning("index_merge_failed reason=%s", error)
        finally:
            self._merging.release()

    def save(self) -> None:
        """Keep the index for the next start; only a process with the key can write one that is read.

        Raises:
            OSError: There is no room for it; the one kept before is left.
        """
        if self._wants_merge():
            self.merge()
        else:
            self._write()

    def restore(self, ancestor: CorpusState | None = None) -> bool:
        """Read what `save` wrote; false, with the index empty, unless the key vouches for it and it is of today.

        It may also be of `ancestor`, a state that this process has seen the database in; `refresh` takes in the rest.
        """
        generation = self._files_generation()
        with self._changing, Session(self._database) as session:
            self._generation = generation
            states = {corpus_state(session)} | ({ancestor} if ancestor else set())
            kept = self._files.read(states, self._made_with, self._dimensions) if self._files else None
            self._snapshot = _Snapshot(_NOTHING, ()) if kept is None else _Snapshot(kept[0], tuple(kept[1]))
            return kept is not None

    def rebuild(self) -> int:
        """Forget everything and read the database anew; returns the number of passages."""
        generation = self._files_generation()
        with self._changing:
            self._snapshot, self._generation = _Snapshot(_NOTHING, ()), generation
            self._take_in()
            return len(self)

    def __len__(self) -> int:
        return sum(map(len, self._snapshot.layers))


def _is_due(layers: Sequence[Layer]) -> bool:
    """Whether so much is dead, or came since the first layer, that merging pays."""
    rows, living = sum(len(layer.segment) for layer in layers), sum(map(len, layers))
    stale = rows - len(layers[0]) if layers else 0
    return stale > max(_STALE_PASSAGES, _STALE_SHARE * living)


def _died(now: Layer | None, new_rows: Rows) -> Rows:
    """Where in the merged segment those passages stand that died while it was made."""
    if now is None:
        return new_rows[new_rows >= 0]
    if now.dead is None:
        return new_rows[:0]
    moved = new_rows[now.dead]
    return moved[moved >= 0]


def _documents(session: Session, since: int) -> dict[str, _Document]:
    query = select(DocumentRow.id, DocumentRow.title, DocumentRow.deleted)
    return {row[0]: _Document(*row) for row in session.exec(query.where(col(DocumentRow.epoch) > since))}


def _entries(
    session: Session, documents: Mapping[str, _Document], quarantine: Quarantine, embedder: str, dimensions: int
) -> Iterator[Entry]:
    """The passages of documents that may be found, in batches that SQLite takes as parameters.

    A passage that lacks a vector of this embedder, since another one is in use by now, is found by its words alone.
    """
    vector = vector_of(embedder, use_of(session) if embedder else None)
    nothing = bytes(4 * dimensions)
    wanted = (
        PassageRow.document_id, PassageRow.ordinal, PassageRow.label_id, PassageRow.heading, PassageRow.text,
        PassageRow.flags, PassageRow.released,
    )  # fmt: skip
    query = select(PassageRow, vector).options(load_only(*wanted))  # type: ignore[arg-type]
    for some in batched(list(documents)):
        for row, found in session.exec(query.where(col(PassageRow.document_id).in_(some))):
            document = documents[row.document_id]
            if quarantine.holds(row.flags, released=row.released):
                continue
            counts = term_counts(index_text(document.title, row.heading, row.text))
            yield Entry(row.id or 0, document.id, row.ordinal, row.label_id, counts, found or nothing)
