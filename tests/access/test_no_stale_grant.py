"""Figure T2: a right that was taken away gives nothing from then on, and one that was given works at the next request.

Random interleavings of everything that changes who may read what, on one database with two workers, each with an index
and filters of its own. After each change somebody asks each worker, and gets exactly what the oracle says.
"""

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from connectors.contract import Delete
from gateway.app import create_app
from gateway.cli.program import app as program
from gateway.identity.users import Users
from policies.authorizer import Authorizer
from policies.filters import AccessFilter, AccessFilters
from policies.labels import Label
from policies.principals import Principal, Role
from retrieval.errors import SyncFailedError
from retrieval.retriever import Retriever
from tests.access import product
from tests.access.oracle import Document, Person, may_read
from tests.access.parrot import Parrot
from tests.access.worlds import WORDS, Query, random_label, some
from tests.gateway.conftest import client_of, until_ready

USERS, GROUPS, SOURCES = ["ada", "bo", "cleo"], ["staff", "finance", "legal"], ["mail", "wiki"]
QUICK_INTERLEAVINGS, DEEP_INTERLEAVINGS = 300, 10_000
STEPS = 5
TOGETHER = 10
"""Interleavings that go on from one another on one database."""
LABELS = [random_label(random.Random(seed), USERS, GROUPS) for seed in range(30)]
"""Few, so that a document comes back to a label it had, and two share one; yet often one is seen for the first time."""


@dataclass
class Worker:
    """One process: its own connections, services, index and filters, and an index file from some time ago."""

    corpus: product.Corpus
    retriever: Retriever
    file: Path

    def restart(self, make: Callable[[product.Corpus], Retriever]) -> None:
        self.retriever = make(self.corpus)
        product.restore_index(self.retriever, self.file)


@dataclass
class Truth:
    """What is so, and what was wrong so far."""

    people: dict[str, Person] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)

    def readable(self, user: str) -> dict[str, Document]:
        person = self.people[user]
        return {path: each for path, each in self.documents.items() if may_read(person, each, {})}


