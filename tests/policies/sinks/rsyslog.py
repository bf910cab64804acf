"""rsyslog itself, started for the tests: what it writes is what it took our messages for."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.policies.sinks.authority import Authority

PROGRAM = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin:/bin")
_STARTS_SECONDS = 30.0
_CONFIGURATION = """
global(workDirectory="{folder}" maxMessageSize="8k" {tls})
module(load="imtcp" {mode})
input(type="imtcp" address="127.0.0.1" port="{port}" maxFrameSize="200000")
template(name="taken" type="string" string="%pri%\\t%hostname%\\t%app-name%\\t%msgid%\\t%msg%\\n")
action(type="omfile" file="{folder}/taken.log" template="taken")
"""
_TLS = (
    'defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{ca}" '
    'defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}"'
)
_MODE = 'streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon"'


@dataclass(frozen=True, slots=True)
class Rsyslog:
    """A running one, and what it has taken."""

    port: int
    file: Path

    def taken(self) -> list[list[str]]:
        """Priority, host, program, kind and text of each message."""
        if not self.file.exists():
            return []
        return [line.split("\t", 4) for line in self.file.read_text(encoding="utf-8").split("\n") if line]


@contextlib.contextmanager
def rsyslog(folder: Path, authority: Authority | None) -> Iterator[Rsyslog]:
    """One that listens on loopback, over TLS where there is an authority."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tls = ""
    if authority:
        certificate, key = authority.issue("rsyslog", "localhost")
        tls = _TLS.format(ca=authority.file, certificate=certificate, key=key)
    configuration = folder / "rsyslog.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, tls=tls, mode=_MODE if authority else ""))
    command = [str(PROGRAM), "-n", "-f", str(configuration), "-i", str(folder / "pid")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(port, process)
        yield Rsyslog(port, folder / "taken.log")
    finally:
        process.terminate()
        process.wait()


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _STARTS_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    message = "rsyslog did not start"
    raise RuntimeError(message)
