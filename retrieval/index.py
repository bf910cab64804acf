"""The index in memory: vectors and keywords of every passage, kept in step with the database by epoch.

Rows in SQL are the truth. A file beside them only saves time at start: it is read when its MAC is right, since a file
somebody else wrote could make search return anything, and otherwise it is as if it were not there.
"""

import hashlib
import hmac
import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from retrieval.chunks import index_text
from retrieval.errors import IndexUnusableError
from retrieval.files import write_atomically
from retrieval.fusion import fuse
from retrieval.keywords import KeywordIndex
from retrieval.labels import CorpusState, corpus_state
from retrieval.tables import DocumentRow, PassageRow
from retrieval.terms import term_counts, terms
from retrieval.vectors import VectorIndex, Vectors

_log = logging.getLogger(__name__)
_CANDIDATES = 50
"""How many passages each ranking brings to the fusion."""
_KEYWORD_WEIGHT = 0.4
"""Of the keyword score against the similarity; from 0.35 to 0.5 nothing changes on the handbook (`docs/quality.md`)."""
_DECIMALS = 6
"""Equal texts must tie, whatever the last bits of a sum say."""
_FORMAT = b"muniment-index-1"
_MAC_BYTES = 32


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    """What the index keeps of a passage; `document` and `ordinal` order passages that score the same."""

    id: int
    document: str
    ordinal: int
    label: int
    counts: dict[str, int]
    vector: bytes


