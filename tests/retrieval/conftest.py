"""A corpus on real SQLite, FAISS and Cedar, with words for vectors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from connectors.contract import Connector, Delete, Upsert
from gateway.database import open_database
from policies.authorizer import Authorizer, RequestContext
from policies.filters import AccessFilters
from policies.principals import Principal
from retrieval.index import PassageIndex
from retrieval.ingestion import Ingestion, SyncReport
from retrieval.retriever import Found, Narrowing, Retriever
from retrieval.segment_files import IndexFiles
from retrieval.sessions import writing
from retrieval.tables import SourceRow
from tests.fakes.hash_embedder import HashEmbedder
from tests.fakes.parsers import parser_here
from tests.fakes.sources import ListConnector, NothingPersonal

KEY = b"k" * 32


@dataclass
class Corpus:
    """Everything between a connector and a found passage."""

    database: Engine
    index: PassageIndex
    ingestion: Ingestion
    retriever: Retriever
    files: Path

    def another_index(self, key: bytes = KEY) -> PassageIndex:
        """What another process, or the next start, has."""
        return PassageIndex(self.database, 32, "hash-embedder", IndexFiles(self.files, key))

    def sync(self, *changes: Upsert | Delete) -> SyncReport:
        return self.sync_from(ListConnector(*changes))

    def sync_from(self, connector: Connector) -> SyncReport:
        return self.ingestion.sync("pages", connector)

    def search(self, question: str, principal: Principal, limit: int = 10, narrowing: Narrowing | None = None) -> Found:
        return self.retriever.search(question, self.retriever.access(principal, RequestContext()), limit, narrowing)


@pytest.fixture(scope="session")
def authorizer() -> Authorizer:
    return Authorizer.load()


@pytest.fixture
def make_corpus(tmp_path: Path, authorizer: Authorizer) -> Iterator[Callable[[], Corpus]]:
    made: list[Corpus] = []

    def make() -> Corpus:
        folder = tmp_path / str(len(made))
        database = open_database(folder / "muniment.db")
        with writing(database) as session:
            session.add(SourceRow(name="pages", type="list", settings="{}"))
            session.commit()
        embedder = HashEmbedder()
        index = PassageIndex(database, embedder.dimensions, embedder.id, IndexFiles(folder / "index", KEY))
        ingestion = Ingestion(database, embedder, NothingPersonal(), KEY, folder / "locks", parser_here)
        retriever = Retriever(database, index, embedder, authorizer, AccessFilters(authorizer))
        made.append(Corpus(database, index, ingestion, retriever, folder / "index"))
        return made[-1]

    yield make
    for corpus in made:
        corpus.database.dispose()


@pytest.fixture
def corpus(make_corpus: Callable[[], Corpus]) -> Corpus:
    return make_corpus()
