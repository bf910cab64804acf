"""Figure T1: nothing that somebody may not read is found, and all of what they may read that belongs there is.

Random worlds, asked by everybody in them. Each answer is compared with the oracle, with an index of only what that
person may read, and with scores worked out without any index.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from policies.authorizer import Authorizer, RequestContext
from policies.decisions import Decision
from policies.filters import AccessFilter
from policies.labels import Label
from policies.principals import Principal
from retrieval.retriever import Retriever
from tests.access import product
from tests.access.oracle import Document, Person, readable
from tests.access.ranking import exhaustive_scores
from tests.access.worlds import BEGINNING, Query, World, random_query, random_world

QUICK_WORLDS, QUICK_QUERIES = 42, 13
DEEP_WORLDS, DEEP_QUERIES = 510, 36

SEARCHING = RequestContext(purpose="search")
Seen = list[dict[str, Any]]
Ask = Callable[[Principal, Query], Seen]


@dataclass
class Tally:
    """What was asked, and what was wrong with it."""

    worlds: int = 0
    triples: int = 0
    findings: list[str] = field(default_factory=list)
    found: int = 0
    hidden: int = 0

    def wrong(self, kind: str) -> int:
        return sum(finding.startswith(kind) for finding in self.findings)


def judged(got: Seen, private: Seen, allowed: Mapping[str, Document], query: Query) -> Iterator[str]:
    """What is wrong with a result, given that of a private index and the documents one may read, by path."""
    for passage in got:
        path = passage["path"]
        if path not in allowed:
            yield f"forbidden: {path}"
        elif not query.takes(allowed[path]):
            yield f"widened: {path}"
        elif not set(passage["text"].split()) <= set(allowed[path].text.split()):
            yield f"foreign text: {path}"
    for path, count in (paths(private) - paths(got)).items():
        yield f"missing: {path} ({count})"
    if got != private:
        yield "differs: not what an index of only the allowed documents gives"


def paths(found: Seen) -> Counter[str]:
    """How many passages of each document there are."""
    return Counter(passage["path"] for passage in found)


def misranked(got: Seen, allowed: Mapping[str, Document], query: Query) -> Iterator[str]:
    """What is wrong with a result, given scores that were worked out without an index."""
    documents = list(allowed.values())
    best = sorted(exhaustive_scores(query.text, documents, [*filter(query.takes, documents)]), reverse=True)
    scores = [passage["score"] for passage in got]
    if len(scores) != min(query.limit, len(best)):
        yield f"misranked: {len(scores)} of {len(best)} found"
    elif not all(math.isclose(one, other, abs_tol=2e-4) for one, other in zip(scores, best, strict=False)):
        yield f"misranked: scores {scores}, where {best[: query.limit]} were expected"


class Examination:
    """Asks everybody's questions of worlds, and compares."""

    def __init__(self, folder: Path, broken: Callable[[product.Corpus, World], Ask] | None = None) -> None:
        self._folder = folder
        self._broken = broken
        self._made = 0
        self.tally = Tally()

    def examine(self, world: World, queries: int) -> None:
        """Let everybody in a world ask the same questions."""
        chance = random.Random(world.seed + 1)
        asked = [random_query(chance) for _ in range(queries)]
        shared = self._corpus(world.documents)
        ask = self._broken(shared, world) if self._broken else asking(shared.worker())
        privates: dict[frozenset[str], list[Seen]] = {}
        for person in world.people:
            allowed = {product.path_of(each): each for each in readable(person, world.documents, world.nesting)}
            principal, same = product.principal_of(person, world.nesting), frozenset(allowed)
            if same not in privates:
                privates[same] = self._private(principal, allowed, asked)
            for query, private in zip(asked, privates[same], strict=True):
                self._compare(world, person, query, ask(principal, query), private, allowed)
        shared.remove()
        self.tally.worlds += 1

    def _private(self, principal: Principal, allowed: Mapping[str, Document], asked: list[Query]) -> list[Seen]:
        """What an index of only these documents gives to one who may read them all; nothing, when there are none."""
        if not allowed:
            return [[] for _ in asked]
        corpus = self._corpus(allowed.values())
        ask = asking(corpus.worker())
        found = [ask(principal, query) for query in asked]
        corpus.remove()
        return found

    def _compare(
        self, world: World, person: Person, query: Query, got: Seen, private: Seen, allowed: Mapping[str, Document]
    ) -> None:
        findings = [*judged(got, private, allowed, query)]
        if not self._broken and allowed and unambiguous(world.documents):
            findings += misranked(got, allowed, query)
        self.tally.triples += 1
        self.tally.found += len(got)
        self.tally.hidden += len(world.documents) - len(allowed)
        self.tally.findings += [f"{each} [world {world.seed}, {person}, {query}]" for each in findings]

    def _corpus(self, documents: Any) -> product.Corpus:
        self._made += 1
        corpus = product.new_corpus(self._folder / str(self._made))
        corpus.load(documents)
        return corpus


def asking(worker: Retriever) -> Ask:
    """How a worker answers; what somebody may read is asked for once, since nothing changes here."""
    access: dict[Principal, AccessFilter] = {}

    def ask(principal: Principal, query: Query) -> Seen:
        if principal not in access:
            access[principal] = worker.access(principal, SEARCHING)
        return product.seen(product.search_with(worker, access[principal], query).passages)

    return ask


def unambiguous(documents: tuple[Document, ...]) -> bool:
    """Whether each document is one passage, as the long way assumes."""
    return all(len(document.text) < 600 for document in documents)


def examined(folder: Path, worlds: int, queries: int, first: int = 0) -> Tally:
    examination = Examination(folder)
    for seed in range(first, first + worlds):
        examination.examine(random_world(seed), queries)
    return examination.tally


