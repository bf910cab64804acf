"""Parsing in a process of its own: a document that hangs, eats memory or crashes a parser costs itself alone."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

import msgspec

from retrieval.errors import SyncFailedError
from retrieval.parsing.document import ParsedDocument, is_sound
from retrieval.parsing.errors import UnparsableError, UnparsableNowError
from retrieval.parsing.messages import READY, Ending, Reply, Request

CPU_SECONDS = 90
"""Processor time for one document; the slowest honest ones, PDFs of thousands of pages, have 60 s by their reader."""
WALL_SECONDS = 600.0
"""When processor time does not run out either: nine tenths of a busy machine are not ours."""
MEMORY_BYTES = 3_000_000_000
"""Of address space, libraries included: a tree of 64 MB of XML takes ten to twenty times its text."""
_LONGEST_REPLY_BYTES = 200_000_000
_ROOT = Path(__file__).parents[2]
_ITS_OWN_FAULT = frozenset(
    -number for number in (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGSYS)
)
"""How a process ends that native code crashed; another signal came from outside, and the document may be innocent."""


class IsolatedParser:
    """Parses documents in one process, which is started when the first comes and replaced when it ends.

    For one thread at a time. The process sees no environment and no network; what it replies is read as data.
    """

    def __init__(
        self, cpu_seconds: int = CPU_SECONDS, wall_seconds: float = WALL_SECONDS, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self._cpu_seconds, self._wall_seconds, self._memory_bytes = cpu_seconds, wall_seconds, memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._decode = msgspec.json.Decoder(Reply).decode

    def parse(self, content: bytes, media_type: str, path: str) -> ParsedDocument:
        """What `retrieval.parsing.parse` gives.

        Raises:
            UnparsableError: It cannot be parsed, or not with the time and memory one document may take.
            UnparsableNowError: The process was ended from outside; trying again may help.
            SyncFailedError: The process does not start, so no document can be read.
        """
        process = self._process = self._process or self._start()
        named = path.encode(errors="replace").decode()  # Names of files can hold bytes that are no text.
        line = self._ask(process, content, Request(media_type, named, len(content)))
        if not line.endswith(b"\n"):
            self.close()
            raise self._ended(process.returncode)
        try:
            reply = self._decode(line)
        except msgspec.MsgspecError:
            reply = Reply()
        if reply.unparsable:
            raise UnparsableError(reply.unparsable)
        if reply.document is None or not is_sound(reply.document):
            self.close()  # Its content has come to run in that process, or a parser is at fault.
            message = "Reading it gave something that is no document; split it or save it anew."
            raise UnparsableError(message)
        return reply.document

    def _ended(self, code: int) -> UnparsableError:
        """Why there is no reply, by how the process ended."""
        match code:
            case Ending.TIME:
                why = f"Reading it takes more than {self._cpu_seconds} s of processor time"
            case Ending.MEMORY:
                why = f"Reading it takes more than {self._memory_bytes / 1e9:.1f} GB of memory"
            case _ if code in _ITS_OWN_FAULT:
                why = "Reading it ends the process that reads documents"
            case _:
                return UnparsableNowError("Reading it was broken off from outside; the next sync tries it again.")
        return UnparsableError(f"{why}; split it or save it anew.")

    def _ask(self, process: subprocess.Popen[bytes], content: bytes, request: Request) -> bytes:
        """The line it replies; not a whole one when it ended."""
        stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        end = threading.Timer(self._wall_seconds, process.kill)
        end.start()
        try:
            stdin.write(msgspec.json.encode(request) + b"\n")
            stdin.write(content)
            stdin.flush()
            return stdout.readline(_LONGEST_REPLY_BYTES)
        except OSError:
            return b""
        finally:
            end.cancel()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-s", "-m", "retrieval.parsing.worker"]
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [*command, str(self._cpu_seconds), str(self._memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # Hostile content may come to write there.
                cwd="/",
                env=_environment(),
            )
        except OSError as error:
            message = (
                f"The process that reads documents does not start: {error.strerror}. What was read before stands; free "
                "memory or end other processes, then sync again."
            )
            raise SyncFailedError(message) from error
        if cast("IO[bytes]", process.stdout).readline(len(READY)) != READY:
            _end(process)
            message = (
                f"The process that reads documents ended at its start with code {process.returncode}. What was read "
                f"before stands. To see why, run: {' '.join(command)} 10 {self._memory_bytes}"
            )
            raise SyncFailedError(message)
        return process

    def close(self) -> None:
        """End the process; the next document starts another."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and wait for it; what could not be written to it any more does not matter."""
    with contextlib.suppress(OSError), process:
        process.kill()


def _environment() -> dict[str, str]:
    """No secrets and no configuration, only where libraries and code are."""
    libraries = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return libraries | {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(_ROOT)}
