"""T16: of whoever was erased nothing is left in any file, as bytes of whatever form; the trail still verifies."""

import asyncio
import json
import runpy
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import LargeBinary, String, event
from sqlmodel import Session, SQLModel, delete, select

import gateway.erasure
import gateway.identity.forgetting
from gateway.app import create_app
from gateway.chat.kept import KeptTextRow, Texts
from gateway.chat.store import Message, new_conversation
from gateway.doctor import examine
from gateway.erasure import Erasures
from gateway.errors import BadRequestError, ConflictError, NotFoundError
from gateway.holds import HoldKind
from gateway.identity.store import UserRow
from gateway.identity_file import Identity, read_identity
from gateway.ledger import ErasedKind, Ledger, LedgerLine, Step
from gateway.policy.store import PolicyBundleRow
from gateway.subjects import SubjectRow
from models.engine import Speaker
from policies.audit.events import QuestionAsked
from policies.audit.people import hidden
from policies.audit.reader import EntryQuery, read_entries
from policies.audit.verifier import verify
from policies.errors import TrailUnavailableError, VaultUnreadableError
from policies.principals import Role
from retrieval.segment_files import IndexFiles, PurgedError
from retrieval.sessions import writing
from retrieval.tables import DocumentRow, PassageRow, SkipRow, SourceRow
from tests.gateway.conftest import (
    TRAVEL_ANSWER,
    World,
    client_of,
    eventually,
    open_services,
    question,
    recorded,
    until_ready,
)
from tests.gateway.erasing import Traces, forms, live_here, word
from tests.gateway.gated_model import GatedModel

ALONE = runpy.run_path(str(Path(__file__).parents[2] / "deploy" / "verify_trail.py"))
BY = "root"
KILLED_AFTER = ("begun", "noted", "rows", "log", "said", "done")
FULL = ("database or disk is full",)


def whole(world: World) -> bool:
    """Whether the trail is what was written, as both verifiers see it."""
    pem, trail = world.services.keys.public_key_pem(), world.services.home.trail
    world.services.trail.close()
    problems, _ = ALONE["check_trail"](trail, ALONE["read_keys"](world.services.keys.public_file), [])
    return verify(trail, pem).ok and problems == []


def live_and_go(world: World, seed: int) -> tuple[Traces, dict[str, set[str]]]:
    """Somebody lives here and is erased; what is left of them. That they were here shows first."""
    name, traces = live_here(world.services, Random(seed))
    home = world.services.home.folder
    before = traces.left_in(home)
    assert before.keys() == traces.seen.keys(), "what is looked for was there, and what must never be was not"
    world.services.erasures.erase_user(name, BY)
    return traces, traces.left_in(home)


# A user


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_left_of_a_user(world: World, seed: int) -> None:
    _, left = live_and_go(world, seed)
    assert left == {}
    assert whole(world)


@pytest.mark.deep
def test_nothing_is_left_of_many_users(world: World) -> None:
    everybody = [live_and_go(world, seed)[0] for seed in range(200)]
    assert [traces.left_in(world.services.home.folder) for traces in everybody] == [{}] * 200
    assert whole(world)


def without_overwriting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    event.listen(world.services.database, "checkout", lambda raw, *_: raw.execute("PRAGMA secure_delete=OFF"))


def without_emptying_the_log(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Erasures, "_empty_log", lambda self: None)


def leaving_the_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = gateway.identity.forgetting._deleted

    def sparing(session: Session, table: Any, *where: Any) -> int:
        return 0 if table.__tablename__ == "subject" else real(session, table, *where)

    monkeypatch.setattr(gateway.identity.forgetting, "_deleted", sparing)


def leaving_the_labels(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.identity.forgetting, "forget_in_labels", lambda session, is_gone: 0)


