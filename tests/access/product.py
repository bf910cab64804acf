"""The product as these tests set it up. A changed constructor is one edit here.

Storage, ingestion, index, Cedar and trail are real; the models are fakes. Writes are not synced to disk: what
survives a power cut is not the subject.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import faiss
from sqlalchemy import Engine, event
from sqlmodel import Session, select

from connectors.contract import Delete, Upsert
from gateway.config import Home
from gateway.database import open_database
from gateway.identity.freshness import Freshness
from gateway.identity.store import UserRow
from gateway.identity.users import Users
from gateway.installation import create_home
from gateway.services import Services
from gateway.sources.service import Sources
from models.engine import Engine as Model
from policies.authorizer import Authorizer, RequestContext
from policies.clock import SteadyClock
from policies.filters import AccessFilter, AccessFilters
from policies.groups import effective_groups
from policies.labels import Classification, Label
from policies.principals import Principal, Role
from retrieval.index import PassageIndex
from retrieval.ingestion import Ingestion
from retrieval.retriever import Found, FoundPassage, Narrowing, Retriever
from retrieval.segment_files import IndexFiles
from retrieval.sessions import writing
from retrieval.tables import SourceRow
from tests.access.oracle import Document, Nesting, Person
from tests.access.worlds import Query
from tests.fakes.hash_embedder import HashEmbedder
from tests.fakes.parsers import parser_here
from tests.fakes.patterns import PatternRedactor
from tests.fakes.sources import ListConnector, NothingPersonal

# Threads are started and joined for each label of each search; with a few passages a label, that is all of the time.
faiss.omp_set_num_threads(1)

KEY = b"k" * 32
CLOCK = SteadyClock()
FRESH = Freshness(timedelta(hours=2), CLOCK)
EMPLOYEE = frozenset({Role.EMPLOYEE})
SEEN = tuple(each.name for each in fields(FoundPassage) if each.name not in {"passage_id", "label"})
"""Fields of a found passage but those that no reader is ever shown."""


class QuietRecorder:
    """Takes every event and keeps none: here the trail is not the subject."""

    def record_now(self, _event: object) -> None:
        """Nothing is kept."""

    def introduce(self, _names: object) -> None:
        """Nobody is called anything."""


@dataclass
class Corpus:
    """One database with what is ingested into it; its workers each have an index and filters of their own."""

    folder: Path
    database: Engine
    ingestion: Ingestion
    users: Users
    sources: Sources
    _pending: dict[str, list[Any]] = field(default_factory=dict)

    def load(self, documents: Iterable[Document]) -> None:
        """Read these documents as their sources yield them, in this order, a run for each source."""
        by_source: dict[str, list[Document]] = {}
        for document in documents:
            by_source.setdefault(document.source, []).append(document)
        for source, own in by_source.items():
            self.sync(source, *map(upsert, own))

    def sync(self, source: str, *changes: Upsert | Delete) -> None:
        self.add_source(source)
        self.ingestion.sync(source, ListConnector(*changes))

    def add_source(self, source: str) -> None:
        add_source(self.database, source)

    def remove_source(self, source: str) -> None:
        self.sources.remove(source, self.ingestion, by="test")

    def worker(self, authorizer: Authorizer | None = None, filters: AccessFilters | None = None) -> Retriever:
        """Another process's view of the database; others stand in for its guards where a test breaks them."""
        authorizer = authorizer or shipped_policies()
        embedder: Any = HashEmbedder()
        index = PassageIndex(self.database, embedder.dimensions, embedder.id)
        return Retriever(self.database, index, embedder, authorizer, filters or AccessFilters(authorizer))

    def close(self) -> None:
        self.database.dispose()

    def remove(self) -> None:
        """Close it and delete its files: thousands are made."""
        self.close()
        shutil.rmtree(self.folder)


def new_corpus(folder: Path) -> Corpus:
    """A corpus on a database of its own."""
    database = relaxed(open_database(empty_database(folder)))
    embedder: Any = HashEmbedder()
    redactor: Any = NothingPersonal()
    recorder: Any = QuietRecorder()
    ingestion = Ingestion(database, embedder, redactor, KEY, folder / "locks", parser_here)
    return Corpus(folder, database, ingestion, Users(database, recorder, FRESH), Sources(database, recorder, CLOCK))


def reopened(corpus: Corpus) -> Corpus:
    """The same database as another process opens it."""
    database = relaxed(open_database(corpus.folder / "muniment.db"))
    embedder: Any = HashEmbedder()
    redactor: Any = NothingPersonal()
    recorder: Any = QuietRecorder()
    ingestion = Ingestion(database, embedder, redactor, KEY, corpus.folder / "locks", parser_here)
    return Corpus(
        corpus.folder, database, ingestion, Users(database, recorder, FRESH), Sources(database, recorder, CLOCK)
    )


