"""Subjects: the token that stands for each person in the trail, their data key, and their name sealed under it.

One row for each user and for each who administers at the command line. Everything that is kept sealed for somebody is
under their data key, or under keys that it wraps, so once the row is gone all of that is noise, and no token leads
back to a name. `policies/audit/people.py` says where tokens stand.
"""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Column, Engine, LargeBinary
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Field, Session, SQLModel, col, select

from gateway.errors import ConflictError, DatabaseBusyError, DatabaseUnusableError, LedgerUnusableError
from gateway.identity.store import UserRow
from gateway.ledger import ErasedKind, Ledger, Stamp
from policies.audit.people import is_token
from policies.errors import TrailUnavailableError, VaultUnreadableError
from policies.keys import Keys
from policies.wrapping import new_key, open_with, seal_with, unwrap, wrap
from retrieval.sessions import batched, writing

_TOKEN_BYTES = 8
_UNUSABLE = (DatabaseBusyError, DatabaseUnusableError, LedgerUnusableError, SQLAlchemyError)


def new_token() -> str:
    """What stands for somebody new: random, so that it tells nothing of them."""
    return f"p{secrets.token_hex(_TOKEN_BYTES)}"


class SubjectRow(SQLModel, table=True):
    """A person: their token, a keyed digest to find their name by, their wrapped data key, their sealed name."""

    __tablename__ = "subject"
    token: str = Field(primary_key=True)
    name_hmac: str = Field(unique=True)
    key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    name: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


@dataclass(frozen=True, slots=True)
class Since:
    """How far erasures had come when somebody began to answer."""

    stamp: Stamp


