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
from gateway.identity.store import ApiKeyRow, StoredUser, digest, find_key
from policies.actions import Action
from policies.clock import zoned
from policies.principals import Principal
from retrieval.changes import Changes, Marks
from retrieval.tables import utc_now

SCOPES = frozenset(Action) - {Action.DOCUMENTS_READ, Action.PERSONAL_DATA_REVEAL}
"""What a key can be narrowed to: what routes name. The others are decided for each document, for the key's user."""
_KEY = re.compile(r"mun_([a-z2-7]{16})_([A-Za-z0-9_-]{43})")
_MOST_REMEMBERED = 10_000
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


@dataclass(frozen=True, slots=True)
class _StoredKey:
    """What is stored of a key and its user, as of these marks."""

    row: ApiKeyRow
    user: StoredUser
    schema: int
    identity: str


class ApiKeys:
    """Recognises keys. Those that were valid are remembered until anything about users and keys changes."""

    def __init__(
        self,
        database: Engine,
        last_use: LastUse,
        freshness: Freshness,
        clock: Callable[[], datetime] = utc_now,
        changes: Changes | None = None,
    ) -> None:
        self._database = database
        self._last_use = last_use
        self._freshness = freshness
        self._changes = changes or Changes(database)
        self._remembered: dict[str, _StoredKey] = {}
        self.clock = clock

    def recognise(self, key: str) -> KeyHolder | None:
        """Who presents this key, if that can be told at once; none where `authenticate` has to look it up."""
        match, marks = _KEY.fullmatch(key), self._changes.glance()
        stored = self._remembered.get(match[1]) if match else None
        if match is None or marks is None or stored is None or not _holds(stored, marks):
            return None
        # A wrong secret takes the long way, as an unknown key does: the time tells nobody that there is such a key.
        right = hmac.compare_digest(stored.row.secret_sha256, digest(match[2]))
        return self._judge(stored.row, stored.user, match[2]) if right else None

    def authenticate(self, key: str) -> KeyHolder:
        """Who presents this key; one short read.

        Raises:
            NotAuthenticatedError: It is no valid key of an active user; which of these it is not is not said.
        """
        match = _KEY.fullmatch(key)
        # Before the read: what changes in between is read again the next time.
        marks = self._changes.marks()
        with Session(self._database) as session:
            found = find_key(session, match[1]) if match else None
        if match is None or found is None:
            hmac.compare_digest(digest(""), digest("-"))
            raise NotAuthenticatedError(_NO_KEY, "unknown")
        holder = self._judge(*found, match[2])
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[match[1]] = _StoredKey(*found, marks.schema, marks.identity)
        return holder

    def _judge(self, row: ApiKeyRow, user: StoredUser, secret: str) -> KeyHolder:
        """Whether what is stored makes this secret good at this moment.

        Raises:
            NotAuthenticatedError: It does not.
        """
        now, known = self.clock(), user.known(self._freshness)
        right = hmac.compare_digest(row.secret_sha256, digest(secret))
        reason = "wrong" if not right else _useless(row, now) or known.refused
        if reason:
            raise NotAuthenticatedError(_NO_KEY, reason, row.id, row.user_id)
        if row.last_used_at is None or now - zoned(row.last_used_at) >= LastUse.EVERY:
            row.last_used_at = now  # Of the remembered row, which no session holds any more.
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


def _holds(stored: _StoredKey, marks: Marks) -> bool:
    return (stored.schema, stored.identity) == (marks.schema, marks.identity)


def _useless(row: ApiKeyRow, now: datetime) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and zoned(row.expires_at) <= now else ""
