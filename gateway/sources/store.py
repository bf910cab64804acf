"""Sources and their owners in storage. Owners go with their source, in the transaction that takes it out."""

from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from sqlmodel import Field, Session, SQLModel, select

from gateway.errors import NotFoundError
from policies.sources import OwnedSource
from retrieval.tables import SourceRow


class OwnerKind(StrEnum):
    """What an owner is."""

    GROUP = "group"
    USER = "user"


class Owner(NamedTuple):
    """A user or a group that owns a source; as text, `user:ada` or `group:finance`."""

    kind: OwnerKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}"


class SourceOwnerRow(SQLModel, table=True):
    """A user or a group owns a source."""

    __tablename__ = "source_owner"
    source: str = Field(primary_key=True, foreign_key="source.name", ondelete="CASCADE")
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)


def require_source(session: Session, name: str) -> SourceRow:
    """A source's row.

    Raises:
        NotFoundError: There is no such source.
    """
    row = session.get(SourceRow, name)
    if row is None:
        message = f"There is no source {name}. `muniment sources list` shows what there is."
        raise NotFoundError(message)
    return row


def owners_of(session: Session, source: str) -> frozenset[Owner]:
    """Who owns a source."""
    rows = session.exec(select(SourceOwnerRow).where(SourceOwnerRow.source == source))
    return frozenset(Owner(OwnerKind(row.kind), row.name) for row in rows)


def owned_sources(session: Session) -> dict[str, OwnedSource]:
    """Every source with its owners, by name."""
    found: defaultdict[str, set[Owner]] = defaultdict(set)
    for row in session.exec(select(SourceOwnerRow)):
        found[row.source].add(Owner(OwnerKind(row.kind), row.name))
    names = session.exec(select(SourceRow.name).order_by(SourceRow.name))
    return {name: _owned(name, found[name]) for name in names}


def write_owners(session: Session, source: str, added: Iterable[Owner], removed: Iterable[Owner] = ()) -> None:
    """Give a source these owners, and take those from it."""
    for kind, name in removed:
        row = session.get(SourceOwnerRow, (source, kind.value, name))
        if row is not None:
            session.delete(row)
    for kind, name in added:
        session.merge(SourceOwnerRow(source=source, kind=kind.value, name=name))


def _owned(name: str, owners: Iterable[Owner]) -> OwnedSource:
    owners = list(owners)
    return OwnedSource(
        name,
        owner_groups=frozenset(owner.name for owner in owners if owner.kind is OwnerKind.GROUP),
        owner_users=frozenset(owner.name for owner in owners if owner.kind is OwnerKind.USER),
    )
