"""Measure whether the right page is found, and what a model is given to read of it.

Two corpora: the handbook, each question asked as one of its readers, and paragraphs of an encyclopaedia, which nothing
here was made for. The product's own ingestion and retriever work on a database of their own; personal data is not
looked for, which changes nothing that is searched. Compared are the retriever with `retrieval.rerank` off and on, and
what a model is given to read: eight whole passages of the plain ranking, four, and excerpts of the reranked.
"""

import json
import os
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _machine import about_this_run, model_folder, shared_folder, write_result
from sqlmodel import Session, func, select

from connectors.access import load_access
from connectors.contract import Change, Checkpoint, Connector, Upsert
from connectors.folder.connector import FolderConnector, FolderOptions
from gateway.chat import prompt
from gateway.chat.passages import cut
from gateway.config import AnswerOptions
from gateway.database import open_database
from gateway.evaluation.access import read_access
from gateway.evaluation.questions import load_questions
from gateway.evaluation.scoring import first_rank, states
from models.embedder import Embedder
from policies.authorizer import Authorizer, RequestContext
from policies.filters import AccessFilters
from policies.labels import Label
from policies.personal_data import KnownTypes, Span
from policies.principals import Principal
from retrieval.index import PassageIndex
from retrieval.ingestion import Ingestion
from retrieval.options import RetrievalOptions
from retrieval.parsing import ParsedDocument, parse
from retrieval.retriever import Found, FoundPassage, Retriever
from retrieval.sessions import writing
from retrieval.tables import PassageRow, SourceRow

EMBEDDER = "all-minilm-l6-v2"
DEEP = 100
SEARCHED = 12
DEPTHS = (1, 5, 10)
RESAMPLES = 10_000
PARAGRAPH_QUESTIONS = 300
EVERYBODY = Label(frozenset({"everyone"}))


@dataclass(frozen=True)
class Asked:
    """A question, who asks it, the paths of the pages that answer it, and what an answer has to say."""

    text: str
    principal: Principal
    pages: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]


class NothingPersonal:
    """Finds nothing."""

    types = KnownTypes()

    def load(self) -> None:
        """There is nothing to load."""

    def find(self, _text: str) -> list[Span]:
        """Nothing."""
        return []

    def find_many(self, texts: Sequence[str]) -> list[list[Span]]:
        """Nothing in any of them."""
        return [[] for _ in texts]

    def recognise(self, texts: Sequence[str]) -> list[list[Span]]:
        """Nothing in any of them."""
        return [[] for _ in texts]


class ParserHere:
    """Parses in this process."""

    def parse(self, content: bytes, media_type: str, path: str) -> ParsedDocument:
        """See `retrieval.parsing.parse`."""
        return parse(content, media_type, path)


class Paragraphs:
    """Each paragraph a document that everybody may read."""

    def __init__(self, articles: list[Any]) -> None:
        self._articles = articles

    def check(self) -> None:
        """It is readable."""

    def changes(self, since: str | None) -> Iterator[Change]:
        """All of them, once."""
        for article in self._articles if since is None else ():
            title = article["title"].replace("_", " ")
            for number, paragraph in enumerate(article["paragraphs"]):
                path, content = paragraph_path(article, number), paragraph["context"].encode()
                yield Upsert(path, path, content, "text/plain", EVERYBODY, title=title)
        yield Checkpoint("read")


def paragraph_path(article: Any, number: int) -> str:
    """Where a paragraph stands in its source."""
    return f"{article['title']}/{number}.txt"


def main() -> None:
    corpora = shared_folder() / "corpora"
    embedder = Embedder(model_folder(EMBEDDER))
    embedder.load()
    result = about_this_run(["sentence-transformers", "numpy"])
    rules = load_access(corpora / "acl.json")
    handbook = FolderConnector(FolderOptions(str(corpora / "handbook")), rules)
    paragraphs = json.loads((corpora / "squad-dev.json").read_text(encoding="utf-8"))["data"]
    result["sets"] = {
        "handbook": measured(embedder, handbook, handbook_questions(corpora)),
        "paragraphs": measured(embedder, Paragraphs(paragraphs), paragraph_questions(paragraphs)),
    }
    result["load_after"] = os.getloadavg()
    write_result("quality-retrieval", result)


def handbook_questions(corpora: Path) -> list[Asked]:
    """Those that stand alone, each asked as the first user who may read an answer."""
    access = read_access(corpora / "acl.json")
    questions = load_questions(corpora / "dev-qa.jsonl")
    alone = [question for question in questions if question.answerable and not question.history]
    readers = [access.first_reader(question.readers) or "" for question in alone]
    return [
        Asked(question.question, Principal(user, access.users[user]), question.pages, question.must_include)
        for question, user in zip(alone, readers, strict=True)
    ]


