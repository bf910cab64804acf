"""Where this installation sends its trail to, as its settings name it."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from gateway.audit.schemas import ExportState
from gateway.config import AuditOptions, Home
from gateway.recording import Recorder
from policies.audit.checkpoints import SignedCheckpoint, last_exported
from policies.audit.people import Names
from policies.audit.sinks.copies import Copies, Keeper
from policies.audit.sinks.exports import Exporter, Exporters
from policies.audit.sinks.following import last_number
from policies.audit.sinks.options import Export, FileSink
from policies.audit.sinks.positions import Position, PositionFile
from policies.audit.sinks.transports import open_transport


def open_copies(options: AuditOptions, home: Home) -> Copies:
    """All places that checkpoints are copied to. Nothing is sent yet."""
    keepers = [
        Keeper(sink, open_transport(sink, home.keys, home.folder), PositionFile(home.copies, sink.name), home.folder)
        for sink in options.all_copies
    ]
    return Copies(keepers, options.require_copy_seconds)


def open_exporters(options: AuditOptions, home: Home, recorder: Recorder, names: Names) -> Exporters:
    """All places that entries are sent to. Nothing is sent before `start`."""
    return Exporters(
        [
            Exporter(
                export,
                open_transport(export, home.keys, home.folder),
                PositionFile(home.exports, export.name),
                home.trail,
                recorder.record_now,
                names,
            )
            for export in options.exports
        ]
    )


def export_states(options: AuditOptions, home: Home) -> list[ExportState]:
    """How every place that entries are sent to does, as any process can find out.

    Raises:
        TrailUnreadableError: The trail is missing or damaged.
        PositionUnreadableError: How far one was sent to cannot be read.
    """
    if not options.exports:
        return []
    last = last_number(home.trail)
    return [_export_state(export, PositionFile(home.exports, export.name).read(), last) for export in options.exports]


def _export_state(export: Export, position: Position, last: int) -> ExportState:
    trouble = position.trouble
    return ExportState(
        name=export.name,
        kind=str(type(export).__struct_config__.tag),
        format=export.format,
        entry=position.at,
        behind=max(0, last - position.at),
        sent_at=datetime.fromisoformat(position.sent) if position.sent else None,
        failing_since=datetime.fromisoformat(trouble.since) if trouble else None,
        error=trouble.detail if trouble else "",
    )


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
