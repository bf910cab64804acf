"""An entry of the trail as people see it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

import msgspec

from gateway.audit.exchanges import Exchange
from gateway.audit.timeline import Group
from policies.audit.formats import Format
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


class ExportState(msgspec.Struct, frozen=True):
    """How a place that entries are sent to does: the last entry it acknowledged, and how many there are after it."""

    name: str
    kind: str
    format: Format
    entry: int
    behind: int
    sent_at: datetime | None
    failing_since: datetime | None
    error: str


class StampState(msgspec.Struct, frozen=True):
    """A time stamp: the checkpoint it is about, how many entries that vouches for, and when the authority saw it (UTC).

    Where it does not hold, or nothing was configured to hold it to, `problem` says so.
    """

    checkpoint: int
    entries: int
    at: datetime | None
    problem: str = ""


class AuditEntries(msgspec.Struct, frozen=True):
    """Entries, newest first. Where there may be more, `next` is what to give as `before`."""

    entries: list[AuditEntry]
    next: int | None = None


class ExchangePage(msgspec.Struct, frozen=True):
    """Questions and searches, newest first, with the paths of their documents as far as these are known.

    Where there may be more, `next` is what to give as `before`.
    """

    exchanges: list[Exchange]
    paths: dict[str, str]
    next: int | None = None


class TimelinePage(msgspec.Struct, frozen=True):
    """What happened, oldest first, by request. Where there may be more, `next` is what to give as `after`."""

    groups: list[Group]
    next: int | None = None


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value that may stand in the trail as a keyed digest, to be tested."""

    value: Annotated[str, msgspec.Meta(min_length=1, max_length=8000)]
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    before: Annotated[int, msgspec.Meta(ge=1, le=2**62)] | None = None


class RevealWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which request's texts are to be seen, and why."""

    request: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9-]{1,64}$")]
    reason: str


class Reveal(msgspec.Struct, frozen=True):
    """What was asked to be revealed, and what became of it: `decision` is empty, `approved` or `refused`."""

    id: str
    investigation: str
    request: str
    reason: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    decision: str
    decided_by: str
    decided_at: datetime | None
    open_until: datetime | None


class RevealList(msgspec.Struct, frozen=True):
    """What was asked to be revealed, newest first."""

    reveals: list[Reveal]


class RevealedText(msgspec.Struct, frozen=True):
    """The text of a question and of its answer, as they were sent, and whether they are what the trail recorded."""

    reveal: str
    request: str
    user: str
    question: str
    answer: str
    question_is_as_recorded: bool
    answer_is_as_recorded: bool
    open_until: datetime


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
