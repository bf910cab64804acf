"""Figure T3: documents that somebody may not read change nothing that this person can observe.

One installation goes through many states that differ in hidden documents alone: their texts, labels, sources, and whom
labels name. In each state the same person sends the same requests, and gets the same bytes; what is taken out of them
before is listed in `responses.py`. What is absent and what is forbidden are asked for side by side, and look the same.
"""

import contextlib
import itertools
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlmodel import col, delete, func, select

from connectors.contract import Delete
from gateway.app import create_app
from gateway.chat.service import Question
from gateway.chat.store import ConversationRow, MessageRow
from gateway.contexts import local_context
from gateway.errors import NotAllowedError
from gateway.search.schemas import SearchedPassage, SearchResult
from gateway.search.service import Searches
from gateway.services import Services
from policies.context import Purpose
from policies.filters import AccessFilter
from policies.principals import Principal
from retrieval.retriever import Found, Narrowing, Retriever
from retrieval.sessions import writing
from retrieval.tables import DocumentRow, PassageRow
from tests.access import product
from tests.access.oracle import Document, Person, may_read
from tests.access.parrot import Parrot
from tests.access.responses import body, identifiers, look_counted, normalised, shown
from tests.access.worlds import WORDS, random_document
from tests.gateway.conftest import client_of, until_ready

QUICK_PAIRS, DEEP_SERVICE_PAIRS, DEEP_HTTP_PAIRS = 105, 4_500, 500
STATES = 21
"""States of one installation: each but the first makes a pair with the first."""
ASKER = Person("ada", ("staff",))
PEOPLE = {"ada": ["staff"], "bo": ["board"], "staff": ["legal"]}
GROUPS = ["staff", "board", "legal", "ghosts"]
SECRET = "quokka"
"""A word that stands in hidden documents alone."""
VISIBLE_SOURCES, HIDDEN_SOURCES = ["wiki", "mail", "drive"], ["vault", "attic", "wiki", "mail"]
PERSONAL = ["", "", "Ada Brandt", "Ravi Okafor", "ada.brandt@harbour.example", "4111 1111 1111 1111"]
ABSENT = "c" + "a" * 24


@dataclass(frozen=True)
class Variants:
    """What the asker may read, and several choices of what else there is, the first of them nothing."""

    visible: tuple[Document, ...]
    hidden: tuple[tuple[Document, ...], ...]
    queries: tuple[str, ...]


def random_variants(seed: int, states: int) -> Variants:
    chance = random.Random(seed)
    visible = tuple(named(chance, number, hidden=False) for number in range(chance.randint(2, 12)))
    hidden = [()] + [
        tuple(named(chance, number, hidden=True, near=visible) for number in range(chance.randint(1, 6)))
        for _ in range(states - 1)
    ]
    queries = tuple(" ".join(chance.sample(WORDS, 2)) for _ in range(3))
    return Variants(visible, tuple(hidden), queries)


def named(chance: random.Random, number: int, *, hidden: bool, near: Sequence[Document] = ()) -> Document:
    """A document that the asker may read, or that the asker may not; a hidden one often copies a visible one."""
    while True:
        made = random_document(chance, number, [*PEOPLE, "ghost"], GROUPS)
        if may_read(ASKER, made, {}) != hidden:
            break
    text = f"{made.text} {chance.choice(PERSONAL)}".strip()
    if not hidden:
        return replace(made, text=text)
    if near and chance.random() < 0.4:
        twin = chance.choice(near)
        text, made = twin.text, replace(made, title=twin.title)
    return replace(
        made, source=chance.choice(HIDDEN_SOURCES), name=f"h{number}", text=f"{text} {SECRET} " * chance.randint(1, 3)
    )


def set_hidden(services: Services, before: Sequence[Document], after: Sequence[Document]) -> None:
    """Bring the installation from one state to another, as syncs do."""
    for source in dict.fromkeys(each.source for each in [*before, *after]):
        gone = [Delete(each.name) for each in before if each.source == source]
        come = [product.upsert(each) for each in after if each.source == source]
        product.ingest(services, source, *gone, *come)
        if source not in VISIBLE_SOURCES and not come:
            services.sources.remove(source, services.ingestion, by="test")


def forget_conversations(services: Services) -> None:
    """Each state begins as the first did: without conversations."""
    with writing(services.database) as session:
        session.exec(delete(MessageRow))
        session.exec(delete(ConversationRow))
        session.commit()


@dataclass
class Transcript:
    """What the asker saw, request by request, and the random identifiers among it."""

    lines: list[tuple[str, bytes]] = field(default_factory=list)
    ids: list[tuple[str, str]] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)

    def differences(self, other: "Transcript") -> list[str]:
        pairs = itertools.zip_longest(self.lines, other.lines, fillvalue=("nothing", b""))
        found = [f"{one[0]}: {one[1]!r} / {two[1]!r}" for one, two in pairs if one != two]
        return found + self.unlike + other.unlike


