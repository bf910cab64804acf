"""Sources: adding one checks it first; a run reads what changed; removing one takes its documents out at once."""

import json
import logging
import re
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import Session, col, func, select

from connectors.access import load_access
from connectors.contract import Connector
from connectors.registry import create, settings_to_save
from gateway.errors import BadRequestError, ConflictError, GatewayError, translate
from gateway.recording import Recorder
from gateway.sources.owners import owners_changed
from gateway.sources.schemas import Source, SourceOwners
from gateway.sources.store import Owner, owned_sources, require_source, write_owners
from policies.audit.events import (
    DocumentsChanged,
    LabelsChanged,
    SourceAdded,
    SourceRemoved,
    SyncFailed,
    SyncFinished,
    SyncStarted,
)
from policies.clock import SteadyClock
from policies.sources import OwnedSource
from retrieval.errors import SyncBusyError
from retrieval.flags import Flag
from retrieval.ingestion import Ingestion, SyncReport
from retrieval.labels import stale_sources
from retrieval.sessions import writing
from retrieval.tables import DocumentRow, SkipRow, SourceRow, utc_now
from retrieval.touched import Touched

_log = logging.getLogger(__name__)
_MOST_WAYS = 500
"""Ways from one label to another that are named in one entry: some 70 kB."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Sources:
    """The configured sources."""

    def __init__(self, database: Engine, recorder: Recorder, clock: SteadyClock) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock

    def add(
        self,
        name: str,
        type_: str,
        settings: Mapping[str, str],
        access_file: Path | None,
        by: str,
        max_acl_age: timedelta = timedelta(0),
        owners: Collection[Owner] = (),
    ) -> None:
        """Configure a source after having checked that it can be read.

        With `max_acl_age`, nobody is shown its documents once its permissions were read longer ago than that.

        Raises:
            BadRequestError: The name is not usable.
            ConflictError: There is one of this name.
            ConnectorError: The settings or the access file are wrong, or the source cannot be reached.
        """
        if not _NAME.fullmatch(name):
            message = f"{name!r} cannot be a source name. Use up to 63 small letters, digits and hyphens."
            raise BadRequestError(message)
        with Session(self._database) as session:
            if session.get(SourceRow, name) is not None:
                message = f"There is a source {name} already. Remove it first, or choose another name."
                raise ConflictError(message)
        access = str(access_file.absolute()) if access_file else ""
        saved = json.dumps(settings_to_save(type_, settings))
        age = int(max_acl_age.total_seconds())
        row = SourceRow(name=name, type=type_, settings=saved, access_file=access, max_acl_age_seconds=age)
        _connector(row).check()
        self._recorder.record_now(SourceAdded(by=by, source=name, type=type_, max_acl_age_seconds=age))
        if owners:
            self._recorder.record_now(owners_changed(by, name, owners))
        with writing(self._database) as session:
            session.add(row)
            session.flush()
            write_owners(session, name, owners)
            session.commit()

    def listed(self) -> list[Source]:
        """Every source with how many documents it has, and how many could not be read."""
        with Session(self._database) as session:
            documents = _counts(session, DocumentRow.source, DocumentRow.deleted == False)  # noqa: E712 - SQL
            skipped = _counts(session, SkipRow.source)
            stale = stale_sources(session, self._clock.now())
            owned = owned_sources(session)
            rows = session.exec(select(SourceRow).order_by(SourceRow.name))
            return [
                Source(
                    row.name,
                    row.type,
                    json.loads(row.settings),
                    documents.get(row.name, 0),
                    skipped.get(row.name, 0),
                    row.synced_at,
                    row.access_read_at,
                    row.max_acl_age_seconds,
                    row.name in stale,
                    row.failed_at,
                    row.failure,
                    _owners(owned[row.name]),
                )
                for row in rows
            ]

    def skipped(self, name: str) -> list[tuple[str, str]]:
        """What the last runs could not read: path and reason."""
        with Session(self._database) as session:
            rows = session.exec(select(SkipRow).where(SkipRow.source == name).order_by(SkipRow.path))
            return [(row.path, row.reason) for row in rows]

    def check(self, name: str) -> None:
        """Find out whether a source can be read now.

        Raises:
            NotFoundError: There is no such source.
            ConnectorError: It cannot; the text says why.
        """
        _connector(self._row(name)).check()

    def sync(self, name: str, ingestion: Ingestion, by: str, on_progress: Callable[[SyncReport], None]) -> SyncReport:
        """Read what changed in a source.

        Raises:
            NotFoundError: There is no such source.
            SyncBusyError: Another run is reading it.
            SyncFailedError: It could not be read to its end.
            TrailUnavailableError: The run could not be recorded, so nothing was read.
        """
        row = self._row(name)
        self._recorder.record_now(SyncStarted(by=by, source=name))
        told: list[SyncReport] = []

        def progress(report: SyncReport) -> None:
            told[:] = [report]
            on_progress(report)

        try:
            report = ingestion.sync(name, _connector(row), progress)
        except BaseException as error:
            # Also a full disk or Ctrl-C: what was committed before stands, and the trail must say that this run was.
            failed = SyncFailed(by=by, source=name, error=type(error).__name__)
            self._recorder.record_all_now([*(each for one in told for each in _changes(name, by, one.touched)), failed])
            self._note_failure(name, error)
            raise
        self._recorder.record_all_now(_changes(name, by, report.touched))
        self._note_failure(name, None)
        self._recorder.record_now(
            SyncFinished(
                by=by,
                source=name,
                upserted=report.upserted,
                relabelled=report.relabelled,
                deleted=report.deleted,
                skipped=report.skipped,
                epoch=report.epoch,
                flags=_by_name(report.flags),
            )
        )
        return report

    def remove(self, name: str, ingestion: Ingestion, by: str) -> int:
        """Forget a source and all its documents; returns how many there were.

        Raises:
            NotFoundError: There is no such source.
        """
        self._row(name)
        self._recorder.record_now(SourceRemoved(by=by, source=name))
        return ingestion.forget(name)

    def _note_failure(self, name: str, error: BaseException | None) -> None:
        """Keep why a run broke off, for whoever looks after the source; another run in the way is no failure."""
        if isinstance(error, SyncBusyError):
            return
        told = "" if error is None else str(error) if _is_ours(error) else f"It broke off: {type(error).__name__}."
        try:
            with writing(self._database) as session:
                row = session.get(SourceRow, name)
                if row is not None and (error is not None or row.failed_at is not None):
                    row.failed_at, row.failure = (utc_now() if error is not None else None), told
                    session.add(row)
                    session.commit()
        except GatewayError:
            # The trail has it, and a database that cannot be written must not hide what went wrong before.
            _log.error("source_failure_not_kept source=%s", name)

    def require(self, name: str) -> None:
        """Make sure that there is a source of this name.

        Raises:
            NotFoundError: There is none.
        """
        _ = self._row(name)

    def _row(self, name: str) -> SourceRow:
        with Session(self._database) as session:
            return require_source(session, name)


def _changes(source: str, by: str, touched: Touched) -> list[DocumentsChanged | LabelsChanged]:
    """What a run changed, of which as much is named as fits into an entry."""
    events: list[DocumentsChanged | LabelsChanged] = [
        DocumentsChanged(by, source, change.value, tuple(ids), touched.more[change])
        for change, ids in sorted(touched.documents.items())
    ]
    if touched.labels:
        ways = sorted(touched.labels.items(), key=lambda way: (-way[1], way[0]))
        named, others = ways[:_MOST_WAYS], ways[_MOST_WAYS:]
        before, now = tuple(way[0] for way, _ in named), tuple(way[1] for way, _ in named)
        counts = tuple(str(count) for _, count in named)
        events.append(LabelsChanged(by, source, before, now, counts, sum(count for _, count in others)))
    return events


def _by_name(flags: Mapping[Flag, int]) -> dict[str, int]:
    return {flag.value: count for flag, count in sorted(flags.items())}


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, Exception) and translate(error) is not None


def _owners(owned: OwnedSource) -> SourceOwners:
    return SourceOwners(sorted(owned.owner_users), sorted(owned.owner_groups))


def _connector(row: SourceRow) -> Connector:
    access = load_access(Path(row.access_file)) if row.access_file else None
    return create(row.type, json.loads(row.settings), access)


def _counts(session: Session, column: object, *where: object) -> dict[str, int]:
    query = select(column, func.count()).where(*where).group_by(col(column))  # type: ignore[call-overload]
    return dict(session.exec(query).all())
