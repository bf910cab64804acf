"""Which processes write to a trail at the moment, and what those that are gone left without an end.

Beside a trail in a file, each holds a lock on a file of its own; the lock goes with the process, however it ends.
Whoever opens the trail next can take it then, and says of each question that was left how things stand.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policies.audit.events import AnswerFailed, AnswerGiven, AnswerUnknown, QuestionAsked
from policies.audit.storage import Selecting

_NEW = "."
"""What the name of a file begins with that is not locked yet."""


class Presence:
    """A process that writes, as long as it lives."""

    def __init__(self, trail: Path, writer: str) -> None:
        folder = _folder(trail)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / writer
        made = folder / f"{_NEW}{writer}"
        self._file = os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        made.rename(self._path)

    def end(self, *, settled: bool) -> None:
        """Be gone; with nothing left to look after if `settled`."""
        if self._file < 0:
            return
        if settled:
            self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = -1


@contextmanager
def gone(trail: Path) -> Iterator[list[str]]:
    """The writers of a trail whose processes are gone; they are forgotten when the block ends without an error."""
    held: list[tuple[Path, int]] = []
    try:
        for path in sorted(_folder(trail).glob("[!.]*")):
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                continue
            held.append((path, file))
        yield [path.name for path, _ in held]
        for path, _ in held:
            path.unlink(missing_ok=True)
    finally:
        for _, file in held:
            os.close(file)


def unfinished(trail: Selecting, writer: str) -> list[tuple[str, str]]:
    """The questions of a writer without an end: their requests and who asked.

    An end is recorded by the process of its question, or by one that found it missing.
    """
    query = """SELECT request, actor FROM entries
        WHERE writer = :writer AND kind = :asked
            AND request NOT IN (SELECT request FROM entries WHERE writer = :writer AND kind IN (:given, :failed))
            AND request NOT IN (SELECT request FROM entries WHERE kind = :unknown)
        ORDER BY id"""
    values = {
        "writer": writer,
        "asked": QuestionAsked.kind,
        "given": AnswerGiven.kind,
        "failed": AnswerFailed.kind,
        "unknown": AnswerUnknown.kind,
    }
    return trail.select(query, values)


def _folder(trail: Path) -> Path:
    return trail.with_name(f"{trail.name}.writers")
