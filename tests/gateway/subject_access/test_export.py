"""A person gets all that is held about them, and nothing of anybody else."""

import json
import sqlite3
import zipfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.errors import BadRequestError, ConflictError, NotFoundError
from gateway.identity.users import Users
from gateway.identity_file import Identity
from gateway.subject_access.documents import _without_others
from gateway.subject_access.gathering import Others, gather
from gateway.subject_access.service import export_copy
from gateway.subject_access.writing import write_copy
from policies.errors import TrailUnavailableError
from policies.personal_data import EntityType, Span
from policies.principals import Role
from policies.redaction.erased import Erased, digests_of
from retrieval.spans import write_spans
from tests.gateway.conftest import TRAVEL_ANSWER, World, question, recorded

OTHERS = ("alice", "audra", "mona", "olga")


@pytest.fixture
async def used(world: World, client: httpx.AsyncClient) -> World:
    """An installation in which Bob asked, kept a conversation and was administered, and so was Alice."""
    world.model.says(TRAVEL_ANSWER)
    for user in ("bob", "alice"):
        asked = question(f"What is the allowance in Norway? asks {user}", muniment={"keep": True})
        reply = await client.post("/v1/chat/completions", json=asked, headers=world.headers(user))
        assert reply.status_code == 200
        await client.post("/api/v1/search", json={"query": "holidays"}, headers=world.headers(user))
    services = world.services
    services.users.add({"bob": frozenset({"everyone"})}, frozenset({Role.EMPLOYEE}), by="olga")
    services.users.link("bob", "https://id.example", "subject-of-bob", by="olga")
    services.owners.change("company", ["bob", "alice"], [], by="olga")
    services.password_sign_in.set_password("bob", "seven unlikely words in some row", by="olga")
    return world


def exported(world: World, user: str = "bob") -> Mapping[str, bytes]:
    return export_copy(world.services, user, by="olga")


def content(files: Mapping[str, bytes], name: str) -> Any:
    return json.loads(files[name])


async def test_all_that_they_did_and_said_is_in_it(used: World) -> None:
    files = exported(used)
    (conversation,) = content(files, "conversations.json")
    said = [message["text"] for message in conversation["messages"]]
    assert said[0] == "What is the allowance in Norway? asks bob"
    assert "480 kroner" in said[1]
    assert "480 kroner" in content(files, "questions.json")[0]["answer"]
    account = content(files, "account.json")
    assert account["account"]["groups_in_effect"] == ["everyone"]
    assert account["owned_sources"] == ["company"]
    assert account["account"]["password_changed_at"]
    assert [row["subject"] for row in account["sign_ins"]] == ["subject-of-bob"]
    assert len(content(files, "keys.json")) == 1
    kinds = {entry["kind"] for entry in content(files, "trail.json")}
    assert {
        "question:asked",
        "passages:retrieved",
        "answer:given",
        "search:asked",
        "user:added",
        "key:created",
    } <= kinds
    summary = files["summary.md"].decode()
    assert "480 kroner" in summary
    assert all(f"`{name}`" in files["README.md"].decode() for name in files if name != "README.md")