def leaving_the_name_in_the_trail(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.audit.store.hidden", lambda event, _names: hidden(event, None))


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (without_overwriting, "wrapped key"),
        (without_emptying_the_log, "wrapped key"),
        (leaving_the_key, "wrapped key"),
        (leaving_the_labels, "name"),
        (leaving_the_name_in_the_trail, "name"),
    ],
)
def test_an_erasure_that_leaves_something_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch, broken: Callable[[World, pytest.MonkeyPatch], None], what: str
) -> None:
    """Negative controls."""
    broken(world, monkeypatch)
    _, left = live_and_go(world, 1)
    assert what in left


def test_what_an_erased_user_typed_opens_for_nobody(world: World) -> None:
    conversation = new_conversation()
    world.services.conversations.append("bob", conversation, Message(Speaker.USER, "hello"))
    world.services.kept_texts.store("bob", new_conversation().id, "r1", Texts("hello", "hi"))
    with Session(world.services.database) as session:
        copied = session.exec(select(KeptTextRow)).one().sealed
    assert copied
    world.services.erasures.erase_user("bob", BY)
    with pytest.raises(NotFoundError):
        world.services.conversations.open("bob", conversation.id)
    with pytest.raises(NotFoundError, match="erased"):
        world.services.kept_texts.open("r1")


def test_the_trail_says_what_was_done_and_calls_nobody_by_name(world: World) -> None:
    token = world.services.subjects.find("bob")
    done = world.services.erasures.erase_user("bob", BY, "Request 17/26")
    [begun], [erased] = recorded(world, "erasure:begun"), recorded(world, "subject:erased")
    assert begun == {"by": BY, "subject": token, "of": "user", "reason": "Request 17/26"}
    assert (erased["subject"], erased["ledger"], erased["by"]) == (token, 1, BY)
    assert erased["counts"] == done.counts
    assert {"users", "keys", "memberships", "api_keys"} <= done.counts.keys()
    added = recorded(world, "user:added")
    assert token in {one["user"] for one in added}
    assert "bob" not in {one["user"] for one in added}
    assert [line.step for line in world.services.ledger.lines()] == [Step.BEGUN, Step.DONE]


def test_others_keep_what_is_theirs(world: World) -> None:
    conversation = new_conversation()
    world.services.conversations.append("alice", conversation, Message(Speaker.USER, "hello"))
    world.services.erasures.erase_user("bob", BY)
    assert world.services.conversations.open("alice", conversation.id).messages[0].text == "hello"
    assert [user.id for user in world.services.users.listed()] == ["alice", "audra", "mona", "olga"]


