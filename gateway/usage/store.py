"""What was used, in storage: totals for each day, person and model; how limits stand; what is reserved of them.

People are here by the tokens that the trail calls them by. Totals of a day have no end, so they are by person and never
by question; a limit has one row for each person, of its newest period; what is reserved goes with its question, or
expires with its process. No commit happens here.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, Session, SQLModel, col, delete, func, select, update

from gateway.subjects import SubjectRow
from gateway.usage.limits import Count

NOBODY = ""
"""Whose totals those of erased people are, and whose row a limit has that is shared."""


class UsageRow(SQLModel, table=True):
    """What the questions of one person to one model took in one day, in UTC; `day` is written as 2026-12-01.

    `unpriced` are those of the questions that were asked when the model had no price; `cost_billionths` are of the
    currency, `checks` the questions to the model besides the text it wrote.
    """

    __tablename__ = "usage"
    day: str = Field(primary_key=True)
    token: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    answered: int = Field(default=0, sa_type=BigInteger)
    abstained: int = Field(default=0, sa_type=BigInteger)
    failed: int = Field(default=0, sa_type=BigInteger)
    refused: int = Field(default=0, sa_type=BigInteger)
    unpriced: int = Field(default=0, sa_type=BigInteger)
    prompt_tokens: int = Field(default=0, sa_type=BigInteger)
    cached_tokens: int = Field(default=0, sa_type=BigInteger)
    completion_tokens: int = Field(default=0, sa_type=BigInteger)
    checks: int = Field(default=0, sa_type=BigInteger)
    compute_ms: int = Field(default=0, sa_type=BigInteger)
    cost_billionths: int = Field(default=0, sa_type=BigInteger)


class UsageCountRow(SQLModel, table=True):
    """How far a limit is used up in its newest period, which begins at `period`, in seconds since 1970."""

    __tablename__ = "usage_count"
    limit: str = Field(primary_key=True)
    token: str = Field(primary_key=True)
    period: int = Field(default=0, sa_type=BigInteger)
    used: int = Field(default=0, sa_type=BigInteger)


class UsageReservationRow(SQLModel, table=True):
    """What a question in progress may still use of a limit; void from `expires` on, in seconds since 1970."""

    __tablename__ = "usage_reservation"
    __table_args__ = (Index("ix_usage_reservation_limit", "limit", "token"),)
    id: str = Field(primary_key=True)
    limit: str = Field(primary_key=True)
    token: str
    amount: int = Field(sa_type=BigInteger)
    expires: int = Field(sa_type=BigInteger)


@dataclass(frozen=True, slots=True)
class Place:
    """Where totals are added up."""

    day: str
    token: str
    model: str


COUNTED = tuple(name for name in UsageRow.model_fields if name not in {"day", "token", "model"})
"""The columns that are added up."""


def add_totals(session: Session, totals: Mapping[Place, Mapping[str, int]]) -> None:
    """Add to the totals; what was used by somebody who has been erased meanwhile goes to nobody's."""
    here = known(session, {place.token for place in totals})
    for place, counts in totals.items():
        token = place.token if place.token in here else NOBODY
        row = session.get(UsageRow, (place.day, token, place.model))
        if row is None:
            row = UsageRow(day=place.day, token=token, model=place.model)
        for name, count in counts.items():
            setattr(row, name, getattr(row, name) + count)
        session.add(row)
    session.flush()


def known(session: Session, tokens: Collection[str]) -> set[str]:
    """Those of the tokens that stand for somebody."""
    return set(session.exec(select(SubjectRow.token).where(col(SubjectRow.token).in_(tokens))))


def read_count(session: Session, limit: str, token: str, now: int, spared: str = "") -> Count:
    """How a limit stands for somebody, what is reserved by questions other than `spared` included."""
    row = session.get(UsageCountRow, (limit, token))
    query = select(func.sum(UsageReservationRow.amount)).where(
        UsageReservationRow.limit == limit,
        UsageReservationRow.token == token,
        UsageReservationRow.expires > now,
        UsageReservationRow.id != spared,
    )
    reserved = session.exec(query).one() or 0
    return Count(row.period, row.used, reserved) if row else Count(reserved=reserved)


def write_count(session: Session, limit: str, token: str, count: Count) -> None:
    """Say how far a limit is used up."""
    session.merge(UsageCountRow(limit=limit, token=token, period=count.period, used=count.used))


def reserve(session: Session, id_: str, amounts: Mapping[tuple[str, str], int], expires: int) -> None:
    """Reserve for a question; `amounts` are by limit and token."""
    session.add_all(
        UsageReservationRow(id=id_, limit=limit, token=token, amount=amount, expires=expires)
        for (limit, token), amount in amounts.items()
    )


def release(session: Session, ids: Collection[str], now: int) -> None:
    """Take back what these questions reserved, and what questions reserved whose process is gone."""
    over = col(UsageReservationRow.id).in_(ids) | (col(UsageReservationRow.expires) <= now)
    session.exec(delete(UsageReservationRow).where(over))


def renew(session: Session, ids: Iterable[str], expires: int) -> None:
    """Let reservations go on: their questions are in progress still."""
    session.exec(update(UsageReservationRow).where(col(UsageReservationRow.id).in_(list(ids))).values(expires=expires))


def totals_between(session: Session, first_day: str, last_day: str, token: str | None = None) -> list[UsageRow]:
    """The totals of these days, both included: everybody's, or somebody's."""
    query = select(UsageRow).where(col(UsageRow.day).between(first_day, last_day))
    if token is not None:
        query = query.where(UsageRow.token == token)
    return list(session.exec(query.order_by(UsageRow.day, UsageRow.token, UsageRow.model)))


def forget_usage(session: Session, token: str) -> int:
    """Make somebody's totals nobody's, and forget how limits stand for them; returns how many rows were theirs."""
    theirs = list(session.exec(select(UsageRow).where(UsageRow.token == token)))
    for row in theirs:
        counts = {name: getattr(row, name) for name in COUNTED}
        session.delete(row)
        add_totals(session, {Place(row.day, NOBODY, row.model): counts})
    for table in (UsageCountRow, UsageReservationRow):
        session.exec(delete(table).where(col(table.token) == token))
    return len(theirs)
