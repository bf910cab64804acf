"""Users and keys: who may knock, and who a key belongs to. Each change is in the trail before it takes effect."""

import hashlib
import hmac
import re
import secrets
from base64 import b32encode
from collections.abc import Mapping

from sqlalchemy import Engine
from sqlmodel import Session, select

from gateway.admin.store import ApiKeyRow, UserRow, list_principals, read_principal, write_user
from gateway.errors import BadRequestError, ConflictError, NotAuthenticatedError, NotFoundError
from gateway.recording import Recorder
from policies.audit.events import KeyCreated, KeyRevoked, UserAdded, UserDisabled
from policies.principals import Principal, Role
from retrieval.labels import next_epoch
from retrieval.sessions import writing
from retrieval.tables import utc_now

_USER_ID = re.compile(r"[\w.@+-]{1,128}")
_KEY = re.compile(r"mun_([a-z2-7]{16})_([A-Za-z0-9_-]{43})")
_NO_KEY = "The request carries no valid API key. Send `Authorization: Bearer KEY`; `muniment keys create` makes one."


class Users:
    """Users, their groups and their keys."""

    def __init__(self, database: Engine, recorder: Recorder) -> None:
        self._database = database
        self._recorder = recorder

    def principal(self, user_id: str) -> Principal:
        """The user of this name, active or not.

        Raises:
            NotFoundError: There is none.
        """
        with Session(self._database) as session:
            principal = read_principal(session, user_id)
        if principal is None:
            message = f"There is no user {user_id}. `muniment users list` shows who there is."
            raise NotFoundError(message)
        return principal

    def listed(self) -> list[Principal]:
        """Every user, by id."""
        with Session(self._database) as session:
            return list_principals(session)

    def add(self, groups_of: Mapping[str, frozenset[str]], roles: frozenset[Role], by: str) -> None:
        """Create users, or set the groups of existing ones.

        Raises:
            BadRequestError: A name is not usable.
        """
        for user_id in groups_of:
            if not _USER_ID.fullmatch(user_id):
                message = f"{user_id!r} cannot be a user name. Use 1 to 128 letters, digits, and . _ @ + -"
                raise BadRequestError(message)
        for user_id, groups in groups_of.items():
            self._recorder.record_now(
                UserAdded(by=by, user=user_id, groups=tuple(sorted(groups)), roles=tuple(sorted(roles)))
            )
        with writing(self._database) as session:
            next_epoch(session)
            for user_id, groups in groups_of.items():
                write_user(session, user_id, groups, roles)
            session.commit()

    def disable(self, user_id: str, by: str) -> None:
        """Take all access from a user, at once and everywhere; the user's keys stop working.

        Raises:
            NotFoundError: There is no such user.
        """
        self.principal(user_id)
        self._recorder.record_now(UserDisabled(by=by, user=user_id))
        with writing(self._database) as session:
            next_epoch(session)
            row = session.get_one(UserRow, user_id)
            row.active = False
            session.add(row)
            session.commit()

    def create_key(self, user_id: str, by: str) -> tuple[str, str]:
        """A new API key: its id, and the key itself, which is shown this once and stored only as a digest.

        Raises:
            NotFoundError: There is no such user.
            ConflictError: The user is disabled.
        """
        if not self.principal(user_id).active:
            message = f"User {user_id} is disabled; a key would not work."
            raise ConflictError(message)
        key_id = b32encode(secrets.token_bytes(10)).decode().lower()
        secret = secrets.token_urlsafe(32)
        self._recorder.record_now(KeyCreated(by=by, user=user_id, key_id=key_id))
        with writing(self._database) as session:
            session.add(ApiKeyRow(id=key_id, user_id=user_id, secret_sha256=_digest(secret)))
            session.commit()
        return key_id, f"mun_{key_id}_{secret}"

    def keys(self) -> list[tuple[str, str, bool]]:
        """Every key: its id, its user, and whether it works."""
        with Session(self._database) as session:
            rows = session.exec(select(ApiKeyRow).order_by(ApiKeyRow.user_id, ApiKeyRow.id))
            return [(row.id, row.user_id, row.revoked_at is None) for row in rows]

    def revoke_key(self, key_id: str, by: str) -> None:
        """Make a key useless at once.

        Raises:
            NotFoundError: There is no such key.
        """
        with Session(self._database) as session:
            found = session.get(ApiKeyRow, key_id)
        if found is None:
            message = f"There is no key {key_id}. `muniment keys list` shows the ids."
            raise NotFoundError(message)
        self._recorder.record_now(KeyRevoked(by=by, user=found.user_id, key_id=key_id))
        with writing(self._database) as session:
            row = session.get_one(ApiKeyRow, key_id)
            row.revoked_at = row.revoked_at or utc_now()
            session.add(row)
            session.commit()

    def authenticate(self, key: str) -> Principal:
        """Who presents this key.

        Raises:
            NotAuthenticatedError: It is no valid key of an active user; which of these it is not is not said.
        """
        match = _KEY.fullmatch(key)
        with Session(self._database) as session:
            row = session.get(ApiKeyRow, match[1]) if match else None
            principal = read_principal(session, row.user_id) if row else None
        stored = row.secret_sha256 if row else _digest("")
        right = hmac.compare_digest(stored, _digest(match[2] if match else "-"))
        if row is None or principal is None:
            raise NotAuthenticatedError(_NO_KEY, "unknown")
        reason = "wrong" if not right else "revoked" if row.revoked_at else "disabled" if not principal.active else ""
        if reason:
            raise NotAuthenticatedError(_NO_KEY, reason, row.id)
        return principal


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
