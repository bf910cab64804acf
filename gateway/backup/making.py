"""Making a backup: copied, sealed, recorded, and only then under its name.

The file is written under another name beside its own, brought to disk, and named at the end, so that a backup is whole
or not there; a file that exists is never replaced.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from gateway.backup import archive, passphrase
from gateway.backup.archive import Contents, File
from gateway.backup.sealed import Header, InstallationKey, SealedWriter, new_header
from gateway.backup.snapshot import KEYS, Part, Progress, Snapshot, snapshot
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
    with snapshot(
        services.home, services.config, services.trail_place, with_keys=words is not None, progress=progress
    ) as taken:
        contents, parts = _contents(taken, started), taken.parts
        with named_when_whole(file, "The backup", BackupError) as out:
            require_room(file.absolute().parent, contents.size + _TABLES, "The backup")
            sealed = SealedWriter(out, header, secret)
            archive.pack(contents, parts, sealed, progress)
            sealed.finish()
            made = Made(header.id(), out.tell(), contents.entries, len(parts), any(_is_key(part) for part in parts))
            # What the trail says of must not come about before it says so: the file has no name yet.
            services.recorder.record_now(BackupMade(by, made.id, made.entries, made.with_keys))
    return made


def installation_secret(keys: Keys, master: str) -> bytes:
    """The secret of backups without keys, as one of the installation's master keys gives it.

    Raises:
        KeysUnusableError: There is no master of that id.
    """
    return keys.derive("backup", master=master)


def _sealing(keys: Keys, words: str | None) -> tuple[Header, bytes]:
    if words is None:
        return new_header(InstallationKey(keys.master_id)), installation_secret(keys, keys.master_id)
    parameters = passphrase.new_parameters()
    return new_header(parameters), passphrase.secret_of(words, parameters)


def _contents(taken: Snapshot, started: datetime) -> Contents:
    return Contents(
        format=archive.FORMAT,
        version=version("muniment"),
        at=started.isoformat(timespec="seconds"),
        schema=taken.schema,
        log=taken.log,
        entries=taken.entries,
        erasures=taken.erasures,
        files=tuple(File(part.name, part.size) for part in taken.parts),
    )


def _is_key(part: Part) -> bool:
    return part.name.startswith(f"{KEYS}/")
