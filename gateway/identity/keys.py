"""API keys: what one looks like, what it may be used for, and whose it is."""

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session

from gateway.errors import NotAuthenticatedError
from gateway.identity.freshness import Freshness
from gateway.identity.last_use import LastUse
from gateway.identity.store import ApiKeyRow, digest, find_key
from policies.actions import Action
from policies.clock import zoned
from policies.principals import Principal
from retrieval.tables import utc_now

SCOPES = frozenset(Action) - {Action.DOCUMENTS_READ, Action.PERSONAL_DATA_REVEAL}
"""What a key can be narrowed to: what routes name. The others are decided for each document, for the key's user."""
_KEY = re.compile(r"mun_([a-z2-7]{16})_([A-Za-z0-9_-]{43})")
_NO_KEY = "The request carries no valid API key. Send `Authorization: Bearer KEY`; `muniment keys create` makes one."


class KeyView(msgspec.Struct, frozen=True):
    """A key as operators see it; without scopes it is for everything its user may do."""

    id: str
    user: str
    active: bool
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whose key came with a request, and what it is for; `scopes` none is everything."""

    principal: Principal
    key_id: str
    scopes: frozenset[str] | None


class ApiKeys:
    """Recognises keys."""

    def __init__(
        self, database: Engine, last_use: LastUse, freshness: Freshness, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._database = database
        self._last_use = last_use
        self._freshness = freshness
        self.clock = clock

    def authenticate(self, key: str) -> KeyHolder:
        """Who presents this key; one short read.

        Raises:
            NotAuthenticatedError: It is no valid key of an active user; which of these it is not is not said.
        """
        match = _KEY.fullmatch(key)
        with Session(self._database) as session:
            found = find_key(session, match[1], self._freshness) if match else None
        stored = found[0].secret_sha256 if found else digest("")
        right = hmac.compare_digest(stored, digest(match[2] if match else "-"))
        if found is None:
            raise NotAuthenticatedError(_NO_KEY, "unknown")
        row, known = found
        now = self.clock()
        reason = "wrong" if not right else _useless(row, now) or known.refused
        if reason:
            raise NotAuthenticatedError(_NO_KEY, reason, row.id, row.user_id)
        if row.last_used_at is None or now - zoned(row.last_used_at) >= LastUse.EVERY:
            self._last_use.key(row.id, now)
        return KeyHolder(known.principal, row.id, frozenset(row.scopes.split()) or None)


def key_text(key_id: str, secret: str) -> str:
    """A key as its user keeps it."""
    return f"mun_{key_id}_{secret}"


def key_view(row: ApiKeyRow, now: datetime) -> KeyView:
    """A key as operators see it."""
    return KeyView(
        row.id,
        row.user_id,
        not _useless(row, now),
        row.scopes.split(),
        zoned(row.created_at),
        zoned(row.expires_at) if row.expires_at else None,
        zoned(row.last_used_at) if row.last_used_at else None,
    )


def _useless(row: ApiKeyRow, now: datetime) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and zoned(row.expires_at) <= now else ""
