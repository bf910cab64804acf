"""An entry of the trail as people see it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

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


class InvestigationWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the trail is to be read, and for how many hours; the operator sets the most."""

    reason: str
    hours: Annotated[int, msgspec.Meta(ge=1)] = 8


class Investigation(msgspec.Struct, frozen=True):
    """An investigation: whose, why, from when to when; `channel` is `cli` for the reason of a single command."""

    id: str
    by: str
    reason: str
    channel: str
    begun_at: datetime
    ends_at: datetime
    closed_at: datetime | None
    open: bool


class InvestigationList(msgspec.Struct, frozen=True):
    """Investigations, newest first."""

    investigations: list[Investigation]
