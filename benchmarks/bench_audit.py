"""Measure the audit trail: what sharing a commit gains, how long one waiter waits, and how fast a trail is verified.

64 threads record one event after the other, each waiting until it is durable: once through `Trail`, which commits for
all who wait together, and once with the same chain, table and disk but a commit for each event. The gain is the disk's
latency, which differs between machines and hours: so both are measured a second time with 4 ms added to each commit, as
on a disk that does not answer from a cache. Where PostgreSQL's programs are, the same is measured there, in turns with
the file, on the same disk.
"""

import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from _machine import ROOT, about_this_run, write_result

sys.path.insert(0, str(ROOT))

from policies.audit.chain import encode
from policies.audit.events import QuestionAsked
from policies.audit.places import TrailPlace
from policies.audit.store import Trail
from policies.audit.verifier import verify
from policies.audit.writer import ChainWriter, EntryRef
from policies.keys import Keys, create_keys
from tests.policies.trails import made_in
from tests.postgres import Server, programs

WRITERS = 64
REPEATS = 3
SECONDS = 4.0
VERIFIED_ENTRIES = 300_000
WAIT_SECONDS = 60.0
EVENT = QuestionAsked("r0123456789abcdef0123", "engineer-1", "http", "0" * 64, "small-model", "1" * 64)


def rate(record: Callable[[], object], writers: int) -> tuple[float, float]:
    """Events a second of so many writers, and the median wait of one event in milliseconds."""
    waits: list[float] = []
    end = time.perf_counter() + SECONDS

    def write() -> None:
        while (started := time.perf_counter()) < end:
            record()
            waits.append(time.perf_counter() - started)

    threads = [threading.Thread(target=write) for _ in range(writers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(waits) / (time.perf_counter() - started), statistics.median(waits) * 1000


class SlowDiskWriter(ChainWriter):
    """A chain on a disk that takes so much longer to commit."""

    def __init__(self, place: TrailPlace, keys: Keys, added_seconds: float) -> None:
        super().__init__(place, keys)
        self._added_seconds = added_seconds

    def append(self, bodies: Sequence[str]) -> list[EntryRef]:
        time.sleep(self._added_seconds)
        return super().append(bodies)


def together(place: TrailPlace, keys: Keys, writers: int, added_seconds: float = 0) -> tuple[float, float]:
    """As the product does it."""
    with Trail(SlowDiskWriter(place, keys, added_seconds)) as trail:
        return rate(lambda: trail.record(EVENT, WAIT_SECONDS), writers)


def one_by_one(place: TrailPlace, keys: Keys, writers: int, added_seconds: float = 0) -> tuple[float, float]:
    """A commit for each event, in turns."""
    chain, lock = SlowDiskWriter(place, keys, added_seconds), threading.Lock()

    def record() -> None:
        body = encode(EVENT, datetime.now(UTC))
        with lock:
            chain.append([body])

    try:
        return rate(record, writers)
    finally:
        chain.close()


def verification(place: TrailPlace, keys: Keys) -> list[float]:
    """Entries verified a second; the trail is in the operating system's cache, as after writing it."""
    body = encode(EVENT, datetime.now(UTC))
    chain = ChainWriter(place, keys)
    for _ in range(VERIFIED_ENTRIES // 3000):
        chain.append([body] * 3000)
        chain.seal()
    chain.close()
    rates = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        report = verify(place, keys.public_key_pem())
        rates.append(report.entries / (time.perf_counter() - started))
        if not report.ok or report.entries != VERIFIED_ENTRIES:
            message = f"the trail that was measured is not sound: {report.findings}"
            raise RuntimeError(message)
    return rates


def figure(values: list[float], digits: int = 0) -> dict[str, float]:
    """Median and range."""
    rounded = [round(value, digits) for value in (statistics.median(values), min(values), max(values))]
    return dict(zip(("median", "min", "max"), rounded, strict=True))


def disk_ms(folder: Path) -> float:
    """What one sync of a few kilobytes takes."""
    waits = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(4096))
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            waits.append(time.perf_counter() - started)
    return statistics.median(waits) * 1000


def comparison(places: Sequence[TrailPlace], keys: Keys, added_seconds: float) -> list[dict[str, object]]:
    """Sharing commits beside a commit for each event, in turns, in each place."""
    shared: list[list[tuple[float, float]]] = [[] for _ in places]
    single: list[list[tuple[float, float]]] = [[] for _ in places]
    for _ in range(REPEATS):
        for place, together_, alone in zip(places, shared, single, strict=True):
            together_.append(together(place, keys, WRITERS, added_seconds))
            alone.append(one_by_one(place, keys, WRITERS, added_seconds))
    return [figures(together_, alone) for together_, alone in zip(shared, single, strict=True)]


def figures(shared: list[tuple[float, float]], single: list[tuple[float, float]]) -> dict[str, object]:
    """What was measured of one place."""
    return {
        "together_events_per_second": figure([events for events, _ in shared]),
        "one_by_one_events_per_second": figure([events for events, _ in single]),
        "ratio": figure([a[0] / b[0] for a, b in zip(shared, single, strict=True)], 1),
        "together_wait_ms": figure([wait for _, wait in shared], 1),
        "one_by_one_wait_ms": figure([wait for _, wait in single], 1),
    }


def measured(places: Sequence[TrailPlace], keys: Keys) -> list[dict[str, object]]:
    """Everything, of each place."""
    here, slower = comparison(places, keys, 0), comparison(places, keys, 0.004)
    return [
        {
            "this_disk": fast,
            "with_4_ms_added": slow,
            "one_writer_wait_ms": figure([together(place, keys, 1)[1] for _ in range(REPEATS)], 2),
        }
        for place, fast, slow in zip(places, here, slower, strict=True)
    ]


def main() -> None:
    # Beside the repository and not in a temporary folder, which may be memory and would make a sync free.
    folder = Path(tempfile.mkdtemp(dir=ROOT, prefix=".bench-audit-"))
    folder.chmod(0o755)  # PostgreSQL may have to run as somebody else.
    found = programs()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        keys = create_keys(folder / "keys")
        places: list[TrailPlace] = [folder / "audit.db"]
        long: list[TrailPlace] = [folder / "long.db"]
        if found:
            server = Server(found, {"shared_buffers": "128MB", "autovacuum": "on"}, beside=folder)
            stack.callback(server.stop)
            places.append(stack.enter_context(made_in(server)))
            long.append(stack.enter_context(made_in(server)))
        result = about_this_run(["cryptography", "psycopg"]) | {
            "sqlite": sqlite3.sqlite_version,
            "writers": WRITERS,
            "disk_sync_ms": round(disk_ms(folder), 2),
        }
        for name, figures_, place in zip(("", "postgres"), measured(places, keys), long, strict=False):
            told = figures_ | {"verified_entries_per_second": figure(verification(place, keys))}
            result |= {name: told} if name else told
    print(json.dumps(result, indent=2))
    write_result("audit", result)


if __name__ == "__main__":
    main()
