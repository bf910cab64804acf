"""Where entries are sent to, as operators see it."""

import json
from pathlib import Path

from tests.gateway.cli.commands import Commands


def test_exports_are_shown_and_begun_again(commands: Commands, tmp_path: Path) -> None:
    assert "nowhere" in commands("audit", "exports").output
    (commands.home / "muniment.toml").write_text(
        f'[[audit.exports]]\nname = "disk"\nkind = "file"\nformat = "cef"\npath = "{tmp_path / "out"}"\n'
    )
    [state] = json.loads(commands.succeed("audit", "exports", "--json"))
    assert (state["name"], state["kind"], state["format"], state["entry"]) == ("disk", "file", "cef", 0)
    assert state["behind"] > 0
    commands.fail("audit", "exports", "--restart", "other", exit_code=5)
    commands.succeed("audit", "exports", "--restart", "disk", "--after", "2")
    assert commands.recorded("export:restarted")[-1]["after"] == 2
    assert (commands.home / "data" / "exports" / "disk.restart").read_text() == "2"
    assert "disk" in commands.succeed("audit", "exports")
