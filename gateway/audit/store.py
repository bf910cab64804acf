"""Investigations and what is asked to be revealed in them, in storage. Reasons are sealed: they may name somebody."""

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, LargeBinary
from sqlmodel import Field, SQLModel

from policies.keys import Keys

UNREADABLE = "(This reason was altered, or was sealed with the keys of another installation.)"
_NONCE_BYTES = 12


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
    """Seals what people write as their reason, each text for the one row that it stands in (AES-256-GCM)."""

    key: bytes

    @classmethod
    def of(cls, keys: Keys) -> Self:
        """With the installation's key for this."""
        return cls(keys.derive("audit-reasons"))

    def seal(self, row: str, reason: str) -> bytes:
        """Encrypt a reason for the row with this id."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.key).encrypt(nonce, reason.encode(), row.encode())

    def unseal(self, row: str, sealed: bytes) -> str:
        """The reason that was sealed for this row, or a sentence that says that it is not this one."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return AESGCM(self.key).decrypt(nonce, ciphertext, row.encode()).decode()
        except (InvalidTag, ValueError):
            return UNREADABLE
