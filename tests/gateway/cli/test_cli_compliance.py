"""`compliance` as operators meet it."""

import json
from pathlib import Path

from tests.gateway.cli.commands import Commands


def test_the_record_is_printed_and_written(commands: Commands, tmp_path: Path) -> None:
    printed = commands("compliance", "record")
    assert printed.exit_code == 0
    assert "## (g) Technical and organisational measures" in printed.stdout
    assert "compliance.controller" in printed.stderr
    commands.succeed("compliance", "record", "--out", str(tmp_path / "record.md"))
    assert (tmp_path / "record.md").read_text().startswith("# Record of processing")
    commands.succeed("compliance", "record", "--json", "--out", str(tmp_path / "record.json"))
    assert json.loads((tmp_path / "record.json").read_text())["purposes"] == []
    assert commands.json("compliance", "record")["to_be_filled_in"]


def test_a_file_that_exists_is_not_replaced(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "record.md").write_text("signed")
    commands.fail("compliance", "record", "--out", str(tmp_path / "record.md"), exit_code=6)
    commands.fail("compliance", "record", "--out", str(tmp_path / "no" / "record.md"), exit_code=2)
    assert (tmp_path / "record.md").read_text() == "signed"


def test_a_copy_for_one_person_is_written(commands: Commands, tmp_path: Path) -> None:
    commands.succeed("ask", "What is the Kestrel budget?", "--as", "alice", "--keep")
    told = commands.succeed("subject", "export", "alice", "--out", str(tmp_path / "alice"))
    assert "Hand them to nobody else" in told
    (conversation,) = json.loads((tmp_path / "alice" / "conversations.json").read_text())
    assert conversation["messages"][0]["text"] == "What is the Kestrel budget?"
    assert commands.json("subject", "export", "alice", "--out", str(tmp_path / "alice.zip"))["files"]
    assert len(commands.recorded("subject:exported")) == 2
    commands.fail("subject", "export", "alice", "--out", str(tmp_path / "alice"), exit_code=6)
    commands.fail("subject", "export", "nobody", "--out", str(tmp_path / "nobody"), exit_code=5)
    commands.fail("subject", "export", "bob", "--out", str(tmp_path / "no" / "bob"), exit_code=2)
    assert len(commands.recorded("subject:exported")) == 3  # The last was announced, and then could not be written.


def test_documents_that_name_a_person_are_listed(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "ada.toml").write_text('names = ["Ada Brandt"]')
    out = tmp_path / "ada"
    told = commands("subject", "export", "--identity", str(tmp_path / "ada.toml"), "--out", str(out))
    assert told.exit_code == 0
    assert "look through" in told.stderr
    assert {path.name for path in out.iterdir()} == {"README.md", "documents.json"}
    (document,) = json.loads((out / "documents.json").read_text())
    assert (document["title"], document["passages"]) == ("Travel policy", 1)
    assert commands.recorded("subject:exported")[-1]["documents"] == 1
    assert "Name a user" in commands.fail("subject", "export", "--out", str(tmp_path / "x"), exit_code=2)
