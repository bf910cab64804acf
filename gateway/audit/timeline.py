"""What happened, in its order: entries by the request that they belong to, each in a sentence."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from gateway.audit.sentences import sentence
from policies.audit.reader import Entry

_NAME_DOCUMENTS = ("document", "documents", "cited")


class Happened(msgspec.Struct, frozen=True):
    """An entry by its number, and what it says."""

    entry: int
    at: datetime
    kind: str
    sentence: str


class Group(msgspec.Struct, frozen=True):
    """What happened in one request, oldest first; what belongs to no request stands by itself."""

    request: str
    at: datetime
    happened: list[Happened]


def groups(entries: Iterable[Entry], paths: Mapping[str, str]) -> list[Group]:
    """The entries by their requests, in the order in which these began."""
    by_request: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.id):
        by_request.setdefault(str(entry.event.get("request") or f"#{entry.id}"), []).append(entry)
    return [_group(found, paths) for found in by_request.values()]


def documents_in(entries: Iterable[Entry]) -> set[str]:
    """The ids of the documents that these entries name."""
    return {document for entry in entries for document in _documents(entry.event)}


def _documents(event: Mapping[str, object]) -> Iterator[str]:
    for name in _NAME_DOCUMENTS:
        value = event.get(name, ())
        yield from [value] if isinstance(value, str) else value if isinstance(value, list) else []


def _group(entries: Sequence[Entry], paths: Mapping[str, str]) -> Group:
    happened = [Happened(entry.id, entry.at, entry.kind, sentence(entry, paths)) for entry in entries]
    return Group(str(entries[0].event.get("request") or ""), entries[0].at, happened)
