"""What is held about a user, read from where it is kept. Nothing is changed, and no text of other people's is read.

Entries of the trail name others, who administered or were administered: each is another person with a number here.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlmodel import Session, SQLModel, col, select

from gateway.errors import NotFoundError
from gateway.identity.memberships import LdapUserRow, MembershipRow
from gateway.identity.scim.store import ScimUserRow
from gateway.identity.store import ApiKeyRow, LinkRow, PasswordRow, SessionRow, UserRow
from gateway.services import Services
from gateway.sources.store import SourceOwnerRow
from gateway.usage.store import UsageRow
from policies.audit.events import SourceOwnersChanged
from policies.audit.people import fields_of
from policies.audit.reader import Entry, EntryQuery, read_entries
from policies.clock import zoned
from policies.errors import VaultUnreadableError

_NEVER_HANDED_OUT = frozenset({"hash", "previous_sha256", "rotation_salt", "secret_sha256", "token_sha256"})
"""Columns that say nothing about anybody and help whoever guesses."""
_OF_A_USER = "user:"
_TOGETHER = 1000


class HeldMessage(msgspec.Struct, frozen=True):
    """A turn of a conversation."""

    speaker: str
    text: str


class HeldConversation(msgspec.Struct, frozen=True):
    """A stored conversation; without messages, and `readable` false, where it does not open any more."""

    id: str
    began_at: datetime
    readable: bool
    messages: tuple[HeldMessage, ...]


class HeldQuestion(msgspec.Struct, frozen=True):
    """A question and its answer, as kept for a while for investigators; `request` is their name in the trail."""

    request: str
    at: datetime
    question: str
    answer: str


class HeldEntry(msgspec.Struct, frozen=True):
    """An entry of the audit trail that is about them, with others as `another person 1`, `another person 2`, ..."""

    id: int
    at: datetime
    kind: str
    event: dict[str, Any]


class Copy(msgspec.Struct, frozen=True):
    """All that is held about a user."""

    made_at: datetime
    user: str
    account: dict[str, Any]
    groups: tuple[dict[str, Any], ...]
    owned_sources: tuple[str, ...]
    sign_ins: tuple[dict[str, Any], ...]
    sessions: tuple[dict[str, Any], ...]
    keys: tuple[dict[str, Any], ...]
    conversations: tuple[HeldConversation, ...]
    questions: tuple[HeldQuestion, ...]
    usage: tuple[dict[str, Any], ...]
    entries: tuple[HeldEntry, ...]


def gather(services: Services, user: str) -> Copy:
    """A copy of all that is held about a user.

    Raises:
        NotFoundError: There is no such user.
    """
    principal = services.users.principal(user)
    with Session(services.database) as session:
        account = _plain(session.get_one(UserRow, user))
        password = session.get(PasswordRow, user)
        account["password_changed_at"] = zoned(password.changed_at) if password else None
        account["groups_in_effect"] = sorted(principal.groups)
        return Copy(
            made_at=datetime.now(UTC),
            user=user,
            account=account,
            groups=tuple(_rows(session, MembershipRow, user)),
            owned_sources=tuple(_owned(session, user)),
            sign_ins=tuple(row for table in (LinkRow, LdapUserRow, ScimUserRow) for row in _rows(session, table, user)),
            sessions=tuple(_rows(session, SessionRow, user)),
            keys=tuple(_rows(session, ApiKeyRow, user)),
            conversations=tuple(_conversations(services, user)),
            questions=tuple(_questions(services, user)),
            usage=tuple(_usage(services, user)),
            entries=tuple(_entries(services, user)),
        )


def _rows(session: Session, table: type[SQLModel], user: str) -> Iterator[dict[str, Any]]:
    """A table's rows of a user, and what they are called."""
    query = select(table).where(col(table.user_id) == user)  # type: ignore[attr-defined] # All that are given have it.
    for row in session.exec(query):
        yield {"kind": str(table.__tablename__), **_plain(row)}


def _plain(row: SQLModel) -> dict[str, Any]:
    said = {name: value for name, value in row.model_dump().items() if name not in _NEVER_HANDED_OUT}
    return {name: zoned(value) if isinstance(value, datetime) else value for name, value in said.items()}


def _owned(session: Session, user: str) -> Sequence[str]:
    query = select(SourceOwnerRow.source).where(SourceOwnerRow.kind == "user", SourceOwnerRow.name == user)
    return session.exec(query.order_by(SourceOwnerRow.source)).all()


def _conversations(services: Services, user: str) -> Iterator[HeldConversation]:
    for id_, began_at in services.conversations.listed(user):
        try:
            said = services.conversations.open(user, id_).messages
        except VaultUnreadableError:
            yield HeldConversation(id_, zoned(began_at), readable=False, messages=())
            continue
        messages = tuple(HeldMessage(message.speaker, message.text) for message in said)
        yield HeldConversation(id_, zoned(began_at), readable=True, messages=messages)


def _questions(services: Services, user: str) -> Iterator[HeldQuestion]:
    token = services.subjects.find(user)
    for request in services.kept_texts.of_subject(token) if token else ():
        with suppress(NotFoundError):  # Removed meanwhile, after its time.
            kept = services.kept_texts.open(request)
            yield HeldQuestion(request, kept.at, kept.texts.question, kept.texts.answer)


def _usage(services: Services, user: str) -> Iterator[dict[str, Any]]:
    """What they used, by day and model; whose it is, is said by the copy."""
    token = services.subjects.find(user)
    services.usage.flush()
    with Session(services.database) as session:
        rows = session.exec(select(UsageRow).where(UsageRow.token == token).order_by(UsageRow.day)) if token else ()
        for row in rows:
            yield {name: value for name, value in _plain(row).items() if name != "token"}


def _entries(services: Services, user: str) -> Iterator[HeldEntry]:
    """Entries by them, of their requests, and about them, oldest first."""
    found = {entry.id: entry for entry in _all(services, EntryQuery(user))}
    # Lists of owners are no field that entries are searched by.
    for entry in _all(services, EntryQuery(kind=SourceOwnersChanged.kind)):
        if any(_OF_A_USER + user in value for value in entry.event.values() if isinstance(value, list)):
            found[entry.id] = entry
    others = Others(user)
    for _, entry in sorted(found.items()):
        yield HeldEntry(entry.id, entry.at, entry.kind, others.hidden(entry.kind, entry.event))


def _all(services: Services, query: EntryQuery) -> Iterator[Entry]:
    """All entries that a query means, however many, newest first."""
    before = None
    while some := read_entries(services.trail_place, replace(query, before=before, limit=_TOGETHER), services.subjects):
        yield from some
        before = some[-1].id


class Others:
    """Gives everybody but one person a number, the same wherever they are named."""

    def __init__(self, user: str) -> None:
        self._user = user
        self._numbers: dict[str, int] = {}

    def hidden(self, kind: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """An event with others as numbers."""
        people, owners = fields_of(kind)
        named = {field: self._called(event[field]) for field in people if event.get(field)}
        return {**event, **named, **{field: self._each(event[field]) for field in owners if field in event}}

    def _each(self, values: Sequence[Any]) -> list[Any]:
        return [
            _OF_A_USER + self._called(value.removeprefix(_OF_A_USER)) if str(value).startswith(_OF_A_USER) else value
            for value in values
        ]

    def _called(self, name: str) -> str:
        if name == self._user:
            return name
        return f"another person {self._numbers.setdefault(name, len(self._numbers) + 1)}"
