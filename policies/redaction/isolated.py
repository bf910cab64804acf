"""Recognition in processes of their own: a text that hangs, eats memory or crashes a recogniser costs itself alone.

Whatever goes wrong with a process is one error for the text that it was reading, which must not be used then; the next
text finds another process. Nothing is ever given back for a text that was not read to its end.
"""

import contextlib
import math
import threading
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from policies import isolated
from policies.errors import RedactionFailedError
from policies.personal_data import KnownTypes, MentionType, Span, SpanRecord
from policies.redaction.engine import require_length
from policies.redaction.messages import Reply, Request, to_bytes
from policies.redaction.options import RedactionOptions
from policies.redaction.scanner import Memory
from policies.redaction.site import SiteRedaction, read_site

MEMORY_BYTES = 1_500_000_000
"""Of address space. Libraries and model take 0.3 GB of it, 0.5 GB while 3.9 million characters of names are read."""

_USUAL = RedactionOptions()
_BLOCK_CHARS = 65_536
_LONG_CHARS = 65_536
_WALL_FACTOR = 15
"""When processor time does not run out either: most of a busy machine is not ours."""
_START_SECONDS = 120.0
_LONGEST_REPLY_BYTES = 500_000_000


class IsolatedRedactor:
    """Finds personal data as `engine.Redactor` does, in up to `options.workers` processes; threads may share one.

    `russian_folder` is as for `engine.Redactor`. `site` is what `site.read_site` made of the options; where these name
    no files, it may be left out.

    The processes are started when there is something to do for them, and replaced when they end. They see no
    environment and no network; what they reply is read as data.
    """

    def __init__(
        self,
        model_folder: Path,
        russian_folder: Path | None = None,
        options: RedactionOptions = _USUAL,
        site: SiteRedaction | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        site = read_site(options, Path()) if site is None else site
        self.types: KnownTypes = site.types
        """The kinds of personal data that are looked for."""
        folders = (str(folder.absolute()) if folder else "" for folder in (model_folder, russian_folder))
        self._arguments = (*folders, str(memory_bytes))
        self._told = msgspec.json.encode(site.told) + b"\n"  # What is confidential is in no list of processes.
        self._cpu_seconds = options.cpu_seconds
        self._idle: list[isolated.Process] = []
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(options.workers)
        self._long = threading.BoundedSemaphore(max(1, options.workers - 1))
        self._decode = msgspec.json.Decoder(Reply).decode

    def load(self) -> None:
        """Start a process unless there is one, which takes seconds.

        Raises:
            RedactionFailedError: None starts; the text says how to see why.
        """
        with self._worker():
            pass

    def find(self, text: str) -> list[Span]:
        """The personal data in a text: spans in order that do not overlap.

        Raises:
            RedactionFailedError: It could not be looked for; the text must not be used.
        """
        return self.find_many([text])[0]

    def find_many(self, texts: Sequence[str]) -> list[list[Span]]:
        """`find` for many texts at once, which is faster.

        Raises:
            RedactionFailedError: In one of them it could not be looked for.
        """
        require_length(texts)
        return self._asked(texts, None)[0]

    def recognise(self, texts: Sequence[str]) -> list[list[Span]]:
        """`find_many`, and all of `MentionType` too, whose types are not among `types` where they are not masked.

        Raises:
            RedactionFailedError: In one of them it could not be looked for.
        """
        require_length(texts)
        return self._asked(texts, None, everything=True)[0]

    def scanner(self) -> "IsolatedScanner":
        """A scanner for one text that arrives segment by segment. No process is asked yet."""
        return IsolatedScanner(self)

    def find_next(self, segment: str, memory: Memory) -> tuple[list[Span], Memory]:
        """The personal data in a segment that comes after what is remembered, and what is remembered then.

        Raises:
            RedactionFailedError: It could not be looked for; the text must not be used.
        """
        require_length([segment])
        (spans,), remembered = self._asked([segment], memory)
        if remembered is None:
            raise RedactionFailedError(_NONSENSE)
        return spans, remembered

    def close(self) -> None:
        """End the processes that are idle; the next text starts another."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            isolated.end(process)

    def _asked(
        self, texts: Sequence[str], memory: Memory | None, *, everything: bool = False
    ) -> tuple[list[list[Span]], Memory | None]:
        chars = sum(map(len, texts))
        types = {*self.types, *(MentionType if everything else ())}
        with self._long if chars > _LONG_CHARS else contextlib.nullcontext(), self._worker() as process:
            seconds = self._cpu_seconds * math.ceil((chars + 1) / _BLOCK_CHARS)
            request = Request([], seconds, memory, everything)
            reply = self._ask(process, texts, request)
            if reply.failed:
                raise RedactionFailedError(reply.failed)
            if reply.found is None or not _is_sound(reply.found, texts, types):
                isolated.end(process)  # Its content has come to run in that process, or a recogniser is at fault.
                raise RedactionFailedError(_NONSENSE)
            return [[record.span() for record in records] for records in reply.found], reply.memory

    def _ask(self, process: isolated.Process, texts: Sequence[str], request: Request) -> Reply:
        contents = [to_bytes(text) for text in texts]
        announced = msgspec.structs.replace(request, sizes=[len(content) for content in contents])
        parts = msgspec.json.encode(announced) + b"\n", *contents
        wall = request.seconds * _WALL_FACTOR
        line = isolated.ask(process, parts, seconds=wall, longest_reply_bytes=_LONGEST_REPLY_BYTES)
        if not line.endswith(b"\n"):
            isolated.end(process)
            raise RedactionFailedError(_ended(process.returncode, request.seconds))
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            return self._decode(line)
        return Reply()

    @contextlib.contextmanager
    def _worker(self) -> Iterator[isolated.Process]:
        """A process to ask alone. One that was ended, or with which anything unforeseen happened, is not used again."""
        with self._places:
            process = self._take()
            try:
                yield process
            except RedactionFailedError:
                self._put_back(process)
                raise
            except BaseException:
                isolated.end(process)
                raise
            self._put_back(process)

    def _take(self) -> isolated.Process:
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None:
                return self._start()
            if process.poll() is None:
                return process
            isolated.end(process)

    def _put_back(self, process: isolated.Process) -> None:
        if process.poll() is None:
            with self._lock:
                self._idle.append(process)

    def _start(self) -> isolated.Process:
        try:
            return isolated.start("policies.redaction.worker", self._arguments, _START_SECONDS, self._told)
        except isolated.NotStartedError as error:
            message = (
                f"The process that finds personal data {error}. If the model {self._arguments[0]} is missing or "
                "damaged: Pull it again."
            )
            raise RedactionFailedError(message) from error


class IsolatedScanner:
    """Reads one text segment by segment; any process may read the next. Once one has failed, nothing more is read."""

    def __init__(self, redactor: IsolatedRedactor) -> None:
        self._redactor = redactor
        self._memory = Memory()

    def find(self, segment: str) -> list[Span]:
        """The personal data in the next segment of the text, as `segments` cuts it.

        Raises:
            RedactionFailedError: It could not be looked for; the text must not be used.
        """
        found, self._memory = self._redactor.find_next(segment, self._memory)
        return found


_NONSENSE = "What was said of the personal data in a text made no sense, so the text was not used. Try again."


def _is_sound(found: Sequence[Sequence[SpanRecord]], texts: Sequence[str], types: Collection[str]) -> bool:
    """Whether there are spans of known kinds for each text, which lie in it, in order and apart."""
    return len(found) == len(texts) and all(
        all(0 <= span.start < span.end <= len(text) and 0 <= span.score <= 1 and span.type in types for span in spans)
        and all(left.end <= right.start for left, right in pairwise(spans))
        for spans, text in zip(found, texts, strict=True)
    )


def _ended(code: int, seconds: float) -> str:
    """Why there is no reply, by how the process ended."""
    match code:
        case isolated.Ending.TIME:
            why = f"took more than {seconds:g} s of processor time"
        case isolated.Ending.MEMORY:
            why = "took too much memory"
        case _:
            why = "was broken off"
    return f"Looking for personal data in a text {why}, so the text was not used. Shorten it, or try again."