def tables_that_name(database: Path, user: str) -> set[str]:
    """Tables in which somebody's name stands as a value of its own."""
    with closing(sqlite3.connect(database)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {table for table in tables for row in connection.execute(f'SELECT * FROM "{table}"') if user in row}


ROWS = {
    "user": ("account.json", "account"),
    "membership": ("account.json", "groups"),
    "source_owner": ("account.json", "owned_sources"),
    "identity_link": ("account.json", "sign_ins"),
    "password": ("account.json", "account"),
    "api_key": ("keys.json", None),
    "conversation": ("conversations.json", None),
}


async def test_all_that_names_a_user_is_in_the_copy(used: World) -> None:
    """A table that holds something about users and is forgotten here fails this test."""
    files = exported(used)
    named = tables_that_name(used.services.home.database, "bob")
    assert named <= ROWS.keys()
    assert len(named) >= 7
    for table in named:
        name, part = ROWS[table]
        found = content(files, name)
        assert found[part] if part else found


async def test_nobody_else_is_named(used: World) -> None:
    files = exported(used)
    assert [(name, other) for name, text in files.items() for other in OTHERS if other in text.decode()] == []
    entries = content(files, "trail.json")
    added = [entry["event"]["by"] for entry in entries if entry["kind"] == "user:added"]
    assert added[-1].startswith("another person ")
    (owners,) = (entry["event"]["added"] for entry in entries if entry["kind"] == "source:owners-changed")
    assert "user:bob" in owners
    assert [owner for owner in owners if owner.startswith("user:another person ")]


async def test_a_copy_with_names_is_noticed(used: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(Others, "hidden", lambda self, kind, event: dict(event))
    assert any(other in text.decode() for text in exported(used).values() for other in OTHERS)


def test_others_have_one_number_throughout() -> None:
    others = Others("bob")
    assert others.hidden("user:disabled", {"by": "olga", "user": "bob", "seconds": 3}) == {
        "by": "another person 1",
        "user": "bob",
        "seconds": 3,
    }
    assert others.hidden("source:owners-changed", {"by": "olga", "added": ["user:ada", "user:bob", "group:all"]}) == {
        "by": "another person 1",
        "added": ["user:another person 2", "user:bob", "group:all"],
    }


async def test_nothing_in_it_opens_anything(used: World) -> None:
    whole = b"".join(exported(used).values()).decode()
    with closing(sqlite3.connect(used.services.home.database)) as connection:
        secrets = [row[0] for row in connection.execute("SELECT secret_sha256 FROM api_key")]
        secrets += [row[0] for row in connection.execute("SELECT hash FROM password")]
        secrets += [row[0] for row in connection.execute("SELECT token_sha256 FROM session")]
    assert len(secrets) >= 6
    assert [secret for secret in secrets if secret in whole] == []


async def test_it_is_in_the_trail_before_it_is_handed_out(used: World) -> None:
    copy = gather(used.services, "bob")
    exported(used)
    (said,) = recorded(used, "subject:exported")
    assert said == {"by": "olga", "user": "bob", "conversations": 1, "entries": len(copy.entries), "documents": 0}
    used.services.trail.close()
    with pytest.raises(TrailUnavailableError):
        exported(used)


async def test_somebody_who_is_not_there_has_no_copy(used: World) -> None:
    with pytest.raises(NotFoundError):
        exported(used, "nobody")
    assert recorded(used, "subject:exported") == []


async def test_a_disabled_user_has_one(used: World) -> None:
    users: Users = used.services.users
    users.disable("bob", by="olga")
    assert content(exported(used), "account.json")["account"]["active"] is False


async def test_documents_that_name_them_are_listed_without_their_texts(used: World) -> None:
    ada = Identity(names=("Ada Brandt",))
    files = export_copy(used.services, "bob", by="olga", identity=ada)
    (document,) = content(files, "documents.json")
    assert (document["source"], document["title"], document["passages"]) == ("company", "Travel policy", 1)
    assert b"480 kroner" not in files["documents.json"]
    assert "`documents.json`" in files["README.md"].decode()
    alone = export_copy(used.services, "", by="olga", identity=ada)
    assert alone.keys() == {"README.md", "documents.json"}
    nobody = export_copy(used.services, "", by="olga", identity=Identity(names=("Nora Nowhere",)))
    assert content(nobody, "documents.json") == []
    with pytest.raises(BadRequestError):
        export_copy(used.services, "", by="olga")


def test_other_people_in_titles_are_masked() -> None:
    person = Erased(b"k" * 32, frozenset(digests_of(b"k" * 32, ["Ada Brandt"])))
    title = "Ada Brandt and Boris Olsen"
    spans = write_spans([Span(0, 10, EntityType.PERSON, 1.0, "t"), Span(15, 26, EntityType.PERSON, 1.0, "t")])
    assert _without_others(title, spans, person) == "Ada Brandt and [name hidden]"


def test_it_is_written_as_a_folder_or_a_file(tmp_path: Path) -> None:
    files = {"README.md": b"one", "account.json": b"{}"}
    write_copy(files, tmp_path / "copy")
    write_copy(files, tmp_path / "copy.zip")
    assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == files
    with zipfile.ZipFile(tmp_path / "copy.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
    modes = {path.stat().st_mode & 0o777 for path in [*(tmp_path / "copy").iterdir(), tmp_path / "copy.zip"]}
    assert modes == {0o600}
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700
    for name in ("copy", "copy.zip"):
        with pytest.raises(ConflictError):
            write_copy(files, tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "copy.zip"]
