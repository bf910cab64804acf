"""Random worlds: people, nested groups, and documents with labels. Imports nothing of the product.

Few words and few names, so that queries match many documents, labels overlap, and people share groups. Names are as odd
as directories let them be: differing in case, Unicode form or white space alone, empty, the same for users and groups,
and named in labels though nobody has them.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.access.oracle import Document, Person

WORDS = "salary budget hotel laser contract review policy audit leave price server gravel zinc tulip".split()
"""Neither stop words nor stems of one another, so that an index that stems counts them as they stand."""
PLAIN_USERS = ["ada", "bo", "cleo", "dov", "emil", "fay", "gil"]
ODD_USERS = ["Ada", "ADA", "ada ", " ada", "a\u0301da", "áda", "staff", "", "ad\u200ba", "組", "User::ada", "*", "bo\n"]
GHOST_USERS = ["ghost", "Ghost", "nobody", ""]
PLAIN_GROUPS = ["staff", "finance", "people", "legal", "board", "sales"]
ODD_GROUPS = [
    "Staff",
    "staff ",
    "ada",
    "bo",
    "",
    "e\u0301quipe",
    "équipe",
    'qu"o\\te',
    "\u202efeffat",
    "a\x00b",
    "${x}",
    "*",
]
SOURCES = ["wiki", "mail", "drive"]
CLASSIFICATIONS = ["public", "internal", "confidential", "restricted"]
BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 700


@dataclass(frozen=True)
class World:
    seed: int
    people: tuple[Person, ...]
    documents: tuple[Document, ...]
    nesting: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """What somebody looks for, and what they leave out."""

    text: str
    limit: int
    sources: frozenset[str] | None = None
    after: datetime | None = None
    before: datetime | None = None

    def takes(self, document: Document) -> bool:
        """Whether a document is left after narrowing; one without a date is in no span of time."""
        if self.sources is not None and document.source not in self.sources:
            return False
        if self.after is None and self.before is None:
            return True
        if document.modified is None:
            return False
        return (self.after is None or document.modified >= self.after) and (
            self.before is None or document.modified < self.before
        )


def random_world(seed: int, most_documents: int = 40) -> World:
    chance = random.Random(seed)
    odd = chance.random() < 0.5
    users = some(chance, [*PLAIN_USERS, *(ODD_USERS if odd else [])], 4, 8)
    groups = some(chance, [*PLAIN_GROUPS, *(ODD_GROUPS if odd else [])], 2, 7)
    people = tuple(Person(user, tuple(some(chance, groups, 0, 4)), active=chance.random() > 0.12) for user in users)
    count = chance.randint(1, most_documents)
    documents = tuple(random_document(chance, number, users, groups) for number in range(count))
    return World(seed, people, twinned(chance, documents), random_nesting(chance, groups))


def random_document(chance: random.Random, number: int, users: Sequence[str], groups: Sequence[str]) -> Document:
    """One in twenty is long enough for several passages."""
    words = chance.choice([3, 12, 12, 30]) if chance.random() < 0.95 else 200
    body = " ".join(chance.choices(WORDS, k=words))
    modified = BEGINNING + timedelta(days=chance.randrange(DAYS), minutes=chance.randrange(1440))
    return Document(
        source=chance.choice(SOURCES),
        name=f"n{number}",
        text=f"{body} mark{seed_word(number)}",
        title=chance.choice(WORDS),
        modified=modified if chance.random() < 0.9 else None,
        **random_label(chance, users, groups),
    )


def random_label(chance: random.Random, users: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
    """Mostly a group or two; now and then private, somebody by name, a ghost, or a denial that overlaps."""
    label: dict[str, Any] = {"classification": chance.choice(CLASSIFICATIONS)}
    if chance.random() < 0.08:
        return label
    named = [*users, *GHOST_USERS]
    label["allow_groups"] = frozenset(some(chance, groups, 0, 2))
    label["allow_users"] = frozenset(some(chance, named, 0, 2)) if chance.random() < 0.35 else frozenset()
    label["deny_groups"] = frozenset(some(chance, groups, 0, 2)) if chance.random() < 0.25 else frozenset()
    label["deny_users"] = frozenset(some(chance, named, 0, 2)) if chance.random() < 0.2 else frozenset()
    return label


def random_nesting(chance: random.Random, groups: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Groups in groups, cycles and self-loops among them, in half of the worlds."""
    if chance.random() < 0.5:
        return {}
    return {group: tuple(chance.choices(groups, k=chance.randrange(3))) for group in groups if chance.random() < 0.4}


def random_query(chance: random.Random) -> Query:
    text = " ".join(chance.sample(WORDS, chance.randint(1, 3)))
    limit = chance.choice([1, 3, 5, 10, 40])
    if chance.random() < 0.7:
        return Query(text, limit)
    sources = frozenset(some(chance, [*SOURCES, "elsewhere"], 0, 3)) if chance.random() < 0.6 else None
    after = BEGINNING + timedelta(days=chance.randrange(DAYS)) if chance.random() < 0.5 else None
    before = BEGINNING + timedelta(days=chance.randrange(DAYS)) if chance.random() < 0.4 else None
    return Query(text, limit, sources, after, before)


def twinned(chance: random.Random, documents: tuple[Document, ...]) -> tuple[Document, ...]:
    """Some documents get the words of others to the letter, so that scores tie across labels."""
    return tuple(
        replace(document, text=(twin := chance.choice(documents)).text, title=twin.title)
        if chance.random() < 0.15
        else document
        for document in documents
    )


def seed_word(number: int) -> str:
    """A number in letters: words that no stemmer cuts."""
    return "".join("bdfghjkmpq"[int(digit)] for digit in str(number)) + "x"


def some(chance: random.Random, names: Sequence[str], least: int, most: int) -> list[str]:
    return chance.sample(names, min(len(names), chance.randint(least, most)))
