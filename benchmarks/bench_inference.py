"""Measure whether the time of a response tells what is forbidden from what is absent.

Requests for something that is there and forbidden, and for something that is not there, are sent in random order over
HTTP in this process, so that no network hides a difference; a fast stand-in for the embedder hides none either. The
figure is the AUC: how often a forbidden request took longer than an absent one (0.5: the time tells nothing; 1 or 0: it
tells always). Two kinds are about amounts: the same search where much or nothing else is hidden. That time grows with
hidden labels is known; this says how much.
"""

import asyncio
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from _machine import ROOT, about_this_run, write_result

sys.path.insert(0, str(ROOT))

from gateway.app import create_app
from gateway.services import Services
from tests.access import product
from tests.access.oracle import Document
from tests.access.parrot import Parrot
from tests.access.worlds import WORDS
from tests.gateway.conftest import client_of, until_ready

REQUESTS = 300
REPEATS = 3
HIDDEN, HIDDEN_LABELS = 600, 100
PEOPLE = {"ada": ["staff"], "bo": ["board"]}
ABSENT = "c" + "a" * 24
SEARCH, COMPLETIONS, CONVERSATIONS = "/api/v1/search", "/v1/chat/completions", "/api/v1/conversations"

Ask = Callable[[], Awaitable[httpx.Response]]


@dataclass(frozen=True)
class Site:
    """A running installation and the keys of its users."""

    services: Services
    client: httpx.AsyncClient
    keys: dict[str, str]

    def asking(self, method: str, path: str, body: Any = None, key: str = "") -> Ask:
        headers = {"Authorization": f"Bearer {key or self.keys['ada']}"}
        return lambda: self.client.request(method, path, json=body, headers=headers)


def documents(hidden: int) -> list[Document]:
    """Forty documents that Ada may read, and so many that she may not, under a hundred labels."""
    chance = random.Random(7)
    words = [" ".join(chance.choices(WORDS, k=20)) for _ in range(40)]
    visible = [Document("wiki", f"v{n}", text, allow_groups=frozenset({"staff"})) for n, text in enumerate(words)]
    return visible + [
        Document(
            "vault" if number % 2 else "wiki",
            f"h{number}",
            " ".join(chance.choices([*WORDS, "quokka"], k=20)),
            allow_groups=frozenset({"board", f"team {number % HIDDEN_LABELS}"}),
        )
        for number in range(hidden)
    ]


@asynccontextmanager
async def site(folder: Path, hidden: int) -> AsyncIterator[Site]:
    keys = product.make_home(folder, PEOPLE)
    with product.open_home(folder, Parrot()) as services:
        for source in ("wiki", "vault"):
            own = [product.upsert(each) for each in documents(hidden) if each.source == source]
            product.ingest(services, source, *own)
        async with client_of(create_app(services)) as client:
            await until_ready(client)
            yield Site(services, client, keys)


def question(text: str, **options: Any) -> dict[str, Any]:
    return {"model": "muniment", "messages": [{"role": "user", "content": text}], "muniment": options}


async def kinds(there: Site, without: Site) -> dict[str, tuple[Ask, Ask]]:
    """What is asked: for what is forbidden, and for what is absent."""
    kept = await there.asking("POST", COMPLETIONS, question("quokka", keep=True), there.keys["bo"])()
    theirs = kept.json()["muniment"]["conversation"]
    wrong = there.keys["bo"][:-4] + "AAAA"
    unknown = f"mun_{'a' * 16}_{'A' * 43}"

    def conversation(id_: str) -> Ask:
        return there.asking("GET", f"{CONVERSATIONS}/{id_}")

    def continued(id_: str) -> Ask:
        return there.asking("POST", COMPLETIONS, question("hotel", conversation=id_))

    def search(where: Site, query: str, **more: Any) -> Ask:
        return where.asking("POST", SEARCH, {"query": query, **more})

    return {
        "a conversation: another's, none": (conversation(theirs), conversation(ABSENT)),
        "continuing a conversation: another's, none": (continued(theirs), continued(ABSENT)),
        "a word: in hidden documents, nowhere": (search(there, "quokka"), search(there, "wombat")),
        "a source: hidden, none": (
            search(there, "hotel", sources=["vault"]),
            search(there, "hotel", sources=["attic"]),
        ),
        "a key: wrong, unknown": (
            there.asking("GET", "/v1/models", key=wrong),
            there.asking("GET", "/v1/models", key=unknown),
        ),
        f"a search: beside {HIDDEN} hidden documents, beside none": (search(there, "hotel"), search(without, "hotel")),
        "the same search twice (nothing to tell)": (search(there, "hotel"), search(there, "hotel")),
    }


async def timed(ask: Ask) -> float:
    started = time.perf_counter()
    await ask()
    return time.perf_counter() - started


def auc(more: list[float], less: list[float]) -> float:
    """How often one of `more` is larger than one of `less`."""
    return sum((a > b) + (a == b) / 2 for a in more for b in less) / (len(more) * len(less))


async def compare(forbidden: Ask, absent: Ask) -> dict[str, Any]:
    """AUC and medians of several rounds, the requests of each in random order."""
    chance, rounds = random.Random(1), []
    for ask in (forbidden, absent) * 10:
        await ask()
    for _ in range(REPEATS):
        order = [0, 1] * REQUESTS
        chance.shuffle(order)
        times: tuple[list[float], list[float]] = [], []
        for which in order:
            times[which].append(await timed((forbidden, absent)[which]))
        rounds.append((auc(*times), statistics.median(times[0]) * 1000, statistics.median(times[1]) * 1000))
    aucs = [each[0] for each in rounds]
    return {
        "auc": {name: round(of(aucs), 3) for name, of in (("median", statistics.median), ("min", min), ("max", max))},
        "forbidden_ms": round(statistics.median(each[1] for each in rounds), 2),
        "absent_ms": round(statistics.median(each[2] for each in rounds), 2),
    }


async def measure(folder: Path) -> dict[str, Any]:
    async with site(folder / "there", HIDDEN) as there, site(folder / "without", 0) as without:
        return {name: await compare(*asks) for name, asks in (await kinds(there, without)).items()}


def main() -> None:
    folder = Path(tempfile.mkdtemp(dir=ROOT, prefix=".bench-inference-"))
    try:
        measured = asyncio.run(measure(folder))
    finally:
        shutil.rmtree(folder)
    # Of equal times, 19 in 20 rounds give an AUC this near to a half (Mann and Whitney, 1947).
    chance_alone = 1.96 * ((2 * REQUESTS + 1) / (12 * REQUESTS**2)) ** 0.5
    result = about_this_run(["litestar", "cedarpy", "sqlalchemy"]) | {
        "requests_of_each": REQUESTS,
        "rounds": REPEATS,
        "auc_by_chance": [round(0.5 - chance_alone, 3), round(0.5 + chance_alone, 3)],
        "measured": measured,
    }
    print(json.dumps(result, indent=2))
    write_result("inference", result)


if __name__ == "__main__":
    main()
