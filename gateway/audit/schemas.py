"""An entry of the trail as people see it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import msgspec

from policies.audit.reader import Entry


class AuditEntry(msgspec.Struct, frozen=True):
    """An entry: its number among all, when and what, and its place in the chain of the process that wrote it."""

    entry: int
    at: datetime
    kind: str
    event: Mapping[str, Any]
    writer: str
    seq: int
    hash: str

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """The entry as it stands in the trail."""
        return cls(entry.id, entry.at, entry.kind, entry.event, entry.writer, entry.seq, entry.hash)


class AuditEntries(msgspec.Struct, frozen=True):
    """Entries, newest first."""

    entries: list[AuditEntry]
