"""A database or trail that is gone: refused, never silently begun anew."""

import pytest

from tests.gateway.cli.commands import Commands

_COMMANDS = [
    ("users", "list"),
    ("sync",),
    ("search", "holiday", "--as", "alice"),
    ("ask", "How many days of holiday?", "--as", "alice"),
    ("keys", "create", "alice"),
    ("index", "rebuild"),
]


@pytest.mark.parametrize("emptied", [True, False])
@pytest.mark.parametrize("command", _COMMANDS)
def test_without_its_database_nothing_runs(commands: Commands, command: tuple[str, ...], *, emptied: bool) -> None:
    """An empty file is what a full disk leaves behind; it counts as none."""
    database = commands.home / "data" / "muniment.db"
    database.unlink()
    if emptied:
        database.touch(mode=0o600)
    said = commands.fail(*command, exit_code=11)
    assert "muniment.db is missing" in said
    assert "init --missing" in said
    assert not database.exists() or database.stat().st_size == 0


@pytest.mark.parametrize("command", [("search", "holiday", "--as", "alice"), ("keys", "create", "alice")])
def test_without_its_trail_nothing_is_answered_or_changed(commands: Commands, command: tuple[str, ...]) -> None:
    (commands.home / "data" / "audit.db").unlink()
    assert "audit.db is missing" in commands.fail(*command, exit_code=7)
    assert not (commands.home / "data" / "audit.db").exists()


def test_doctor_names_what_is_missing(commands: Commands) -> None:
    (commands.home / "data" / "muniment.db").unlink()
    result = commands("doctor", "--json")
    assert result.exit_code == 1
    assert "muniment.db is missing" in result.stdout


def test_what_is_missing_is_made_only_on_request_and_the_trail_says_so(commands: Commands) -> None:
    (commands.home / "data" / "muniment.db").unlink()
    assert "database" in commands.succeed("init", "--missing")
    assert commands.json("users", "list") == []
    assert commands.recorded("home:parts-made")[0]["parts"] == ["database"]
    assert commands.recorded("home:created"), "the trail that was there goes on"
    assert "nothing was made" in commands.succeed("init", "--missing")


def test_a_trail_made_anew_begins_by_saying_so(commands: Commands) -> None:
    (commands.home / "data" / "audit.db").unlink()
    commands.succeed("init", "--missing")
    oldest = commands.json("audit", "list", "-n", "1000")["entries"][-1]
    assert oldest["kind"] == "home:parts-made"
    assert oldest["event"]["parts"] == ["trail"]


def test_without_a_home_there_is_nothing_to_make(empty: Commands) -> None:
    assert "There is no Muniment home" in empty.fail("init", "--missing", exit_code=10)