HOLDS_NO_USER = {
    "alembic_version.version_num", "api_key.id", "api_key.scopes", "api_key.secret_sha256", "conversation.id",
    "change_mark.identity", "change_mark.policies", "change_mark.sources", "conversation.vault",
    "conversation_key.conversation_id", "conversation_key.key", "conversation_key.token",
    "corpus.stamp", "directory.origin", "directory.problem", "document.author", "document.content_digest",
    "document.external_id", "document.id", "document.media_type", "document.path", "document.path_spans",
    "document.source", "document.title", "document.title_spans", "document.url", "group_nesting.group",
    "group_nesting.origin", "group_nesting.parent", "hold.by", "hold.ended_by", "hold.id", "hold.kind", "hold.reason",
    "hold.target", "investigation.channel", "investigation.id", "investigation.reason", "kept_text.conversation_id",
    "kept_text.request", "kept_text.sealed", "kept_text.token", "label.digest", "membership.group",
    "message.conversation_id", "message.sealed", "message.speaker", "model_change.by_token", "model_change.cause",
    "model_change.kind", "model_change.model", "model_change.previous", "model_change.reason", "model_change.report",
    "model_change.sha256", "model_change.trial", "passage.document_id", "passage.flags",
    "passage.heading", "passage.heading_spans", "passage.parts", "passage.spans", "passage.text", "passage.tokens",
    "passage.vector",
    "embedder_use.current", "embedder_use.original", "passage.embedder", "passage_vector.embedder",
    "passage_vector.vector",
    "policy_bundle.files", "policy_bundle.revision", "policy_bundle.schema_text", "policy_bundle.shipped",
    "reveal.decision", "reveal.id", "reveal.investigation_id", "reveal.reason", "reveal.request",
    "scim_group.external_id", "scim_group.id", "scim_group.name", "skip.external_id", "skip.path", "skip.reason",
    "skip.source",
    "source.access_file", "source.cursor", "source.failure", "source.name", "source.read_with", "source.settings",
    "source.type", "source_owner.kind", "source_owner.source", "usage.day", "usage.model", "usage_count.limit",
    "usage_reservation.id", "usage_reservation.limit", "used_once.digest",
}  # fmt: skip
"""Columns that hold no name of a user: a token, something sealed, or a text of documents, groups and settings."""
FORGOTTEN = {
    "api_key.user_id", "conversation.user_id", "identity_link.issuer", "identity_link.subject", "identity_link.user_id",
    "investigation.by", "label.canonical", "ldap_user.entry_id", "ldap_user.user_id", "membership.origin",
    "membership.user_id", "password.hash", "password.user_id", "policy_bundle.by", "reveal.asked_by",
    "reveal.asked_os_user", "reveal.decided_by", "reveal.decided_os_user", "scim_user.display_name",
    "scim_user.external_id", "scim_user.id", "scim_user.user_id", "scim_user.user_name", "session.id", "session.issuer",
    "session.method", "session.previous_sha256", "session.provider_session", "session.rotation_salt", "session.subject",
    "session.token_sha256", "session.user_id", "sign_in_failure.name_hmac", "source_owner.name", "subject.key",
    "subject.name", "subject.name_hmac", "subject.token", "usage.token", "usage_count.token", "usage_reservation.token",
    "user.disabled_by", "user.id", "user.kind", "user.origin",
    "user.roles",
}  # fmt: skip
"""Columns whose rows are deleted, or say something else, once their user is erased."""


def test_each_column_says_whether_it_names_a_user() -> None:
    """A new one has to be thought about: it is forgotten in `gateway/identity/forgetting.py`, or names nobody."""
    columns = {
        f"{table.name}.{column.name}"
        for table in SQLModel.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, String | LargeBinary)
    }
    assert columns - HOLDS_NO_USER - FORGOTTEN == set()
    assert not HOLDS_NO_USER & FORGOTTEN


# Who cannot be erased


def test_somebody_unknown_and_somebody_twice(world: World) -> None:
    with pytest.raises(NotFoundError, match="ever here"):
        world.services.erasures.erase_user("nobody.here", BY)
    token = world.services.subjects.find("bob") or ""
    world.services.erasures.erase_user("bob", BY)
    for again in ("bob", token):
        with pytest.raises(ConflictError, match="was erased already"):
            world.services.erasures.erase_user(again, BY)
    assert len(world.services.ledger.lines()) == 2


def test_a_user_made_again_can_be_erased_again(world: World) -> None:
    world.services.erasures.erase_user("bob", BY)
    world.services.users.add({"bob": frozenset()}, frozenset({Role.EMPLOYEE}), by="test")
    assert world.services.erasures.erase_user("bob", BY).number == 3


def test_the_last_operator_and_oneself_stay(world: World) -> None:
    with pytest.raises(ConflictError, match="last operator"):
        world.services.erasures.erase_user("olga", BY)
    with pytest.raises(ConflictError, match="yourself"):
        world.services.erasures.erase_user("bob", by="bob")
    world.services.users.add({"otto": frozenset()}, frozenset({Role.OPERATOR}), by="test")
    world.services.erasures.erase_user("olga", BY)
    assert "olga" not in {user.id for user in world.services.users.listed()}


def hold_the_person(world: World) -> str:
    return world.services.holds.add(HoldKind.SUBJECT, "bob", "Proceedings 12 O 114/26", by="olga").id


def hold_a_conversation(world: World) -> str:
    conversation = new_conversation()
    world.services.conversations.append("bob", conversation, Message(Speaker.USER, "hello"))
    return world.services.holds.add(HoldKind.CONVERSATION, conversation.id, "Proceedings 12 O 114/26", by="olga").id


