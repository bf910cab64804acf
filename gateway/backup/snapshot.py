"""A copy of what a home consists of, taken while others write to it.

The order is what makes it one state. A change is recorded in the trail first and made in the database afterwards, so
the database is copied first and the trail after it: whatever the database holds, the trail tells of. The other way
round, the database could hold an answer or a key whose entry the backup lacks. The ledger of erasures is copied last,
so that a restore knows of everything that was erased until then. Keys are read before and after; where they were
exchanged meanwhile, it is all done again.

Each database is copied with SQLite's backup interface within one reading transaction, so writers neither wait nor show.
The copies are files without a name: whatever ends the process, nothing of them stays on the disk.
"""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from gateway.audit.places import copied_to_files
from gateway.config import Config, Home
from gateway.errors import BackupError, DatabaseUnusableError
from gateway.files import require_room
from gateway.services import require_part
from policies.audit.copying import copy_trail
from policies.audit.places import TrailPlace
from policies.audit.sinks.options import FileSink
from policies.errors import TrailUnavailableError
from policies.sqlite import is_busy, lacks_room

KEYS = "keys"
_OF_THE_DATABASE = "SELECT version_num FROM alembic_version"
_OF_THE_TRAIL = "SELECT id, (SELECT coalesce(max(id), 0) FROM entries) FROM log"
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
    """A file of a backup: its name within the home, its size, and its content, which nobody changes any more."""

    name: str
    size: int
    content: IO[bytes]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The parts of a home at one moment, and what they say of themselves.

    `schema` is the revision of the database, `log` the trail's id, `entries` how many it held. `erasures` are the lines
    that the ledger of erasures had before the first part was copied.
    """

    parts: tuple[Part, ...]
    schema: str
    log: str
    entries: int
    erasures: int


Progress = Callable[[int, int], None]
"""Told how many bytes are done, and of how many."""


@contextmanager
def snapshot(
    home: Home, config: Config, trail: TrailPlace, *, with_keys: bool, progress: Progress
) -> Iterator[Snapshot]:
    """The parts of a home at one moment. Copies of its databases take room in the home until the block ends.

    Raises:
        BackupError: There is no room, files cannot be read, or keys are being exchanged.
        DatabaseUnusableError: There is no database.
        TrailUnavailableError: There is no trail.
    """
    require_part(home.database, "database", DatabaseUnusableError)
    if isinstance(trail, Path):
        require_part(trail, "audit trail", TrailUnavailableError)
    with ExitStack() as copies:
        yield _taken(home, config, trail, copies, with_keys=with_keys, progress=progress)


def _taken(
    home: Home, config: Config, place: TrailPlace, copies: ExitStack, *, with_keys: bool, progress: Progress
) -> Snapshot:
    for _ in range(_MOST_TRIES):
        copies.close()
        before, erasures = _contents_of(home.keys), _lines_of(home.erasures)
        database, trail = _databases(home, place, copies, progress)
        others = _others(home, config)
        if before == _contents_of(home.keys):
            keys = key_parts(home.keys) if with_keys else []
            parts = (database.part, trail.part, *others, *keys)
            return Snapshot(parts, str(database.says[0]), str(trail.says[0]), int(trail.says[1]), erasures)
    message = "The keys were exchanged while the backup was made, again and again. Nothing was kept; try again later."
    raise BackupError(message)


def _lines_of(ledger: Path) -> int:
    try:
        return ledger.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0
    except OSError as error:
        message = f"{ledger} cannot be read: {error.strerror}. No backup was made."
        raise BackupError(message) from error


@dataclass(frozen=True, slots=True)
class _Copy:
    part: Part
    says: tuple[Any, ...]


def _databases(home: Home, trail: TrailPlace, copies: ExitStack, progress: Progress) -> list[_Copy]:
    """The database, and after it the trail; one in PostgreSQL is copied into a file."""
    sources = {home.database: _OF_THE_DATABASE}
    if isinstance(trail, Path):
        sources[trail] = _OF_THE_TRAIL
    sizes = [_size_with_log(path) for path in sources]
    done, made = 0, []
    try:
        require_room(home.database.parent, sum(sizes), "Copying the databases before they are sealed")
        for (source, query), size in zip(sources.items(), sizes, strict=True):

            def copied(pages_done: int, of_pages: int, before: int = done, size: int = size) -> None:
                progress(before + size * pages_done // max(1, of_pages), sum(sizes))

            made.append(_copy_database(source, query, copies, copied))
            done += size
        if not isinstance(trail, Path):
            made.append(_copy_of_trail(trail, home, copies))
    except (sqlite3.Error, OSError) as error:
        raise _not_copied(home, error) from error
    return made


def _copy_of_trail(place: TrailPlace, home: Home, copies: ExitStack) -> _Copy:
    """One state of a trail that is no file, as the file that auditors take."""
    path = home.trail.parent / f".backup-{secrets.token_hex(8)}"
    try:
        copy_trail(place, path)
        content = copies.enter_context(path.open("rb"))
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
            says = copy.execute(_OF_THE_TRAIL).fetchone()
    finally:
        path.unlink(missing_ok=True)
    return _Copy(Part(f"data/{home.trail.name}", os.fstat(content.fileno()).st_size, content), says)


def _copy_database(source: Path, query: str, copies: ExitStack, progress: Callable[[int, int], None]) -> _Copy:
    """A copy of a database, and what it says to a query."""
    uri = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)) as reading,
        _nameless(source.parent) as (copy, content),
    ):
        copies.callback(content.close)
        # One transaction holds one state; without it, each write of another process would begin the copy anew.
        reading.execute("BEGIN")
        says = reading.execute(query).fetchone()
        reading.backup(copy, pages=_PAGES, progress=lambda _, left, total: progress(total - left, total))
        (found,) = reading.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        message = f"{source} is damaged ({found}), and a backup of it would be, too. Run `muniment doctor`."
        raise BackupError(message)
    return _Copy(Part(f"data/{source.name}", os.fstat(content.fileno()).st_size, content), says)


@contextmanager
def _nameless(folder: Path) -> Iterator[tuple[sqlite3.Connection, IO[bytes]]]:
    """A new database to write to, and the same file to read from; its name is taken from it before it holds anything.

    It is never read through SQLite, which would make other files beside its name, and has no journal for that reason.
    """
    path = folder / f".backup-{secrets.token_hex(8)}"
    try:
        content = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "rb")
        copy = sqlite3.connect(path, isolation_level=None)
    finally:
        path.unlink(missing_ok=True)
    with closing(copy):
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):
            copy.execute(f"PRAGMA {pragma}")
        yield copy, content


def _others(home: Home, config: Config) -> list[Part]:
    """Settings and what else lies in the home: word lists, the ledger of erasures, what parts to come will keep."""
    databases = {home.database, home.trail}
    kept_elsewhere = [*copied_to_files(config.audit, home), *_written_by_exports(home, config)]
    left_out = {
        home.keys,
        home.models(config),
        *kept_elsewhere,
        *_states_of(home),
        *(home.folder / name for name in _NOT_COPIED),
    }
    found = []
    for path in _files_below(home.folder, left_out):
        beside = any(str(path).startswith(f"{database}{end}") for database in databases for end in _BESIDE_DATABASES)
        if path not in databases and not beside:
            content = _content(path)
            found.append(Part(path.relative_to(home.folder).as_posix(), len(content), BytesIO(content)))
    return found


def _written_by_exports(home: Home, config: Config) -> list[Path]:
    return [home.folder / place.path for place in config.audit.exports if isinstance(place, FileSink)]


def _states_of(home: Home) -> tuple[Path, ...]:
    """What tells how far the trail was, or was sent on: a restored trail is older than that, and would seem cut."""
    return home.trail_seen, home.copies, home.exports


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
    return [Part(name, len(content), BytesIO(content)) for name, content in _contents_of(folder).items()]


def _contents_of(folder: Path) -> dict[str, bytes]:
    try:
        files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        message = f"{folder} cannot be read: {error.strerror}."
        raise BackupError(message) from error
    return {f"{KEYS}/{path.name}": _content(path) for path in files}


def _content(path: Path) -> bytes:
    """A file that is read at once, so that it does not change under the backup."""
    try:
        if path.stat().st_size > _LARGEST_SMALL_FILE:
            message = f"{path} is no file of a home, and too large for a backup. Move it out of the home."
            raise BackupError(message)
        return path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        raise BackupError(message) from error


def _size_with_log(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _not_copied(home: Home, error: Exception) -> BackupError:
    if lacks_room(error):
        why = "its disk is full or fails"
    elif is_busy(error):
        why = "another process holds them locked"
    else:
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return BackupError(f"The databases of {home} could not be copied: {why}. No backup was made.")
