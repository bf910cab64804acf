"""A new installation: its folder, settings, keys, database and trail."""

import shutil
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from gateway.config import Home, load_config
from gateway.database import open_database
from gateway.errors import ConfigurationError, ConflictError
from gateway.services import Services
from gateway.settings_file import settings_template
from gateway.trail_place import trail_place
from policies.audit.checkpoints import Checkpoint
from policies.audit.events import HomeCreated, HomePartsMade, TrailLossAccepted
from policies.audit.places import TrailPlace, open_to_read
from policies.audit.seen import SeenFile
from policies.audit.store import Trail
from policies.errors import TrailUnavailableError
from policies.keys import create_keys

_WAIT_SECONDS = 30.0
"""How long one entry is waited for where nobody waits for an answer."""


def create_home(home: Home, by: str) -> None:
    """Make a home in a folder that is new or empty. Either all of it is there afterwards, or nothing.

    Of several that begin in one folder at once, the first to create the settings has it; the others touch nothing.

    Raises:
        ConflictError: The folder holds something already.
        ConfigurationError: It cannot be written.
        KeysUnusableError: Keys cannot be written.
        DatabaseUnusableError: The database cannot be made.
        TrailUnavailableError: The trail cannot be written.
    """
    try:
        existed = home.folder.exists()
        if existed and any(home.folder.iterdir()):
            raise _not_empty(home)
        home.folder.mkdir(parents=True, exist_ok=True)
        home.config_file.touch(mode=0o600, exist_ok=False)
    except FileExistsError as error:
        if home.folder.is_dir():
            raise _not_empty(home) from error
        raise _cannot_be_made(home, error) from error
    except OSError as error:
        raise _cannot_be_made(home, error) from error
    try:
        _fill(home, by)
    except BaseException:
        _empty(home, remove=not existed)
        raise


def _not_empty(home: Home) -> ConflictError:
    return ConflictError(f"{home} is not empty, and nothing in it was touched. Name a new folder with --home.")


def _cannot_be_made(home: Home, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"The folder {home} cannot be made: {error.strerror}. Choose another with --home.")


def _fill(home: Home, by: str) -> None:
    try:
        home.folder.chmod(0o700)
        home.config_file.write_text(settings_template(), encoding="utf-8")
    except OSError as error:
        message = f"{home} cannot be written: {error.strerror}. Choose another folder with --home."
        raise ConfigurationError(message) from error
    keys = create_keys(home.keys)
    open_database(home.database).dispose()
    Trail.open(home.trail, keys).close()
    with Services(home) as services:
        services.recorder.record_now(HomeCreated(by=by, version=version("muniment")))


def make_missing_parts(home: Home, by: str) -> list[str]:
    """Make the database or the trail of an existing home anew where it is missing; returns which were made.

    Raises:
        HomeMissingError: There is no installation.
        KeysUnusableError: Its keys are missing: what they sealed and signed cannot be had again by making others.
        DatabaseUnusableError: The database cannot be made.
        TrailUnavailableError: The trail cannot be written.
    """
    place = trail_place(home, load_config(home).audit)
    keys = Services(home).keys
    parts = {"database": home.database} | ({"trail": place} if isinstance(place, Path) else {})
    missing = [name for name, path in parts.items() if not path.exists() or not path.stat().st_size]
    if "trail" in missing:
        SeenFile(home.trail_seen).forget()
        Trail.open(place, keys).close()
    if "database" in missing:
        open_database(home.database).dispose()
    if missing:
        with Services(home) as services:
            services.recorder.record_now(HomePartsMade(by=by, parts=tuple(missing), version=version("muniment")))
    return missing


def accept_loss(home: Home, by: str) -> Checkpoint | None:
    """Go on with a trail that lacks what this installation wrote; returns up to where that was, None if nothing.

    Raises:
        TrailUnavailableError: The trail cannot be written.
        TrailUnreadableError: The trail cannot be read.
    """
    place, seen = trail_place(home, load_config(home).audit), SeenFile(home.trail_seen)
    before = seen.newest()
    if before is None or not _lacks(place, seen):
        return None
    said = before.checkpoint
    with Services(home) as services, Trail.open(place, services.keys, names=services.subjects) as trail:
        event = TrailLossAccepted(by=by, trail=said.log, checkpoint=said.number, entries=said.count)
        trail.record(event, _WAIT_SECONDS)
    seen.forget()
    return said


def _lacks(place: TrailPlace, seen: SeenFile) -> bool:
    with closing(open_to_read(place)) as trail:
        try:
            seen.require_in(trail)
        except TrailUnavailableError:
            return True
        return False


def _empty(home: Home, *, remove: bool) -> None:
    """Take away what was begun in a folder that we claimed; the settings, which are the claim, go last."""
    for path in home.folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != home.config_file:
            path.unlink()
    home.config_file.unlink()
    if remove:
        home.folder.rmdir()
