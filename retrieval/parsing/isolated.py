"""Parsing in a process of its own: a document that hangs, eats memory or crashes a parser costs itself alone."""

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

import msgspec

from retrieval.parsing.document import ParsedDocument
from retrieval.parsing.errors import UnparsableError
from retrieval.parsing.messages import Reply, Request

CPU_SECONDS = 90
"""Processor time for one document; the slowest honest ones, PDFs of thousands of pages, have 60 s by their reader."""
WALL_SECONDS = 600.0
"""When processor time does not run out either: nine tenths of a busy machine are not ours."""
MEMORY_BYTES = 3_000_000_000
"""Of address space, libraries included: a tree of 64 MB of XML takes ten to twenty times its text."""
_LONGEST_REPLY_BYTES = 200_000_000
_ROOT = Path(__file__).parents[2]
_FAILED = (
    "Reading it took more than {} s or {:.1f} GB, or ended the process that reads documents. It is not tried again "
    "until it changes; split it or save it anew."
)


class IsolatedParser:
    """Parses documents in one process, which is started when the first comes and replaced when it ends.

    For one thread at a time. The process sees no environment and no network; what it replies is read as data.
    """

    def __init__(
        self, cpu_seconds: int = CPU_SECONDS, wall_seconds: float = WALL_SECONDS, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self._arguments = (str(cpu_seconds), str(memory_bytes))
        self._wall_seconds = wall_seconds
        self._failed = _FAILED.format(cpu_seconds, memory_bytes / 1e9)
        self._process: subprocess.Popen[bytes] | None = None
        self._decode = msgspec.json.Decoder(Reply).decode

    def parse(self, content: bytes, media_type: str, path: str) -> ParsedDocument:
        """What `retrieval.parsing.parse` gives.

        Raises:
            UnparsableError: It cannot be parsed, or not with the time and memory one document may take.
            OSError: The system starts no process.
        """
        process = self._process = self._process or self._start()
        try:
            reply = self._ask(process, content, Request(media_type, path, len(content)))
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            self.close()
            raise UnparsableError(self._failed) from error
        if reply.document is None:
            raise UnparsableError(reply.unparsable)
        return reply.document

    def _ask(self, process: subprocess.Popen[bytes], content: bytes, request: Request) -> Reply:
        stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        end = threading.Timer(self._wall_seconds, process.kill)
        end.start()
        try:
            stdin.write(msgspec.json.encode(request) + b"\n")
            stdin.write(content)
            stdin.flush()
            return self._decode(stdout.readline(_LONGEST_REPLY_BYTES))
        finally:
            end.cancel()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-s", "-m", "retrieval.parsing.worker", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env=_environment(),
        )

    def close(self) -> None:
        """End the process; the next document starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            # Waits for it; what could not be written to it any more does not matter.
            with contextlib.suppress(OSError), process:
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _environment() -> dict[str, str]:
    """No secrets and no configuration, only where libraries and code are."""
    libraries = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return libraries | {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(_ROOT)}
