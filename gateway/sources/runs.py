"""Runs over sources that somebody asked for over HTTP: one after another, beside the serving of requests."""

import logging
import queue
import threading
from collections.abc import Callable

from gateway.errors import ConflictError
from retrieval.ingestion import SyncReport

_log = logging.getLogger(__name__)
_STOPPING_SECONDS = 10.0
"""How long a run may take to come to a document's end when the service stops."""

Sync = Callable[[str, str, Callable[[SyncReport], None]], object]
"""Reads a source, for somebody, and tells how far it is."""


class ServiceStoppedError(Exception):
    """The service stopped while a source was read; what was committed stands, and the next run goes on."""


class SourceRuns:
    """A line of sources to read, and the one thread that reads them."""

    def __init__(self, sync: Sync) -> None:
        self._sync = sync
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._asked: set[str] = set()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self, source: str, by: str) -> None:
        """Have a source read as soon as its turn comes.

        Raises:
            ConflictError: It is being read, or waits for that already.
        """
        with self._lock:
            if source in self._asked:
                message = f"Source {source} is being read already, or is about to be. Look again later."
                raise ConflictError(message)
            self._asked.add(source)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="source-runs", daemon=True)
                self._thread.start()
            self._waiting.put((source, by))

    def running(self) -> frozenset[str]:
        """The sources that are being read, or wait for it."""
        with self._lock:
            return frozenset(self._asked)

    def close(self) -> None:
        """Have the running one break off at the next document, and begin no other."""
        self._stopping.set()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join(_STOPPING_SECONDS)

    def _work(self) -> None:
        while (asked := self._waiting.get()) is not None and not self._stopping.is_set():
            source, by = asked
            try:
                self._sync(source, by, self._go_on)
            except Exception as error:  # noqa: BLE001 - the next source must be read; trail and source have the cause
                _log.error("source_not_read source=%s error=%s", source, type(error).__name__)
            finally:
                with self._lock:
                    self._asked.discard(source)

    def _go_on(self, _report: SyncReport) -> None:
        if self._stopping.is_set():
            message = "The service stopped while the source was read. The next run goes on."
            raise ServiceStoppedError(message)
