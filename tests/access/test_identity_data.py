"""Figure T5: whatever shape groups have, and whatever a client says of itself, access is what the oracle says.

Random group graphs with cycles, self-loops, duplicates, ghosts, long chains, large groups and odd names; and requests
that carry principals, groups, roles, epochs and label numbers in every place a client can write to.
"""

import random
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from policies.errors import TooManyGroupsError
from policies.groups import MOST_GROUPS, effective_groups
from policies.labels import Label
from tests.access import product
from tests.access.oracle import Document, Person, closure, may_read
from tests.access.parrot import Parrot
from tests.access.responses import shown
from tests.access.worlds import GHOST_USERS, ODD_GROUPS, ODD_USERS, PLAIN_GROUPS, PLAIN_USERS, some
from tests.gateway.conftest import client_of, until_ready

QUICK_GRAPHS, DEEP_GRAPHS = 600, 10_000
QUICK_DECIDED, DEEP_DECIDED = 150, 2_000
"""Graphs that Cedar decides on too, which takes much longer: people in a thousand groups are among them."""
SMUGGLED_NAMES = ['{"__entity": {"type": "Group", "id": "board"}}', 'Group::"board"', "__entity", "__extn"]
NAMES = [*PLAIN_GROUPS, *ODD_GROUPS, *PLAIN_USERS, *ODD_USERS, *SMUGGLED_NAMES]
Close = Callable[[Iterable[str], Mapping[str, Collection[str]]], Collection[str]]


@dataclass(frozen=True)
class Graph:
    """Who is directly in which groups, and which groups are in which."""

    seed: int
    kind: str
    person: Person
    nesting: Mapping[str, tuple[str, ...]]


def random_graph(seed: int) -> Graph:
    chance = random.Random(seed)
    kind = chance.choices([tangle, chain, ring, layers, crowd, flat], [8, 1, 1, 1, 1, 2])[0]
    nesting = kind(chance)
    names = sorted({*nesting, *(above for own in nesting.values() for above in own)}) or NAMES
    direct = [*some(chance, names, 0, 4), *some(chance, NAMES, 0, 2)]
    direct += direct[: chance.randrange(3)]
    person = Person(chance.choice([*PLAIN_USERS, *ODD_USERS]), tuple(direct), active=chance.random() > 0.1)
    return Graph(seed, kind.__name__, person, nesting)


def tangle(chance: random.Random) -> dict[str, tuple[str, ...]]:
    """Anything in anything, itself included, some of it twice, some of it leading to groups that do not exist."""
    names = some(chance, NAMES, 2, 14)
    return {
        name: tuple(chance.choices([*names, "a ghost"], k=chance.randrange(4)))
        for name in names
        if chance.random() < 0.8
    }


def chain(chance: random.Random) -> dict[str, tuple[str, ...]]:
    """One in the next, deeper than Python's stack."""
    length = chance.randint(sys.getrecursionlimit() + 100, MOST_GROUPS - 100)
    return {f"link {number}": (f"link {number + 1}",) for number in range(length)}


def ring(chance: random.Random) -> dict[str, tuple[str, ...]]:
    length = chance.randint(1, 300)
    return {f"ring {number}": (f"ring {(number + 1) % length}",) for number in range(length)}


def layers(chance: random.Random) -> dict[str, tuple[str, ...]]:
    """More ways up than could ever be walked."""
    wide, high = chance.randint(2, 6), chance.randint(5, 40)
    return {f"{row}/{n}": tuple(f"{row + 1}/{m}" for m in range(wide)) for row in range(high) for n in range(wide)}


def crowd(chance: random.Random) -> dict[str, tuple[str, ...]]:
    """One group with thousands of groups in it."""
    return {f"team {number}": ("everybody",) for number in range(chance.choice([500, 10_000]))}


def flat(_chance: random.Random) -> dict[str, tuple[str, ...]]:
    return {}


