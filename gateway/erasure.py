"""Erasing somebody: a user and what they did here, or a person whom documents name.

An erasure is announced in the trail and in the ledger (`ledger.py`), then rows, keys and files go, then both say that
it is done. Every step can be done again: whatever stops it, `resume` completes it, and `replay` does it once more on an
installation that was restored from a backup of before. The trail is not changed; what stands for the erased in it
leads nowhere any more.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from gateway.chat.kept import KeptTextRow, KeptTexts
from gateway.chat.keys import ConversationKeyRow
from gateway.chat.store import Conversations
from gateway.errors import BadRequestError, ConflictError, DatabaseBusyError, NotFoundError
from gateway.holds import NOTHING_HELD, HoldKind, Holds
from gateway.identity.forgetting import forget_user, named_elsewhere, names_in
from gateway.identity.store import UserRow
from gateway.identity_file import Identity
from gateway.ledger import ErasedKind, Ledger, LedgerLine, Step
from gateway.recording import Recorder
from gateway.subjects import SubjectRow, Subjects, new_token
from policies.audit.events import ErasureBegun, SubjectErased
from policies.audit.people import is_token
from policies.errors import ErasedValueError, VaultUnreadableError
from policies.keys import Keys
from policies.principals import Role
from policies.redaction.erased import Erased, digests_of, signs
from retrieval.erasure import purge
from retrieval.segment_files import IndexFiles
from retrieval.sessions import writing

_LOG_WAIT_SECONDS = 60.0
"""How long to wait for other processes to let go of what they read, so that the log of changes can be emptied."""
_MOST_REASON_CHARACTERS = 500


class Erasure(msgspec.Struct, frozen=True):
    """What was erased: what stands for them in the trail, their line in the ledger, and how much of what went.

    `left` says what names them and is not ours to change.
    """

    kind: ErasedKind
    token: str
    number: int
    counts: Mapping[str, int]
    left: list[str]


def value_key(keys: Keys) -> bytes:
    """The key of the digests that values of persons are known by."""
    return keys.lasting("erased-values")


class ForgottenPeople:
    """Who was erased, as the ledger has it; `retrieval.erasure.Forgotten` for whoever reads sources."""

    def __init__(self, database: Callable[[], Engine], ledger: Ledger, subjects: Subjects, keys: Keys) -> None:
        self._database = database
        self._ledger = ledger
        self._subjects = subjects
        self._key = value_key(keys)

    def values(self) -> Erased:
        """What finds the values of every person who was erased, wherever they come back from."""
        return Erased(self._key, self._hmacs(ErasedKind.PERSON))

    def is_gone(self, user: str) -> bool:
        """Whether a user of this name was erased and there is none now: who may read is said without them."""
        hmacs = self._hmacs(ErasedKind.USER)
        if not hmacs or self._subjects.name_hmac(user) not in hmacs:
            return False
        with Session(self._database()) as session:
            return session.get(UserRow, user) is None

    def stamp(self) -> object:
        """Changes when somebody is erased."""
        return self._ledger.stamp

    def _hmacs(self, kind: ErasedKind) -> frozenset[str]:
        return frozenset(one for line in self._ledger.lines() if line.kind is kind for one in line.identity_hmacs)


class Erasures:
    """Erases. One at a time, whatever the process."""

    def __init__(
        self,
        *,
        database: Engine,
        recorder: Recorder,
        subjects: Subjects,
        holds: Holds,
        conversations: Conversations,
        kept: KeptTexts,
        ledger: Ledger,
        keys: Keys,
        index_files: IndexFiles,
        failures_under: Callable[[str], str],
        asker_of: Callable[[str], str],
        settings: Callable[[], str],
    ) -> None:
        """`failures_under` gives what failed sign-ins are counted under, `asker_of` who made a request, by token.

        `settings` are those of the installation, as text.
        """
        self._database = database
        self._recorder = recorder
        self._subjects = subjects
        self._holds = holds
        self._conversations = conversations
        self._kept = kept
        self._ledger = ledger
        self._value_key = value_key(keys)
        self._index_files = index_files
        self._failures_under = failures_under
        self._asker_of = asker_of
        self._settings = settings

    def erase_user(self, user: str, by: str, reason: str = "") -> Erasure:
        """Erase a user and what they did here; they are named, or given by what stands for them in the trail.

        Raises:
            NotFoundError: Nobody of that name was ever here.
            ConflictError: They were erased already, are who asks, the last operator, or under a legal hold.
            BadRequestError: The reason names them.
            LedgerUnusableError, TrailUnavailableError: It could not be announced, so nothing was erased.
            DatabaseUnusableError, DatabaseBusyError: It was broken off; `resume` completes it.
        """
        token, name = self._user(user)
        if by in {user, name}:
            message = "You cannot erase yourself. Have somebody else do it, so that the trail says who did."
            raise ConflictError(message)
        self._require_another_operator(name)
        self._require_no_hold(token)
        reason = _checked_reason(reason, [name, user])
        self._recorder.record_now(ErasureBegun(by=by, subject=token, of=ErasedKind.USER.value, reason=reason))
        hmacs = (self._subjects.name_hmac(name),) if name else ()
        line = self._ledger.append(Step.BEGUN, ErasedKind.USER, token, hmacs)
        return self._carry_out(line, by, name)

    def erase_person(self, identity: Identity, by: str, reason: str = "") -> Erasure:
        """Take a person out of all documents, and out of what comes from the sources from now on.

        Raises:
            BadRequestError: A value is too short or too long to be looked for, or the reason names them.
            LedgerUnusableError, TrailUnavailableError: It could not be announced, so nothing was erased.
            DatabaseUnusableError, DatabaseBusyError: It was broken off; `resume` completes it.
        """
        try:
            digests = digests_of(self._value_key, identity.spellings())
        except ErasedValueError as error:
            raise BadRequestError(str(error)) from error
        if Erased(self._value_key, frozenset(digests)).is_in(reason):
            raise _reason_names_them()
        reason = _checked_reason(reason, [])
        token = new_token()
        self._recorder.record_now(ErasureBegun(by=by, subject=token, of=ErasedKind.PERSON.value, reason=reason))
        line = self._ledger.append(Step.BEGUN, ErasedKind.PERSON, token, digests)
        return self._carry_out(line, by)

    def resume(self, by: str) -> list[Erasure]:
        """Complete what was begun and broken off; what a legal hold forbids now comes last, and is told.

        Raises:
            As `erase_user`.
        """
        lines = sorted(self._ledger.unfinished(), key=lambda line: bool(self._holding(line.token)))
        return [self._carry_out(line, by) for line in lines]

    def replay(self, lines: Sequence[LedgerLine], by: str) -> list[Erasure]:
        """Do erasures again: of the ledger's lines, on an installation restored from a backup of before them.

        One that was never completed and that a legal hold forbids now is left to `resume`.

        Raises:
            As `erase_user`.
        """
        begun = [line for line in lines if line.step is Step.BEGUN]
        waiting = {line.token for line in self._ledger.unfinished()}
        left = {line.token for line in begun if line.token in waiting and self._holding(line.token)}
        return [self._carry_out(line, by) for line in begun if line.token not in left]

    def _carry_out(self, line: LedgerLine, by: str, name: str = "") -> Erasure:
        """Do what a line of the ledger announces, whatever of it was done before.

        What was completed once is done again whatever is held: such a hold came back with a backup.
        """
        counts: dict[str, int] = {}
        if line.kind is ErasedKind.USER:
            with writing(self._database) as session:
                if any(line.token == waiting.token for waiting in self._ledger.unfinished()):
                    self._require_no_hold(line.token)  # Under the write lock, so that nobody places one meanwhile.
                name = name or self._name_in(session, line)
                failures = self._failures_under(name) if name else ""
                counts |= forget_user(session, line.token, name, failures)
                session.commit()
        else:
            erased = Erased(self._value_key, frozenset(line.identity_hmacs))
            purged = purge(self._database, lambda texts: erased.is_in(*texts))
            self._index_files.purge()
            counts |= {"documents": purged.documents, "passages": purged.passages, "skips": purged.skips}
            counts |= {"masked_conversations": self._conversations.forget(erased)}
            counts |= {"masked_texts": self._kept.forget(erased)}
        self._empty_log()
        counts = {kind: count for kind, count in counts.items() if count}
        left = self._left(line, name, counts)
        said = SubjectErased(by=by, subject=line.token, of=line.kind.value, ledger=line.number, counts=counts)
        self._recorder.record_now(said)
        self._ledger.append(Step.DONE, line.kind, line.token)
        return Erasure(line.kind, line.token, line.number, counts, left)

    def _left(self, line: LedgerLine, name: str, counts: Mapping[str, int]) -> list[str]:
        """What names the erased and is not ours to change, for people to look at."""
        if line.kind is ErasedKind.USER and not name:
            return []
        erased = Erased(self._value_key, frozenset(line.identity_hmacs))
        names = (lambda text: name in text) if line.kind is ErasedKind.USER else erased.is_in
        with Session(self._database) as session:
            told = named_elsewhere(session, names)
        if names(self._settings()):
            told.append("the settings name them; correct the file")
        if line.kind is ErasedKind.PERSON and self._holds.covered() != NOTHING_HELD:
            told.append("what legal holds cover may name them, and was left; when they have ended, erase them again")
        if {"directory_entries", "scim_entries"} & counts.keys():
            told.append("a directory knew them, and makes them a user again unless they are taken out there")
        return told

    def _empty_log(self) -> None:
        """Have SQLite write its log of changes into the database and empty it: what was deleted still stands there.

        Raises:
            DatabaseBusyError: Another process has been reading for too long.
        """
        until = time.monotonic() + _LOG_WAIT_SECONDS
        while True:
            with self._database.connect() as connection:
                raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
                busy, *_ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                return
            if time.monotonic() > until:
                message = (
                    "What was erased still stands in the database's log of changes, since another process has been "
                    "reading for a minute. Complete it with `muniment erase --resume`."
                )
                raise DatabaseBusyError(message)
            time.sleep(0.05)

    def _user(self, user: str) -> tuple[str, str]:
        """What stands for a user, and their name."""
        if is_token(user):
            token, name = user, self._name_of(user)
            known = bool(name)
        else:
            with Session(self._database) as session:
                exists = session.get(UserRow, user) is not None
            if exists:
                self._subjects.introduce([user])
            token, name = self._subjects.find(user) or "", user
            with Session(self._database) as session:
                known = bool(token) and session.get(SubjectRow, token) is not None
        if known:
            return token, name
        lines = [line for line in self._ledger.lines() if line.token == token and line.kind is ErasedKind.USER]
        if lines and any(line.token == token for line in self._ledger.unfinished()):
            message = f"The erasure of {user} was begun and not completed. Run `muniment erase --resume`."
            raise ConflictError(message)
        if lines:
            message = f"{user} was erased already, at {lines[-1].at[:19]} UTC, number {lines[0].number} of the ledger."
            raise ConflictError(message)
        message = f"Nobody called {user} was ever here. `muniment users list` shows who there is."
        raise NotFoundError(message)

    def _name_of(self, token: str) -> str:
        return self._subjects.names([token]).get(token, "")

    def _name_in(self, session: Session, line: LedgerLine) -> str:
        """Whom a line is about: by their token, or by the digest of their name where that has no token here yet.

        Raises:
            VaultUnreadableError: Only a name that does not open would tell, and rows of theirs would stay.
        """
        if told := self._name_of(line.token):
            return told
        for name in names_in(session):
            if self._subjects.name_hmac(name) in line.identity_hmacs:
                return name if self._subjects.known(session, name) in {None, line.token} else ""
        if not line.identity_hmacs and session.get(SubjectRow, line.token) is not None:
            message = f"What {line.token} is called does not open with these keys. Restore the keys, then try again."
            raise VaultUnreadableError(message)
        return ""

    def _require_another_operator(self, name: str) -> None:
        with Session(self._database) as session:
            row = session.get(UserRow, name)
            if row is None or not row.active or Role.OPERATOR.value not in row.roles.split():
                return
            others = select(UserRow.roles).where(UserRow.id != name, col(UserRow.active))
            if any(Role.OPERATOR.value in roles.split() for roles in session.exec(others)):
                return
        message = (
            f"{name} is the last operator there is. Make somebody else one first: "
            "muniment users add NAME --role operator"
        )
        raise ConflictError(message)

    def _require_no_hold(self, token: str) -> None:
        if held := self._holding(token):
            raise ConflictError(self._holds.explain(held))

    def _holding(self, token: str) -> set[tuple[HoldKind, str]]:
        """What is held of somebody's, as holds name it."""
        held = self._holds.covered()
        with Session(self._database) as session:
            rows = session.exec(select(ConversationKeyRow.conversation_id).where(ConversationKeyRow.token == token))
            conversations = held.conversations & set(rows)
            texts = session.exec(select(KeptTextRow.request).where(KeptTextRow.token == token))
            requests = held.requests & set(texts)
        requests |= {request for request in held.requests - requests if self._asker_of(request) == token}
        targets = {(HoldKind.SUBJECT, token)} if token in held.subjects else set()
        targets |= {(HoldKind.CONVERSATION, id_) for id_ in conversations}
        targets |= {(HoldKind.REQUEST, request) for request in requests}
        return targets


def _checked_reason(reason: str, names: Iterable[str]) -> str:
    reason = " ".join(reason.split())
    if len(reason) > _MOST_REASON_CHARACTERS:
        message = f"The reason is longer than {_MOST_REASON_CHARACTERS} characters."
        raise BadRequestError(message)
    written = signs(reason)
    if any((called := signs(name)) and called in written for name in names):
        raise _reason_names_them()
    return reason


def _reason_names_them() -> BadRequestError:
    return BadRequestError("The reason stays in the trail, so it must not name whom it is about. Give a file number.")
