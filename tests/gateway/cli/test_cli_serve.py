"""`serve`: where it listens, and how it ends. Real processes, since signals and sockets are what it is about."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.config import is_loopback
from tests.gateway.cli.commands import Commands

pytestmark = [pytest.mark.network, pytest.mark.enable_socket]


@contextmanager
def serving(commands: Commands, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A gateway that runs, and its address. It has no models, so it lives but never becomes ready."""
    environment = os.environ | {"MUNIMENT_MODELS": str(commands.home.parent / "no-models")}
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "--home", str(commands.home), "serve", "--port", "0", *arguments],
        env=environment,
        cwd=Path(__file__).parents[3],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline()
            address = re.search(r"http://\S+:\d+", said)
            assert address, said
            yield process, address[0]
        finally:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_on_loopback_and_ends_when_told(commands: Commands, how: signal.Signals) -> None:
    with serving(commands) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        assert httpx.get(f"{address}/health/live", timeout=30).status_code == 200
        assert httpx.get(f"{address}/health/ready", timeout=30).status_code == 503
        process.send_signal(how)
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        rest = process.stderr.read()
    assert rest.splitlines()[-1] == "Stopped."
    assert "Traceback" not in rest


def test_other_commands_work_beside_it(commands: Commands) -> None:
    with serving(commands) as (_, address):
        key = commands.json("keys", "create", "alice")["key"]
        listed = httpx.get(f"{address}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=30)
        assert listed.status_code == 200
        commands.succeed("users", "disable", "alice")
        refused = httpx.get(f"{address}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=30)
        assert refused.status_code == 401
    assert commands.json("audit", "verify")["ok"] is True


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example"])
def test_an_address_others_can_reach_must_be_meant(commands: Commands, host: str) -> None:
    said = commands.fail("serve", "--host", host, exit_code=10)
    assert "--expose" in said
    assert "server.host" in said


def test_an_address_that_is_meant_is_served(commands: Commands) -> None:
    with serving(commands, "--host", "0.0.0.0", "--expose") as (_, address):
        assert address.startswith("http://0.0.0.0:")
    (commands.home / "muniment.toml").write_text('[server]\nhost = "0.0.0.0"\n')
    with serving(commands) as (_, address):
        assert address.startswith("http://0.0.0.0:")


def test_a_port_in_use_is_said(commands: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in commands.fail("serve", "--port", str(port), exit_code=10)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "localhost.example", "127.0.0.1.example"])
def test_everything_else_is_not(host: str) -> None:
    assert not is_loopback(host)