class Site:
    """A database with two workers, changed and asked at random."""

    def __init__(
        self,
        folder: Path,
        make: Callable[[product.Corpus], Retriever] = product.Corpus.worker,
        users: Callable[[product.Corpus], Users] = lambda corpus: corpus.users,
    ) -> None:
        first = product.new_corpus(folder / "site")
        self.make = make
        self.workers = [
            Worker(corpus, make(corpus), folder / f"index-{number}")
            for number, corpus in enumerate([first, product.reopened(first)])
        ]
        self.users = [users(worker.corpus) for worker in self.workers]
        self.truth = Truth()
        self.findings: list[str] = []
        self.asked = 0
        self.done: list[str] = []

    def close(self) -> None:
        self.workers[1].corpus.close()
        self.workers[0].corpus.remove()

    def settle(self, seed: int) -> None:
        """The first people and documents."""
        self.chance = random.Random(seed)
        self.done = [f"site {seed}"]
        corpus = self.workers[0].corpus
        groups = {user: frozenset(some(self.chance, GROUPS, 0, 2)) for user in USERS}
        corpus.users.add(groups, product.EMPLOYEE, by="test")
        self.truth.people = {user: Person(user, tuple(groups[user])) for user in USERS}
        documents = [self.new_document(number) for number in range(self.chance.randint(3, 7))]
        self.truth.documents = {product.path_of(each): each for each in documents}
        corpus.load(documents)

    def new_document(self, number: int) -> Document:
        source, text = self.chance.choice(SOURCES), " ".join(self.chance.choices(WORDS, k=6))
        return Document(source, f"n{number}", text, **self.chance.choice(LABELS))

    def run(self, seed: int, steps: int = STEPS) -> None:
        """One interleaving, which goes on from where the last one ended; whoever was disabled comes back before it."""
        if not self.truth.people:
            self.settle(seed)
        self.chance = random.Random(seed)
        for user, person in self.truth.people.items():
            if not person.active:
                product.enable(self.workers[0].corpus.database, user)
                self.truth.people[user] = replace(person, active=True)
        for _ in range(steps):
            step = self.chance.choice(STEPS_THERE_ARE)
            user, worker = self.chance.choice(USERS), self.chance.randrange(2)
            self.done.append(f"{step.__name__}({user}, {worker})")
            step(self, user, worker)
            for number in range(2):
                self.ask(self.chance.choice([user, self.chance.choice(USERS)]), number)

    def ask(self, user: str, number: int, *, again: bool = False) -> None:
        """Ask a worker, and compare with the truth; asking `again` at once meets what the worker remembers."""
        worker = self.workers[number]
        query = Query(" ".join(self.chance.sample(WORDS, 2)), 100)
        for _ in range(2 if again else 1):
            found = product.search(worker.retriever, worker.corpus.users.principal(user), query).passages
            self.judge(user, {passage.path: passage.text for passage in found})
        self.asked += 1

    def judge(self, user: str, shown: Mapping[str, str]) -> None:
        allowed = self.truth.readable(user)
        wrong = [f"stale: {path}" for path in shown if path not in allowed]
        wrong += [f"late: {path}" for path in allowed if path not in shown]
        wrong += [f"old text: {path}" for path in shown if path in allowed and shown[path] != allowed[path].text]
        self.findings += [f"{each} shown to {user} after {'; '.join(self.done)}" for each in wrong]

    # What may happen. Each is acknowledged when it returns, and true from then on.

    def grant(self, user: str, worker: int) -> None:
        self.regroup(user, worker, {*self.truth.people[user].groups, self.chance.choice(GROUPS)})

    def revoke(self, user: str, worker: int) -> None:
        self.regroup(user, worker, set(self.truth.people[user].groups[1:]))

    def move(self, user: str, worker: int) -> None:
        self.regroup(user, worker, {self.chance.choice(GROUPS)})

    def regroup(self, user: str, worker: int, groups: set[str]) -> None:
        self.users[worker].add({user: frozenset(groups)}, product.EMPLOYEE, by="test")
        self.truth.people[user] = replace(self.truth.people[user], groups=tuple(sorted(groups)))

    def disable(self, user: str, worker: int) -> None:
        self.users[worker].disable(user, by="test")
        self.truth.people[user] = replace(self.truth.people[user], active=False)

    def relabel(self, user: str, worker: int) -> None:
        self.rewrite(worker, lambda each: replace(each, **{**NO_LABEL, **self.chance.choice(LABELS)}))

    def edit(self, user: str, worker: int) -> None:
        self.rewrite(worker, lambda each: replace(each, text=f"{each.text} {self.chance.choice(WORDS)}"))

    def rewrite(self, worker: int, change: Callable[[Document], Document]) -> None:
        if self.truth.documents:
            path = self.chance.choice(sorted(self.truth.documents))
            document = change(self.truth.documents[path])
            self.workers[worker].corpus.load([document])
            self.truth.documents[path] = document

    def arrive(self, user: str, worker: int) -> None:
        document = self.new_document(self.chance.randrange(9))
        self.workers[worker].corpus.load([document])
        self.truth.documents[product.path_of(document)] = document

    def vanish(self, user: str, worker: int) -> None:
        if self.truth.documents:
            document = self.truth.documents.pop(self.chance.choice(sorted(self.truth.documents)))
            self.workers[worker].corpus.sync(document.source, Delete(document.name))

    def remove_source(self, user: str, worker: int) -> None:
        source = self.chance.choice(SOURCES)
        self.workers[worker].corpus.add_source(source)
        self.workers[worker].corpus.remove_source(source)
        self.truth.documents = {path: each for path, each in self.truth.documents.items() if each.source != source}

    def ask_again(self, user: str, worker: int) -> None:
        self.ask(user, worker, again=True)

    def rebuild(self, user: str, worker: int) -> None:
        product.rebuild_index(self.workers[worker].retriever)

    def merge(self, user: str, worker: int) -> None:
        product.merge_index(self.workers[worker].retriever)

    def save(self, user: str, worker: int) -> None:
        product.save_index(self.workers[worker].retriever, self.workers[worker].file)

    def restart(self, user: str, worker: int) -> None:
        self.workers[worker].restart(self.make)