def paragraph_questions(articles: list[Any]) -> list[Asked]:
    """Some of those that have an answer, always the same."""
    everybody = Principal("reader", frozenset({"everyone"}))
    all_ = [
        Asked(asked["question"], everybody, (paragraph_path(article, number),), ((asked["answers"][0]["text"],),))
        for article in articles
        for number, paragraph in enumerate(article["paragraphs"])
        for asked in paragraph["qas"]
        if not asked["is_impossible"]
    ]
    return random.Random(3).sample(all_, PARAGRAPH_QUESTIONS)


def measured(embedder: Embedder, connector: Connector, questions: Sequence[Asked]) -> dict[str, Any]:
    """Read a corpus, ask everything both ways in turns, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "muniment.db")
        with writing(database) as session:
            session.add(SourceRow(name="pages", type="list", settings="{}"))
            session.commit()
        ingestion = Ingestion(
            database, embedder, NothingPersonal(), bytes(32), Path(folder), lambda: nullcontext(ParserHere())
        )
        ingestion.sync("pages", connector)
        index = PassageIndex(database, embedder.dimensions, embedder.id)
        authorizer = Authorizer.load()
        ways = {
            name: Retriever(
                database, index, embedder, authorizer, AccessFilters(authorizer), options=RetrievalOptions(rerank=on)
            )
            for name, on in (("plain", False), ("reranked", True))
        }
        found: dict[str, list[Found]] = {name: [] for name in ways}
        for question in questions:
            for name, retriever in ways.items():
                access = retriever.access(question.principal, RequestContext())
                found[name].append(retriever.search(question.text, access, DEEP, in_sentences=name == "reranked"))
        with Session(database) as session:
            passages, bytes_ = session.exec(select(func.count(), func.sum(func.length(PassageRow.tokens)))).one()
        database.dispose()
    ranks = {
        name: [rank_of(each, asked) for each, asked in zip(all_, questions, strict=True)]
        for name, all_ in found.items()
    }
    return {
        "passages": passages,
        "questions": len(questions),
        "token_bytes_per_passage": round(bytes_ / passages),
        "page_found": {name: shares(own) for name, own in ranks.items()},
        "read": {
            name: reading(embedder, prompts, questions)
            for name, prompts in {
                "plain, eight passages": [each.passages[:8] for each in found["plain"]],
                "plain, four passages": [each.passages[:4] for each in found["plain"]],
                "reranked, four passages": [each.passages[:4] for each in found["reranked"]],
                "reranked, excerpts": [excerpts(each) for each in found["reranked"]],
            }.items()
        },
        "gain": gains(ranks["plain"], ranks["reranked"]),
    }


def excerpts(found: Found) -> list[FoundPassage]:
    """What `Chats` makes an answer from."""
    options = AnswerOptions()
    return cut(found.passages[:SEARCHED], options.passages, options.passage_tokens)


def reading(
    embedder: Embedder, prompts: Sequence[Sequence[FoundPassage]], questions: Sequence[Asked]
) -> dict[str, Any]:
    """How many tokens a prompt takes, and how often its passages say what an answer has to say."""
    tokens, held = [], []
    for passages, asked in zip(prompts, questions, strict=True):
        told = [prompt.PromptPassage(each.title, each.heading, "2026-01-01", each.text) for each in passages]
        turns = prompt.answer_turns(prompt.context_of(told, bytes(32)), "", asked.text, "two sentences")
        tokens.append(embedder.count_tokens("".join(part for turn in turns for part in turn.parts)))
        held.append(float(states("\n".join(each.text for each in passages), asked.keys)))
    return {"prompt_tokens": round(statistics.fmean(tokens)), "answer_recall": interval(held)}


def rank_of(found: Found, asked: Asked) -> int | None:
    """The rank of the first right page."""
    return first_rank([passage.path for passage in found.passages], asked.pages)


def shares(ranks: Sequence[int | None]) -> dict[str, Any]:
    """How often a right page was among the first so many, and the mean reciprocal rank, with 95 % intervals."""
    return {key: interval([value(rank) for rank in ranks]) for key, value in VALUES.items()}


def gains(before: Sequence[int | None], after: Sequence[int | None]) -> dict[str, Any]:
    """The same of the differences, question by question."""
    return {
        key: interval([value(new) - value(old) for old, new in zip(before, after, strict=True)])
        for key, value in VALUES.items()
    }


def within(depth: int, rank: int | None) -> float:
    """1 where the rank is at most so deep."""
    return float(rank is not None and rank <= depth)


VALUES: dict[str, Callable[[int | None], float]] = {
    **{f"top_{depth}": partial(within, depth) for depth in DEPTHS},
    "reciprocal_rank": lambda rank: 1 / rank if rank else 0.0,
}


def interval(values: Sequence[float]) -> dict[str, float]:
    """A mean with its bootstrap interval."""
    chosen = np.random.default_rng(1).integers(len(values), size=(RESAMPLES, len(values)))
    means = np.array(values)[chosen].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"mean": round(statistics.fmean(values), 3), "low": round(float(low), 3), "high": round(float(high), 3)}


if __name__ == "__main__":
    main()