def hold_a_kept_text(world: World) -> str:
    world.services.kept_texts.store("bob", new_conversation().id, "r1", Texts("hello", "hi"))
    return world.services.holds.add(HoldKind.REQUEST, "r1", "Proceedings 12 O 114/26", by="olga").id


def hold_a_question_in_the_trail(world: World) -> str:
    asked = QuestionAsked("r9", "bob", "cli", "0" * 64, "small", "1" * 64)
    world.services.recorder.record_now(asked)
    return world.services.holds.add(HoldKind.REQUEST, "r9", "Proceedings 12 O 114/26", by="olga").id


@pytest.mark.parametrize("hold", [hold_the_person, hold_a_conversation, hold_a_kept_text, hold_a_question_in_the_trail])
def test_a_hold_forbids_it_and_says_why(world: World, hold: Callable[[World], str]) -> None:
    id_ = hold(world)
    with pytest.raises(ConflictError, match="Proceedings 12 O 114/26"):
        world.services.erasures.erase_user("bob", BY)
    assert world.services.ledger.lines() == ()
    assert recorded(world, "erasure:begun") == []
    assert "bob" in {user.id for user in world.services.users.listed()}
    world.services.holds.end(id_, by="olga")
    world.services.erasures.erase_user("bob", BY)


def test_a_hold_that_is_not_asked_about_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(Erasures, "_require_no_hold", lambda self, token: None)
    with pytest.raises(pytest.fail.Exception):
        test_a_hold_forbids_it_and_says_why(world, hold_the_person)


@pytest.mark.parametrize("reason", ["bob asked for it", "B. O. B. asked for it", "x" * 501])
def test_a_reason_names_nobody(world: World, reason: str) -> None:
    with pytest.raises(BadRequestError):
        world.services.erasures.erase_user("bob", BY, reason)
    assert world.services.ledger.lines() == ()


# Broken off


class Stopped(Exception):  # noqa: N818 - no error of ours
    """Where a process was killed."""


def stop(*_: object, **__: object) -> None:
    raise Stopped


POINTS: dict[str, tuple[Any, str]] = {
    "before the ledger": (Ledger, "append"),
    "before rows went": (gateway.erasure, "forget_user"),
    "before the log was emptied": (Erasures, "_empty_log"),
    "before it was said": (gateway.erasure, "SubjectErased"),
}


