"""Loaded policies in storage. Rows are only ever added: the newest is in force, the others are its history."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Engine
from sqlmodel import Field, Session, SQLModel, col, select

from retrieval.tables import utc_now


class PolicyBundleRow(SQLModel, table=True):
    """A site's own rules, with the shipped policies and schema they were found to fit."""

    __tablename__ = "policy_bundle"
    id: int | None = Field(default=None, primary_key=True)
    revision: str
    files: str
    shipped: str
    schema_text: str
    by: str
    loaded_at: datetime = Field(default_factory=utc_now)


class Head(NamedTuple):
    """Which policies are current. The revision is told beside the number: a restored database counts anew."""

    id: int
    revision: str


def read_head(database: Engine) -> Head | None:
    """The current policies; none where a site never had its own. One row of one index, so that each request may ask."""
    with Session(database) as session:
        newest = select(PolicyBundleRow.id, PolicyBundleRow.revision).order_by(col(PolicyBundleRow.id).desc()).limit(1)
        row = session.exec(newest).first()
    return Head(row[0] or 0, row[1]) if row else None


def read_row(database: Engine, id_: int) -> PolicyBundleRow | None:
    """One of the loaded bundles, in full."""
    with Session(database) as session:
        return session.get(PolicyBundleRow, id_)


def read_rows(session: Session) -> list[PolicyBundleRow]:
    """Every bundle that was ever loaded, newest first."""
    return list(session.exec(select(PolicyBundleRow).order_by(col(PolicyBundleRow.id).desc())))
