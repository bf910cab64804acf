"""Parsing in a process of its own: a document that hangs, eats memory or crashes a parser costs itself alone."""

import signal
from types import TracebackType
from typing import Self

import msgspec

from policies import isolated
from retrieval.errors import SyncFailedError
from retrieval.parsing.document import ParsedDocument, is_sound
from retrieval.parsing.errors import UnparsableError, UnparsableNowError
from retrieval.parsing.messages import Reply, Request

CPU_SECONDS = 90
"""Processor time for one document; the slowest honest ones, PDFs of thousands of pages, have 60 s by their reader."""
WALL_SECONDS = 600.0
"""When processor time does not run out either: nine tenths of a busy machine are not ours."""
MEMORY_BYTES = 3_000_000_000
"""Of address space, libraries included: a tree of 64 MB of XML takes ten to twenty times its text."""
_LONGEST_REPLY_BYTES = 200_000_000
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
        self._process: isolated.Process | None = None
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
            case isolated.Ending.TIME:
                why = f"Reading it takes more than {self._cpu_seconds} s of processor time"
            case isolated.Ending.MEMORY:
                why = f"Reading it takes more than {self._memory_bytes / 1e9:.1f} GB of memory"
            case _ if code in _ITS_OWN_FAULT:
                why = "Reading it ends the process that reads documents"
            case _:
                return UnparsableNowError("Reading it was broken off from outside; the next sync tries it again.")
        return UnparsableError(f"{why}; split it or save it anew.")

    def _ask(self, process: isolated.Process, content: bytes, request: Request) -> bytes:
        """The line it replies; not a whole one when it ended."""
        parts = msgspec.json.encode(request) + b"\n", content
        return isolated.ask(process, parts, seconds=self._wall_seconds, longest_reply_bytes=_LONGEST_REPLY_BYTES)

    def _start(self) -> isolated.Process:
        arguments = str(self._cpu_seconds), str(self._memory_bytes)
        try:
            return isolated.start("retrieval.parsing.worker", arguments, self._wall_seconds)
        except isolated.NotStartedError as error:
            message = f"The process that reads documents {error}. What was read before stands; then sync again."
            raise SyncFailedError(message) from error

    def close(self) -> None:
        """End the process; the next document starts another."""
        process, self._process = self._process, None
        if process is not None:
            isolated.end(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