@pytest.mark.parametrize("point", POINTS)
def test_what_was_broken_off_is_told_and_completed(world: World, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    name, traces = live_here(world.services, Random(5))
    with monkeypatch.context() as broken:
        broken.setattr(*POINTS[point], stop)
        with pytest.raises(Stopped):
            world.services.erasures.erase_user(name, BY)
    if point == "before the ledger":
        assert world.services.erasures.resume(BY) == []
        world.services.erasures.erase_user(name, BY)
    else:
        assert [check.level for check in examine(world.services) if check.name == "erasures"] == ["fail"]
        [done] = world.services.erasures.resume(BY)
        assert done.token
    assert traces.left_in(world.services.home.folder) == {}
    assert [check.level for check in examine(world.services) if check.name == "erasures"] == ["ok"]
    assert world.services.erasures.resume(BY) == []


@pytest.mark.parametrize("point", KILLED_AFTER)
def test_a_killed_erasure_is_completed(world: World, point: str) -> None:
    name, traces = live_here(world.services, Random(9))
    home = world.services.home.folder
    command = [sys.executable, "-m", "tests.gateway.erasing_process", str(home), name, point]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    if point == "begun":
        assert world.services.ledger.lines() == ()
        world.services.erasures.erase_user(name, BY)
    else:
        assert len(world.services.erasures.resume(BY)) == (point != "done")
    assert traces.left_in(home) == {}
    assert world.services.ledger.unfinished() == []
    assert {"erasure:begun", "subject:erased"} <= set(kinds(world))
    assert whole(world)


def kinds(world: World) -> list[str]:
    return [entry.kind for entry in read_entries(world.services.home.trail, EntryQuery(limit=1000))]


def test_a_full_disk_erases_nothing_by_halves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    name, traces = live_here(world.services, Random(6))
    real = gateway.erasure.forget_user

    def full(session: Session, *given: Any) -> Any:
        real(session, *given)
        raise sqlite3.OperationalError(*FULL)

    with monkeypatch.context() as broken:
        broken.setattr(gateway.erasure, "forget_user", full)
        with pytest.raises(sqlite3.OperationalError):
            world.services.erasures.erase_user(name, BY)
    assert name in {user.id for user in world.services.users.listed()}
    assert len(world.services.erasures.resume(BY)) == 1
    assert traces.left_in(world.services.home.folder) == {}


def broken_off(world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An erasure that was announced, and of which nothing was done."""
    with monkeypatch.context() as broken:
        broken.setattr(gateway.erasure, "forget_user", stop)
        with pytest.raises(Stopped):
            world.services.erasures.erase_user(name, BY)


def test_a_hold_that_was_placed_meanwhile_forbids_to_complete_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_off(world, monkeypatch, "bob")
    hold = hold_the_person(world)
    broken_off(world, monkeypatch, "alice")
    with pytest.raises(ConflictError, match="Proceedings 12 O 114/26"):
        world.services.erasures.resume(BY)
    there = {user.id for user in world.services.users.listed()}
    assert "bob" in there
    assert "alice" not in there, "what no hold forbids is completed"
    assert world.services.erasures.replay(world.services.ledger.unfinished(), BY) == []
    world.services.holds.end(hold, by="olga")
    assert len(world.services.erasures.resume(BY)) == 1
    assert "bob" not in {user.id for user in world.services.users.listed()}


def test_a_hold_that_is_placed_at_the_last_moment_forbids_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Ledger.append

    def holding(self: Ledger, *given: Any) -> Any:
        hold_the_person(world)
        return real(self, *given)

    with monkeypatch.context() as late:
        late.setattr(Ledger, "append", holding)
        with pytest.raises(ConflictError, match="Proceedings 12 O 114/26"):
            world.services.erasures.erase_user("bob", BY)
    assert "bob" in {user.id for user in world.services.users.listed()}


def test_without_the_trail_nothing_is_erased(world: World) -> None:
    world.services.trail.close()
    with pytest.raises(TrailUnavailableError):
        world.services.erasures.erase_user("bob", BY)
    assert world.services.ledger.lines() == ()


# Restored from a backup


def test_the_erased_do_not_come_back_with_a_backup(world: World, tmp_path: Path) -> None:
    name, traces = live_here(world.services, Random(7))
    home = world.services.home
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(home.database)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    world.services.erasures.erase_user(name, BY)
    lines = world.services.ledger.lines()
    world.services.database.dispose()
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(home.database)) as target:
        source.backup(target)
    assert "name" in traces.left_in(home.folder)
    backup.unlink()
    world.services.erasures.replay(lines, BY)
    assert traces.left_in(home.folder) == {}
    assert name not in {user.id for user in world.services.users.listed()}


def forget_tokens(world: World) -> None:
    """As a database of before there were tokens."""
    with writing(world.services.database) as session:
        session.exec(delete(SubjectRow))
        session.commit()


def test_a_backup_that_knows_no_token_of_theirs_does_not_bring_them_back(world: World) -> None:
    world.services.erasures.erase_user("bob", BY)
    lines = world.services.ledger.lines()
    with writing(world.services.database) as session:
        session.add(UserRow(id="bob"))
        session.add(PolicyBundleRow(revision="0" * 64, files="{}", shipped="", schema_text="", by="bob"))
        session.commit()
    forget_tokens(world)
    [done] = world.services.erasures.replay(lines, BY)
    assert done.counts["users"] == 1
    assert "bob" not in {user.id for user in world.services.users.listed()}
    with Session(world.services.database) as session:
        assert session.exec(select(PolicyBundleRow.by)).all() == [lines[0].token]


def test_somebody_who_was_made_a_user_again_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the one before: another token means another person."""
    with monkeypatch.context() as broken:
        broken.setattr(Erasures, "_empty_log", stop)
        with pytest.raises(Stopped):
            world.services.erasures.erase_user("bob", BY)
    world.services.users.add({"bob": frozenset()}, frozenset({Role.EMPLOYEE}), by="test")
    assert len(world.services.erasures.resume(BY)) == 1
    assert "bob" in {user.id for user in world.services.users.listed()}


def test_a_name_that_does_not_open_is_not_taken_for_nobodys(world: World) -> None:
    token = world.services.subjects.find("bob")
    assert token is not None
    with writing(world.services.database) as session:
        row = session.get_one(SubjectRow, token)
        row.name = b"\x01" + bytes(40)
        session.add(row)
        session.commit()
    world.services.subjects._name_of.clear()
    told = LedgerLine(1, "", Step.BEGUN, ErasedKind.USER, token, (), "")
    with pytest.raises(VaultUnreadableError, match="Restore the keys"):
        world.services.erasures.replay([told], BY)
    assert "bob" in {user.id for user in world.services.users.listed()}


# A person whom documents name


class Person:
    """Somebody who stands in documents, in several spellings."""

    def __init__(self, random: Random, folder: Path) -> None:
        self.first, self.last, self.number = word(random), word(random), str(random.randrange(10**9, 10**10))
        mail = f"{self.first}.{self.last}@harbour.example"
        self.identity = Identity(
            names=(f"{self.first.title()} {self.last.title()}",),
            mail_addresses=(mail,),
            phone_numbers=(f"+49 {self.number}",),
            identifiers=(f"E-{self.number[::-1]}",),
        )
        self.folder = folder / "people"
        self.folder.mkdir()
        name = f"{self.first.upper()}  {self.last.title()}"
        texts = {
            "team.md": f"# Team\n\nThe lead of the Kestrel team is {name}, who sits in Bergen.\n\nLunch is at noon.",
            "list.md": f"# List\n\n* {self.last.title()}, {self.first.title()}: 0{self.number[:4]} {self.number[4:]}\n",
            "mail.md": f"# Mail\n\nWrite to {mail.upper()} about the Kestrel crane.",
            f"{self.first}-{self.last}.md": "# A page\n\nA page about the Kestrel crane.",
            "other.md": "# Other\n\nThe Kestrel crane is blue and stands in Bergen.",
        }
        for path, text in texts.items():
            (self.folder / path).write_text(text, encoding="utf-8")
        words = {"first name": self.first, "last name": self.last, "number": self.number[4:]}
        self.traces = Traces({what: [*forms(value), value.title().encode()] for what, value in words.items()})


def with_person(world: World, tmp_path: Path, seed: int = 1) -> Person:
    person = Person(Random(seed), tmp_path)
    access = tmp_path / "people.json"
    rules = [{"prefix": "", "groups": ["everyone"]}]
    access.write_text(json.dumps({"groups": ["everyone"], "users": {"bob": ["everyone"]}, "rules": rules}))
    world.services.sources.add("people", "folder", {"path": str(person.folder)}, access, by="test")
    sync(world)
    world.services.save_index(world.services.index)
    return person


def sync(world: World) -> None:
    world.services.sources.sync("people", world.services.ingestion, by="test", on_progress=lambda _: None)


def texts_of_people(world: World) -> dict[str, str]:
    """The texts of the source's documents, by path."""
    found: dict[str, str] = {}
    with Session(world.services.database) as session:
        query = select(DocumentRow.path, PassageRow.text).join(PassageRow).where(DocumentRow.source == "people")
        for path, text in session.exec(query.order_by(DocumentRow.path, PassageRow.ordinal)):  # type: ignore[arg-type]
            found[path] = f"{found.get(path, '')}{text}\n"
    return found


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_left_of_a_person_in_documents(world: World, tmp_path: Path, seed: int) -> None:
    person, home = with_person(world, tmp_path, seed), world.services.home.folder
    assert person.traces.left_in(home).keys() == person.traces.seen.keys()
    assert any(name.endswith(".segment") for names in person.traces.left_in(home).values() for name in names)
    done = world.services.erasures.erase_person(person.identity, BY)
    assert done.counts["documents"] == 4
    assert person.traces.left_in(home) == {}
    assert list(texts_of_people(world)) == ["other.md"]
    assert whole(world)


def leaving_index_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IndexFiles, "purge", lambda self: None)


def leaving_free_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Erasures, "_empty_log", lambda self: None)


