"""A process that writes to a trail until it is stopped, and says on its output what was acknowledged.

Run as `python trail_process.py TRAIL KEYS EVENTS THREADS`: each thread writes EVENTS events, one after the other; the
first of each three is a question, and the last its end. TRAIL is a file, or the fields of a `PostgresPlace` as JSON.
"""

import json
import sys
import threading
from pathlib import Path

from policies.audit.events import AnswerFailed, Event, QuestionAsked, SearchAsked
from policies.audit.places import PostgresPlace
from policies.audit.store import Trail
from policies.keys import open_keys


def some_event(name: str, number: int) -> Event:
    request, user = f"r-{name}-{number // 3}", f"user-{name}"
    if number % 3 == 0:
        return QuestionAsked(request, user, "test", "0" * 64, "model", "1" * 64)
    if number % 3 == 1:
        return SearchAsked(f"s-{name}-{number}", user, "test", "0" * 64, "1" * 64)
    return AnswerFailed(request, "TestError")


def write(trail: Trail, name: str, events: int, lock: threading.Lock) -> None:
    for number in range(events):
        event = some_event(name, number)
        entry = trail.record(event, timeout_seconds=30)
        with lock:
            sys.stdout.write(f"{entry.writer} {entry.seq} {entry.hash}\n")
            sys.stdout.flush()


def main(trail: str, keys_folder: str, events: str, threads: str) -> None:
    lock = threading.Lock()
    place = PostgresPlace(**json.loads(trail)) if trail.startswith("{") else Path(trail)
    with Trail.open(place, open_keys(Path(keys_folder))) as opened:
        names = [str(number) for number in range(int(threads))]
        running = [threading.Thread(target=write, args=(opened, name, int(events), lock)) for name in names]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