class Subjects:
    """The subjects of one installation; `policies.audit.people.Names` for its trail. Safe across threads.

    What is remembered here is forgotten when somebody was erased, by whatever process: the ledger's stamp tells.
    """

    def __init__(self, database: Callable[[], Engine], keys: Callable[[], Keys], ledger: Callable[[], Ledger]) -> None:
        """All three are opened only when they are needed: a trail is read where the rest is gone, too."""
        self._database = database
        self._keys = keys
        self._ledger = ledger
        self._lock = threading.Lock()
        self._stamp: Stamp = None
        self._token_of: dict[str, str] = {}
        self._name_of: dict[str, str] = {}

    @cached_property
    def _name_key(self) -> bytes:
        return self._keys().lasting("subject-names")

    def tokens(self, names: Collection[str]) -> Mapping[str, str]:
        """See `Names`. Somebody erased keeps the token they had, as long as nobody makes them a user again.

        Raises:
            TrailUnavailableError: The database cannot be read or written.
        """
        known = self._known(names)
        missing = [name for name in names if name not in known]
        return known | (self._looked_up(missing, make=True) if missing else {})

    def introduce(self, names: Iterable[str]) -> None:
        """Give those who are about to become users a token each, also where somebody of that name was erased.

        Raises:
            TrailUnavailableError: The database cannot be read or written.
        """
        wanted = list(names)
        known = self._known(wanted)
        missing = [name for name in wanted if name not in known]
        if missing:
            self._looked_up(missing, make=True, anew=True)

    def find(self, name: str) -> str | None:
        """See `Names`; also after they were erased."""
        try:
            return self._known([name]).get(name) or self._looked_up([name], make=False).get(name)
        except TrailUnavailableError:
            return None

    def names(self, tokens: Collection[str]) -> Mapping[str, str]:
        """See `Names`. What cannot be read is left out: a trail is looked into where much else is broken."""
        try:
            self._known(())
            with self._lock:
                known = {token: self._name_of[token] for token in tokens if token in self._name_of}
            missing = [token for token in tokens if token not in known]
            return known | (self._named(missing) if missing else {})
        except (*_UNUSABLE, TrailUnavailableError):
            return {}

    def forget_if_due(self) -> None:
        """Forget what is remembered where somebody was erased since.

        Raises:
            TrailUnavailableError: The ledger cannot be looked at.
        """
        self._known(())

    def since(self) -> Since:
        """How far erasures have come now; asked before anything is read that is stored later."""
        return Since(self._ledger().stamp)

    def require_unchanged(self, since: Since | None) -> None:
        """See that nobody was erased since then: what was read before may name them, or be theirs.

        Raises:
            ConflictError: Somebody was.
        """
        if since is not None and since != self.since():
            message = "Somebody was erased while this question was answered, and it may concern them. Ask again."
            raise ConflictError(message)

    def known(self, session: Session, name: str) -> str | None:
        """The token of a name, as the session sees it."""
        return session.exec(select(SubjectRow.token).where(SubjectRow.name_hmac == self.name_hmac(name))).first()

    def key(self, session: Session, token: str) -> bytes | None:
        """The data key of a subject, as the session sees it; none where they were erased.

        Raises:
            VaultUnreadableError: It does not open with this installation's keys.
        """
        row = session.get(SubjectRow, token)
        return None if row is None else self._opened(row)

    def name_hmac(self, name: str) -> str:
        """The keyed digest that a name is found by."""
        return hmac.digest(self._name_key, name.encode(errors="surrogatepass"), hashlib.sha256).hex()

    def _known(self, names: Iterable[str]) -> dict[str, str]:
        """The tokens of these that are remembered; none when somebody was erased since."""
        try:
            stamp = self._ledger().stamp
        except _UNUSABLE as error:
            raise _unavailable(error) from error
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                self._token_of.clear()
                self._name_of.clear()
            return {name: self._token_of[name] for name in names if name in self._token_of}

    def _looked_up(self, names: Collection[str], *, make: bool, anew: bool = False) -> dict[str, str]:
        digests = {self.name_hmac(name): name for name in names}
        stamp = self._stamp
        try:
            with Session(self._database()) as session:
                found = _tokens_of(session, digests)
            lacking = [name for name in names if name not in found]
            erased: dict[str, str] = {}
            if lacking and not anew:
                erased = self._erased(lacking)
            if make and (new := [name for name in lacking if name not in erased]):
                found |= self._made({digest: name for digest, name in digests.items() if name in new})
        except _UNUSABLE as error:
            raise _unavailable(error) from error
        self._remember(stamp, found)
        return found | erased

    def _erased(self, names: Collection[str]) -> dict[str, str]:
        """The tokens that people had who were erased, as far as they are no users now."""
        hmacs = {one: line for line in self._ledger().lines() for one in line.identity_hmacs}
        hmacs = {one: line for one, line in hmacs.items() if line.kind is ErasedKind.USER}
        if not hmacs:
            return {}
        with Session(self._database()) as session:
            users = {user for some in batched(list(names)) for user in _users_of(session, some)}
        told = {name: hmacs.get(self.name_hmac(name)) for name in names if name not in users}
        return {name: line.token for name, line in told.items() if line is not None}

    def _made(self, names: Mapping[str, str]) -> dict[str, str]:
        """Rows for these names, given by their digests; another process may have made some meanwhile."""
        with writing(self._database()) as session:
            found = _tokens_of(session, names)
            for digest, name in names.items():
                if name in found:
                    continue
                token, key = new_token(), new_key()
                sealed = seal_with(key, _about_name(token), name.encode(errors="surrogatepass"))
                wrapped = wrap(self._keys(), about_key(token), key)
                session.add(SubjectRow(token=token, name_hmac=digest, key=wrapped, name=sealed))
                found[name] = token
            session.commit()
        return found

    def _named(self, tokens: Collection[str]) -> dict[str, str]:
        stamp, wanted = self._stamp, [token for token in tokens if is_token(token)]
        named: dict[str, str] = {}
        with Session(self._database()) as session:
            for some in batched(wanted):
                for row in session.exec(select(SubjectRow).where(col(SubjectRow.token).in_(some))):
                    try:
                        sealed = open_with(self._opened(row), _about_name(row.token), row.name)
                    except VaultUnreadableError:
                        continue  # Told as unknown; `muniment doctor` looks at whether keys fit.
                    named[row.token] = sealed.decode(errors="surrogatepass")
        with self._lock:
            if stamp == self._stamp:
                self._name_of |= named
        return named

    def _remember(self, stamp: Stamp, found: Mapping[str, str]) -> None:
        with self._lock:
            if stamp == self._stamp:
                self._token_of |= found

    def _opened(self, row: SubjectRow) -> bytes:
        return unwrap(self._keys(), about_key(row.token), row.key)


def _tokens_of(session: Session, names: Mapping[str, str]) -> dict[str, str]:
    """The tokens of those names, given by their digests, that have one."""
    query = select(SubjectRow.name_hmac, SubjectRow.token)
    rows = (session.exec(query.where(col(SubjectRow.name_hmac).in_(some))).all() for some in batched(list(names)))
    return {names[digest]: token for some in rows for digest, token in some}


def _users_of(session: Session, names: Collection[str]) -> Iterable[str]:
    return session.exec(select(UserRow.id).where(col(UserRow.id).in_(names))).all()


def about_key(token: str) -> str:
    """What a wrapped data key is bound to."""
    return f"key of subject {token}"


def _about_name(token: str) -> str:
    return f"name of subject {token}"


def _unavailable(error: Exception) -> TrailUnavailableError:
    return TrailUnavailableError(f"Who people are in the audit trail cannot be looked up. {error}")
