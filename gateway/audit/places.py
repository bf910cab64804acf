"""Where this installation sends its trail to, as its settings name it."""

from collections.abc import Iterable
from pathlib import Path

from gateway.config import AuditOptions, Home
from policies.audit.checkpoints import SignedCheckpoint, last_exported
from policies.audit.sinks.copies import Copies, Keeper
from policies.audit.sinks.options import FileSink
from policies.audit.sinks.positions import PositionFile
from policies.audit.sinks.transports import open_transport


def open_copies(options: AuditOptions, home: Home) -> Copies:
    """All places that checkpoints are copied to. Nothing is sent yet."""
    keepers = [
        Keeper(sink, open_transport(sink, home.keys, home.folder), PositionFile(home.copies, sink.name), home.folder)
        for sink in options.all_copies
    ]
    return Copies(keepers, options.require_copy_seconds)


def copied_to_files(options: AuditOptions, home: Home) -> list[Path]:
    """The files among these places."""
    return [home.folder / sink.path for sink in options.all_copies if isinstance(sink, FileSink)]


def newest_kept(files: Iterable[Path]) -> SignedCheckpoint | None:
    """The newest checkpoint that files hold; one that is not there yet holds none.

    Raises:
        OSError: One cannot be read; its `filename` says which.
    """
    found: list[SignedCheckpoint] = []
    for file in files:
        try:
            kept = last_exported(file)
        except FileNotFoundError:
            continue
        if kept is not None:
            found.append(kept)
    return max(found, key=lambda kept: kept.checkpoint.number, default=None)
