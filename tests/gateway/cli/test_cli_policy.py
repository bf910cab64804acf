"""The rules at the command line: loading, listing, taking back, explaining, simulating, testing, ranking."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.program import app
from tests.gateway.cli.commands import Commands

ROOT = Path(__file__).parents[3]
CLOSED = """@id("finance-closed") @reason("Finance is closed.")
forbid (principal, action == Action::"documents:read", resource)
when { resource.allow_groups.contains(Group::"finance") };"""
OPEN = '@id("open") permit (principal, action == Action::"documents:read", resource);'
ALICE = ("--user", "alice", "--document", "finance/budget.md")
BOB = ("--user", "bob", "--document", "finance/budget.md")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "rules.cedar").write_text(CLOSED)
    return folder


def finds_finance(commands: Commands) -> bool:
    found = commands.json("search", "Kestrel budget 2027", "--as", "alice")["passages"]
    return any(passage["path"].startswith("finance/") for passage in found)


def test_loaded_rules_decide_and_are_taken_back(commands: Commands, rules: Path) -> None:
    assert finds_finance(commands)
    assert "No rules of your own" in commands("policy", "history").stderr
    checked = commands.json("policy", "load", str(rules), "--check")
    assert checked["changes"] == {"added": ["finance-closed"], "removed": [], "changed": []}
    assert finds_finance(commands)
    loaded = commands.json("policy", "load", str(rules))
    assert not finds_finance(commands)
    listed = commands.json("policy", "list")
    assert listed["revision"] == loaded["revision"] == checked["revision"]
    own = [rule for rule in listed["rules"] if rule["origin"] == "site"]
    assert own == [{"id": "finance-closed", "reason": "Finance is closed.", "effect": "forbid", "origin": "site"}]
    assert "finance-closed" in commands.succeed("policy", "list")
    assert "Nothing changes" in commands.succeed("policy", "load", str(rules))
    (entry,) = commands.json("policy", "history")
    assert (entry["revision"], entry["files"], entry["current"]) == (loaded["revision"], ["rules.cedar"], True)
    assert "removed" in commands.succeed("policy", "rollback")
    assert finds_finance(commands)
    assert [event["added"] for event in commands.recorded("policy:changed")] == [["finance-closed"], []]


def test_bad_rules_are_refused_in_one_place_with_all_their_faults(commands: Commands, rules: Path) -> None:
    (rules / "more.cedar").write_text('@id("x") forbid (principal in Role::"boss", action, resource);' + OPEN)
    result = commands("policy", "load", str(rules))
    assert result.exit_code == 10
    assert "x: " in result.stderr
    assert "Traceback" not in result.output
    assert finds_finance(commands)
    assert commands.recorded("policy:refused")[0]["problems"] >= 1
    (rules / "more.cedar").write_text("permit (")
    assert "more.cedar: " in commands("policy", "load", str(rules), "--check").stderr
    assert commands("policy", "load", str(rules / "nowhere")).exit_code == 10


def test_an_explanation_names_rules_and_what_is_missing(commands: Commands, rules: Path) -> None:
    said = commands.succeed("policy", "explain", *BOB)
    assert "would be allowed by label-allows-group" in said
    assert "is in none of finance; is only in everyone" in said
    commands.succeed("policy", "load", str(rules))
    told = commands.json("policy", "explain", *ALICE, "--purpose", "search", "--network", "local")
    assert (told["allowed"], told["policies"]) == (False, ["finance-closed"])
    assert told["context"] == {"purpose": "search", "network": "local", "channel": "http"}
    assert [rule["rule"] for rule in told["allowed_by"]] == ["label-allows-group"]
    assert commands("policy", "check", *ALICE).exit_code == 1
    assert len(commands.recorded("policy:explained")) == 3
    commands.fail("policy", "explain", "--user", "eve", "--document", "finance/budget.md", exit_code=5)
    assert len(commands.recorded("policy:explained")) == 4


def test_a_simulation_fails_when_somebody_gains(commands: Commands, rules: Path) -> None:
    finds_finance(commands)
    lost = commands.json("policy", "simulate", str(rules))
    assert lost["replay"]["losing"] == 1
    assert lost["losses"]["documents"] == 1
    (rules / "rules.cedar").write_text(OPEN)
    result = commands("policy", "simulate", str(rules))
    assert result.exit_code == 1
    assert "bob" in result.stdout
    assert commands("policy", "simulate", str(rules), "--allow-gains", "--since", "2026-01-01").exit_code == 0
    commands.fail("policy", "simulate", str(rules), "--since", "yesterday", exit_code=2)


def test_policies_are_tested_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_HOME", str(tmp_path / "nowhere"))
    file, bundle = str(ROOT / "examples/policy/tests.yaml"), str(ROOT / "examples/policy/rules")
    passed = CliRunner().invoke(app, ["policy", "test", file, "--bundle", bundle])
    assert (passed.exit_code, passed.stdout) == (0, "13 of 13 tests passed.\n")
    failed = CliRunner().invoke(app, ["policy", "test", file])
    assert failed.exit_code == 1
    assert f"{file}:37: Finance does not read the budget from elsewhere" in failed.stdout
    as_json = json.loads(CliRunner().invoke(app, ["policy", "test", file, "--json"]).stdout)
    assert as_json["passed"] == sum(test["passed"] for test in as_json["tests"]) < 13
    assert not (tmp_path / "nowhere").exists()


def test_a_mistake_in_a_test_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "tests.yaml"
    file.write_text("users:\n  ada:\ntests:\n  - {user: ada, label: x, expect: allow}\n")
    result = CliRunner().invoke(app, ["policy", "test", str(file)])
    assert result.exit_code == 2
    assert "line 4: there is no label 'x'" in result.stderr


def test_overshared_documents_are_listed(commands: Commands) -> None:
    found = commands.json("policy", "oversharing", "-n", "2")
    assert found["listed"][0]["path"] == "handbook/travel.md"
    assert len(found["listed"]) == 2
    assert "handbook/travel.md" in commands.succeed("policy", "oversharing", "--source", "company")
    assert [event["source"] for event in commands.recorded("oversharing:listed")] == ["", "company"]


def test_doctor_and_metrics_tell_of_policies_that_cannot_be_used(commands: Commands, rules: Path) -> None:
    from gateway.policy.store import PolicyBundleRow  # noqa: PLC0415
    from gateway.services import services_of  # noqa: PLC0415
    from retrieval.sessions import writing  # noqa: PLC0415

    commands.succeed("policy", "load", str(rules))
    assert "1 of them your own" in commands("doctor").stdout
    with services_of(commands.home) as services, writing(services.database) as session:
        files = '{"a.cedar": "permit ("}'
        session.add(PolicyBundleRow(revision="0" * 64, files=files, shipped="", schema_text="", by="nobody"))
        session.commit()
    result = commands("doctor")
    assert result.exit_code == 1
    assert "The loaded policies cannot be used" in result.stdout
    assert not finds_finance(commands)
    commands.succeed("policy", "rollback")
    assert "The loaded policies cannot be used" not in commands("doctor").stdout