NO_LABEL: dict[str, Any] = dict.fromkeys(("allow_groups", "allow_users", "deny_groups", "deny_users"), frozenset())
STEPS_THERE_ARE: list[Callable[[Site, str, int], None]] = [
    Site.arrive,
    Site.ask_again,
    Site.disable,
    Site.edit,
    Site.grant,
    Site.merge,
    Site.move,
    Site.rebuild,
    Site.relabel,
    Site.relabel,
    Site.remove_source,
    Site.restart,
    Site.revoke,
    Site.revoke,
    Site.save,
    Site.vanish,
]


def interleaved(folder: Path, count: int, first: int = 0, **broken: Any) -> tuple[list[str], int]:
    """What was wrong in so many interleavings, and how often somebody asked."""
    findings: list[str] = []
    asked = 0
    for start in range(first, first + count, TOGETHER):
        site = Site(folder / str(start), **broken)
        for seed in range(start, min(start + TOGETHER, first + count)):
            site.run(seed)
        site.close()
        findings += site.findings
        asked += site.asked
    return findings, asked


def test_what_was_taken_away_is_gone_and_what_was_given_is_there(tmp_path: Path) -> None:
    findings, asked = interleaved(tmp_path, QUICK_INTERLEAVINGS)
    assert findings == []
    assert asked >= QUICK_INTERLEAVINGS * STEPS * 2


@pytest.mark.deep
@pytest.mark.timeout(7200)
def test_no_grant_is_stale_in_full(tmp_path: Path) -> None:
    findings, asked = interleaved(tmp_path, DEEP_INTERLEAVINGS, first=100_000)
    assert findings == []
    assert asked >= DEEP_INTERLEAVINGS * STEPS * 2


async def test_commands_take_effect_at_the_next_request_to_either_of_two_gateways(tmp_path: Path) -> None:
    """Over HTTP and the command line: each gateway is a process's worth of services over the same home."""
    home = tmp_path / "home"
    keys = product.make_home(home, {"ada": ["staff"]})
    budget = Document("wiki", "n", "The hotel costs a quokka and some kroner.", allow_groups=frozenset({"board"}))

    def command(*line: str) -> None:
        result = CliRunner().invoke(program, ["--home", str(home), *line])
        assert result.exit_code == 0, result.output

    async with contextlib.AsyncExitStack() as stack:
        gateways = []
        for _ in range(2):
            services = stack.enter_context(product.open_home(home, Parrot()))
            gateways.append(await stack.enter_async_context(client_of(create_app(services))))
            await until_ready(gateways[-1])

        async def shown(*statuses: int) -> list[bool]:
            """Whether a search and an answer of each gateway show the secret."""
            told = []
            for client, (path, body) in itertools.product(gateways, REQUESTS.items()):
                response = await client.post(path, json=body, headers={"Authorization": f"Bearer {keys['ada']}"})
                assert response.status_code in (statuses or (200,))
                told.append("quokka" in response.text)
            return told

        product.ingest(services, "wiki", product.upsert(budget))
        assert await shown() == [False] * 4
        command("users", "add", "ada", "--group", "board")
        assert await shown() == [True] * 4
        command("users", "add", "ada", "--group", "staff")
        assert await shown() == [False] * 4
        command("users", "add", "ada", "--group", "board")
        assert await shown() == [True] * 4
        product.ingest(services, "wiki", product.upsert(replace(budget, deny_users=frozenset({"ada"}))))
        assert await shown() == [False] * 4
        product.ingest(services, "wiki", product.upsert(budget))
        assert await shown() == [True] * 4
        command("sources", "remove", "wiki")
        assert await shown() == [False] * 4
        command("users", "disable", "ada")
        assert await shown(401) == [False] * 4


