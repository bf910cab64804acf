"""When keys and sessions were last used: written beside the requests, never in their way.

A writer of the database may have to wait for a sync's transaction, for seconds; authentication must not. So the time is
written by one thread of its own, for each key and session at most once a minute.
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy import Engine
from sqlmodel import col, update

from gateway.errors import DatabaseUnusableError
from gateway.identity.store import ApiKeyRow, SessionRow
from retrieval.sessions import writing

_log = logging.getLogger(__name__)


class LastUse:
    """Notes uses; what is on its way already is not noted again."""

    EVERY: ClassVar[timedelta] = timedelta(minutes=1)
    """How old a noted use may be before the next is noted."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._waiting: dict[tuple[type[ApiKeyRow | SessionRow], str], datetime] = {}
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="last-use")

    def key(self, key_id: str, now: datetime) -> None:
        """A key was used."""
        self._note(ApiKeyRow, key_id, now)

    def session(self, session_id: str, now: datetime) -> None:
        """A session was used."""
        self._note(SessionRow, session_id, now)

    def flush(self) -> None:
        """Wait until what was noted is written."""
        self._thread.submit(lambda: None).result()

    def close(self) -> None:
        """Write what is left and stop."""
        self._thread.shutdown()

    def _note(self, table: type[ApiKeyRow | SessionRow], id_: str, now: datetime) -> None:
        with self._lock:
            begin = not self._waiting
            self._waiting[table, id_] = now
        if begin:
            self._thread.submit(self._write)

    def _write(self) -> None:
        with self._lock:
            noted, self._waiting = self._waiting, {}
        try:
            with writing(self._database) as session:
                for (table, id_), at in noted.items():
                    if table is ApiKeyRow:
                        session.exec(update(ApiKeyRow).where(col(ApiKeyRow.id) == id_).values(last_used_at=at))
                    else:
                        session.exec(update(SessionRow).where(col(SessionRow.id) == id_).values(seen_at=at))
                session.commit()
        except DatabaseUnusableError as error:
            _log.warning("last_use_not_written reason=%s", error)
