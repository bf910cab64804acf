"""The labels of a source's documents, and whether what says who may read them can be read."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session

from connectors.access import load_access
from connectors.errors import ConnectorError
from gateway.sources.store import require_source
from policies.clock import zoned
from policies.labels import Label
from retrieval.labels import all_labels, label_uses


class LabelMembers(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who may read, and who may not; `within` is the label that must allow it, too."""

    allow_groups: list[str]
    allow_users: list[str]
    deny_groups: list[str]
    deny_users: list[str]
    classification: str
    within: "LabelMembers | None" = None


class LabelUse(msgspec.Struct, frozen=True):
    """A label, how many documents have it, and how many have a part with it."""

    digest: str
    documents: int
    parts: int
    label: LabelMembers


class AccessFile(msgspec.Struct, frozen=True):
    """The file that says who may read what: whether it can be read, and whether it changed since it was read last."""

    name: str
    readable: bool
    problem: str
    changed_at: datetime | None
    changed_since_sync: bool


class SourceLabels(msgspec.Struct, frozen=True):
    """Every label that documents of a source have; without an access file the source itself says who may read."""

    source: str
    access_file: AccessFile | None
    labels: list[LabelUse]


def label_members(label: Label) -> LabelMembers:
    """A label as people read it."""
    return LabelMembers(
        allow_groups=sorted(label.allow_groups),
        allow_users=sorted(label.allow_users),
        deny_groups=sorted(label.deny_groups),
        deny_users=sorted(label.deny_users),
        classification=label.classification.value,
        within=label_members(label.within) if label.within else None,
    )


def source_labels(database: Engine, source: str) -> SourceLabels:
    """The labels of a source.

    Raises:
        NotFoundError: There is no such source.
    """
    with Session(database) as session:
        row = require_source(session, source)
        documents, parts = label_uses(session, source)
        stored = all_labels(session)
    uses = [
        LabelUse(stored[number].digest, documents.get(number, 0), parts.get(number, 0), label_members(stored[number]))
        for number in {*documents, *parts}
    ]
    uses.sort(key=lambda use: (-use.documents, -use.parts, use.digest))
    file = _access_file(Path(row.access_file), row.access_read_at) if row.access_file else None
    return SourceLabels(source, file, uses)


def _access_file(path: Path, read_at: datetime | None) -> AccessFile:
    changed, problem = None, ""
    try:
        load_access(path)
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (ConnectorError, OSError) as error:
        problem = str(error)
    since = changed is not None and (read_at is None or changed > zoned(read_at))
    return AccessFile(path.name, not problem, problem, changed, since)
