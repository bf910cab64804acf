"""After the master key was rotated: what the one before it wraps is wrapped anew, and then that one is destroyed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import Session, SQLModel, select

from gateway.audit.store import InvestigationRow, RevealRow, about_reason
from gateway.chat.store import Conversations
from gateway.holds import HoldRow
from gateway.holds import about_reason as about_hold
from gateway.subjects import SubjectRow, about_key
from policies.keys import Keys, retire_masters
from policies.wrapping import rewrap, wrapped_by
from retrieval.sessions import writing

_TOGETHER = 500
"""Rows changed in one transaction, so that nobody who writes beside waits long."""
_SETTLED_SECONDS = 60.0
"""So long nothing is destroyed: a process may have wrapped with the master before it and not stored that yet."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A column whose values the master key wraps, and what they are about."""

    table: type[SQLModel]
    column: str
    about: Callable[[SQLModel], str]


WRAPPED = (
    Wrapped(SubjectRow, "key", lambda row: about_key(row.token)),  # type: ignore[attr-defined]
    Wrapped(HoldRow, "reason", lambda row: about_hold(row.id)),  # type: ignore[attr-defined]
    Wrapped(InvestigationRow, "reason", lambda row: about_reason(row.id)),  # type: ignore[attr-defined]
    Wrapped(RevealRow, "reason", lambda row: about_reason(row.id)),  # type: ignore[attr-defined]
)
"""All that the master key wraps itself; everything else is under keys that these are.

Conversations of before there were keys are under keys that derive from it, and get their own here.
"""


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many values were wrapped anew, and which earlier masters were destroyed and which stay for now."""

    values: int
    destroyed: tuple[str, ...]
    kept: tuple[str, ...]


def reseal(database: Engine, keys: Keys, folder: Path, conversations: Conversations) -> Resealed:
    """Wrap anew what another master than the one in force wraps, and destroy those that are not needed any more.

    Raises:
        ConflictError: A conversation of before there were keys went on meanwhile; nothing is destroyed then.
        DatabaseUnusableError: The database cannot be read or written.
        KeysUnusableError: An earlier master cannot be read or destroyed.
        VaultUnreadableError: A value does not open; nothing is destroyed then.
    """
    values = conversations.seal_those_of_before() + sum(_reseal(database, keys, wrapped) for wrapped in WRAPPED)
    needed = {master for wrapped in WRAPPED for master in _masters_of(database, wrapped)}
    settled = time.time() - (folder / "master.key").stat().st_mtime > _SETTLED_SECONDS
    earlier = sorted(keys.earlier)
    destroyed = tuple(master for master in earlier if settled and master not in needed)
    retire_masters(folder, destroyed)
    return Resealed(values, destroyed, tuple(master for master in earlier if master not in destroyed))


def _reseal(database: Engine, keys: Keys, wrapped: Wrapped) -> int:
    done = 0
    while True:
        with writing(database) as session:
            rows = [row for row in _rows(session, wrapped) if _master(row, wrapped) != keys.master_id][:_TOGETHER]
            for row in rows:
                about = wrapped.about(row)
                setattr(row, wrapped.column, rewrap(keys, about, getattr(row, wrapped.column)))
                session.add(row)
            session.commit()
        done += len(rows)
        if not rows:
            return done


def _masters_of(database: Engine, wrapped: Wrapped) -> set[str]:
    with Session(database) as session:
        return {_master(row, wrapped) for row in _rows(session, wrapped)}


def _rows(session: Session, wrapped: Wrapped) -> Iterator[SQLModel]:
    yield from session.exec(select(wrapped.table))


def _master(row: SQLModel, wrapped: Wrapped) -> str:
    return wrapped_by(getattr(row, wrapped.column))
