"""Measure the audit trail: what sharing a commit gains, how long one waiter waits, and how fast a trail is verified.

64 threads record one event after the other, each waiting until it is durable: once through `Trail`, which commits for
all who wait together, and once with the same chain, table and disk but a commit for each event. The gain is the disk's
latency, which differs between machines and hours: so both are measured a second time with 4 ms added to each commit, as
on a disk that does not answer from a cache.
"""

import json
import os
import shutil
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from _machine import ROOT, about_this_run, write_result

from policies.audit.chain import encode
from policies.audit.events import QuestionAsked
from policies.audit.store import Trail
from policies.audit.verifier import verify
from policies.audit.writer import ChainWriter, EntryRef
from policies.keys import Keys, create_keys

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

    def __init__(self, path: Path, keys: Keys, added_seconds: float) -> None:
        super().__init__(path, keys)
        self._added_seconds = added_seconds

    def append(self, bodies: Sequence[str]) -> list[EntryRef]:
        time.sleep(self._added_seconds)
        return super().append(bodies)


def together(folder: Path, keys: Keys, writers: int, added_seconds: float = 0) -> tuple[float, float]:
    """As the product does it."""
    with Trail(SlowDiskWriter(folder / "together.db", keys, added_seconds)) as trail:
        return rate(lambda: trail.record(EVENT, WAIT_SECONDS), writers)


def one_by_one(folder: Path, keys: Keys, writers: int, added_seconds: float = 0) -> tuple[float, float]:
    """A commit for each event, in turns."""
    chain, lock = SlowDiskWriter(folder / "one-by-one.db", keys, added_seconds), threading.Lock()

    def record() -> None:
        body = encode(EVENT, datetime.now(UTC))
        with lock:
            chain.append([body])

    try:
        return rate(record, writers)
    finally:
        chain.close()


def verification(folder: Path, keys: Keys) -> list[float]:
    """Entries verified a second; the file is in the operating system's cache, as after writing it."""
    file, body = folder / "long.db", encode(EVENT, datetime.now(UTC))
    chain = ChainWriter(file, keys)
    for _ in range(VERIFIED_ENTRIES // 3000):
        chain.append([body] * 3000)
        chain.seal()
    chain.close()
    rates = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        report = verify(file, keys.public_key_pem())
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


def comparison(folder: Path, keys: Keys, added_seconds: float) -> dict[str, object]:
    """Sharing commits beside a commit for each event, in turns."""
    shared, single = [], []
    for _ in range(REPEATS):
        shared.append(together(folder, keys, WRITERS, added_seconds))
        single.append(one_by_one(folder, keys, WRITERS, added_seconds))
    return {
        "together_events_per_second": figure([events for events, _ in shared]),
        "one_by_one_events_per_second": figure([events for events, _ in single]),
        "ratio": figure([a[0] / b[0] for a, b in zip(shared, single, strict=True)], 1),
        "together_wait_ms": figure([wait for _, wait in shared], 1),
        "one_by_one_wait_ms": figure([wait for _, wait in single], 1),
    }


def main() -> None:
    # Beside the repository and not in a temporary folder, which may be memory and would make a sync free.
    folder = Path(tempfile.mkdtemp(dir=ROOT, prefix=".bench-audit-"))
    try:
        keys = create_keys(folder / "keys")
        result = about_this_run(["cryptography"]) | {
            "sqlite": sqlite3.sqlite_version,
            "writers": WRITERS,
            "disk_sync_ms": round(disk_ms(folder), 2),
            "this_disk": comparison(folder, keys, 0),
            "with_4_ms_added": comparison(folder, keys, 0.004),
            "one_writer_wait_ms": figure([together(folder, keys, 1)[1] for _ in range(REPEATS)], 2),
            "verified_entries_per_second": figure(verification(folder, keys)),
        }
    finally:
        shutil.rmtree(folder)
    print(json.dumps(result, indent=2))
    write_result("audit", result)


if __name__ == "__main__":
    main()