REQUESTS = {
    "/api/v1/search": {"query": "hotel kroner"},
    "/v1/chat/completions": {"model": "muniment", "messages": [{"role": "user", "content": "hotel kroner"}]},
}


def test_a_sync_beside_the_removal_of_its_source_brings_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process syncs at the worst moment: when the documents have gone and the removal has not returned."""
    corpus = product.new_corpus(tmp_path / "site")
    other = product.reopened(corpus)
    document = Document("wiki", "n", "hotel", allow_groups=frozenset({"staff"}))
    corpus.load([document])
    forget = type(corpus.ingestion).forget
    refused: list[str] = []

    def meanwhile(ingestion: Any, source: str) -> int:
        removed = forget(ingestion, source)
        try:
            other.ingestion.sync("wiki", product.ListConnector(product.upsert(document)))
        except SyncFailedError as error:
            refused.append(str(error))
        return removed

    monkeypatch.setattr(type(corpus.ingestion), "forget", meanwhile)
    assert corpus.sources.remove("wiki", corpus.ingestion, by="test") == 1
    assert refused == ["Source wiki has been removed, so it was not read. Add it again to have its documents back."]
    reader = Principal("ada", frozenset({"staff"}))
    for worker in (corpus.worker(), other.worker()):
        assert product.search(worker, reader, Query("hotel", 5)).passages == ()
    other.close()
    corpus.close()


class RememberingByName(AccessFilters):
    """Remembers a person's filter for good, and passes it off as one of now."""

    def __init__(self, authorizer: Authorizer) -> None:
        super().__init__(authorizer)
        self.kept: dict[str, AccessFilter] = {}

    def filter_for(
        self, principal: Principal, labels: Mapping[int, Label], epoch: int, *asked: Any, **named: Any
    ) -> AccessFilter:
        if principal.id not in self.kept:
            self.kept[principal.id] = super().filter_for(principal, labels, epoch, *asked, **named)
        return replace(self.kept[principal.id], epoch=epoch)


class PassingOverEpochs(AccessFilters):
    """Knows the person's groups, and does not notice that labels have come since; says that it did."""

    def __init__(self, authorizer: Authorizer) -> None:
        super().__init__(authorizer)
        self.kept: dict[Principal, AccessFilter] = {}

    def filter_for(
        self, principal: Principal, labels: Mapping[int, Label], epoch: int, *asked: Any, **named: Any
    ) -> AccessFilter:
        if principal not in self.kept:
            self.kept[principal] = super().filter_for(principal, labels, epoch, *asked, **named)
        return replace(self.kept[principal], epoch=epoch)


class Hasty(Users):
    """Acknowledges a change, and makes it later: when the next one comes."""

    def __init__(self, users: Users) -> None:
        self.__dict__ = vars(users)
        self.waiting: list[Callable[[], None]] = []

    def add(self, groups_of: Mapping[str, frozenset[str]], roles: frozenset[Role], by: str) -> None:
        self.later(lambda: Users.add(self, groups_of, roles, by))

    def disable(self, user_id: str, by: str) -> None:
        self.later(lambda: Users.disable(self, user_id, by))

    def later(self, change: Callable[[], None]) -> None:
        self.waiting.append(change)
        for due in self.waiting[:-1]:
            due()
        del self.waiting[:-1]


def with_filters(kind: type[AccessFilters]) -> Callable[[product.Corpus], Retriever]:
    return lambda corpus: corpus.worker(filters=kind(product.shipped_policies()))


@pytest.mark.parametrize(
    ("broken", "kinds"),
    [
        ({"make": with_filters(RememberingByName)}, {"stale", "late"}),
        ({"make": with_filters(PassingOverEpochs)}, {"late"}),
        ({"users": lambda corpus: Hasty(corpus.users)}, {"stale", "late"}),
    ],
    ids=["remembers by name", "passes over epochs", "acknowledges too early"],
)
def test_what_outlives_its_time_is_noticed(tmp_path: Path, broken: dict[str, Any], kinds: set[str]) -> None:
    """Negative controls."""
    findings, _ = interleaved(tmp_path, 2 * TOGETHER, **broken)
    assert kinds <= {finding.split(":")[0] for finding in findings}


