"""Taking a user out of the database: every row that is theirs or names them, in one transaction.

Nothing is left of a row that is deleted: the connection overwrites it (`gateway/database.py`). What names somebody and
is not ours to rewrite is told: policies and settings are their authors'.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlmodel import Session, col, delete, select, update

from gateway.audit.store import InvestigationRow, RevealRow
from gateway.chat.kept import KeptTextRow
from gateway.chat.keys import ConversationKeyRow
from gateway.chat.store import ConversationRow, MessageRow
from gateway.identity.memberships import LdapUserRow, MembershipRow
from gateway.identity.scim.store import ScimUserRow
from gateway.identity.store import ApiKeyRow, FailureRow, LinkRow, PasswordRow, SessionRow, UserRow
from gateway.policy.store import PolicyBundleRow
from gateway.sources.store import OwnerKind, SourceOwnerRow
from gateway.subjects import SubjectRow
from gateway.usage.store import forget_usage
from policies.labels import Label
from retrieval.erasure import label_without
from retrieval.labels import intern_label, next_epoch
from retrieval.tables import DocumentRow, LabelRow, PassageRow, SourceRow

Counts = Mapping[str, int]
_BY_WHOM: tuple[tuple[Any, str], ...] = (
    (InvestigationRow, "by"),
    (PolicyBundleRow, "by"),
    (RevealRow, "asked_by"),
    (RevealRow, "asked_os_user"),
    (RevealRow, "decided_by"),
    (RevealRow, "decided_os_user"),
)
"""What stays, and says who did it: by what the trail calls them from then on."""


def forget_user(session: Session, token: str, name: str, failures_under: str) -> Counts:
    """Delete what there is of a user, their data key last; returns how many rows of which kind went.

    `name` may be empty where it is not known any more; `failures_under` is what failed sign-ins of theirs are counted
    under.
    """
    next_epoch(session)
    counts = dict(_forget_sealed(session, token, name))
    if name:
        counts |= _forget_identity(session, name, failures_under)
        counts["labels"] = forget_in_labels(session, lambda user: user == name)
        for table, column in _BY_WHOM:
            session.exec(update(table).where(getattr(table, column) == name).values({column: token}))
    counts["usage_totals"] = forget_usage(session, token)
    counts["keys"] = _deleted(session, SubjectRow, col(SubjectRow.token) == token)
    return {kind: count for kind, count in counts.items() if count}


def names_in(session: Session) -> set[str]:
    """Every name of somebody that stands in the open: of users, and of those who did something."""
    columns = (UserRow.id, *(getattr(table, column) for table, column in _BY_WHOM))
    return {name for column in columns for name in session.exec(select(column).distinct()) if name}


def _forget_sealed(session: Session, token: str, name: str) -> Counts:
    """Conversations and kept texts, and the keys that open them."""
    theirs = select(ConversationKeyRow.conversation_id).where(ConversationKeyRow.token == token)
    mine = (col(ConversationRow.user_id) == name) | col(ConversationRow.id).in_(theirs)
    ids = select(ConversationRow.id).where(mine)
    return {
        "messages": _deleted(session, MessageRow, col(MessageRow.conversation_id).in_(ids)),
        "conversations": _deleted(session, ConversationRow, mine),
        "texts": _deleted(session, KeptTextRow, col(KeptTextRow.token) == token),
        "conversation_keys": _deleted(session, ConversationKeyRow, col(ConversationKeyRow.token) == token),
    }


def _forget_identity(session: Session, name: str, failures_under: str) -> Counts:
    """How they signed in, and what they were in and owned."""
    of_user = (
        (ApiKeyRow, "api_keys"), (PasswordRow, "passwords"), (SessionRow, "sessions"), (LinkRow, "links"),
        (LdapUserRow, "directory_entries"), (ScimUserRow, "scim_entries"), (MembershipRow, "memberships"),
    )  # fmt: skip
    counts = {kind: _deleted(session, table, table.user_id == name) for table, kind in of_user}
    owned = (col(SourceOwnerRow.kind) == OwnerKind.USER.value) & (col(SourceOwnerRow.name) == name)
    counts["owned_sources"] = _deleted(session, SourceOwnerRow, owned)
    counts["failures"] = _deleted(session, FailureRow, col(FailureRow.name_hmac) == failures_under)
    counts["users"] = _deleted(session, UserRow, col(UserRow.id) == name)
    return counts


def forget_in_labels(session: Session, is_gone: Callable[[str], bool]) -> int:
    """Give whatever has a label that names such users that label without them; returns how many labels that were."""
    changed = 0
    for row in session.exec(select(LabelRow)).all():
        label = Label.from_canonical(row.canonical)
        without = label_without(label, is_gone)
        if without == label:
            continue
        number = intern_label(session, without)
        epoch = next_epoch(session)
        session.exec(update(DocumentRow).where(col(DocumentRow.label_id) == row.id).values(label_id=number))
        with_parts = select(PassageRow.document_id).where(PassageRow.label_id == row.id)
        touched = col(DocumentRow.id).in_(with_parts) | (col(DocumentRow.label_id) == number)
        session.exec(update(DocumentRow).where(touched).values(epoch=epoch))
        session.exec(update(PassageRow).where(col(PassageRow.label_id) == row.id).values(label_id=number))
        session.delete(row)
        session.flush()
        changed += 1
    return changed


def named_elsewhere(session: Session, names: Callable[[str], bool]) -> list[str]:
    """What still names somebody, for people to look at; `names` says whether a text does."""
    told = []
    if any(names(text) for text in session.exec(select(PolicyBundleRow.files))):
        told.append("loaded policies name them, maybe only older ones")
    for source, settings in session.exec(select(SourceRow.name, SourceRow.settings)):
        if names(settings) or names(source):
            told.append(f"the settings of source {source} name them")
    told += [f"group {group} is called so" for group in _groups(session) if names(group)]
    users = session.exec(select(UserRow.id).order_by(UserRow.id)).all()
    return [*told, *(f"user {user} is called so: muniment erase --subject {user}" for user in users if names(user))]


def _groups(session: Session) -> list[str]:
    return sorted(set(session.exec(select(MembershipRow.group))))


def _deleted(session: Session, table: Any, *where: Any) -> int:
    return int(session.exec(delete(table).where(*where)).rowcount)