@dataclass(frozen=True)
class Opened:
    """An installation with documents, ready to be asked."""

    services: Services
    client: httpx.AsyncClient
    keys: Mapping[str, str]


Converse = Callable[[Opened, Variants], Awaitable[Transcript]]


# Through the services: what every channel shows.


SEARCHING, ASKING = local_context(Purpose.SEARCH), local_context(Purpose.ANSWER)


async def through_services(opened: Opened, variants: Variants) -> Transcript:
    """Searches and answers, encoded as they are for every channel."""
    transcript, services = Transcript(), opened.services
    principal = services.users.principal(ASKER.id)

    async def note(name: str, working: Awaitable[Any]) -> Any:
        try:
            value = await working
        except Exception as error:  # noqa: BLE001 - whatever it says is what is compared
            value = {"error": type(error).__name__, "text": str(error)}
        plain = msgspec.to_builtins(value)
        transcript.lines.append((name, msgspec.json.encode(normalised(plain))))
        transcript.ids += identifiers(plain)
        return plain

    for number, text in enumerate([*variants.queries, SECRET]):
        limit = [100, 3, 10, 5][number % 4]
        await note(f"search {text}", services.searches.search(principal, text, limit, SEARCHING))
    for sources in (["wiki"], ["vault"], ["nowhere"]):
        narrowing = Narrowing(sources=frozenset(sources))
        await note(f"search in {sources}", services.searches.search(principal, WORDS[0], 10, SEARCHING, narrowing))
    first = Question(principal, f"{variants.queries[0]} {SECRET}", ASKING, keep=True)
    kept = await note("ask", services.chats.ask(first))
    assert "error" not in kept, "a world in which nothing works looks the same whatever is hidden"
    again = replace(first, text=variants.queries[1], keep=False, conversation=kept.get("conversation"))
    await note("ask again", services.chats.ask(again))
    await note("ask with another's", services.chats.ask(replace(again, conversation=ABSENT)))
    return transcript


# Over HTTP.


async def over_http(opened: Opened, variants: Variants) -> Transcript:
    """Every route that the asker can reach, and those that refuse."""
    transcript = Transcript()

    async def send(method: str, path: str, json: Any = None, who: str = ASKER.id, name: str = "") -> Any:
        headers = {"Authorization": f"Bearer {opened.keys[who]}"}
        response = await opened.client.request(method, path, json=json, headers=headers)
        if who == ASKER.id:
            transcript.lines.append((f"{method} {name or path} {json}", shown(response)))
            transcript.ids.append(("header", response.headers["x-request-id"]))
            transcript.ids.extend(identifiers(body(response)))
        return response

    def ask(text: str, **more: Any) -> dict[str, Any]:
        return {"model": "muniment", "messages": [{"role": "user", "content": text}], **more}

    search, completions, conversations = "/api/v1/search", "/v1/chat/completions", "/api/v1/conversations"
    for text in (*variants.queries, SECRET):
        await send("POST", search, {"query": text, "limit": 100})
    for narrowed in ({"sources": ["vault"]}, {"sources": ["wiki"]}, {"modified_after": "2025-01-01T00:00:00+02:00"}):
        await send("POST", search, {"query": variants.queries[0], **narrowed})
    await send("POST", search, {"query": variants.queries[0], "limit": 0})
    await send("POST", completions, ask(f"{variants.queries[0]} {SECRET}"))
    await send("POST", completions, ask(variants.queries[1], stream=True, stream_options={"include_usage": True}))
    await send("POST", completions, ask(variants.queries[2], muniment={"sources": ["vault"]}))
    kept = (await send("POST", completions, ask(variants.queries[2], muniment={"keep": True}))).json()
    own = kept["muniment"]["conversation"]
    transcript.lines.pop()  # What is kept is seen in the list; the request itself holds a random identifier next.
    await send("POST", completions, ask(SECRET, muniment={"conversation": own}))
    transcript.lines[-1] = ("continued", transcript.lines[-1][1])
    await send("GET", conversations)
    await send("GET", f"{conversations}/{own}", name="own")
    theirs = (await send("POST", completions, ask(SECRET, muniment={"keep": True}), who="bo")).json()
    await alike(transcript, send, conversations, ask, theirs["muniment"]["conversation"])
    hidden = next(iter(hidden_documents(opened.services)), "d" + "a" * 24)
    for path in (f"/api/v1/documents/{hidden}", f"/api/v1/sources/{hidden}"):
        await send("GET", path, name="document")
    for path in ("/v1/models", "/v1/models/vault", "/api/v1/sources", "/api/v1/audit", "/metrics", "/health/ready"):
        await send("GET", path)
    return transcript


