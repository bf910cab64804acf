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
