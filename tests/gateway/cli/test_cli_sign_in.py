"""Passwords, locks, sessions, links and narrowed keys at the command line."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.config import Home
from gateway.services import Services
from tests.gateway.cli.commands import Commands

GOOD = "tvK9-pluck-mango-sil"


def opened(commands: Commands) -> Services:
    return Services(Home(commands.home))


def test_a_password_is_read_from_standard_input_and_signs_in(commands: Commands) -> None:
    said = commands.succeed("users", "password", "alice", "--stdin", stdin=f"{GOOD}\n")
    assert GOOD not in said
    with opened(commands) as services:
        principal, session = services.password_sign_in.sign_in("alice", GOOD)
        assert (principal.id, session.method) == ("alice", "password")
    assert commands.recorded("password:changed")[0]["user"] == "alice"


def test_a_password_is_asked_for_twice(commands: Commands) -> None:
    commands.succeed("users", "password", "alice", stdin=f"{GOOD}\n{GOOD}\n")
    result = commands("users", "password", "alice", stdin=f"{GOOD}\nsomething else\n")
    assert result.exit_code != 0
    assert GOOD not in result.output


@pytest.mark.parametrize(
    ("user", "typed", "exit_code"), [("alice", "short", 2), ("alice", "", 2), ("nobody", GOOD, 5), ("bob", GOOD, 6)]
)
def test_a_password_that_will_not_do_is_refused(commands: Commands, user: str, typed: str, exit_code: int) -> None:
    commands.succeed("users", "disable", "bob")
    assert commands("users", "password", user, "--stdin", stdin=typed).exit_code == exit_code
    assert commands.recorded("password:changed") == []


def test_a_locked_user_is_unlocked(commands: Commands) -> None:
    commands.succeed("users", "unlock", "alice")
    assert commands.recorded("user:unlocked")[0]["user"] == "alice"
    commands.fail("users", "unlock", "nobody", exit_code=5)


def test_sessions_are_listed_and_ended(commands: Commands) -> None:
    assert commands.json("users", "sessions", "alice") == []
    with opened(commands) as services:
        sessions = [services.sessions.begin(services.users.principal("alice"), "password") for _ in range(3)]
    listed = commands.json("users", "sessions", "alice")
    assert {view["id"] for view in listed} == {session.id for session in sessions}
    assert "password" in commands.succeed("users", "sessions", "alice")
    commands.succeed("users", "sign-out", "alice", sessions[0].id)
    assert len(commands.json("users", "sessions", "alice")) == 2
    commands.fail("users", "sign-out", "bob", sessions[1].id, exit_code=5)
    assert "2 sessions" in commands.succeed("users", "sign-out", "alice")
    assert commands.json("users", "sessions", "alice") == []


def test_a_user_is_linked_to_a_subject_once_there_is_a_provider(commands: Commands) -> None:
    commands.fail("users", "link", "alice", "248289761001", exit_code=2)
    (commands.home / "muniment.toml").write_text('[oidc]\nissuer = "https://login.example"\n')
    commands.succeed("users", "link", "alice", "248289761001")
    commands.succeed("users", "link", "alice", "248289761002")
    commands.fail("users", "link", "bob", "248289761002", exit_code=6)
    commands.succeed("users", "link", "bob", "248289761001")
    commands.fail("users", "link", "nobody", "1", exit_code=5)
    assert {entry["issuer"] for entry in commands.recorded("user:linked")} == {"https://login.example"}


def test_a_narrowed_key_is_listed_with_all_there_is_to_know(commands: Commands) -> None:
    made = commands.json(
        "keys", "create", "alice", "--scope", "search:query", "--scope", "chat:ask", "--expires", "90d"
    )
    (listed,) = commands.json("keys", "list")
    assert listed["scopes"] == made["scopes"] == ["chat:ask", "search:query"]
    assert datetime.fromisoformat(listed["expires_at"]) - datetime.now(UTC) > timedelta(days=89)
    assert set(listed) == {"id", "user", "active", "scopes", "created_at", "expires_at", "last_used_at"}
    assert "chat:ask, search:query" in commands.succeed("keys", "list")


@pytest.mark.parametrize("end", ["12h", "2099-01-31", "2099-01-31T12:00", "2099-01-31T12:00:00+05:00"])
def test_an_end_is_written_in_several_ways(commands: Commands, end: str) -> None:
    assert commands.json("keys", "create", "alice", "--expires", end)["expires_at"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--expires", "soon"),
        ("--expires", "0d"),
        ("--expires", "2020-01-01"),
        ("--expires", ""),
        ("--scope", "dance"),
        ("--scope", "documents:read"),
    ],
)
def test_a_key_that_will_not_do_is_refused(commands: Commands, arguments: tuple[str, ...]) -> None:
    commands.fail("keys", "create", "alice", *arguments, exit_code=2)
    assert commands.json("keys", "list") == []


def test_one_person_is_not_both_auditor_and_operator(commands: Commands) -> None:
    said = commands.fail("users", "add", "carl", "--role", "auditor", "--role", "operator", exit_code=6)
    assert "AU-9(4)" in said
    commands.succeed("users", "add", "carl", "--role", "source-owner")
