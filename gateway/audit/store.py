"""Investigations and what is asked to be revealed in them, in storage. Reasons are sealed: they may name somebody."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, LargeBinary
from sqlmodel import Field, SQLModel

from policies.errors import VaultUnreadableError
from policies.keys import Keys
from policies.wrapping import unwrap, wrap

UNREADABLE = "(This reason was altered, or was sealed with the keys of another installation.)"


class InvestigationRow(SQLModel, table=True):
    """Why somebody looks into the trail, and until when. `channel` is where `by` is known: `http` or `cli`."""

    __tablename__ = "investigation"
    id: str = Field(primary_key=True)
    by: str = Field(index=True)
    channel: str
    reason: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    begun_at: datetime
    ends_at: datetime
    closed_at: datetime | None = None


class RevealRow(SQLModel, table=True):
    """A request to see the text of one question and its answer; whose they are stands in the trail alone.

    `decision` is empty, `approved` or `refused`. The operating-system users are those of commands, empty over HTTP.
    """

    __tablename__ = "reveal"
    id: str = Field(primary_key=True)
    investigation_id: str = Field(index=True, foreign_key="investigation.id")
    request: str
    reason: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    asked_by: str
    asked_os_user: str = ""
    asked_at: datetime
    expires_at: datetime
    decision: str = ""
    decided_by: str = ""
    decided_os_user: str = ""
    decided_at: datetime | None = None
    open_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reasons:
    """Seals what people write as their reason, each text for the one row that it stands in, with the master key."""

    keys: Keys

    def seal(self, row: str, reason: str) -> bytes:
        """Encrypt a reason for the row with this id."""
        return wrap(self.keys, about_reason(row), reason.encode())

    def unseal(self, row: str, sealed: bytes) -> str:
        """The reason that was sealed for this row, or a sentence that says that it is not this one."""
        try:
            return unwrap(self.keys, about_reason(row), sealed).decode()
        except (VaultUnreadableError, UnicodeDecodeError):
            return UNREADABLE


def about_reason(row: str) -> str:
    """What a sealed reason is bound to."""
    return f"reason of {row}"
