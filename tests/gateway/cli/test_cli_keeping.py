"""The trail as commands keep it: copied, reduced, and signed by one key after the other."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import gateway.audit.retention
from policies.audit.chain import encode
from policies.audit.events import AnswerGiven, QuestionAsked, SearchAsked
from policies.audit.writer import ChainWriter
from policies.keys import open_keys
from tests.gateway.cli.commands import Commands

ROOT = Path(__file__).parents[3]


def alone(trail: Path, key: Path) -> tuple[int, str]:
    """What an auditor sees who has the verifier, the trail and the key."""
    command = [sys.executable, "-I", "-S", ROOT / "deploy" / "verify_trail.py", "trail", trail, "--key", key]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout


def bare(commands: Commands) -> int:
    with closing(sqlite3.connect(commands.home / "data" / "audit.db")) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM entries WHERE body IS NULL").fetchall()
    return int(count)


@pytest.fixture
def old(commands: Commands) -> Commands:
    """A home in which somebody asked long ago: alice, who has a token of hers, and somebody else."""
    commands.succeed("search", "Kestrel", "--as", "alice")
    with closing(sqlite3.connect(commands.home / "data" / "audit.db")) as connection:
        query = "SELECT actor FROM entries WHERE kind = 'search:asked'"
        [(token,)] = connection.execute(query).fetchall()
    at = datetime.now(UTC) - timedelta(days=300)
    writer = ChainWriter(commands.home / "data" / "audit.db", open_keys(commands.home / "keys"))
    for request, principal in (("r1", token), ("r2", "p0000000000000000")):
        writer.append(
            [
                encode(QuestionAsked(request, principal, "http", "0" * 64, "m", "1" * 64), at),
                encode(AnswerGiven(request, False, (), {}, "0" * 64, "1" * 64), at),
            ]
        )
    writer.append([encode(SearchAsked("s1", token, "http", "0" * 64, "1" * 64), at)])
    writer.seal()
    writer.close()
    return commands


def configure(commands: Commands, text: str) -> None:
    (commands.home / "muniment.toml").write_text(text)


def test_everything_is_kept_unless_the_settings_say_otherwise(old: Commands) -> None:
    assert "Everything is kept" in old("audit", "reduce", "--yes").output
    assert bare(old) == 0


def test_what_is_old_is_removed_when_that_is_confirmed(old: Commands, tmp_path: Path) -> None:
    configure(old, "[audit.retention]\nquestions = 200\n")
    assert old.json("audit", "reduce") == {"removed": 0, "would_remove": 5, "classes": {"questions": 5}, "held": 0}
    assert bare(old) == 0
    assert old.json("audit", "reduce", "--yes")["removed"] == 5
    assert bare(old) == 5
    old.succeed("audit", "verify")
    (tmp_path / "public.pem").write_text(old.succeed("audit", "key"))
    old.succeed("audit", "copy", str(tmp_path / "copy.db"))
    code, said = alone(tmp_path / "copy.db", tmp_path / "public.pem")
    assert code == 0, said
    assert "was not overwritten" in old.fail("audit", "copy", str(tmp_path / "copy.db"), exit_code=10)


def test_a_hold_keeps_all_entries_of_whom_it_holds(old: Commands) -> None:
    configure(old, "[audit.retention]\nquestions = 200\n")
    old.succeed("hold", "add", "--subject", "alice", "--reason", "proceeding 12 of the works council")
    found = old.json("audit", "reduce", "--yes")
    assert (found["removed"], found["held"]) == (2, 3)
    assert bare(old) == 2


def test_a_hold_that_is_placed_while_entries_are_being_removed_keeps_them(
    old: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(old, "[audit.retention]\nquestions = 200\n")
    real = gateway.audit.retention.plan

    def plan_and_hold(*arguments: Any) -> Any:
        planned = real(*arguments)
        old.succeed("hold", "add", "--subject", "alice", "--reason", "proceeding 12 of the works council")
        return planned

    with monkeypatch.context() as raced:
        raced.setattr(gateway.audit.retention, "plan", plan_and_hold)
        old.fail("audit", "reduce", "--yes", exit_code=7)
    assert bare(old) == 0
    assert old.json("audit", "reduce", "--yes")["held"] == 3
    assert bare(old) == 2


def test_what_an_export_has_not_taken_is_not_removed(old: Commands) -> None:
    configure(
        old,
        "[audit.retention]\nquestions = 200\n"
        '[[audit.exports]]\nname = "siem"\nkind = "file"\npath = "entries.jsonl"\nformat = "json"\n',
    )
    assert old.json("audit", "reduce")["would_remove"] == 0


@pytest.mark.parametrize("days", [1, 182])
def test_less_than_half_a_year_must_be_allowed(old: Commands, days: int) -> None:
    configure(old, f"[audit.retention]\nquestions = {days}\n")
    assert "183" in old.fail("audit", "reduce", exit_code=10)
    configure(old, f"[audit.retention]\nquestions = {days}\nallow_short = true\n")
    old.succeed("audit", "reduce")


def test_the_signing_key_is_rotated_and_the_first_public_key_still_verifies(commands: Commands, tmp_path: Path) -> None:
    first = tmp_path / "public.pem"
    first.write_text(commands.succeed("audit", "key"))
    commands.succeed("keys", "rotate", "signing")
    commands.succeed("search", "Kestrel", "--as", "alice")
    commands.succeed("audit", "verify")
    assert commands.succeed("audit", "key").count("BEGIN PUBLIC KEY") == 2
    commands.succeed("audit", "copy", str(tmp_path / "copy.db"))
    assert alone(tmp_path / "copy.db", first)[0] == 0
    kinds = [entry["kind"] for entry in commands.json("audit", "list", "-n", "200")["entries"]]
    assert kinds.count("key:rotated") == 1


def test_the_master_key_is_rotated(commands: Commands) -> None:
    before = {path.name for path in (commands.home / "keys").iterdir()}
    commands.succeed("keys", "rotate", "master")
    [earlier] = {path.name for path in (commands.home / "keys").iterdir()} - before
    assert earlier.startswith("master-")
    assert earlier.removeprefix("master-").removesuffix(".key") in commands("keys", "reseal").output
    commands.succeed("search", "Kestrel", "--as", "alice")
    assert json.dumps(commands.json("audit", "list")).count('"alice"') > 0, "names are read as before"


def test_two_places_for_one_key_are_refused(commands: Commands) -> None:
    configure(commands, '[audit]\nsigner = "/run/s"\nsigning_key_file = "/run/k"\n')
    assert "two places" in commands.fail("audit", "list", exit_code=10)


def test_a_signer_that_is_gone_is_said_and_nothing_is_lost(commands: Commands, tmp_path: Path) -> None:
    configure(commands, f'[audit]\nsigner = "{tmp_path}/gone"\n')
    commands.succeed("search", "Kestrel", "--as", "alice")
    assert "cannot be asked" in commands("doctor").output
    configure(commands, "")
    commands.succeed("audit", "verify")
