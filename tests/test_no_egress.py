"""T21: the product itself calls nobody. In a network without a route, watched from outside of Python."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.guard import sitecustomize as guard

ROOT = Path(__file__).parent.parent
_CALLS = re.compile(r"(connect|sendto|sendmsg|sendmmsg)\(.*sa_family=AF_(?:INET6?|PACKET)")
_HERE = re.compile(r'inet_addr\("127\.|inet_pton\(AF_INET6, "::1"|inet_addr\("0\.0\.0\.0"')


def alone(*command: str) -> list[str]:
    """The command in a network of its own that has loopback and nothing else."""
    for prefix in (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"]):
        if (
            shutil.which("unshare")
            and not subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode
        ):
            return [*prefix, "sh", "-c", 'ip link set lo up 2>/dev/null; exec "$@"', "sh", *command]
    pytest.skip("network namespaces are not permitted here")


def watched(log: Path, *command: str) -> list[str]:
    """The command with its own and its children's calls to the network written to a file."""
    if (
        not shutil.which("strace")
        or subprocess.run(["strace", "-f", "--seccomp-bpf", "-qq", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("strace is missing or not permitted here: apt install strace")
    traced = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        "trace=connect,sendto,sendmsg,sendmmsg",
        "-o",
        str(log),
        *command,
    ]
    return alone(*traced)


def attempts(log: Path) -> list[str]:
    """The calls that would have reached another machine, had there been a way."""
    return [
        line for line in log.read_text(errors="replace").splitlines() if _CALLS.search(line) and not _HERE.search(line)
    ]


def environment(tmp_path: Path, models: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {guard.VARIABLE, "PYTHONPATH"}}
    return kept | {
        "MUNIMENT_HOME": str(tmp_path / "home"),
        "MUNIMENT_MODELS": str(models),
        guard.VARIABLE: str(tmp_path / "noted"),
        "PYTHONPATH": str(Path(guard.__file__).parent),
    }


def run(command: Sequence[str], env: dict[str, str], stdin: str = "") -> str:
    done = subprocess.run(command, env=env, input=stdin, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


MUNIMENT = (sys.executable, "-m", "gateway.cli")
OUTSIDE = {
    "connect": "import socket; socket.socket().connect(('192.0.2.1', 80))",
    "datagram": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
    "look-up": "import socket; socket.getaddrinfo('telemetry.example', 443)",
    "library": "import urllib.request; urllib.request.urlopen('http://192.0.2.1/')",
}


@pytest.mark.parametrize("way", OUTSIDE)
def test_the_guard_notes_whoever_calls_out(tmp_path: Path, way: str) -> None:
    """Negative control of everything here: what calls out is noted, by the guard and by the trace."""
    noted, log = tmp_path / "noted", tmp_path / "trace"
    env = {**os.environ, guard.VARIABLE: str(noted), "PYTHONPATH": str(Path(guard.__file__).parent)}
    assert subprocess.run(
        alone(sys.executable, "-c", OUTSIDE[way]), env=env, capture_output=True, check=False
    ).returncode
    assert noted.read_text().count("socket.") >= 1
    if way != "look-up":  # Without a name server nothing is sent for it.
        subprocess.run(watched(log, sys.executable, "-c", OUTSIDE[way]), capture_output=True, check=False)
        assert attempts(log)


@pytest.mark.parametrize(
    ("event", "arguments", "expected"),
    [
        ("socket.connect", (None, ("127.0.0.1", 8400)), ""),
        ("socket.connect", (None, ("::1", 8400, 0, 0)), ""),
        ("socket.connect", (None, "/run/socket"), ""),
        ("socket.connect", (None, ("10.0.0.1", 80)), "10.0.0.1"),
        ("socket.connect", (None, ("::ffff:10.0.0.1", 80, 0, 0)), "::ffff:10.0.0.1"),
        ("socket.getaddrinfo", ("localhost", 80, 0, 0, 0), ""),
        ("socket.getaddrinfo", (b"hub.example", 443, 0, 0, 0), "hub.example"),
        ("socket.getaddrinfo", ("169.254.169.254", 80, 0, 0, 0), ""),
        ("socket.getaddrinfo", ("2852039166", 80, 0, 0, 0), ""),
        ("socket.gethostbyname", ("hub.example",), "hub.example"),
        ("socket.sendto", (None, ("192.0.2.1", 53)), "192.0.2.1"),
        ("socket.bind", (None, ("0.0.0.0", 0)), ""),
    ],
)
def test_the_guard_notes_other_machines_alone(event: str, arguments: tuple[object, ...], expected: str) -> None:
    assert guard.outside(event, arguments) == expected


def test_switches_come_before_the_libraries_that_read_them(tmp_path: Path) -> None:
    """The one library here with telemetry, asked what it understood."""
    program = (
        "import os\n"
        "for name in list(os.environ):\n"
        "    if name.startswith(('HF_', 'TRANSFORMERS_', 'DISABLE_', 'DO_NOT')): del os.environ[name]\n"
        "from typer.testing import CliRunner\nfrom gateway.cli.program import app\n"
        "CliRunner().invoke(app, ['models', 'list'])\n"
        "from huggingface_hub import constants\n"
        "print(constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_TELEMETRY, constants.HF_HUB_DISABLE_UPDATE_CHECK)"
    )
    env = environment(tmp_path, tmp_path)
    assert run([sys.executable, "-c", program], env | {"PYTHONPATH": str(ROOT)}).split() == ["True"] * 3


@pytest.mark.models
def test_looking_for_personal_data_calls_nobody(tmp_path: Path, models_folder: Path) -> None:
    """Quick enough for every build; the whole path is below."""
    env = environment(tmp_path, models_folder)
    run([*MUNIMENT, "init"], env)
    shown = run(watched(tmp_path / "trace", *MUNIMENT, "redact"), env, "Write to alan.turing@example.org today.")
    assert "alan.turing@example.org" not in shown
    assert attempts(tmp_path / "trace") == []
    assert not (tmp_path / "noted").exists()


@pytest.mark.deep
@pytest.mark.models
def test_the_demonstration_calls_nobody(tmp_path: Path, models_folder: Path) -> None:
    """Setting up, reading the sample company, asking, and serving a question over HTTP: 0 attempts."""
    env, traces = environment(tmp_path, models_folder), []
    add = ["sources", "add", "company", "--type", "folder", "--set", "path=examples/company"]
    for command in (
        ["init"],
        ["users", "add", "--from", "examples/access.json"],
        [*add, "--access", "examples/access.json"],
        ["sync", "company"],
        ["ask", "What happens to salaries in 2027?", "--as", "owen"],
        ["doctor"],
    ):
        traces.append(tmp_path / f"trace-{len(traces)}")
        run(watched(traces[-1], *MUNIMENT, *command), env)
    key = json.loads(run([*MUNIMENT, "keys", "create", "owen", "--json"], env))["key"]
    traces.append(tmp_path / "trace-serve")
    program = SERVE.format(muniment=list(MUNIMENT), key=key)
    assert "choices" in run(watched(traces[-1], sys.executable, "-c", program), env)
    assert {trace.name: attempts(trace) for trace in traces} == {trace.name: [] for trace in traces}
    assert not (tmp_path / "noted").exists()


SERVE = """
import json, subprocess, time, urllib.request
with subprocess.Popen([*{muniment}, "serve", "--port", "8477"]) as served:
    asked = {{"model": "muniment", "messages": [{{"role": "user", "content": "How long is the warranty?"}}]}}
    request = urllib.request.Request(
        "http://127.0.0.1:8477/v1/chat/completions",
        json.dumps(asked).encode(),
        {{"Authorization": "Bearer {key}", "Content-Type": "application/json"}},
    )
    for _ in range(600):
        time.sleep(1)
        try:
            print(urllib.request.urlopen(request, timeout=600).read().decode())
            break
        except OSError:
            continue
    served.terminate()
"""
