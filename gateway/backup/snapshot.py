"""A copy of what a home consists of, taken while others write to it.

The order is what makes it one state. A change is recorded in the trail first and made in the database afterwards, so
the database is copied first and the trail after it: whatever the database holds, the trail tells of. The other way
round, the database could hold an answer or a key whose entry the backup lacks. The ledger of erasures is copied last,
so that a restore knows of everything that was erased until then. Keys are read before and after; where they were
exchanged meanwhile, it is all done again.

Each database is copied with SQLite's backup interface within one reading transaction, so writers neither wait nor show.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from gateway.config import Config, Home
from gateway.errors import BackupError, DatabaseUnusableError
from gateway.files import made_private, require_room
from gateway.services import require_part
from policies.errors import TrailUnavailableError
from policies.sqlite import is_busy, lacks_room
from retrieval.files import exclusive

KEYS = "keys"
_STAGE = ".backup"
_LOCK = "backup.lock"
_PAGES = 2048
"""Pages copied between two reports of progress: 8 MB."""
_MOST_TRIES = 3
_WAIT_SECONDS = 15.0
_LARGEST_SMALL_FILE = 256 * 1024 * 1024
_NOT_COPIED = frozenset({"index", "locks"})
"""Folders of a home that are made again by themselves."""
_BESIDE_DATABASES = ("-wal", "-shm", "-journal", ".writers")


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a backup: its name within the home, and where its content is, as it stays until the backup is made."""

    name: str
    content: Path | bytes

    @property
    def size(self) -> int:
        """How many bytes it holds."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def opened(self) -> BinaryIO:
        """The content, to be read from its beginning."""
        return BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")


Progress = Callable[[int, int], None]
"""Told how many bytes are done, and of how many."""


@contextmanager
def snapshot(home: Home, config: Config, *, with_keys: bool, progress: Progress) -> Iterator[list[Part]]:
    """The parts of a home at one moment; copies of databases lie in the home until the block ends.

    Raises:
        BackupError: There is no room, files cannot be read, or keys are being exchanged.
        SyncBusyError: Another backup is being made.
        DatabaseUnusableError: There is no database.
        TrailUnavailableError: There is no trail.
    """
    require_part(home.database, "database", DatabaseUnusableError)
    require_part(home.trail, "audit trail", TrailUnavailableError)
    with _alone(home):
        remove_leftovers(home)
        try:
            yield _parts(home, config, with_keys=with_keys, progress=progress)
        finally:
            remove_leftovers(home)


def _alone(home: Home) -> AbstractContextManager[None]:
    """Hold the home's lock on backups: whoever has it may take away what is left of others."""
    try:
        home.locks.mkdir(mode=0o700, exist_ok=True)
        (home.locks / _LOCK).touch(mode=0o600)
    except OSError as error:
        message = f"{home.locks} cannot be written: {error.strerror}. No backup was made."
        raise BackupError(message) from error
    return exclusive(home.locks / _LOCK, what=f"a backup of {home}")


def remove_leftovers(home: Home) -> None:
    """Take away copies that a killed backup left in a home. They hold what the databases held then."""
    shutil.rmtree(_stage(home), ignore_errors=True)


def _parts(home: Home, config: Config, *, with_keys: bool, progress: Progress) -> list[Part]:
    for _ in range(_MOST_TRIES):
        before = key_parts(home.keys)
        parts = [*_databases(home, progress), *_others(home, config)]
        if before == key_parts(home.keys):
            return [*parts, *(before if with_keys else [])]
    message = "The keys were exchanged while the backup was made, again and again. Nothing was kept; try again later."
    raise BackupError(message)


def _databases(home: Home, progress: Progress) -> list[Part]:
    """The database, and after it the trail."""
    sources = (home.database, home.trail)
    sizes = [_size_with_log(path) for path in sources]
    try:
        stage = _stage(home)
        stage.mkdir(mode=0o700, exist_ok=True)
        require_room(stage, sum(sizes), "Copying the databases before they are sealed")
        for number, source in enumerate(sources):
            done = sum(sizes[:number])

            def copied(pages_done: int, of_pages: int, done: int = done, size: int = sizes[number]) -> None:
                progress(done + size * pages_done // max(1, of_pages), sum(sizes))

            _copy_database(source, stage / source.name, copied)
    except (sqlite3.Error, OSError) as error:
        raise _not_copied(home, error) from error
    return [Part(f"data/{source.name}", stage / source.name) for source in sources]


def _copy_database(source: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    target.unlink(missing_ok=True)
    with made_private(target):
        pass
    uri = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)) as reading,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        # One transaction holds one state; without it, each write of another process would begin the copy anew.
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        reading.backup(copy, pages=_PAGES, progress=lambda _, left, total: progress(total - left, total))
        (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        message = f"{source} is damaged ({found}), and a backup of it would be, too. Run `muniment doctor`."
        raise BackupError(message)


def _others(home: Home, config: Config) -> list[Part]:
    """Settings and what else lies in the home: word lists, the ledger of erasures, what parts to come will keep."""
    databases = {home.database, home.trail}
    left_out = {home.keys, home.models(config), _stage(home), *(home.folder / name for name in _NOT_COPIED)}
    found = []
    for path in _files_below(home.folder, left_out):
        beside = any(str(path).startswith(f"{database}{end}") for database in databases for end in _BESIDE_DATABASES)
        if path not in databases and not beside:
            found.append(_small_file(path, path.relative_to(home.folder).as_posix()))
    return found


def _files_below(folder: Path, left_out: set[Path]) -> Iterator[Path]:
    """Files in name order; hidden ones and those that are no files are passed over."""
    for path in sorted(folder.iterdir()):
        if path in left_out or path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files_below(path, left_out)
        elif path.is_file():
            yield path


def key_parts(folder: Path) -> list[Part]:
    """The files of a folder of keys.

    Raises:
        BackupError: One cannot be read.
    """
    try:
        files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        message = f"{folder} cannot be read: {error.strerror}."
        raise BackupError(message) from error
    return [_small_file(path, f"{KEYS}/{path.name}") for path in files]


def _small_file(path: Path, name: str) -> Part:
    """A file read at once, so that it does not change under the backup."""
    try:
        if path.stat().st_size > _LARGEST_SMALL_FILE:
            message = f"{path} is no file of a home, and too large for a backup. Move it out of the home."
            raise BackupError(message)
        return Part(name, path.read_bytes())
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        raise BackupError(message) from error


def _size_with_log(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _stage(home: Home) -> Path:
    return home.database.parent / _STAGE


def _not_copied(home: Home, error: Exception) -> BackupError:
    if lacks_room(error):
        why = "its disk is full or fails"
    elif is_busy(error):
        why = "another process holds them locked"
    else:
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return BackupError(f"The databases of {home} could not be copied: {why}. No backup was made.")