class _Snapshot(msgspec.Struct, array_like=True, frozen=True):
    state: CorpusState
    embedder: str
    entries: list[_Entry]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage the index proposes, before the second check.

    `score` orders candidates; `similarity` is the cosine to the question, `keyword_score` its BM25 score.
    """

    passage_id: int
    score: float
    similarity: float
    keyword_score: float


class PassageIndex:
    """Every passage, searchable within a set of labels. Safe across threads."""

    def __init__(self, database: Engine, dimensions: int, embedder: str) -> None:
        self._database = database
        self._dimensions = dimensions
        self._embedder = embedder
        self._lock = threading.RLock()
        self._clear()

    def _clear(self) -> None:
        self._state = CorpusState(-1, "")
        self._vectors = VectorIndex(self._dimensions)
        self._keywords = KeywordIndex()
        self._entries: dict[int, _Entry] = {}
        self._of_document: defaultdict[str, list[int]] = defaultdict(list)

    def search(
        self, question: str, vector: Vectors, label_ids: Collection[int], among: Collection[str] | None = None
    ) -> list[Candidate]:
        """The best passages of these labels, best first; `among` narrows to documents by id.

        The result is a function of the question and of the passages these labels hold, and of nothing else.
        """
        with self._lock:
            allowed = (
                None if among is None else {id_ for document in among for id_ in self._of_document.get(document, ())}
            )
            similar = dict(
                self._vectors.search(vector, label_ids, _CANDIDATES if allowed is None else len(self._entries))
            )
            matching = self._keywords.search(terms(question), label_ids)
            proposed = {*self._ranked(similar, allowed), *self._ranked(matching, allowed)}
            near = {id_: round(self._similarity(id_, similar, vector), _DECIMALS) for id_ in proposed}
            worded = {id_: round(matching.get(id_, 0.0), _DECIMALS) for id_ in proposed}
            fused = fuse(near, worded, _KEYWORD_WEIGHT)
            return [
                Candidate(id_, fused[id_], near[id_], worded[id_])
                for id_ in sorted(fused, key=lambda id_: (-fused[id_], *self._order(id_)))
            ]

    def _ranked(self, scores: dict[int, float], allowed: set[int] | None) -> tuple[int, ...]:
        ids = scores if allowed is None else scores.keys() & allowed
        return tuple(sorted(ids, key=lambda id_: (-round(scores[id_], _DECIMALS), *self._order(id_)))[:_CANDIDATES])

    def _order(self, passage_id: int) -> tuple[str, int]:
        entry = self._entries[passage_id]
        return entry.document, entry.ordinal

    def _similarity(self, passage_id: int, similar: dict[int, float], vector: Vectors) -> float:
        if passage_id in similar:
            return similar[passage_id]
        return float(np.frombuffer(self._entries[passage_id].vector, dtype=np.float32) @ vector[0])

    def refresh(self) -> int:
        """Take in what changed in the database since the last time; returns the epoch the index now shows."""
        with self._lock, Session(self._database) as session:
            state = corpus_state(session)
            if state != self._state:
                changed = session.exec(select(DocumentRow).where(col(DocumentRow.epoch) > self._state.epoch)).all()
                self._drop(row.id for row in changed)
                self._load(session, {row.id: row for row in changed if not row.deleted})
                self._state = state
            return state.epoch

    def _load(self, session: Session, documents: dict[str, DocumentRow]) -> None:
        chosen = list(documents)
        for start in range(0, len(chosen), 500):  # SQLite takes a limited number of parameters.
            rows = session.exec(select(PassageRow).where(col(PassageRow.document_id).in_(chosen[start : start + 500])))
            self._add(_entry(row, documents[row.document_id]) for row in rows)

    def _add(self, entries: Iterable[_Entry]) -> None:
        by_label: defaultdict[int, list[_Entry]] = defaultdict(list)
        for entry in entries:
            by_label[entry.label].append(entry)
            self._entries[entry.id] = entry
            self._of_document[entry.document].append(entry.id)
            self._keywords.add(entry.label, entry.id, entry.counts)
        for label_id, group in by_label.items():
            self._vectors.add(label_id, [entry.id for entry in group], self._matrix(group))

    def _matrix(self, entries: list[_Entry]) -> Vectors:
        matrix = np.frombuffer(b"".join(entry.vector for entry in entries), dtype=np.float32)
        try:
            return matrix.reshape(len(entries), self._dimensions)
        except ValueError as error:
            message = (
                f"The stored vectors do not have {self._dimensions} dimensions: they were made by another embedder. "
                "Run `muniment index rebuild`."
            )
            raise IndexUnusableError(message) from error

    def _drop(self, documents: Iterable[str]) -> None:
        gone: defaultdict[int, list[int]] = defaultdict(list)
        for document in documents:
            for passage_id in self._of_document.pop(document, ()):
                entry = self._entries.pop(passage_id)
                self._keywords.remove(entry.label, entry.id, entry.counts)
                gone[entry.label].append(passage_id)
        for label_id, passage_ids in gone.items():
            self._vectors.remove(label_id, passage_ids)

    def save(self, path: Path, mac_key: bytes) -> None:
        """Write the index to a file for the next start; only a process with the key can write one that is read."""
        with self._lock:
            payload = msgspec.msgpack.encode(_Snapshot(self._state, self._embedder, list(self._entries.values())))
        write_atomically(path, _FORMAT + _mac(mac_key, payload) + payload)

    def restore(self, path: Path, mac_key: bytes) -> bool:
        """Read what `save` wrote; false, with the index empty, unless this key vouches for it and it is of today."""
        with self._lock:
            self._clear()
            snapshot = _read_snapshot(path, mac_key)
            with Session(self._database) as session:
                wanted = (corpus_state(session), self._embedder)
            if snapshot is None or (snapshot.state, snapshot.embedder) != wanted:
                return False
            self._add(snapshot.entries)
            self._state = snapshot.state
            return True

    def rebuild(self) -> int:
        """Forget everything and read the database anew; returns the number of passages."""
        with self._lock:
            self._clear()
            self.refresh()
            return len(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _entry(row: PassageRow, document: DocumentRow) -> _Entry:
    counts = term_counts(index_text(document.title, row.heading, row.text))
    return _Entry(row.id or 0, document.id, row.ordinal, row.label_id, counts, row.vector)


def is_authentic(path: Path, mac_key: bytes) -> bool:
    """Whether an index file is one this key vouches for."""
    return _read_snapshot(path, mac_key) is not None


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, _FORMAT + payload, hashlib.sha256)


def _read_snapshot(path: Path, mac_key: bytes) -> _Snapshot | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    mac, payload = content[len(_FORMAT) :][:_MAC_BYTES], content[len(_FORMAT) + _MAC_BYTES :]
    if not content.startswith(_FORMAT) or not hmac.compare_digest(mac, _mac(mac_key, payload)):
        _log.warning("index_file_refused path=%s reason=not_authentic; the index is rebuilt from the database", path)
        return None
    return msgspec.msgpack.decode(payload, type=_Snapshot)