async def alike(transcript: Transcript, send: Any, conversations: str, ask: Any, theirs: str) -> None:
    """A conversation that is somebody else's and one that is nobody's: seen alike, and the same in every state."""
    completions = "/v1/chat/completions"
    seen = {}
    for kind, id_ in (("forbidden", theirs), ("absent", ABSENT)):
        one = await send("GET", f"{conversations}/{id_}", name="no such conversation")
        two = await send("POST", completions, ask("x", muniment={"conversation": id_}))
        transcript.lines[-1] = ("continued without right", transcript.lines[-1][1])
        seen[kind] = [shown(one), shown(two)]
        assert (one.status_code, two.status_code) == (404, 404)
    if seen["forbidden"] != seen["absent"]:
        transcript.unlike.append(f"absent and forbidden differ: {seen}")


def hidden_documents(services: Services) -> list[str]:
    with product.session_of(services.database) as session:
        query = select(DocumentRow.id).where(col(DocumentRow.external_id).startswith("h"))
        return list(session.exec(query.where(col(DocumentRow.deleted).is_(False))))


# Pairs.


@dataclass
class Comparison:
    """How many pairs were compared, and how they differed."""

    pairs: int = 0
    requests: int = 0
    passages: int = 0
    differences: list[str] = field(default_factory=list)
    ids: list[tuple[str, str]] = field(default_factory=list)


Break = Callable[[Services], None]


Template = tuple[Path, Mapping[str, str]]


async def compare(
    template: Template, folder: Path, pairs: int, converse: Converse, first: int = 0, broken: Break | None = None
) -> Comparison:
    """Compare so many pairs of states, on as many installations as it takes."""
    result = Comparison()
    for seed in itertools.count(first):
        variants = random_variants(seed, min(STATES, pairs - result.pairs + 1))
        async with opened(template, folder / f"home-{seed}", broken) as there:
            read(there.services, variants.visible)
            baseline = await converse(there, variants)
            for before, after in itertools.pairwise(variants.hidden):
                set_hidden(there.services, before, after)
                forget_conversations(there.services)
                note(result, baseline, await converse(there, variants), seed)
        if result.pairs >= pairs:
            break
    return result


def note(result: Comparison, baseline: Transcript, transcript: Transcript, seed: int) -> None:
    """Compare one pair."""
    result.differences += [f"{each} [seed {seed}]" for each in baseline.differences(transcript)]
    result.ids += transcript.ids
    result.requests += len(transcript.lines)
    result.passages += sum(line.count(b'"rank"') for _, line in transcript.lines)
    result.pairs += 1


@contextlib.asynccontextmanager
async def opened(template: Template, home: Path, broken: Break | None = None) -> AsyncIterator[Opened]:
    """A copy of the installation while it serves; deleted afterwards."""
    shutil.copytree(template[0], home)
    with product.open_home(home, Parrot()) as services:
        if broken:
            broken(services)
        async with client_of(create_app(services)) as client:
            await until_ready(client)
            yield Opened(services, client, template[1])
    shutil.rmtree(home)


def read(services: Services, documents: Sequence[Document]) -> None:
    """Ingest documents, a run for each source."""
    for source in dict.fromkeys(each.source for each in documents):
        product.ingest(services, source, *(product.upsert(each) for each in documents if each.source == source))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """An installation with people and without documents."""
    home = tmp_path_factory.mktemp("template") / "home"
    return home, product.make_home(home, PEOPLE)


async def test_responses_are_the_same_whatever_is_hidden(template: Template, tmp_path: Path) -> None:
    result = await compare(template, tmp_path, QUICK_PAIRS, over_http)
    assert result.differences == []
    assert result.pairs == QUICK_PAIRS
    assert result.passages > 10 * result.pairs, "there must be something to see"
    check_identifiers(result.ids)


@pytest.mark.deep
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("converse", "pairs"),
    [(through_services, DEEP_SERVICE_PAIRS), (over_http, DEEP_HTTP_PAIRS)],
    ids=["services", "http"],
)
async def test_responses_are_the_same_in_full(
    template: Template, tmp_path: Path, converse: Converse, pairs: int
) -> None:
    result = await compare(template, tmp_path, pairs, converse, first=50_000)
    assert result.differences == []
    assert result.pairs == pairs
    check_identifiers(result.ids)


def check_identifiers(ids: Sequence[tuple[str, str]]) -> None:
    """No kind of identifier counts."""
    for kind in {kind for kind, _ in ids}:
        own = list(dict.fromkeys(id_ for name, id_ in ids if name == kind))
        assert len(own) > 30
        assert not look_counted(own), f"{kind}: {own[:20]}"


