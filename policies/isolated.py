"""Processes of our own that read hostile input: started without secrets, confined, asked in lines, ended in time.

A question and its reply are bytes that the two ends agree on, read as data. `policies/sandbox.py` says what such a
process gives up. Parsers (`retrieval/parsing`) and recognisers (`policies/redaction`) work this way.
"""

import contextlib
import importlib
import os
import pkgutil
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import IO, cast

from policies.sandbox import confine

READY = b"ready\n"
"""The process's first line: it has given up what it does not need, and reads."""
_ROOT = Path(__file__).parents[1]
_DESCRIPTORS = 3

Process = subprocess.Popen[bytes]


class Ending(IntEnum):
    """How the process ends when something takes too much."""

    TIME = -signal.SIGPROF
    MEMORY = 75


class NotStartedError(Exception):
    """The process did not start, or did not get ready; its text says what to look at."""


def environment() -> dict[str, str]:
    """No secrets and no configuration, only where libraries and code are."""
    libraries = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return libraries | alone | {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(_ROOT)}


def start(module: str, arguments: Iterable[str], seconds: float, told: bytes = b"") -> Process:
    """Start a module of ours as a process and wait until it is ready.

    `told` is sent to it first: every user of the machine can read the arguments of a process.

    Raises:
        NotStartedError: It did not get ready within so many seconds.
    """
    command = [sys.executable, "-P", "-s", "-m", module, *arguments]
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # Hostile content may come to write there.
            cwd="/",
            env=environment(),
        )
    except OSError as error:
        message = f"does not start: {error.strerror}; free memory or end other processes"
        raise NotStartedError(message) from error
    if ask(process, (told,) if told else (), seconds=seconds, longest_reply_bytes=len(READY)) != READY:
        end(process)
        message = f"ended at its start with code {process.returncode}; to see why, run: {' '.join(command)} </dev/null"
        raise NotStartedError(message)
    return process


def ask(process: Process, parts: Iterable[bytes], *, seconds: float, longest_reply_bytes: int) -> bytes:
    """Send something and give the line that comes back; not a whole one when the process ended, or was out of time."""
    watch = threading.Timer(seconds, process.kill)
    watch.daemon = True
    watch.start()
    try:
        stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        for part in parts:
            stdin.write(part)
        stdin.flush()
        return stdout.readline(longest_reply_bytes)
    except OSError:
        return b""
    finally:
        watch.cancel()


def end(process: Process) -> None:
    """End a process and wait for it; what could not be written to it any more does not matter."""
    with contextlib.suppress(OSError), process:
        process.kill()


def import_all(packages: Iterable[ModuleType]) -> None:
    """Import every part of some libraries, which import parts of themselves when needed: later no file opens."""
    for package in packages:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # Some are for Windows, or for libraries that are not here.
            with contextlib.suppress(ImportError, LookupError):
                importlib.import_module(module.name)


def give_up(memory_bytes: int) -> None:
    """What no such process needs: network, programs, files, and more memory than this of address space.

    Raises:
        SandboxError: The system does not allow it, so the process must not go on.
    """
    confine()
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS))


@contextlib.contextmanager
def processor_time(seconds: float) -> Iterator[None]:
    """Let the system end this process once the block has taken so much processor time, in native code too."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def send(line: bytes) -> None:
    """Write a reply, or `READY`."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
