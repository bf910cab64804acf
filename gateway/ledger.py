"""The ledger of erasures: a file beside the databases that says who was erased, without saying who they were.

A line is appended, and durable, before anything is taken away, and another when all of it is. So an erasure that was
interrupted is found and completed, and one that was done before a backup was restored can be done again. Each line
vouches for the one before it with a keyed digest.

What an erased person was called is held as keyed digests: they let what comes back from a source be noticed, and tell
nobody anything who lacks the installation's key.
"""

import contextlib
import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from gateway.errors import LedgerUnusableError
from policies.audit.chain import canonical, timestamp
from policies.keys import Keys
from policies.private_files import sync_folder

Stamp = tuple[int, int, int] | None


class ErasedKind(StrEnum):
    """Who was erased: a user and what they did here, or a person whom documents name."""

    PERSON = "person"
    USER = "user"


class Step(StrEnum):
    """How far an erasure had come when its line was written."""

    BEGUN = "begun"
    DONE = "done"


class LedgerLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step of an erasure.

    `token` is what stands for the erased in the trail, `identity_hmacs` are keyed digests of what they were called;
    `mac` is over all of it and the line before.
    """

    number: int
    at: str
    step: Step
    kind: ErasedKind
    token: str
    identity_hmacs: tuple[str, ...]
    mac: str


class Ledger:
    """The ledger of one installation. Safe across threads and processes."""

    def __init__(self, path: Path, keys: Keys) -> None:
        self._path = path
        self._key = keys.lasting("erasure-ledger")
        self._read: tuple[Stamp, tuple[LedgerLine, ...]] = (None, ())

    @property
    def stamp(self) -> Stamp:
        """Changes when the ledger does; costs one look at the file, so it may be asked before each answer.

        Raises:
            LedgerUnusableError: It cannot be looked at.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        return found.st_ino, found.st_size, found.st_mtime_ns

    def lines(self) -> tuple[LedgerLine, ...]:
        """Every line, oldest first. One that was cut off while it was written counts as never begun.

        Raises:
            LedgerUnusableError: It was altered, or is of another installation.
        """
        stamp, (seen, lines) = self.stamp, self._read
        if stamp is None:
            return ()
        if stamp != seen:
            lines, _ = self._checked(self._content())
            self._read = (stamp, lines)
        return lines

    def unfinished(self) -> list[LedgerLine]:
        """Erasures that were begun and not completed."""
        lines = self.lines()
        done = {(line.kind, line.token) for line in lines if line.step is Step.DONE}
        return [line for line in lines if line.step is Step.BEGUN and (line.kind, line.token) not in done]

    def append(self, step: Step, kind: ErasedKind, token: str, identity_hmacs: tuple[str, ...] = ()) -> LedgerLine:
        """Add a line; it is on disk when this returns.

        Raises:
            LedgerUnusableError: It cannot be written, or what is there was altered.
        """
        try:
            with self._locked() as file:
                lines, sound = self._checked(self._content())
                os.ftruncate(file, sound)  # A line that was cut off while it was written.
                made = self._line(lines, step, kind, token, identity_hmacs)
                written = canonical(msgspec.to_builtins(made)).encode() + b"\n"
                if os.pwrite(file, written, sound) != len(written):
                    message = f"The ledger {self._path} took only part of a line. Free some space, then try again."
                    raise LedgerUnusableError(message)
                os.fsync(file)
        except OSError as error:
            so = "Nothing was erased." if step is Step.BEGUN else "Mend that, then run `muniment erase --resume`."
            message = f"The ledger of erasures {self._path} cannot be written: {error.strerror}. {so}"
            raise LedgerUnusableError(message) from error
        return made

    def adopt(self, other: Path) -> int:
        """Take over a ledger of this installation that knows more, kept apart from a backup; returns how many lines.

        Raises:
            LedgerUnusableError: It was altered, is another installation's, or went another way than this one.
        """
        try:
            content = other.read_bytes()
            lines, sound = self._checked(content)
            ours = self.lines()
            if lines[: len(ours)] != ours:
                message = f"{other} does not begin with the ledger that is here, {self._path}. Nothing was changed."
                raise LedgerUnusableError(message)
            with self._locked() as file:
                os.pwrite(file, content[:sound], 0)
                os.fsync(file)
        except OSError as error:
            message = f"The ledger {other} cannot be taken over: {error.strerror}."
            raise LedgerUnusableError(message) from error
        return len(lines)

    def _line(
        self,
        before: tuple[LedgerLine, ...],
        step: Step,
        kind: ErasedKind,
        token: str,
        identity_hmacs: tuple[str, ...],
    ) -> LedgerLine:
        at = timestamp(datetime.now(UTC))
        line = LedgerLine(len(before) + 1, at, step, kind, token, identity_hmacs, "")
        return msgspec.structs.replace(line, mac=self._mac(before[-1].mac if before else "", line))

    def _checked(self, content: bytes) -> tuple[tuple[LedgerLine, ...], int]:
        """The lines, and how many bytes of the file they take."""
        lines: list[LedgerLine] = []
        whole, _, _ = content.rpartition(b"\n")
        for number, text in enumerate(whole.splitlines(), start=1):
            try:
                line = msgspec.json.decode(text, type=LedgerLine)
            except msgspec.MsgspecError as error:
                raise self._altered(number) from error
            mac = self._mac(lines[-1].mac if lines else "", line)
            if line.number != number or not hmac.compare_digest(mac, line.mac):
                raise self._altered(number)
            lines.append(line)
        return tuple(lines), len(whole) + 1 if whole else 0

    def _mac(self, before: str, line: LedgerLine) -> str:
        said = canonical(msgspec.to_builtins(msgspec.structs.replace(line, mac=before)))
        return hmac.digest(self._key, said.encode(), hashlib.sha256).hex()

    def _content(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._unreadable(error) from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, open to write, with nobody else writing to it; the name of a new one is made durable."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            sync_folder(self._path.parent)
            yield file
        finally:
            os.close(file)

    def _unreadable(self, error: OSError) -> LedgerUnusableError:
        message = f"The ledger of erasures {self._path} cannot be read: {error.strerror}. Check its owner and mode."
        return LedgerUnusableError(message)

    def _altered(self, number: int) -> LedgerUnusableError:
        return LedgerUnusableError(
            f"Line {number} of the ledger of erasures {self._path} is not what was written. Restore the file; nothing "
            "can be erased, and no backup restored, by one that was altered."
        )