@pytest.mark.parametrize("broken", [leaving_index_files, leaving_free_pages])
def test_a_person_who_is_left_somewhere_is_noticed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """Negative controls."""
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        test_nothing_is_left_of_a_person_in_documents(world, tmp_path, 1)


def test_the_next_sync_masks_them_and_says_what_it_leaves_out(world: World, tmp_path: Path) -> None:
    person, home = with_person(world, tmp_path), world.services.home.folder
    world.services.erasures.erase_person(person.identity, BY)
    sync(world)
    texts = texts_of_people(world)
    assert sorted(texts) == ["list.md", "mail.md", "other.md", "team.md"]
    assert "The lead of the Kestrel team is [erased], who sits in Bergen." in texts["team.md"]
    assert "Lunch is at noon." in texts["team.md"]
    assert "[erased]: [erased]" in texts["list.md"]
    assert "Write to [erased] about" in texts["mail.md"]
    with Session(world.services.database) as session:
        [skip] = session.exec(select(SkipRow).where(SkipRow.source == "people")).all()
        assert (skip.path, "was erased" in skip.reason) == ("[erased].md", True)
        assert session.get_one(SourceRow, "people").cursor is None
    world.services.save_index(world.services.index)
    assert person.traces.left_in(home) == {}
    sync(world)
    assert person.traces.left_in(home) == {}
    assert sorted(texts_of_people(world)) == ["list.md", "mail.md", "other.md", "team.md"]


