"""Connectors and redaction for tests that are about something else."""

from collections.abc import Iterator, Sequence

from connectors.contract import Change, Checkpoint, Upsert
from policies.labels import Label
from policies.personal_data import KnownTypes, Span


class ListConnector:
    """Yields the changes it was given, once."""

    def __init__(self, *changes: Change) -> None:
        self.pending = list(changes)

    def check(self) -> None:
        """Always readable."""

    def changes(self, since: str | None) -> Iterator[Change]:
        count = int(since or 0)
        pending, self.pending = self.pending, []
        for change in pending:
            count += 1
            yield change
        yield Checkpoint(str(count))


class NothingPersonal:
    """A redactor that finds nothing."""

    types = KnownTypes()

    def load(self) -> None:
        """There is nothing to load."""

    def find(self, text: str) -> list[Span]:
        return []

    def find_many(self, texts: Sequence[str]) -> list[list[Span]]:
        return [[] for _ in texts]

    def recognise(self, texts: Sequence[str]) -> list[list[Span]]:
        return [[] for _ in texts]


def page(id_: str, text: str, label: Label) -> Upsert:
    """A Markdown document."""
    return Upsert(id_, f"{id_}.md", text.encode(), "text/markdown", label)