def empty_database(folder: Path) -> Path:
    """A migrated database without rows: migrated once, then copied, which saves most of the time of a small world."""
    path = folder / "muniment.db"
    folder.mkdir(parents=True)
    made = folder.parent / "empty.db"
    if not made.exists():
        open_database(made).dispose()
    shutil.copyfile(made, path)
    return path


def relaxed(database: Engine) -> Engine:
    """The database without waiting for the disk."""
    event.listen(database, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    database.dispose()
    return database


@lru_cache
def shipped_policies() -> Authorizer:
    return Authorizer.load()


def add_source(database: Engine, source: str) -> None:
    """A configured source, if there is none of this name."""
    with writing(database) as session:
        if session.get(SourceRow, source) is None:
            session.add(SourceRow(name=source, type="folder", settings="{}"))
            session.commit()


def label_of(document: Document) -> Label:
    return Label(
        document.allow_groups,
        document.allow_users,
        document.deny_groups,
        document.deny_users,
        Classification(document.classification),
    )


def upsert(document: Document) -> Upsert:
    return Upsert(
        id=document.name,
        path=path_of(document),
        content=document.text.encode(),
        media_type="text/plain",
        label=label_of(document),
        title=document.title,
        modified=document.modified,
    )


def path_of(document: Document) -> str:
    return f"{document.source}/{document.name}.txt"


def principal_of(person: Person, nesting: Nesting) -> Principal:
    parents = {group: tuple(above) for group, above in nesting.items()}
    return Principal(person.id, effective_groups(person.groups, parents), active=person.active)


def narrowing_of(query: Query) -> Narrowing | None:
    if query.sources is None and query.after is None and query.before is None:
        return None
    return Narrowing(query.sources, query.after, query.before)


def search(worker: Retriever, principal: Principal, query: Query) -> Found:
    """As the gateway does it: access first, then the search."""
    return search_with(worker, worker.access(principal, RequestContext()), query)


def search_with(worker: Retriever, access: AccessFilter, query: Query) -> Found:
    return worker.search(query.text, access, query.limit, narrowing_of(query))


def rebuild_index(worker: Retriever) -> None:
    worker._index.rebuild()


def merge_index(worker: Retriever) -> None:
    worker._index.merge()


def save_index(worker: Retriever, folder: Path) -> None:
    worker._index._files = IndexFiles(folder, KEY)
    worker._index.refresh()
    worker._index.save()


def restore_index(worker: Retriever, folder: Path) -> None:
    """As a process does when it starts: the files if they will do, else the database."""
    worker._index._files = IndexFiles(folder, KEY)
    if not worker._index.restore():
        worker._index.rebuild()


def seen(passages: Iterable[FoundPassage]) -> list[dict[str, Any]]:
    """All that a reader can observe of passages, scores to 4 decimals."""
    return [{name: rounded(getattr(passage, name)) for name in SEEN} for passage in passages]


def rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


# Whole installations, for what is asked over HTTP and through services.


def make_home(folder: Path, people: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """An installation with users and without documents; returns the API key of each user."""
    home = Home(folder)
    create_home(home, by="test")
    # One installation is asked the same before and after a change, and what it remembers of its own shows in the usage.
    home.config_file.write_text("[audit]\ndeadline_seconds = 60\n[answers]\nremembered_seconds = 0\n")
    with open_home(folder) as services:
        services.users.add({user: frozenset(groups) for user, groups in people.items()}, EMPLOYEE, by="test")
        keys = {user: services.users.create_key(user, by="test")[1] for user in people}
    (folder / "api-keys.json").write_text(json.dumps(keys))
    return keys


def open_home(folder: Path, model: Model | None = None) -> Services:
    """The services of an installation, with fakes where models would be."""
    services: Any = Services(Home(folder))
    services.embedder = HashEmbedder()
    services.new_parser = parser_here
    services.redactor = PatternRedactor()
    if model is not None:
        services.engine = model
    opened: Services = services
    relaxed(opened.database)
    return opened


def ingest(services: Services, source: str, *changes: Upsert | Delete) -> None:
    add_source(services.database, source)
    services.ingestion.sync(source, ListConnector(*changes))


def enable(database: Engine, user: str) -> None:
    """Let a disabled user in again; the product has no command for it."""
    with writing(database) as session:
        row = session.exec(select(UserRow).where(UserRow.id == user)).one()
        row.active = True
        session.add(row)
        session.commit()


def session_of(database: Engine) -> Session:
    return Session(database)
