"""Where entries are sent to and who stamps checkpoints, as operators see it."""

import json
import shutil
import time
from pathlib import Path

import pytest

from gateway.audit.places import open_stamper, stamp_file
from gateway.config import Home, load_config
from tests.gateway.cli.commands import Commands
from tests.policies.sinks.authority import Authority
from tests.policies.sinks.tsa import running_tsa


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


@pytest.mark.network
@pytest.mark.enable_socket
@pytest.mark.skipif(shutil.which("openssl") is None, reason="the tests' authority is openssl's")
def test_stamps_are_listed_and_verification_names_the_newest(commands: Commands, tmp_path: Path) -> None:
    assert "No checkpoint was stamped" in commands("audit", "stamps").output
    authority = Authority(tmp_path / "authority")
    home = Home(commands.home)
    with running_tsa(tmp_path / "tsa", authority) as tsa:
        home.config_file.write_text(f'[audit]\nstamp_url = "{tsa.url}"\nstamp_ca_file = "{authority.file}"\n')
        options = load_config(home).audit
        stamper = open_stamper(options, home)
        stamper.start()
        deadline = time.monotonic() + 60
        while not stamp_file(home).read():
            assert time.monotonic() < deadline, stamper.problem
            time.sleep(0.02)
        stamper.close(20)
    [state] = json.loads(commands.succeed("audit", "stamps", "--json"))
    assert (state["problem"], state["at"] is None) == ("", False)
    assert f"checkpoint {state['checkpoint']}" in commands.succeed("audit", "verify")
    assert commands.json("audit", "verify")["stamp"] == state
    other = Authority(tmp_path / "other", "another")
    home.config_file.write_text(f'[audit]\nstamp_url = "{tsa.url}"\nstamp_ca_file = "{other.file}"\n')
    assert commands("audit", "stamps").exit_code == 1
    assert "does not hold" in commands.succeed("audit", "verify")
    home.config_file.write_text(f'[audit]\nstamp_url = "{tsa.url}"\nstamp_ca_file = "gone.pem"\n')
    commands.fail("audit", "stamps", exit_code=10)
    home.config_file.write_text(f'[audit]\nstamp_url = "{tsa.url}"\n')
    commands.fail("audit", "stamps", exit_code=10)
