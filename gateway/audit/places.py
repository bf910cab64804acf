"""Where this installation sends its trail to, as its settings name it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from gateway.audit.schemas import ExportState, StampState
from gateway.config import AuditOptions, Home
from gateway.errors import ConfigurationError
from gateway.recording import Recorder
from gateway.trail_place import trail_place
from policies.audit.checkpoints import SignedCheckpoint, last_exported
from policies.audit.people import Names
from policies.audit.sinks.copies import Copies, Keeper
from policies.audit.sinks.exports import Exporter, Exporters
from policies.audit.sinks.following import last_number, newest_checkpoint
from policies.audit.sinks.options import Export, FileSink
from policies.audit.sinks.positions import Position, PositionFile
from policies.audit.sinks.transports import open_transport
from policies.audit.stamps import Authority, Stamp, Stamper, StampFile, verify_stamp
from policies.errors import StampRefusedError


def open_copies(options: AuditOptions, home: Home) -> Copies:
    """All places that checkpoints are copied to. Nothing is sent yet."""
    keepers = [
        Keeper(sink, open_transport(sink, home.keys, home.folder), PositionFile(home.copies, sink.name), home.folder)
        for sink in options.all_copies
    ]
    return Copies(keepers, options.require_copy_seconds)


def open_exporters(options: AuditOptions, home: Home, recorder: Recorder, names: Names) -> Exporters:
    """All places that entries are sent to. Nothing is sent before `start`."""
    place = trail_place(home, options)
    return Exporters(
        [
            Exporter(
                export,
                open_transport(export, home.keys, home.folder),
                PositionFile(home.exports, export.name),
                place,
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
    last = last_number(trail_place(home, options))
    return [_export_state(export, PositionFile(home.exports, export.name).read(), last) for export in options.exports]


def exported_up_to(options: AuditOptions, home: Home) -> int | None:
    """The last entry that every place has acknowledged; none where entries are sent nowhere.

    Raises:
        PositionUnreadableError: How far one was sent to cannot be read.
    """
    return min((PositionFile(home.exports, export.name).read().at for export in options.exports), default=None)


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


def open_stamper(options: AuditOptions, home: Home) -> Stamper:
    """What has checkpoints stamped. Nothing is asked before `start`."""
    return Stamper(
        lambda: stamping_authority(options, home),
        stamp_file(home),
        PositionFile(home.stamps, "stamps"),
        lambda: newest_checkpoint(trail_place(home, options)),
        timedelta(seconds=options.stamp_every_seconds),
    )


def stamp_file(home: Home) -> StampFile:
    """Where time stamps are kept."""
    return StampFile(home.stamps / "stamps.jsonl")


def stamping_authority(options: AuditOptions, home: Home) -> Authority:
    """Who stamps, and what stamps are held to.

    Raises:
        ConfigurationError: The certificates cannot be read.
    """
    file = home.folder / options.stamp_ca_file
    try:
        return Authority(options.stamp_url, file.read_bytes(), options.stamp_policy)
    except OSError as error:
        message = f"audit.stamp_ca_file {file} cannot be read: {error.strerror}. Give certificates in PEM form."
        raise ConfigurationError(message) from error


def stamp_states(options: AuditOptions, home: Home) -> list[StampState]:
    """What every stamp says, oldest first.

    Raises:
        ConfigurationError: The certificates cannot be read.
    """
    authority = stamping_authority(options, home) if options.stamp_ca_file else None
    return [_stamp_state(stamp, authority) for stamp in stamp_file(home).read()]


def _stamp_state(stamp: Stamp, authority: Authority | None) -> StampState:
    """What a stamp says, and whether it holds; without an authority nobody can tell."""
    place = stamp.signed.checkpoint
    if authority is None:
        return StampState(place.number, place.count, None, "audit.stamp_ca_file names nothing to hold it to")
    try:
        return StampState(place.number, place.count, verify_stamp(stamp, authority.certificates, authority.policy))
    except StampRefusedError as error:
        return StampState(place.number, place.count, None, str(error))


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
