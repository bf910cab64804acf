"""Making a backup: copied, sealed, recorded, and only then under its name.

The file is written under another name beside its own, brought to disk, and named at the end, so that a backup is whole
or not there; a file that exists is never replaced.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from gateway.backup import archive, passphrase
from gateway.backup.archive import Contents, File
from gateway.backup.sealed import Header, InstallationKey, SealedWriter, new_header
from gateway.backup.snapshot import KEYS, Part, Progress, snapshot
from gateway.errors import BackupError, ConflictError
from gateway.files import named_when_whole, require_free, require_room
from gateway.services import Services
from policies.audit.events import BackupMade
from policies.keys import Keys

_TABLES = 8192
"""Bytes for what stands around the parts: headers of the archive, and a tag for each chunk of a small home."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made: its id, size, and what is in it."""

    id: str
    size: int
    entries: int
    files: int
    with_keys: bool


def make_backup(
    services: Services, file: Path, by: str, words: str | None, progress: Progress = lambda _done, _of: None
) -> Made:
    """Write a backup of a home to a new file, also while it is served.

    With a passphrase (`words`) the keys are in it. Without one they are not, and it is sealed under a key that derives
    from them: whoever keeps `keys/` elsewhere can open it, and nobody else.

    Raises:
        BackupError: It cannot be made; nothing is left of it.
        BadRequestError: The passphrase is too short.
        ConflictError: The file exists, or would lie within the home.
        SyncBusyError: Another backup is being made.
        TrailUnavailableError: That it was made cannot be recorded, so it was not kept.
    """
    if words is not None:
        passphrase.require_long(words)
    require_free(file)
    if file.resolve().is_relative_to(services.home.folder.resolve()):
        message = f"{file} lies within the home, and would be in the next backup. Choose another place."
        raise ConflictError(message)
    started = datetime.now(UTC)
    header, secret = _sealing(services.keys, words)
    with snapshot(services.home, services.config, with_keys=words is not None, progress=progress) as parts:
        contents = _contents(parts, started)
        with named_when_whole(file, "The backup", BackupError) as out:
            require_room(file.absolute().parent, contents.size + _TABLES, "The backup")
            sealed = SealedWriter(out, header, secret)
            archive.pack(contents, parts, sealed, progress)
            sealed.finish()
            made = Made(header.id(), out.tell(), contents.entries, len(parts), any(_is_key(part) for part in parts))
            # What the trail says of must not come about before it says so: the file has no name yet.
            services.recorder.record_now(BackupMade(by, made.id, made.entries, made.with_keys))
    return made


def installation_secret(keys: Keys) -> bytes:
    """The secret of backups without keys."""
    return keys.derive("backup")


def _sealing(keys: Keys, words: str | None) -> tuple[Header, bytes]:
    if words is None:
        return new_header(InstallationKey()), installation_secret(keys)
    parameters = passphrase.new_parameters()
    return new_header(parameters), passphrase.secret_of(words, parameters)


def _contents(parts: Sequence[Part], started: datetime) -> Contents:
    copies = {part.name: part.content for part in parts}
    (schema,) = _row(copies["data/muniment.db"], "SELECT version_num FROM alembic_version")
    log, entries = _row(copies["data/audit.db"], "SELECT id, (SELECT max(id) FROM entries) FROM log")
    return Contents(
        format=archive.FORMAT,
        version=version("muniment"),
        at=started.isoformat(timespec="seconds"),
        schema=str(schema),
        log=str(log),
        entries=int(entries or 0),
        files=tuple(File(part.name, part.size) for part in parts),
    )


def _row(copy: Path | bytes, query: str) -> tuple[str | int | None, ...]:
    """The one row of a query to a copied database."""
    try:
        with closing(sqlite3.connect(f"{Path(str(copy)).as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            row: tuple[str | int | None, ...] = connection.execute(query).fetchone()
            return row
    except (sqlite3.Error, TypeError) as error:
        message = f"A copied database cannot be read: {error}. No backup was made; run `muniment doctor`."
        raise BackupError(message) from error


def _is_key(part: Part) -> bool:
    return part.name.startswith(f"{KEYS}/")
