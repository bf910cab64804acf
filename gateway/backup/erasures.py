"""Who was erased since a backup was made, and must be erased again before the home it becomes is used.

The newest ledger says it. Where that is lost, a newer copy of the trail tells of users by what stands for them there;
of people whom documents name it does not say enough.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.backup.archive import Contents
from gateway.config import Home
from gateway.errors import BackupError
from gateway.files import sync_file
from gateway.ledger import ErasedKind, Ledger, LedgerLine, Step
from gateway.services import Services
from policies.audit.events import ErasureBegun, SubjectErased
from policies.audit.reader import Entry, EntryQuery, read_entries, read_on
from policies.audit.verifier import verify
from policies.keys import Keys

_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class KnownErasures:
    """What is known of erasures since a backup.

    `ledger` is the newest ledger and `trail` a copy of the trail that is newer than the backup, each where there is
    one. What the backup itself tells of is done again anyway.
    """

    ledger: Path | None = None
    trail: Path | None = None


def erase_again(services: Services, contents: Contents, known: KnownErasures, by: str) -> int:
    """Erase who was erased since the backup was made; returns how many erasures that were.

    Raises:
        As `to_do_again`, and `gateway.erasure.Erasures.replay`.
    """
    again = to_do_again(services.home, contents, services.keys, known)
    return len(services.erasures.replay(again, by))


def to_do_again(stage: Home, contents: Contents, keys: Keys, known: KnownErasures) -> list[LedgerLine]:
    """The erasures that the databases of a restored home may not know of. The newest ledger becomes the home's.

    Raises:
        BackupError: Ledger, trail and backup are not of one history, or say too little.
        LedgerUnusableError: A ledger was altered, or is of another installation.
    """
    own = Ledger(stage.erasures, keys).lines()
    lines = own if known.ledger is None else _newest(own, known.ledger, keys)
    if known.ledger is not None:
        shutil.copyfile(known.ledger, stage.erasures)
        stage.erasures.chmod(0o600)
        sync_file(stage.erasures)
    told = _told_by(known.trail, contents, keys) if known.trail else []
    return erased_since(lines, contents.erasures) + _not_in(lines, told, with_ledger=known.ledger is not None)


def erased_since(lines: Sequence[LedgerLine], known: int) -> list[LedgerLine]:
    """The erasures that were not completed within the first `known` lines, in their order.

    One that was begun before may have been carried out after the database was copied.
    """
    done = {(line.kind, line.token) for line in lines[:known] if line.step is Step.DONE}
    return [line for line in lines if line.step is Step.BEGUN and (line.kind, line.token) not in done]


def _newest(own: Sequence[LedgerLine], file: Path, keys: Keys) -> Sequence[LedgerLine]:
    """The lines of the ledger that was named, which must go on from the backup's."""
    if not file.is_file():
        message = f"There is no ledger of erasures at {file}. Nothing was restored."
        raise BackupError(message)
    named = Ledger(file, keys).lines()
    if [line.mac for line in named[: len(own)]] != [line.mac for line in own]:
        message = (
            f"The ledger {file} is older than the one in the backup, or of another history. Nothing was restored; name "
            "the newest one."
        )
        raise BackupError(message)
    return named


def _told_by(trail: Path, contents: Contents, keys: Keys) -> list[LedgerLine]:
    """The erasures that a copy of the trail tells of, as lines of a ledger that say who, by what stands for them."""
    report = verify(trail, keys.public_key_pem())
    log, _ = read_on(trail, 0, 1)
    if not report.ok or log != contents.log:
        message = f"{trail} is no sound copy of the backup's trail. Nothing was restored; run `muniment audit verify`."
        raise BackupError(message)
    begun = read_entries(trail, EntryQuery(kind=ErasureBegun.kind, limit=_MOST))
    ended = read_entries(trail, EntryQuery(kind=SubjectErased.kind, limit=_MOST))
    return [_line(entry) for entry in sorted([*begun, *ended], key=lambda entry: entry.id)]


def _line(entry: Entry) -> LedgerLine:
    said = entry.event
    return LedgerLine(said.get("ledger", 0), "", Step.BEGUN, ErasedKind(said["of"]), said["subject"], (), "")


def _not_in(lines: Sequence[LedgerLine], told: Sequence[LedgerLine], *, with_ledger: bool) -> list[LedgerLine]:
    """Those of which the trail tells and the ledger does not.

    Raises:
        BackupError: There are some that cannot be done again without their line.
    """
    known = {(line.kind, line.token) for line in lines}
    missing = {(line.kind, line.token): line for line in told if (line.kind, line.token) not in known}
    if missing and with_ledger:
        message = "The trail tells of erasures that the ledger lacks. Nothing was restored; name the newest ledger."
        raise BackupError(message)
    if any(kind is ErasedKind.PERSON for kind, _ in missing):
        message = (
            "The trail tells that a person was erased whom documents name, and only the ledger knows by what. Nothing "
            "was restored; name the ledger with --ledger."
        )
        raise BackupError(message)
    return list(missing.values())
