"""A process that writes to a trail until it is stopped, and says on its output what was acknowledged.

Run as `python trail_process.py TRAIL KEYS EVENTS THREADS`: each thread writes EVENTS events, one after the other.
"""

import sys
import threading
from pathlib import Path

from policies.audit.events import SearchAsked
from policies.audit.store import Trail
from policies.keys import open_keys


def write(trail: Trail, name: str, events: int, lock: threading.Lock) -> None:
    for number in range(events):
        event = SearchAsked(f"r-{name}-{number}", f"user-{name}", "test", "0" * 64, "1" * 64)
        entry = trail.record(event, timeout_seconds=30)
        with lock:
            sys.stdout.write(f"{entry.writer} {entry.seq} {entry.hash}\n")
            sys.stdout.flush()


def main(trail_file: str, keys_folder: str, events: str, threads: str) -> None:
    lock = threading.Lock()
    with Trail.open(Path(trail_file), open_keys(Path(keys_folder))) as trail:
        names = [str(number) for number in range(int(threads))]
        running = [threading.Thread(target=write, args=(trail, name, int(events), lock)) for name in names]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
