"""Somebody who did all that can be done here, and a search for what is left of them in the bytes of every file."""

import base64
import json
import secrets
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from sqlmodel import Session, col, select

from gateway.audit.store import InvestigationRow, RevealRow
from gateway.chat.kept import Texts
from gateway.chat.keys import ConversationKeyRow, ConversationKeys
from gateway.chat.store import Message, new_conversation
from gateway.identity.memberships import LdapUserRow
from gateway.identity.scim.store import ScimUserRow
from gateway.identity.store import ApiKeyRow, PasswordRow, SessionRow
from gateway.policy.store import PolicyBundleRow
from gateway.services import Services
from gateway.sources.store import OwnerKind, SourceOwnerRow
from gateway.subjects import SubjectRow
from models.engine import Speaker
from policies.labels import Label
from policies.principals import Role
from retrieval.labels import intern_label
from retrieval.sessions import writing
from retrieval.tables import DocumentRow, utc_now


def forms(value: str) -> Iterator[bytes]:
    """The ways in which a text may stand in a file."""
    plain = value.encode()
    yield from (plain, value.encode("utf-16-le"), value.encode("utf-16-be"), plain.hex().encode())
    yield from (plain.hex().upper().encode(), json.dumps(value)[1:-1].encode(), urllib.parse.quote(value).encode())
    yield from _base64(plain)


def forms_of_bytes(value: bytes) -> Iterator[bytes]:
    """The ways in which bytes may stand in a file."""
    yield from (value, value.hex().encode(), value.hex().upper().encode(), *_base64(value))


def _base64(plain: bytes) -> Iterator[bytes]:
    for shift in range(3):  # What comes before decides how the bytes fall; the ends depend on their neighbours.
        coded = base64.b64encode(b"\0" * shift + plain)
        inner = coded[4 if shift else 0 : -4]
        if len(inner) >= 8:
            yield inner
            yield inner.translate(bytes.maketrans(b"+/", b"-_"))


@dataclass(slots=True)
class Traces:
    """What may be left of somebody, by what it is: some stand in files as long as they are here, keys never do."""

    seen: dict[str, list[bytes]] = field(default_factory=dict)
    never: dict[str, list[bytes]] = field(default_factory=dict)

    def left_in(self, home: Path) -> dict[str, set[str]]:
        """In which files what is found."""
        return found_in(home, self.seen | self.never)


def found_in(home: Path, wanted: Mapping[str, Iterable[bytes]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in sorted(home.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            for what, needles in wanted.items():
                if any(needle in content for needle in needles):
                    found.setdefault(what, set()).add(path.name)
    return found


def word(random: Random) -> str:
    """A word that stands nowhere else."""
    return "zq" + "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=10))


def live_here(services: Services, random: Random, role: Role = Role.EMPLOYEE) -> tuple[str, Traces]:
    """Make a user who leaves something everywhere; returns their name, and what to look for."""
    name, said, answered, external = word(random), word(random), word(random), word(random)
    services.users.add({name: frozenset({"everyone"})}, frozenset({role}), by="test")
    _, key = services.users.create_key(name, by="test")
    services.password_sign_in.set_password(name, "correct unicorn battery staple 9", by="test")
    services.users.link(name, "https://idp.example", f"sub-{external}", by="test")
    session = services.sessions.begin(services.users.principal(name), "password")
    conversation = new_conversation()
    services.conversations.append(
        name, conversation, Message(Speaker.USER, said), kept=("r" + secrets.token_hex(10), Texts(said, answered))
    )
    services.kept_texts.store(name, new_conversation().id, "r" + secrets.token_hex(10), Texts(said, answered))
    token = services.subjects.find(name) or ""
    with writing(services.database) as writing_:
        writing_.add(LdapUserRow(entry_id=f"entry-{external}", user_id=name))
        writing_.add(
            ScimUserRow(id=f"scim-{external}", user_id=name, user_name=f"{name}@x", display_name=f"Display {external}")
        )
        dated = {"begun_at": utc_now(), "ends_at": utc_now()}
        writing_.add(InvestigationRow(id=f"i{token[1:]}", by=name, channel="http", reason=b"", **dated))
        writing_.flush()
        whom = {"asked_by": name, "asked_os_user": name, "decided_by": name, "decided_os_user": name}
        dated = {"asked_at": utc_now(), "expires_at": utc_now()}
        reveal = {"id": f"v{token[1:]}", "investigation_id": f"i{token[1:]}", "request": "r1", "reason": b""}
        writing_.add(RevealRow(**reveal, **whom, **dated))
        bundle = {"revision": "1", "files": "{}", "shipped": "", "schema_text": ""}
        writing_.add(PolicyBundleRow(by=name, **bundle))
        writing_.add(SourceOwnerRow(source="company", kind=OwnerKind.USER.value, name=name))
        label = intern_label(writing_, Label(allow_users=frozenset({name}), source="company"))
        document = writing_.exec(select(DocumentRow).limit(1)).one()
        document.label_id = label
        writing_.add(document)
        writing_.commit()
    with Session(services.database) as reading:
        traces = _traces(services, reading, name, token)
    texts = {"name": name, "external id": external}
    traces.seen |= {what: list(forms(value)) for what, value in texts.items()}
    traces.never |= {what: list(forms(value)) for what, value in {"said": said, "answered": answered}.items()}
    traces.never |= {"api key": list(forms(key)), "session": list(forms(session.token))}
    return name, traces


def _traces(services: Services, session: Session, name: str, token: str) -> Traces:
    subject = session.get_one(SubjectRow, token)
    keys = session.exec(select(ConversationKeyRow).where(ConversationKeyRow.token == token)).all()
    opened = [ConversationKeys(services.subjects).read(session, row.conversation_id) for row in keys]
    subject_key = services.subjects.key(session, token) or b""
    password = session.get_one(PasswordRow, name).hash
    api_keys = session.exec(select(ApiKeyRow.secret_sha256).where(ApiKeyRow.user_id == name)).all()
    sessions = session.exec(select(SessionRow.token_sha256).where(col(SessionRow.user_id) == name)).all()
    traces = Traces()
    traces.seen["wrapped key"] = list(forms_of_bytes(subject.key))
    traces.seen["sealed name"] = list(forms_of_bytes(subject.name))
    traces.seen["wrapped keys of conversations"] = [form for row in keys for form in forms_of_bytes(row.key)]
    traces.seen["password"] = list(forms(password))
    traces.seen["digests of keys"] = [form for digest in [*api_keys, *sessions] for form in forms(digest)]
    traces.never["key"] = list(forms_of_bytes(subject_key))
    traces.never["keys of conversations"] = [form for one in opened if one for form in forms_of_bytes(one[1])]
    return traces
