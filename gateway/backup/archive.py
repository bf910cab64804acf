"""The parts of a home as one stream: a tar file whose first member says what follows.

A tar file may name anything as the place of its members. Nothing of it is unpacked by tarfile: only the files that the
list at its beginning names are taken, in that order and of that size, under names that cannot lead out of a folder,
and each is made new.
"""

import re
import shutil
import tarfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import IO

import msgspec

from gateway.backup.sealed import SealedReader, SealedWriter
from gateway.backup.snapshot import Part, Progress
from gateway.errors import BackupError
from gateway.files import made_private

FORMAT = 1
_CONTENTS = "contents.json"
_LARGEST_CONTENTS = 16 * 1024 * 1024
_PIECE = 1 << 20
_SAFE_PART = re.compile(r"(?!\.)[^/\\\x00-\x1f\x7f]{1,255}")
"""One part of a name: not hidden, so neither `.` nor `..`, and without what divides or ends names."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a backup: its name within the home, and its size."""

    name: str
    size: int


class Contents(msgspec.Struct, frozen=True):
    """What a backup says of itself: enough to refuse it before anything is written.

    `schema` is the revision of the database, `log` the trail's id, `entries` how many entries the trail held, and
    `at` when copying began (UTC). `erasures` are lines of the ledger of erasures from before then: those behind them
    may not have been carried out in the copy. Names that later versions add are passed over.
    """

    format: int
    version: str
    at: str
    schema: str
    log: str
    entries: int
    erasures: int
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """How many bytes its files hold."""
        return sum(file.size for file in self.files)


class _Format(msgspec.Struct, frozen=True):
    format: int


def pack(contents: Contents, parts: Sequence[Part], out: SealedWriter, progress: Progress) -> None:
    """Write contents and parts; `progress` is told how many bytes of parts are done, and of how many.

    Raises:
        OSError: A part cannot be read, or the stream cannot be written.
    """
    listed = msgspec.json.encode(contents)
    done = 0
    with tarfile.open(fileobj=out, mode="w|", bufsize=_PIECE, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload] # It needs `write` alone.
        archive.addfile(_member(_CONTENTS, len(listed)), BytesIO(listed))
        for part, file in zip(parts, contents.files, strict=True):
            part.content.seek(0)
            archive.addfile(_member(file.name, file.size), part.content)
            done += file.size
            progress(done, contents.size)


def unpack(source: SealedReader, folder: Path, accept: Callable[[Contents], None], progress: Progress) -> Contents:
    """Write the files of a backup below a folder that is new and nobody else's; `accept` may refuse its contents.

    Only when this returns is the whole of it known to be as it was written.

    Raises:
        BackupError: It is not, or names what no backup names, or is refused.
        OSError: The folder cannot be written.
    """
    try:
        with tarfile.open(fileobj=source, mode="r|", bufsize=_PIECE, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload] # It needs `read` alone.
            contents = _contents(archive)
            accept(contents)
            done = 0
            for file in contents.files:
                _write(_member_of(archive, file.name, file.size), folder, file)
                done += file.size
                progress(done, contents.size)
            _require(archive.next() is None, "it holds more than it lists")
        source.read_to_the_end()
    except tarfile.TarError as error:
        raise BackupError(_malformed("its parts cannot be told apart")) from error
    return contents


def _contents(archive: tarfile.TarFile) -> Contents:
    text = _member_of(archive, _CONTENTS, None).read(_LARGEST_CONTENTS)
    try:
        format_ = msgspec.json.decode(text, type=_Format).format
        if format_ > FORMAT:
            message = "The backup was made by a newer version of Muniment. Install that version, or a newer one."
            raise BackupError(message)
        contents = msgspec.json.decode(text, type=Contents)
    except msgspec.MsgspecError as error:
        raise BackupError(_malformed("its list of contents cannot be read")) from error
    for file in contents.files:
        safe = all(_SAFE_PART.fullmatch(part) for part in file.name.split("/"))
        _require(safe and file.size >= 0, "it names a file outside the home")
    _require(len({file.name for file in contents.files}) == len(contents.files), "it names a file twice")
    return contents


def _member_of(archive: tarfile.TarFile, name: str, size: int | None) -> IO[bytes]:
    """The content of the next member, which must be this file."""
    member = archive.next()
    is_it = member is not None and member.isreg() and member.name == name and size in {None, member.size}
    content = archive.extractfile(member) if member is not None and is_it else None
    if content is None:
        raise BackupError(_malformed(f"something stands in the place of {name}"))
    return content


def _write(content: IO[bytes], folder: Path, file: File) -> None:
    target = folder.joinpath(*file.name.split("/"))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with made_private(target) as out:
        shutil.copyfileobj(content, out, _PIECE)
        _require(out.tell() == file.size, f"{file.name} ends before its end")


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


def _require(fits: object, what: str) -> None:
    if not fits:
        raise BackupError(_malformed(what))


def _malformed(what: str) -> str:
    return f"This backup is not of a form that Muniment makes: {what}. Nothing was restored."