def test_nothing_forbidden_is_found_and_nothing_allowed_is_missing(tmp_path: Path) -> None:
    tally = examined(tmp_path, QUICK_WORLDS, QUICK_QUERIES)
    assert tally.findings == []
    assert tally.worlds >= 40
    assert tally.triples >= 3_000
    assert min(tally.found, tally.hidden) > tally.triples, "there must be something to find and something to hide"


@pytest.mark.deep
@pytest.mark.timeout(7200)
def test_nothing_forbidden_is_found_in_full(tmp_path: Path) -> None:
    tally = examined(tmp_path, DEEP_WORLDS, DEEP_QUERIES, first=1_000)
    assert tally.findings == []
    assert tally.worlds >= 500
    assert tally.triples >= 100_000


class Everything(Authorizer):
    """Says yes to every label."""

    def decide_labels(
        self, principal: Principal, labels: Mapping[int, Label], context: RequestContext = SEARCHING
    ) -> dict[int, Decision]:
        return {number: Decision(allowed=True, reason="") for number in labels}


class NoDenials(Authorizer):
    """Passes over whom a label denies."""

    def decide_labels(
        self, principal: Principal, labels: Mapping[int, Label], context: RequestContext = SEARCHING
    ) -> dict[int, Decision]:
        none: frozenset[str] = frozenset()
        kind = {number: replace(label, deny_groups=none, deny_users=none) for number, label in labels.items()}
        return super().decide_labels(principal, kind, context)


def without_filter(corpus: product.Corpus, _world: World) -> Ask:
    return asking(corpus.worker(Everything.load()))


def without_denials(corpus: product.Corpus, _world: World) -> Ask:
    return asking(corpus.worker(NoDenials.load()))


def filtering_afterwards(corpus: product.Corpus, world: World) -> Ask:
    """Searches everything for the best, and then takes out what may not be read."""
    ask = asking(corpus.worker(Everything.load()))

    def filtered(principal: Principal, query: Query) -> Seen:
        person = Person(principal.id, tuple(principal.groups), principal.active)
        allowed = {product.path_of(each) for each in readable(person, world.documents, {})}
        return [passage for passage in ask(principal, query) if passage["path"] in allowed]

    return filtered


def widening(corpus: product.Corpus, _world: World) -> Ask:
    """Takes what a client narrows to for what it may have."""
    honest, open_ = asking(corpus.worker()), asking(corpus.worker(Everything.load()))
    return lambda principal, query: (open_ if query.sources else honest)(principal, query)


@pytest.mark.parametrize(
    ("broken", "kinds"),
    [
        (without_filter, {"forbidden"}),
        (without_denials, {"forbidden"}),
        (filtering_afterwards, {"missing", "differs"}),
        (widening, {"forbidden"}),
    ],
)
def test_a_retriever_that_filters_wrongly_is_noticed(
    tmp_path: Path, broken: Callable[[product.Corpus, World], Ask], kinds: set[str]
) -> None:
    """Negative controls: each of them is caught, and for what it does wrong."""
    examination = Examination(tmp_path, broken)
    for seed in range(4):
        examination.examine(random_world(seed), 6)
    assert all(examination.tally.wrong(kind) for kind in kinds), examination.tally
    if broken is filtering_afterwards:
        assert not examination.tally.wrong("forbidden")


def test_scores_that_are_off_are_noticed(tmp_path: Path) -> None:
    """Negative control of the scores worked out the long way."""
    world = random_world(3)
    allowed = {product.path_of(each): each for each in world.documents}
    query = Query("salary budget", 5)
    scores = sorted(exhaustive_scores(query.text, world.documents, world.documents), reverse=True)
    right = [{"score": score} for score in scores[:5]]
    assert list(misranked(right, allowed, query)) == []
    assert list(misranked(right[1:], allowed, query))
    assert list(misranked([{"score": score + 0.01} for score in scores[:5]], allowed, query))


@pytest.mark.parametrize("hours", [-11, -2, 0, 2, 14])
def test_a_time_means_the_same_in_every_zone(tmp_path: Path, hours: int) -> None:
    noon = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
    corpus = product.new_corpus(tmp_path / "corpus")
    corpus.load(
        [
            Document(
                "wiki", "before", "hotel laser", allow_groups=frozenset({"staff"}), modified=noon - timedelta(minutes=1)
            ),
            Document("wiki", "after", "hotel laser", allow_groups=frozenset({"staff"}), modified=noon),
        ]
    )
    ask, reader = asking(corpus.worker()), Principal("ada", frozenset({"staff"}))
    there = noon.astimezone(timezone(timedelta(hours=hours)))
    assert [each["path"] for each in ask(reader, Query("hotel", 5, after=there))] == ["wiki/after.txt"]
    assert [each["path"] for each in ask(reader, Query("hotel", 5, before=there))] == ["wiki/before.txt"]
    corpus.close()


def test_the_worlds_hold_what_they_should() -> None:
    """Odd people, cycles, denials that overlap, private documents, twins: over some worlds each is there."""
    worlds = [random_world(seed) for seed in range(60)]
    documents = [document for world in worlds for document in world.documents]
    people = [person for world in worlds for person in world.people]
    assert any(not person.active for person in people)
    assert {"", "áda", "a\u0301da", "staff"} <= {person.id for person in people}
    assert any(document.allow_groups & document.deny_groups for document in documents)
    assert any(not document.allow_groups | document.allow_users for document in documents)
    assert any("ghost" in document.allow_users for document in documents)
    assert any(group in above for world in worlds for group, above in world.nesting.items())
    assert any(document.modified is None for document in documents)
    assert {len(world.documents) for world in worlds} >= {40} or max(len(world.documents) for world in worlds) > 35
    assert all(document.modified is None or document.modified >= BEGINNING for document in documents)