def test_what_others_typed_about_them_is_masked(world: World) -> None:
    identity = Identity(names=("Quirin Zangl",))
    conversation = new_conversation()
    asked, told = Message(Speaker.USER, "Where is Quirin Zangl?"), Message(Speaker.ASSISTANT, "In Bergen.")
    world.services.conversations.append(
        "bob", conversation, asked, told, kept=("r1", Texts(asked.text, "QUIRIN ZANGL"))
    )
    held = new_conversation()
    world.services.conversations.append("alice", held, asked)
    world.services.holds.add(HoldKind.CONVERSATION, held.id, "Proceedings 12 O 114/26", by="olga")
    done = world.services.erasures.erase_person(identity, BY)
    assert (done.counts["masked_conversations"], done.counts["masked_texts"]) == (1, 1)
    assert [told for told in done.left if "legal holds" in told], "whoever reads it knows that it is not all"
    opened = world.services.conversations.open("bob", conversation.id)
    assert [message.text for message in opened.messages] == ["Where is [erased]?", "In Bergen."]
    assert world.services.kept_texts.open("r1").texts == Texts("Where is [erased]?", "[erased]")
    assert world.services.conversations.open("alice", held.id).messages[0].text == asked.text


@pytest.mark.parametrize(
    "identity", [Identity(names=("Li",)), Identity(identifiers=("x" * 97,)), Identity(names=("a b c",))]
)
def test_what_would_be_found_everywhere_is_refused(world: World, identity: Identity) -> None:
    with pytest.raises(BadRequestError, match="cannot be looked for"):
        world.services.erasures.erase_person(identity, BY)
    assert world.services.ledger.lines() == ()


def test_what_else_names_them_is_told(world: World) -> None:
    world.services.users.add({"carl": frozenset({"bob's people"})}, frozenset({Role.EMPLOYEE}), by="test")
    world.services.home.config_file.write_text('[server]\nnames = ["bob.example"]\n')
    assert world.services.erasures.erase_user("bob", BY).left == [
        "group bob's people is called so",
        "the settings name them; correct the file",
    ]
    person = Identity(mail_addresses=("zoe@harbour.example",))
    world.services.users.add({"zoe@harbour.example": frozenset()}, frozenset({Role.EMPLOYEE}), by="test")
    assert world.services.erasures.erase_person(person, BY).left == [
        "user zoe@harbour.example is called so: muniment erase --subject zoe@harbour.example"
    ]