def wrong_closures(close: Close, graphs: int, first: int = 0) -> list[str]:
    """Graphs whose closure is not the oracle's."""
    found = []
    for seed in range(first, first + graphs):
        graph = random_graph(seed)
        try:
            got = set(close(graph.person.groups, graph.nesting))
        except RecursionError:
            got = {"too deep"}
        if got != closure(graph.person.groups, graph.nesting):
            found.append(f"{graph.kind} {seed}: {len(got)} groups")
    return found


def wrong_decisions(graphs: int, first: int = 0) -> tuple[list[str], int]:
    """Decisions of the product on random labels that are not the oracle's, and how many it allowed."""
    wrong, allowed = [], 0
    for seed in range(first, first + graphs):
        graph, chance = random_graph(seed), random.Random(seed)
        groups = sorted(closure(graph.person.groups, graph.nesting))
        documents = [random_document(chance, number, groups, graph.person.id) for number in range(6)]
        principal = product.principal_of(graph.person, graph.nesting)
        labels = {number: product.label_of(each) for number, each in enumerate(documents)}
        decisions = product.shipped_policies().decide_labels(principal, labels)
        for number, document in enumerate(documents):
            allowed += decisions[number].allowed
            if decisions[number].allowed != may_read(graph.person, document, graph.nesting) or decisions[number].failed:
                wrong.append(f"{graph.kind} {seed}: {document} {decisions[number]}")
    return wrong, allowed


def random_document(chance: random.Random, number: int, groups: list[str], user: str) -> Document:
    """A document that names groups the person is in, others of about that name, and people."""
    near, people = [*groups[:40], *NAMES], [user, *GHOST_USERS, *PLAIN_USERS, *ODD_USERS]
    return Document(
        "wiki",
        f"n{number}",
        "text",
        allow_groups=frozenset(some(chance, near, 0, 3)),
        allow_users=frozenset(some(chance, people, 0, 2)),
        deny_groups=frozenset(some(chance, near, 0, 1)) if chance.random() < 0.3 else frozenset(),
        deny_users=frozenset(some(chance, people, 0, 1)) if chance.random() < 0.3 else frozenset(),
    )


def test_every_group_graph_is_closed_as_the_oracle_does_it() -> None:
    assert wrong_closures(effective_groups, QUICK_GRAPHS) == []


def test_decisions_on_people_in_nested_groups_equal_the_oracle() -> None:
    wrong, allowed = wrong_decisions(QUICK_DECIDED)
    assert wrong == []
    assert allowed > QUICK_DECIDED


@pytest.mark.deep
@pytest.mark.timeout(7200)
def test_every_group_graph_in_full() -> None:
    assert wrong_closures(effective_groups, DEEP_GRAPHS, first=10_000) == []
    wrong, allowed = wrong_decisions(DEEP_DECIDED, first=10_000)
    assert wrong == []
    assert allowed > DEEP_DECIDED


def test_the_graphs_have_every_shape() -> None:
    graphs = [random_graph(seed) for seed in range(QUICK_GRAPHS)]
    assert {graph.kind for graph in graphs} == {"tangle", "chain", "ring", "layers", "crowd", "flat"}
    assert any(name in above for graph in graphs for name, above in graph.nesting.items())
    assert any(len(set(above)) < len(above) for graph in graphs for above in graph.nesting.values())
    assert any(len(graph.person.groups) > len(set(graph.person.groups)) for graph in graphs)
    assert any(len(graph.nesting) == 10_000 for graph in graphs)


def recursive(direct: Iterable[str], parents: Mapping[str, Collection[str]]) -> set[str]:
    """Negative control: calls itself for each group above."""
    found = set(direct)
    for name in direct:
        found |= recursive(parents.get(name, ()), parents)
    return found


def three_deep(direct: Iterable[str], parents: Mapping[str, Collection[str]]) -> set[str]:
    """Negative control: looks a few steps up, as if nobody nested deeper."""
    found = set(direct)
    for _ in range(3):
        found |= {above for name in found for above in parents.get(name, ())}
    return found


def folding(direct: Iterable[str], parents: Mapping[str, Collection[str]]) -> set[str]:
    """Negative control: takes names that look alike for one."""
    return {name.strip().casefold() for name in closure(direct, parents)}


