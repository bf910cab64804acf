"""Database sessions: one kind that only reads, and one that may write."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Engine
from sqlmodel import Session


def writing(database: Engine) -> Session:
    """A session that takes the write lock when it begins.

    SQLite refuses at once, without waiting, when a transaction that began by reading turns to writing while another
    has written (`SQLITE_BUSY_SNAPSHOT`); taking the lock first makes it wait its turn instead.
    """
    session = Session(database.execution_options(writing=True))
    try:
        session.connection()  # Else the first statement took it, and what is looked at before that could change.
    except BaseException:
        session.close()
        raise
    return session


def batched(ids: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    """Ids by the hundred, for `IN (...)`: SQLite takes at most 32,766 variables in a statement."""
    return (ids[start : start + size] for start in range(0, len(ids), size))