# Truly at the same time: some ask without end while another changes things.

AT_MOST_SECONDS = 120


@dataclass
class Watched:
    """States of a site: each is in force from when it is begun, and the only one from when it is acknowledged."""

    states: list[dict[str, set[str]]]
    begun: int = 0
    acknowledged: int = 0


@dataclass
class AtOnce:
    """What came of asking and changing at the same time."""

    findings: list[str] = field(default_factory=list)
    asked: int = 0
    changes: int = 0


def wrong_at_once(site: Site, changes: list[Callable[[], None]], enough: Callable[[AtOnce], bool]) -> AtOnce:
    """Ask from four threads while another makes changes; what was shown against all states that were in force.

    Goes on until there is enough of it rather than for a time, as machines differ in what they do in a second.
    """
    watched = Watched([{user: set(site.truth.readable(user)) for user in USERS}])
    so_far = AtOnce()
    over = threading.Event()

    def change() -> None:
        chance = random.Random(1)
        until = time.monotonic() + AT_MOST_SECONDS
        while time.monotonic() < until and not enough(so_far):
            watched.begun += 1
            chance.choice(changes)()
            watched.states.append({user: set(site.truth.readable(user)) for user in USERS})
            watched.acknowledged = so_far.changes = watched.begun
        over.set()

    def ask(number: int) -> None:
        chance, worker = random.Random(number), site.workers[number % 2]
        while not over.is_set():
            user, since = chance.choice(USERS), watched.acknowledged
            query = Query(chance.choice(WORDS), 100)
            found = product.search(worker.retriever, worker.corpus.users.principal(user), query).passages
            until = watched.begun
            while watched.acknowledged < until and not over.is_set():
                time.sleep(0.001)  # The state that was being made is known once it is acknowledged.
            shown = {passage.path for passage in found}
            lived = [state[user] for state in watched.states[since : until + 1]]
            so_far.asked += 1
            # People and labels are read one after the other, so a mixture of neighbouring states is right too.
            so_far.findings.extend(f"stale: {path} shown to {user}" for path in shown - set().union(*lived))
            # A search that meets a change may lack what changed, closed rather than open; any other has everything.
            if since == until:
                so_far.findings.extend(f"late: {path} not shown to {user}" for path in lived[0] - shown)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    changing = threading.Thread(target=change)
    for thread in [*threads, changing]:
        thread.start()
    for thread in [*threads, changing]:
        thread.join()
    return so_far


def changed_groups(site: Site) -> list[Callable[[], None]]:
    return [lambda step=step: step(site, site.chance.choice(USERS), 0) for step in (Site.grant, Site.revoke, Site.move)]  # type: ignore[misc]


def changed_labels(site: Site) -> list[Callable[[], None]]:
    return [
        lambda: Site.relabel(site, "", 0),
        lambda: Site.remove_source(site, "", 0),
        lambda: Site.arrive(site, "", 0),
    ]


@pytest.mark.parametrize("kind", [changed_groups, changed_labels])
def test_answers_begun_after_the_acknowledgement_never_show_what_it_took(
    tmp_path: Path, kind: Callable[[Site], list[Callable[[], None]]]
) -> None:
    site = Site(tmp_path)
    site.settle(5)
    came = wrong_at_once(site, kind(site), lambda so_far: so_far.asked >= 200 and so_far.changes >= 50)
    site.close()
    assert came.findings == []
    assert min(came.asked, came.changes) >= 25


def test_an_acknowledgement_before_the_commit_is_noticed_at_once(tmp_path: Path) -> None:
    """Negative control of the test above."""
    site = Site(tmp_path, users=lambda corpus: Hasty(corpus.users))
    site.settle(5)
    came = wrong_at_once(site, changed_groups(site), lambda so_far: any("stale" in said for said in so_far.findings))
    site.close()
    assert any("stale" in said for said in came.findings)
