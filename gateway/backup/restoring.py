"""A home from a backup: opened and looked at in full, and only then put in place.

All of it is written into a hidden folder within the new home, whose settings are moved out of it last: a folder without
settings is no home, so a restore that breaks off leaves nothing that anybody could start. Whoever was erased since the
backup was made is erased again before that.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from msgspec import structs
from sqlmodel import col, update

from gateway.backup import passphrase
from gateway.backup.archive import Contents, unpack
from gateway.backup.erasures import KnownErasures, erase_again
from gateway.backup.making import installation_secret
from gateway.backup.sealed import (
    Header,
    InstallationKey,
    KeySource,
    PassphraseKey,
    SealedReader,
    is_secret_of,
    read_header,
)
from gateway.backup.snapshot import Progress, key_parts
from gateway.config import Config, Home
from gateway.database import knows_revision
from gateway.errors import BackupError, ConflictError
from gateway.files import made_private, require_room
from gateway.identity.store import SessionRow
from gateway.services import Services
from policies.audit.checkpoints import SignedCheckpoint
from policies.audit.events import BackupRestored
from policies.audit.verifier import verify
from policies.keys import open_keys
from policies.private_files import sync_folder
from retrieval.sessions import writing
from retrieval.tables import utc_now

_STAGE = ".restoring"
_SPARE_BYTES = 64 * 1024 * 1024
"""Room for what opening the databases writes beside them."""


@dataclass(frozen=True, slots=True)
class Unlocking:
    """What a backup may be opened with: a passphrase, asked for when it is needed, or the folder of keys kept apart."""

    passphrase: Callable[[], str]
    keys: Path | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """Entries of the trail that a kept checkpoint counts and the backup does not hold."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: the backup's contents, erasures that were made again, and what the trail lacks.

    `problems` says what is wrong with the trail as it stands in the backup.
    """

    id: str
    contents: Contents
    erased: int
    sessions_ended: int
    missing: Missing | None
    problems: tuple[str, ...]


def restore(
    file: Path,
    home: Home,
    by: str,
    unlocking: Unlocking,
    erasures: KnownErasures,
    *,
    kept: SignedCheckpoint | None = None,
    progress: Progress = lambda _done, _of: None,
) -> Restored:
    """Make a home of a backup, in a folder that is new or empty.

    `kept` is the newest checkpoint that somebody else keeps: with it, it is known which entries the trail lacks.

    Raises:
        BackupError: The backup is damaged, altered, of a newer version, or does not open; nothing was put in place.
        ConflictError: The folder holds something.
    """
    with _opened(file) as source:
        header, mac = read_header(source)
        secret = _secret(header.key, unlocking)
        if not is_secret_of(header, mac, secret):
            raise _wrong_secret(header.key)
        with _claimed(home) as stage:
            contents = _unpack(source, header, secret, stage, progress)
            if isinstance(header.key, InstallationKey) and unlocking.keys is not None:
                _copy_keys(unlocking.keys, stage)
            restored = _make_usable(stage, header.id(), contents, by, erasures, kept)
    return restored


def _unpack(source: BinaryIO, header: Header, secret: bytes, stage: Home, progress: Progress) -> Contents:
    def accept(contents: Contents) -> None:
        if not knows_revision(contents.schema):
            message = (
                f"The backup was made by a newer version of Muniment ({contents.version}). Nothing was restored; "
                "install that version, or a newer one."
            )
            raise BackupError(message)
        require_room(stage.folder, contents.size + _SPARE_BYTES, "The restored home")

    return unpack(SealedReader(source, header, secret), stage.folder, accept, progress)


def _secret(key: KeySource, unlocking: Unlocking) -> bytes:
    if isinstance(key, PassphraseKey):
        return passphrase.secret_of(unlocking.passphrase(), key)
    if unlocking.keys is None:
        message = (
            "This backup was made without keys. Name the folder with the installation's keys, which was kept apart, "
            "with --keys."
        )
        raise BackupError(message)
    return installation_secret(open_keys(unlocking.keys), key.master)


def _wrong_secret(key: KeySource) -> BackupError:
    if isinstance(key, PassphraseKey):
        return BackupError("The passphrase is wrong. Nothing was restored.")
    return BackupError("The backup was made under other keys than these. Nothing was restored; name the right folder.")


def _make_usable(
    stage: Home, backup: str, contents: Contents, by: str, erasures: KnownErasures, kept: SignedCheckpoint | None
) -> Restored:
    """Erase again, end sessions, and record that this is a home from a backup."""
    missing = _missing(contents, kept)
    with Services(stage) as services:
        vars(services)["config"] = _sending_nothing(services.config)
        report = verify(stage.trail, services.keys.public_key_pem())
        erased = erase_again(services, contents, erasures, by)
        ended = _end_sessions(services)
        services.recorder.record_now(
            BackupRestored(
                by=by,
                backup=backup,
                made_at=contents.at,
                entries=contents.entries,
                entries_missing=missing.last - missing.first + 1 if missing else 0,
                ledger=erasures.ledger is not None,
                erasures=erased,
                sessions_ended=ended,
            )
        )
    return Restored(backup, contents, erased, ended, missing, tuple(finding.detail for finding in report.findings))


def _sending_nothing(config: Config) -> Config:
    """Settings with which nothing leaves: what is restored may be thrown away, and must not pass for what goes on."""
    return structs.replace(
        config, audit=structs.replace(config.audit, checkpoint_file="", copies=(), exports=(), require_copy_seconds=0.0)
    )


def _missing(contents: Contents, kept: SignedCheckpoint | None) -> Missing | None:
    """Which entries a kept checkpoint counts and the backup lacks.

    Raises:
        BackupError: The checkpoint is of another trail.
    """
    if kept is None:
        return None
    if kept.checkpoint.log != contents.log:
        message = f"The checkpoint is of trail {kept.checkpoint.log}, and the backup of {contents.log}."
        raise BackupError(message)
    count = kept.checkpoint.count
    return Missing(contents.entries + 1, count) if count > contents.entries else None


def _end_sessions(services: Services) -> int:
    """End all sessions: who had signed out, or was made to, since the backup would be signed in again."""
    with writing(services.database) as session:
        going_on = update(SessionRow).where(col(SessionRow.ended_at).is_(None)).values(ended_at=utc_now())
        ended = session.exec(going_on).rowcount
        session.commit()
    return ended


@contextmanager
def _claimed(home: Home) -> Iterator[Home]:
    """A hidden home within a new or empty folder, which is moved up when the block ends; else nothing is left of it."""
    stage = Home(home.folder / _STAGE)
    existed = home.folder.exists()
    try:
        if existed and any(home.folder.iterdir()):
            raise _not_empty(home)
        home.folder.mkdir(parents=True, exist_ok=True)
        home.folder.chmod(0o700)
        stage.folder.mkdir(mode=0o700)
    except FileExistsError as error:
        raise _not_empty(home) from error
    except OSError as error:
        message = f"The folder {home} cannot be made: {error.strerror}. Choose another with --into."
        raise BackupError(message) from error
    try:
        yield stage
        _move_up(stage, home)
    except OSError as error:
        message = f"{home} cannot be written: {error.strerror or error}. Nothing was restored."
        raise BackupError(message) from error
    finally:
        if not home.config_file.exists():
            _clear(home, remove=not existed)


def _clear(home: Home, *, remove: bool) -> None:
    """Take away all of a folder that was empty when we claimed it."""
    for path in home.folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if remove:
        home.folder.rmdir()


def _move_up(stage: Home, home: Home) -> None:
    """Put everything in its place; with the settings, which come last, it is a home."""
    for path in sorted(stage.folder.iterdir(), key=lambda path: path == stage.config_file):
        path.rename(home.folder / path.name)
        sync_folder(home.folder)
    stage.folder.rmdir()


def _copy_keys(source: Path, stage: Home) -> None:
    """Keys that were kept apart, as they are there."""
    stage.keys.mkdir(mode=0o700)
    for part in key_parts(source):
        with made_private(stage.folder / part.name) as out:
            shutil.copyfileobj(part.content, out)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        source = file.open("rb")
    except OSError as error:
        message = f"The backup {file} cannot be read: {error.strerror}."
        raise BackupError(message) from error
    with source:
        yield source


def _not_empty(home: Home) -> ConflictError:
    return ConflictError(f"{home} is no new or empty folder, and nothing in it was touched. Name another with --into.")
