"""Who was erased since a backup was made, and must be erased again before the home it becomes is used.

The newest ledger says it. Where that is lost, a newer copy of the trail tells of users by what stands for them there;
of people whom documents name it does not say enough.
"""

from dataclasses import dataclass
from pathlib import Path

from gateway.backup.archive import Contents
from gateway.errors import BackupError
from gateway.services import Services

_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class KnownErasures:
    """What is known of erasures since a backup.

    `ledger` is the newest ledger and `trail` a copy of the trail that is newer than the backup, each where there is
    one. What the backup itself tells of is done again anyway.
    """

    ledger: Path | None = None
    trail: Path | None = None


def erase_again(services: Services, _contents: Contents, known: KnownErasures, _by: str) -> int:
    """Erase who was erased since the backup was made; returns how many erasures that were.

    Raises:
        BackupError: This version cannot do that.
    """
    if known.ledger is not None or known.trail is not None or services.home.erasures.exists():
        message = "This version cannot erase again who was erased since the backup. Nothing was restored."
        raise BackupError(message)
    return 0
