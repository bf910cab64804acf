"""The folder connector: every file below one folder, labelled by an access file.

Bytes and names only; what a file holds is found out in `retrieval/parsing`.
"""

import fnmatch
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import msgspec

from connectors.access import AccessRules
from connectors.contract import Change, Checkpoint, Delete, Part, Skip, Upsert
from connectors.errors import ConfigurationError, SourceUnavailableError
from connectors.folder.cursor import fingerprint, read_cursor, write_cursor
from connectors.folder.media_types import media_type
from connectors.folder.walk import File, Obstacle, Refused, read_file, walk
from policies.labels import Label


class FolderOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a folder source. Globs match the whole path, and `*` also matches `/`."""

    path: Annotated[str, msgspec.Meta(description="The folder to read.")]
    include: Annotated[str, msgspec.Meta(description="Read only these: globs such as *.md,*.pdf")] = ""
    exclude: Annotated[str, msgspec.Meta(description="Leave these out: globs such as drafts/*,*.log")] = ""
    max_bytes: Annotated[int, msgspec.Meta(ge=1, description="Skip larger files.")] = 50_000_000

    def __post_init__(self) -> None:
        if not self.path.strip():
            message = "path is empty"
            raise ValueError(message)
        # Another command may run in another folder.
        msgspec.structs.force_setattr(self, "path", str(Path(self.path).expanduser().absolute()))


@dataclass(slots=True)
class _Progress:
    """What stands where, as known before the run and as found by now, and what no checkpoint covers yet."""

    before: Mapping[str, bytes]
    now: dict[str, bytes] = field(default_factory=dict)
    documents: int = 0
    content_bytes: int = 0

    def count(self, change: Upsert | Skip) -> None:
        self.documents += 1
        self.content_bytes += len(change.content) if isinstance(change, Upsert) else 0

    def is_due(self, every_documents: int, every_bytes: int) -> bool:
        # The cursor grows with the source. Spacing checkpoints by it keeps all of them together linear in the source.
        spacing = max(every_documents, (len(self.before) + len(self.now)) // 100)
        return self.documents >= spacing or self.content_bytes >= every_bytes

    def checkpoint(self) -> Checkpoint:
        """A cursor for what was met by now; what the walk has yet to reach stays as it was before."""
        self.documents = self.content_bytes = 0
        return Checkpoint(write_cursor({**self.before, **self.now}))


@dataclass(frozen=True, slots=True)
class FolderConnector:
    """Reads the files below a folder. Without access rules every document is private.

    `checkpoint_documents` and `checkpoint_bytes` bound what is lost when a run breaks off, and what its reader holds.
    """

    options: FolderOptions
    access: AccessRules | None
    checkpoint_documents: int = 200
    checkpoint_bytes: int = 64_000_000

    def check(self) -> None:
        """See `connectors.contract.Connector`."""
        try:
            with os.scandir(self.options.path) as entries:
                next(entries, None)
        except OSError as error:
            message = f"The folder {self.options.path} cannot be read: {error.strerror}. Correct the setting path."
            raise ConfigurationError(message) from error

    def changes(self, since: str | None) -> Iterator[Change]:
        """See `connectors.contract.Connector`."""
        progress = _Progress(read_cursor(since))
        for entry in self._entries(progress.before):
            mark, change = self._outcome(entry, progress.before.get(entry.path))
            if mark is not None:
                progress.now[entry.path] = mark
            if change is not None:
                progress.count(change)
                yield change
                if progress.is_due(self.checkpoint_documents, self.checkpoint_bytes):
                    yield progress.checkpoint()
        if progress.before and not progress.now:
            message = (
                f"The folder {self.options.path} is empty, though {len(progress.before)} files stood there at the last "
                "run. Mount or restore it, then sync again. If they are meant to be gone, remove the source."
            )
            raise SourceUnavailableError(message)
        yield from (Delete(path) for path in progress.before if path not in progress.now)
        yield Checkpoint(write_cursor(progress.now))

    def _entries(self, before: Mapping[str, bytes]) -> Iterator[File | Obstacle]:
        """What the walk meets and the globs let through; a closed folder stands for what was known below it."""
        included, excluded = _glob(self.options.include or "*"), _glob(self.options.exclude)
        for entry in walk(Path(self.options.path)):
            if isinstance(entry, Obstacle) and entry.is_folder:
                known = [path for path in before if path.startswith(f"{entry.path}/")]
                yield from (Obstacle(path, entry.reason) for path in known)
                if not excluded.fullmatch(f"{entry.path}/"):
                    yield entry
            elif included.fullmatch(entry.path) and not excluded.fullmatch(entry.path):
                yield entry

    def _outcome(self, entry: File | Obstacle, known: bytes | None) -> tuple[bytes | None, Upsert | Skip | None]:
        """The entry's fingerprint, none when it has gone meanwhile, and the change, none when it is as it was."""
        if isinstance(entry, Obstacle):
            return _skipped(entry.path, entry.reason, known)
        label, parts = self.access.rule(entry.path) if self.access else (Label.private(), ())
        mark = _mark(entry.status, label, parts)
        if mark == known:
            return mark, None
        try:
            content = read_file(entry, self.options.max_bytes)
        except Refused as refusal:
            return _skipped(entry.path, str(refusal), known)
        return (None, None) if content is None else (mark, _upsert(entry, content, label, parts))


def _skipped(path: str, reason: str, known: bytes | None) -> tuple[bytes, Skip | None]:
    mark = fingerprint("skipped", reason)
    return mark, None if mark == known else Skip(path, path, reason)


def _upsert(file: File, content: bytes, label: Label, parts: tuple[Part, ...]) -> Upsert:
    return Upsert(
        id=file.path,
        path=file.path,
        content=content,
        media_type=media_type(file.path),
        label=label,
        modified=_moment(file.status.st_mtime),
        parts=parts,
    )


def _mark(status: os.stat_result, label: Label, parts: tuple[Part, ...]) -> bytes:
    # The change time catches what keeps the modification time, such as `cp -p` over the file.
    return fingerprint("read", status.st_mtime_ns, status.st_ctime_ns, status.st_size, _digest(label, parts))


@lru_cache(maxsize=1024)
def _digest(label: Label, parts: tuple[Part, ...]) -> str:
    return "\0".join([label.digest, *(f"{part.heading}\0{part.label.digest}\0{part.optional}" for part in parts)])


def _moment(seconds: float) -> datetime | None:
    """A file's time in UTC; None for the times beyond the calendar that some archives unpack to."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _glob(patterns: str) -> re.Pattern[str]:
    """One pattern for comma-separated globs, whatever the case; nothing matches when there are none."""
    globs = [glob.strip() for glob in patterns.split(",") if glob.strip()]
    return re.compile("|".join(map(fnmatch.translate, globs)) or r"(?!)", re.IGNORECASE)