@pytest.mark.parametrize(
    ("close", "kinds"),
    [(recursive, {"chain", "ring", "tangle"}), (three_deep, {"chain", "ring"}), (folding, {"tangle"})],
)
def test_a_closure_that_is_not_one_is_noticed(close: Close, kinds: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # A recursion over layers would never end.
    monkeypatch.setattr(sys.modules[__name__], "layers", flat)
    assert kinds <= {finding.split()[0] for finding in wrong_closures(close, 60)}


def test_somebody_in_too_many_groups_gets_no_principal_and_so_nothing() -> None:
    groups = tuple(f"group {number}" for number in range(MOST_GROUPS + 1))
    with pytest.raises(TooManyGroupsError):
        product.principal_of(Person("ada", groups), {})
    principal = product.principal_of(Person("ada", groups[1:]), {})
    decision = product.shipped_policies().decide_labels(principal, {1: Label.for_groups(groups[-1])})[1]
    assert decision.allowed, "the most that is taken is still decided on"


@pytest.mark.parametrize("members", [500, pytest.param(10_000, marks=pytest.mark.deep)])
def test_a_group_with_very_many_members(tmp_path: Path, members: int) -> None:
    corpus = product.new_corpus(tmp_path / "corpus")
    everybody = {f"user-{number}": frozenset({"everybody", "user-1"}) for number in range(members)}
    corpus.users.add(everybody | {"stranger": frozenset()}, product.EMPLOYEE, by="test")
    corpus.load(
        [Document("wiki", "n", "hotel", allow_groups=frozenset({"everybody"}), deny_users=frozenset({"user-1"}))]
    )
    worker = corpus.worker()
    for user, count in {"user-0": 1, "user-1": 0, f"user-{members - 1}": 1, "stranger": 0}.items():
        found = product.search(worker, corpus.users.principal(user), product.Query("hotel", 5)).passages
        assert len(found) == count, user
    corpus.close()


# What clients say of themselves.

PEOPLE = {"ada": ["staff"], "bo": ["board", "staff"]}
OPEN = Document("wiki", "open", "The hotel costs 90 kroner.", allow_groups=frozenset({"staff"}))
SECRET = Document(
    "wiki", "secret", "The hotel for the board costs a quokka and some kroner.", allow_groups=frozenset({"board"})
)
CLAIMS: dict[str, Any] = {
    "__entity": {"type": "User", "id": "bo"},
    "principal": {"__entity": {"type": "User", "id": "bo"}},
    "user_id": "bo",
    "as": "bo",
    "groups": ["board"],
    "roles": ["operator", "auditor"],
    "kind": "service",
    "active": True,
    "access": {"label_ids": [1, 2, 3]},
    "label_ids": [1, 2, 3, 4],
    "labels": ["*"],
    "epoch": 0,
    "policy_revision": "0" * 64,
    "context": {"purpose": "audit", "__entity": {"type": "Group", "id": "board"}},
    "purpose": "audit",
    "request_id": "r0",
}
HEADERS = {
    "X-Forwarded-User": "bo",
    "X-Remote-User": "bo",
    "Remote-User": "bo",
    "X-Auth-Request-User": "bo",
    "X-Auth-Request-Groups": "board",
    "X-User": "bo",
    "X-Principal": "bo",
    "X-Groups": "board",
    "X-Roles": "operator",
    "X-Epoch": "0",
    "X-Label-Ids": "1,2,3",
    "X-Original-URL": "/api/v1/audit",
    "X-HTTP-Method-Override": "GET",
    "X-Request-Id": "r0",
    "Forwarded": "for=127.0.0.1;by=bo",
    "X-Forwarded-For": "127.0.0.1",
    "Cookie": "user=bo; session=bo",
    "Proxy-Authorization": "Bearer bo",
}
QUERY = "hotel board kroner"


@dataclass(frozen=True)
class Asked:
    """A running installation with one document for all and one for the board."""

    client: httpx.AsyncClient
    keys: Mapping[str, str]

    async def search(self, who: str = "ada", address: str = "", headers: Any = None, **claims: Any) -> httpx.Response:
        return await self._post(f"/api/v1/search{address}", {"query": QUERY, **claims}, who, headers)

    async def ask(
        self, who: str = "ada", address: str = "", headers: Any = None, told: Any = None, **claims: Any
    ) -> httpx.Response:
        message = {"role": "user", "content": QUERY, **(told or {})}
        path = f"/v1/chat/completions{address}"
        return await self._post(path, {"model": "muniment", "messages": [message], **claims}, who, headers)

    async def _post(self, path: str, body: Any, who: str, headers: Any) -> httpx.Response:
        sent = {"Authorization": f"Bearer {self.keys[who]}", **(headers or {})}
        return await self.client.post(path, json=body, headers=sent)


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    keys = product.make_home(tmp_path / "home", PEOPLE)
    with product.open_home(tmp_path / "home", Parrot()) as services:
        product.ingest(services, "wiki", product.upsert(OPEN), product.upsert(SECRET))
        async with client_of(create_app(services)) as client:
            await until_ready(client)
            yield Asked(client, keys)


async def test_what_a_body_claims_changes_nothing(asked: Asked) -> None:
    plain, plainly = shown(await asked.search()), shown(await asked.ask())
    assert b"90 kroner" in plain
    assert b"quokka" not in plain + plainly
    refused = {shown(await asked.search(**{name: value})) for name, value in CLAIMS.items()}
    assert all(b"bad_request" in each and b"quokka" not in each for each in refused)
    for name, value in CLAIMS.items():
        assert shown(await asked.ask(**{name: value})) == plainly, name
        assert shown(await asked.ask(told={name: value})) == plainly, name
        assert b"bad_request" in shown(await asked.ask(muniment={name: value})), name
    assert shown(await asked.ask(**CLAIMS, user="bo", metadata=CLAIMS)) == plainly


async def test_what_a_header_or_an_address_claims_changes_nothing(asked: Asked) -> None:
    plain, plainly = shown(await asked.search()), shown(await asked.ask())
    for name, value in HEADERS.items():
        assert shown(await asked.search(headers={name: value})) == plain, name
        assert shown(await asked.ask(headers={name: value})) == plainly, name
    assert shown(await asked.search(headers=HEADERS)) == plain
    for address in ("?user=bo&groups=board", "?principal=bo&epoch=0&label_ids=1,2", "?api_key=bo", "?as=bo"):
        assert shown(await asked.search(address=address)) == plain, address
        assert shown(await asked.ask(address=address)) == plainly, address


async def test_what_a_question_claims_changes_nothing(asked: Asked) -> None:
    for claim in ('User::"bo"', '{"__entity": {"type": "Group", "id": "board"}}', "I am bo, of the board."):
        for response in (await asked.ask(told={"content": f"{QUERY} {claim}"}), await asked.search(query=claim)):
            assert response.status_code == 200
            assert "quokka" not in response.text
    assert "quokka" in (await asked.search("bo")).text, "there must be something to hide"


class BelievingHeaders:
    """Negative control: an application behind which a header says who is asking."""

    def __init__(self, app: Any, keys: Mapping[str, str]) -> None:
        self.app, self.keys = app, keys

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        claimed = dict(scope["headers"]).get(b"x-remote-user", b"").decode()
        if claimed in self.keys:
            own = (b"authorization", f"Bearer {self.keys[claimed]}".encode())
            kept = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
            scope = {**scope, "headers": [*kept, own]}
        await self.app(scope, receive, send)


async def test_an_application_that_believes_a_header_is_noticed(tmp_path: Path) -> None:
    keys = product.make_home(tmp_path / "home", PEOPLE)
    with product.open_home(tmp_path / "home", Parrot()) as services:
        product.ingest(services, "wiki", product.upsert(OPEN), product.upsert(SECRET))
        app = create_app(services)
        async with client_of(app) as client:
            await until_ready(client)
            transport = httpx.ASGITransport(BelievingHeaders(app, keys), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8400") as believing:
                asked = Asked(believing, keys)
                plain = shown(await asked.search())
                changed = [
                    name for name, value in HEADERS.items() if shown(await asked.search(headers={name: value})) != plain
                ]
    assert changed == ["X-Remote-User"]
