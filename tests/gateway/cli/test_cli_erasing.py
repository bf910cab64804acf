"""Erasing and holding at the command line."""

import json

import pytest

from tests.gateway.cli.commands import Commands

REASON = ("--reason", "Request 17/26")


def test_a_user_is_erased_and_found_by_token_alone(commands: Commands) -> None:
    [done] = commands.json("erase", "--subject", "bob", *REASON)
    assert (done["kind"], done["number"], done["left"]) == ("user", 1, [])
    assert done["counts"]["users"] == 1
    assert "bob" not in {user["id"] for user in commands.json("users", "list")}
    entries = commands.json("audit", "list", "--user", done["token"])["entries"]
    assert {entry["event"]["user"] for entry in entries} == {done["token"]}
    assert commands.json("audit", "list", "--kind", "subject:erased")["entries"][0]["event"]["subject"] == done["token"]
    assert commands.json("audit", "verify")["ok"] is True
    assert "was erased already" in commands.fail("erase", "--subject", "bob", exit_code=6)
    assert "ever here" in commands.fail("erase", "--subject", "nobody", exit_code=5)
    assert "Nothing was left to complete" in commands.succeed("erase", "--resume")


def test_an_export_names_people_until_they_are_erased(commands: Commands) -> None:
    def users() -> list[str]:
        lines = [json.loads(line) for line in commands.succeed("audit", "export").splitlines() if line.startswith("{")]
        return [line["event"]["user"] for line in lines if line["kind"] == "user:added"]

    assert "bob" in users()
    token = commands.json("erase", "--subject", "bob")[0]["token"]
    assert "bob" not in users()
    assert token in users()


def test_a_person_is_erased_from_documents(commands: Commands) -> None:
    file = commands.home.parent / "ada.toml"
    file.write_text('names = ["Ada Brandt"]\nmail_addresses = ["ada.brandt@harbour.example"]\n')
    found = commands.json("search", "travel allowance", "--as", "alice")["passages"]
    assert any("Ada Brandt" in passage["text"] for passage in found)
    told = commands.succeed("erase", "--identity", str(file), *REASON)
    assert "Erased. The trail calls them p" in told
    commands.succeed("sync")
    found = commands.json("search", "travel allowance", "--as", "alice")["passages"]
    assert any("480 kroner. [erased] approves exceptions;" in passage["text"] for passage in found)


def test_a_hold_is_placed_listed_respected_and_ended(commands: Commands) -> None:
    hold = commands.json("hold", "add", "--subject", "bob", "--reason", "Proceedings 12 O 114/26")
    [listed] = commands.json("hold", "list")
    assert (listed["id"], listed["target"], listed["kind"]) == (hold["id"], "bob", "subject")
    assert "Proceedings 12 O 114/26" in commands.fail("erase", "--subject", "bob", exit_code=6)
    commands.succeed("hold", "end", hold["id"])
    assert commands.json("hold", "list") == []
    assert [one["ended_at"] is not None for one in commands.json("hold", "list", "--ended")] == [True]
    commands.succeed("erase", "--subject", "bob")


@pytest.mark.parametrize("arguments", [(), ("--resume", "--subject", "bob"), ("--identity", "missing.toml")])
def test_what_to_erase_must_be_said(commands: Commands, arguments: tuple[str, ...]) -> None:
    commands.fail("erase", *arguments, exit_code=2)


@pytest.mark.parametrize("named", [(), ("--subject", "bob", "--request", "r1")])
def test_what_to_hold_must_be_said(commands: Commands, named: tuple[str, ...]) -> None:
    commands.fail("hold", "add", *named, "--reason", "Proceedings 12 O 114/26", exit_code=2)
