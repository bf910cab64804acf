"""Who may read what, worked out a second time. Imports nothing of the product, and looks at none of its rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Person:
    id: str
    groups: tuple[str, ...] = ()
    active: bool = True


@dataclass(frozen=True)
class Document:
    """`text` stands under `title`; who is named may be a person, a group, or nobody at all."""

    source: str
    name: str
    text: str
    title: str = "sheet"
    allow_groups: frozenset[str] = frozenset()
    allow_users: frozenset[str] = frozenset()
    deny_groups: frozenset[str] = frozenset()
    deny_users: frozenset[str] = frozenset()
    classification: str = "internal"
    modified: datetime | None = None


Nesting = Mapping[str, Iterable[str]]


def closure(groups: Iterable[str], nesting: Nesting) -> set[str]:
    """The groups and all they are in: adds what is one step away until nothing is new."""
    reached = set(groups)
    while more := {above for group in reached for above in nesting.get(group, ())} - reached:
        reached |= more
    return reached


def may_read(person: Person, document: Document, nesting: Nesting) -> bool:
    """Named, or in a named group, and neither denied; an empty name is nobody's, and still denies."""
    groups = closure(person.groups, nesting)
    if not person.active or not person.id:
        return False
    if person.id in document.deny_users or groups & document.deny_groups:
        return False
    return person.id in document.allow_users or bool(groups & document.allow_groups - {""})


def readable(person: Person, documents: Iterable[Document], nesting: Nesting) -> list[Document]:
    return [document for document in documents if may_read(person, document, nesting)]
