"""What the doctor finds, and that it says what to do."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.errors import EngineUnavailableError
from tests.gateway.cli.commands import Commands


@pytest.fixture(autouse=True)
def _no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_MODELS", str(tmp_path / "no-models"))


def examine(commands: Commands, *arguments: str) -> dict[str, list[dict[str, Any]]]:
    """The checks by name."""
    result = commands("doctor", "--json", *arguments)
    assert "Traceback" not in result.output
    found: dict[str, list[dict[str, Any]]] = {}
    for check in json.loads(result.stdout):
        assert set(check) == {"name", "level", "detail", "fix"}
        found.setdefault(check["name"], []).append(check)
    failed = any(check["level"] == "fail" for checks in found.values() for check in checks)
    assert result.exit_code == int(failed)
    return found


def levels(checks: dict[str, list[dict[str, Any]]]) -> dict[str, set[str]]:
    return {name: {check["level"] for check in each} for name, each in checks.items()}


def test_a_healthy_installation_lacks_only_models_here(commands: Commands) -> None:
    checks = examine(commands)
    assert levels(checks) == {
        "python": {"ok"},
        "settings": {"ok"},
        "home": {"ok"},
        "disk": levels(checks)["disk"],
        "keys": {"ok"},
        "database": {"ok"},
        "policies": {"ok"},
        "trail": {"warn"},
        "erasures": {"ok"},
        "models": {"fail"},
        "index": {"ok"},
        "sources": {"ok"},
        "users": {"ok"},
        "groups": {"ok"},
        "directory": {"ok"},
        "sign-in": {"ok"},
        "network": {"ok"},
    }
    assert len(checks["models"]) == 4
    assert all("muniment models pull" in check["detail"] for check in checks["models"])


def test_the_doctor_changes_nothing(commands: Commands) -> None:
    before = {path: path.read_bytes() for path in commands.home.rglob("*") if path.suffix in {".toml", ".bin", ".key"}}
    trail = commands.json("audit", "verify")["entries"]
    examine(commands)
    assert {path: path.read_bytes() for path in before} == before
    assert commands.json("audit", "verify")["entries"] == trail + 1  # That it was read.


def open_home(commands: Commands) -> None:
    commands.home.chmod(0o755)


def open_key(commands: Commands) -> None:
    (commands.home / "keys" / "signing.pem").chmod(0o640)


def remove_key(commands: Commands) -> None:
    (commands.home / "keys" / "master.key").unlink()


def misspell(commands: Commands) -> None:
    (commands.home / "muniment.toml").write_text("[sever]\n")


def damage_database(commands: Commands) -> None:
    for leftover in commands.home.glob("data/muniment.db-*"):
        leftover.unlink()
    path = commands.home / "data" / "muniment.db"
    content = bytearray(path.read_bytes())
    content[8192:12288] = b"\xff" * 4096
    path.write_bytes(content)


def remove_database(commands: Commands) -> None:
    (commands.home / "data" / "muniment.db").unlink()


def remove_trail(commands: Commands) -> None:
    (commands.home / "data" / "audit.db").unlink()


def damage_trail(commands: Commands) -> None:
    (commands.home / "data" / "audit.db").write_bytes(b"nonsense" * 1000)


def forge_index(commands: Commands) -> None:
    (commands.home / "index" / "manifest").write_bytes(b"muniment-index-2" + b"0" * 500)


def remove_documents(commands: Commands) -> None:
    folder = commands.home.parent / "elsewhere"
    shutil.copytree(commands.documents, folder)
    path, access = f"path={folder}", str(commands.access)
    commands.succeed("sources", "add", "gone", "--type", "folder", "--set", path, "--access", access)
    shutil.rmtree(folder)


def disable_everybody(commands: Commands) -> None:
    commands.succeed("users", "disable", "alice")
    commands.succeed("users", "disable", "bob")


def name_metadata_service(commands: Commands) -> None:
    (commands.home / "muniment.toml").write_text('[models]\nmirror = "https://[::ffff:169.254.169.254]/models/"\n')


def listen_to_all(commands: Commands) -> None:
    (commands.home / "muniment.toml").write_text('[server]\nhost = "0.0.0.0"\n')


def lose_checkpoints(commands: Commands) -> None:
    (commands.home / "kept").mkdir()
    keep_checkpoints_in(commands, commands.home / "kept")


def keep_checkpoints_in(commands: Commands, file: Path) -> None:
    (commands.home / "muniment.toml").write_text(f'[audit]\ncheckpoint_file = "{file}"\n')


def join_roles(commands: Commands) -> None:
    """As an earlier version let one."""
    with sqlite3.connect(commands.home / "data" / "muniment.db") as connection:
        connection.execute("UPDATE user SET roles = 'auditor operator' WHERE id = 'alice'")
    connection.close()


def lose_client_secret(commands: Commands) -> None:
    (commands.home / "muniment.toml").write_text(
        '[oidc]\nissuer = "https://login.example"\nclient_id = "muniment"\nclient_secret_file = "gone"\n'
        'redirect_uri = "https://docs.example/auth/oidc/callback"\n'
    )


@pytest.mark.parametrize(
    ("break_it", "name", "level"),
    [
        (open_home, "home", "fail"),
        (open_key, "keys", "fail"),
        (remove_key, "keys", "fail"),
        (misspell, "settings", "fail"),
        (damage_database, "database", "fail"),
        (remove_database, "database", "fail"),
        (remove_trail, "trail", "fail"),
        (damage_trail, "trail", "fail"),
        (forge_index, "index", "warn"),
        (remove_documents, "sources", "fail"),
        (disable_everybody, "users", "warn"),
        (join_roles, "users", "fail"),
        (lose_client_secret, "sign-in", "fail"),
        (listen_to_all, "network", "warn"),
        (name_metadata_service, "network", "fail"),
        (lose_checkpoints, "trail", "fail"),
    ],
)
def test_each_fault_is_found_where_it_is(
    commands: Commands, break_it: Callable[[Commands], None], name: str, level: str
) -> None:
    assert level not in levels(examine(commands))[name]
    break_it(commands)
    faults = [check for check in examine(commands)[name] if check["level"] == level]
    assert len(faults) == 1
    assert faults[0]["detail"]
    assert faults[0]["fix"] or ". " in faults[0]["detail"]  # Our errors say what to do in their own text.


def test_a_place_for_checkpoints_that_was_named_later_gets_the_newest(commands: Commands, tmp_path: Path) -> None:
    keep_checkpoints_in(commands, tmp_path / "kept.jsonl")
    assert levels(examine(commands))["trail"] == {"ok"}
    assert len((tmp_path / "kept.jsonl").read_text().splitlines()) == 1
    examine(commands)
    assert len((tmp_path / "kept.jsonl").read_text().splitlines()) == 1, "it is copied once"


def test_checkpoints_that_cannot_be_copied_yet_are_no_loss(commands: Commands, tmp_path: Path) -> None:
    keep_checkpoints_in(commands, tmp_path / "unmounted" / "kept.jsonl")
    (check,) = examine(commands)["trail"]
    assert (check["level"], str(tmp_path / "unmounted") in check["fix"]) == ("warn", True)
    assert "so far" in check["detail"]


def test_without_a_home_the_doctor_says_so(empty: Commands) -> None:
    checks = examine(empty)
    assert checks["settings"][0]["level"] == "fail"
    assert "muniment init" in checks["settings"][0]["detail"]
    assert "keys" not in checks


def test_the_model_is_started_when_asked_for(commands: Commands) -> None:
    assert "engine" not in examine(commands)
    assert examine(commands, "--deep")["engine"][0]["level"] == "ok"
    assert commands.model.stopped
    commands.model.starts_with(EngineUnavailableError("The worker does not start. Free some memory."))
    assert examine(commands, "--deep")["engine"][0]["level"] == "fail"


def test_findings_for_people_say_what_to_do(commands: Commands) -> None:
    open_home(commands)
    result = commands("doctor")
    assert result.exit_code == 1
    assert f"chmod 700 {commands.home}" in result.stdout


def test_an_authority_that_has_stamped_nothing_is_told(commands: Commands) -> None:
    settings = commands.home / "muniment.toml"
    settings.write_text('[audit]\nstamp_url = "https://tsa.example"\nstamp_ca_file = "muniment.toml"\n')
    checks = examine(commands)
    assert levels(checks)["stamps"] == {"warn"}
    assert any(check["detail"].startswith("Time stamps") for check in checks["network"])