async def test_two_installations_that_differ_in_hidden_documents_answer_alike(
    template: Template, tmp_path: Path
) -> None:
    """From the start and in any order of reading, not only after a change."""
    for seed in range(900, 906):
        variants = random_variants(seed, 3)
        seen = []
        for number, hidden in enumerate(variants.hidden):
            async with opened(template, tmp_path / "home") as there:
                documents = [*variants.visible, *hidden]
                random.Random(number).shuffle(documents)
                read(there.services, documents)
                seen.append(await over_http(there, variants))
        assert seen[0].differences(seen[1]) + seen[0].differences(seen[2]) == []


# Negative controls: what a careless product would let through.


class WeighingEverything(Retriever):
    """Weighs words by how often they stand in all documents, those the asker may not read too."""

    def search(
        self, question: str, access: AccessFilter, limit: int, narrowing: Narrowing | None = None, **more: Any
    ) -> Found:
        found = super().search(question, access, limit, narrowing, **more)
        with product.session_of(self._database) as session:
            holding = session.exec(
                select(func.count())
                .select_from(PassageRow)
                .where(col(PassageRow.text).contains(question.split(maxsplit=1)[0]))
            ).one()
        return replace(
            found, passages=tuple(replace(each, score=each.score / (1 + holding)) for each in found.passages)
        )


class NamingSources(Retriever):
    """Says that a source may not be read where it should say nothing."""

    def search(
        self, question: str, access: AccessFilter, limit: int, narrowing: Narrowing | None = None, **more: Any
    ) -> Found:
        with product.session_of(self._database) as session:
            there = set(session.exec(select(DocumentRow.source).where(col(DocumentRow.deleted).is_(False))))
        found = super().search(question, access, limit, narrowing, **more)
        for source in (narrowing.sources or ()) if narrowing else ():
            if source in there and not found.passages:
                message = f"You may not read {source}."
                raise NotAllowedError(message)
        return found


class CountedResult(SearchResult, frozen=True):
    """A result that tells how much was held back."""

    held_back: int


@dataclass(frozen=True, slots=True)
class CountingSearches(Searches):
    """Tells how much was held back."""

    async def search(self, principal: Principal, *rest: Any, **more: Any) -> SearchResult:
        result = await Searches.search(self, principal, *rest, **more)
        passages: list[SearchedPassage] = result.passages
        with product.session_of(self.retriever._database) as session:
            there = session.exec(select(func.count()).select_from(PassageRow)).one()
        return CountedResult(passages, result.took_ms, there - len(passages))


def with_retriever(kind: type[Retriever]) -> Break:
    def broken(services: Any) -> None:
        services.retriever.__class__ = kind

    return broken


def counting(services: Any) -> None:
    honest = services.searches
    services.searches = CountingSearches(honest.retriever, honest.authorizer, honest.recorder)


def numbering_states(services: Any) -> None:
    """Receipts name the state of the corpus by a number that grows with every change, as they did once."""
    chats, honest = services.chats, services.chats._receipt

    def telling(run: Any, intent: Any, found: Found, text: str) -> Any:
        return replace(honest(run, intent, found, text), revision=str(found.access.epoch))

    chats._receipt = telling


def numbering_entries(services: Any) -> None:
    """Receipts name a trail's entry by its number."""
    chats, honest = services.chats, services.chats._receipt

    def telling(run: Any, intent: Any, found: Found, text: str) -> Any:
        return replace(honest(run, intent, found, text), intent=intent)

    chats._receipt = telling


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (with_retriever(WeighingEverything), "score"),
        (with_retriever(NamingSources), "You may not read vault."),
        (counting, "held_back"),
        (numbering_states, '"revision"'),
        (numbering_entries, '"seq"'),
    ],
    ids=["weighs everything", "names sources", "counts what is hidden", "numbers states", "numbers entries"],
)
@pytest.mark.parametrize("converse", [through_services, over_http])
async def test_what_tells_of_hidden_documents_is_noticed(
    template: Template, tmp_path: Path, broken: Break, told: str, converse: Converse
) -> None:
    result = await compare(template, tmp_path, 10, converse, broken=broken)
    assert any(told in difference for difference in result.differences)


def test_identifiers_that_count_are_noticed() -> None:
    chance = random.Random(1)
    assert look_counted([f"r{number:020x}" for number in range(1000, 1040)])
    assert look_counted([f"r{number:08x}{chance.getrandbits(48):012x}" for number in range(40)])
    assert look_counted([f"r{chance.getrandbits(20):05x}" for _ in range(40)])
    assert look_counted(["r" + "0123456789abcdef0123"] * 40)
    assert not look_counted([f"r{chance.getrandbits(80):020x}" for _ in range(200)])