def test_a_lost_ledger_is_told(world: World) -> None:
    world.services.erasures.erase_user("bob", BY)
    world.services.home.erasures.unlink()
    [check] = [check for check in examine(world.services) if check.name == "erasures"]
    assert (check.level, "the ledger ends at 0" in check.detail) == ("fail", True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.toml", "names = ['Ada"),
        ("a.toml", "nicknames = ['Ada Brandt']"),
        ("a.json", "{}"),
        ("a.json", "[]"),
        ("a.json", "\xff"),
    ],
)
def test_a_file_that_says_nothing_usable_is_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(BadRequestError, match=name):
        read_identity(tmp_path / name)


def test_a_file_of_either_kind_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("names = ['Ada Brandt']\nphone_numbers = ['+49 170 1234567']\n")
    (tmp_path / "a.json").write_text('{"names": ["Ada Brandt"], "phone_numbers": ["+49 170 1234567"]}')
    first, second = read_identity(tmp_path / "a.toml"), read_identity(tmp_path / "a.json")
    assert first == second
    assert {"Ada Brandt", "Brandt Ada", "+491701234567", "0170 1234567", "0049 1701234567"} <= set(first.spellings())


# Beside a running service


async def test_a_running_service_forgets_whom_another_process_erased(world: World, tmp_path: Path) -> None:
    world.model.says(TRAVEL_ANSWER)
    asked = question("What is the daily allowance for travel in Norway?", muniment={"keep": True})
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        for _ in range(2):
            assert (await client.post("/v1/chat/completions", json=asked, headers=world.headers("bob"))).is_success
        name, traces = await asyncio.to_thread(live_here, world.services, Random(8))
        remembered = world.services.served.default.engine._remembered
        assert remembered
        with open_services(world.services.home.folder, GatedModel()) as other:
            await asyncio.to_thread(other.erasures.erase_user, "bob", BY)
            await asyncio.to_thread(other.erasures.erase_user, name, BY)
        refused = await client.post("/v1/chat/completions", json=asked, headers=world.headers("bob"))
        assert refused.status_code == 401
        answered = await client.post("/v1/chat/completions", json=asked, headers=world.headers("alice"))
        assert answered.is_success
        assert world.services.subjects._name_of.keys().isdisjoint({name, "bob"})
        assert traces.left_in(world.services.home.folder) == {}
    assert traces.left_in(world.services.home.folder) == {}


async def test_an_answer_that_was_begun_before_is_not_kept(world: World) -> None:
    world.model.says(TRAVEL_ANSWER)
    asked = question("What is the daily allowance for travel in Norway?", muniment={"keep": True})
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        world.model.holds()
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=asked, headers=world.headers("bob")))

        async def at_work() -> bool:
            return world.model.working > 0

        await eventually(at_work)
        await asyncio.to_thread(world.services.erasures.erase_user, "bob", BY)
        world.model.lets_go()
        assert (await asking).status_code in {409, 503}
    with Session(world.services.database) as session:
        assert session.exec(select(KeptTextRow)).all() == []


async def test_a_running_index_writes_nothing_of_them_back(world: World, tmp_path: Path) -> None:
    person, home = with_person(world, tmp_path), world.services.home.folder
    running = world.services.index
    with open_services(home, GatedModel()) as other:
        other.erasures.erase_person(person.identity, BY)
    files, (state, layers) = world.services.index_files, running._snapshot
    with pytest.raises(PurgedError):
        files.write(state, running._made_with, 32, layers, running._generation)
    assert person.traces.left_in(home) == {}
    running.save()
    assert person.traces.left_in(home) == {}
    assert running.restore()
    assert len(running) > 0
    assert person.traces.left_in(home) == {}
