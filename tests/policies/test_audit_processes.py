"""Several processes write to one trail; one that is killed loses nothing it has acknowledged."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from policies.audit import database, store
from policies.audit.events import Event, QuestionAsked
from policies.audit.places import TrailPlace
from policies.audit.store import EntryRef, Trail
from policies.audit.verifier import verify
from policies.audit.writer import ChainWriter
from policies.keys import Keys, create_keys, open_keys
from tests.policies.trails import made_in, rows, told
from tests.postgres import Server

WAIT_SECONDS = 30.0
ROOT = Path(store.__file__).parents[2]
PROCESS = Path(__file__).parent / "trail_process.py"
ASKED = QuestionAsked("r1", "ada", "test", "0" * 64, "model", "1" * 64)


def start(place: TrailPlace, folder: Path, events: int, threads: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, str(PROCESS), told(place), str(folder), str(events), str(threads)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)


def acknowledged(output: str) -> set[tuple[str, int, str]]:
    """What a process said before it ended; a line cut off says nothing."""
    found = re.findall(r"^([0-9a-f]{16}) (\d+) ([0-9a-f]{64})$", output, re.MULTILINE)
    return {(writer_id, int(seq), hash_) for writer_id, seq, hash_ in found}


def stored(place: TrailPlace) -> set[tuple[object, ...]]:
    return set(rows(place, "SELECT writer, seq, lower(hex(hash)) FROM entries"))


@pytest.fixture
def keys_folder(tmp_path: Path) -> Path:
    create_keys(tmp_path / "keys")
    return tmp_path / "keys"


def test_processes_write_beside_each_other(place: TrailPlace, keys_folder: Path) -> None:
    processes = [start(place, keys_folder, 39, 3) for _ in range(2)]
    said: set[tuple[str, int, str]] = set()
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        said |= acknowledged(output)
    assert said == stored(place)
    report = verify(place, open_keys(keys_folder).public_key_pem())
    assert report.ok, report.findings
    assert (report.entries, report.writers, report.sealed) == (234, 2, 234)


def stays_after_others(place: TrailPlace, folder: Path, keys: Keys) -> bool:
    """Whether entries are there after a second writer of the same process and another process came and went."""
    with Trail.open(place, keys) as trail:
        first = trail.record(ASKED, timeout_seconds=WAIT_SECONDS)
        ChainWriter(place, keys).close()
        output, _ = start(place, folder, 3, 1).communicate(timeout=WAIT_SECONDS)
        last = trail.record(ASKED, timeout_seconds=WAIT_SECONDS)
        said = acknowledged(output) | {(entry.writer, entry.seq, entry.hash) for entry in (first, last)}
        try:
            return said <= stored(place)
        except sqlite3.OperationalError:
            return False  # Its write-ahead log was removed while it was in use.


def test_a_second_writer_in_a_process_gives_up_no_lock(place: TrailPlace, keys_folder: Path) -> None:
    assert stays_after_others(place, keys_folder, open_keys(keys_folder))


def test_a_file_that_is_opened_and_closed_beside_sqlite_loses_entries(
    trail_file: Path, keys_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened_and_closed(path: Path) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))

    monkeypatch.setattr(database, "_make_file", opened_and_closed)
    assert not stays_after_others(trail_file, keys_folder, open_keys(keys_folder))


def lost_after_kill(place: TrailPlace, keys_folder: Path, count: int) -> tuple[int, int]:
    """How many acknowledged entries a killed process left, and how many of them are gone."""
    process = start(place, keys_folder, 1_000_000, 4)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(count)]
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate(timeout=60)
    said = acknowledged("".join(lines) + rest)
    return len(said), len(said - stored(place))


@pytest.mark.parametrize("kills", [50, pytest.param(1_000, marks=pytest.mark.deep)])
def test_a_killed_process_loses_nothing_that_was_acknowledged(place: TrailPlace, keys_folder: Path, kills: int) -> None:
    for number in range(kills):
        said, lost = lost_after_kill(place, keys_folder, 5 + 7 * number % 60)
        assert said >= 5
        assert lost == 0
    with Trail.open(place, open_keys(keys_folder)) as trail:
        trail.record(ASKED, WAIT_SECONDS)
    report = verify(place, open_keys(keys_folder).public_key_pem())
    assert report.ok, report.findings
    assert questions_without_an_end(place) == {"r1"}, "those of killed processes have one"
    assert report.writers == kills + 1
    assert report.sealed == report.entries, "what the killed processes left unsigned is signed by the next"


def questions_without_an_end(place: TrailPlace) -> set[object]:
    asked = rows(place, "SELECT request FROM entries WHERE kind = 'question:asked'")
    ended = rows(place, "SELECT request FROM entries WHERE kind LIKE 'answer:%'")
    return {request for (request,) in asked} - {request for (request,) in ended}


class HastyTrail(Trail):
    """The negative control: acknowledges before the disk has it."""

    def submit(self, event: Event, patience_seconds: float = 0.0) -> Future[EntryRef]:
        super().submit(event, patience_seconds)
        future: Future[EntryRef] = Future()
        future.set_result(EntryRef("log", "writer", 1, "0" * 64))
        return future


def test_the_check_for_loss_notices_who_acknowledges_too_early(place: TrailPlace, keys: Keys) -> None:
    with HastyTrail.open(place, keys) as trail:
        said = {("writer", trail.record(ASKED, WAIT_SECONDS).seq, "0" * 64)}
        assert said - stored(place)


@pytest.mark.parametrize("crashes", [2, pytest.param(50, marks=pytest.mark.deep)])
def test_a_server_that_is_killed_loses_nothing_that_was_acknowledged(
    postgres: Server, keys_folder: Path, crashes: int
) -> None:
    with made_in(postgres) as place:
        for number in range(crashes):
            process = start(place, keys_folder, 1_000_000, 4)
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(5 + 11 * number % 80)]
            postgres.crash()
            process.kill()
            rest, _ = process.communicate(timeout=60)
            postgres.start()
            said = acknowledged("".join(lines) + rest)
            assert len(said) >= 5
            assert said - stored(place) == set()
        with Trail.open(place, open_keys(keys_folder)) as trail:
            trail.record(ASKED, WAIT_SECONDS)
        report = verify(place, open_keys(keys_folder).public_key_pem())
        assert report.ok, report.findings
        assert questions_without_an_end(place) == {"r1"}


# The order of system calls: nothing is said before what it says has been synchronised.

HASTY = """
import runpy, sys
from policies.audit import postgres
postgres._require_durable = lambda _: None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A writer that does not ask its server whether it keeps what it acknowledges."""


@contextmanager
def traced(log: Path, *pids: int) -> Iterator[None]:
    """Trace the system calls of processes and of those that they start."""
    tracer = shutil.which("strace")
    if tracer is None:
        pytest.skip("strace is not installed")
    chosen = [part for pid in pids for part in ("-p", str(pid))]
    command = [tracer, "-f", "-ttt", "-T", "-o", str(log), "-e", "trace=fsync,fdatasync", *chosen]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    # The first is the one that all others descend from; some may have ended meanwhile.
    first, *_ = [process.stderr.readline() for _ in pids]
    if "attached" not in first:
        process.kill()
        process.communicate()
        pytest.skip("strace may not trace here")
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def syncs(log: Path) -> list[float]:
    """When each sync was done."""
    found = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        said = re.match(r"\d+ +(\d+\.\d+) (?:f\w*sync\(.*= 0|<... f\w*sync resumed>.*= 0).*<(\d+\.\d+)>", line)
        if said:
            # The time at the beginning of a line is that of the call, or of its return when it is told in two.
            found.append(float(said[1]) + (0.0 if "resumed" in line else float(said[2])))
    return found


def written_under_a_tracer(
    log: Path, command: list[str], environment: Mapping[str, str]
) -> tuple[list[float], list[float]]:
    """When a traced process said something, and when it synchronised."""
    tracer = shutil.which("strace")
    if tracer is None:
        pytest.skip("strace is not installed")
    options = ["-f", "-ttt", "-T", "-o", str(log), "-e", "trace=fsync,fdatasync,write"]
    done = subprocess.run([tracer, *options, *command], env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("strace may not trace here")
    said = re.findall(r'^\d+ +(\d+\.\d+) write\(1, "[0-9a-f]{16} ', log.read_text("utf-8", "replace"), re.MULTILINE)
    return [float(at) for at in said], syncs(log)


def too_early(said: list[float], synced: list[float]) -> int:
    """How many acknowledgements came without a sync since the one before."""
    before, count = 0.0, 0
    for at in said:
        count += not any(before < sync < at for sync in synced)
        before = at
    return count


def test_every_acknowledgement_follows_a_sync(trail_file: Path, keys_folder: Path) -> None:
    command = [sys.executable, str(PROCESS), str(trail_file), str(keys_folder), "20", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    said, synced = written_under_a_tracer(keys_folder.parent / "calls", command, environment)
    assert (len(said), too_early(said, synced)) == (20, 0)


def test_syncs_that_are_left_out_are_noticed(trail_file: Path, keys_folder: Path) -> None:
    """The negative control: a library that makes syncs do nothing, as libeatmydata does."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source, library = keys_folder.parent / "hasty.c", keys_folder.parent / "hasty.so"
    source.write_text("int fsync(int f) { return 0; }\nint fdatasync(int f) { return 0; }\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    command = [sys.executable, str(PROCESS), str(trail_file), str(keys_folder), "20", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "LD_PRELOAD": str(library)}
    said, synced = written_under_a_tracer(keys_folder.parent / "calls", command, environment)
    assert (len(said), too_early(said, synced)) == (20, 20)


def acknowledged_by_a_server(server: Server, folder: Path, code: list[str]) -> tuple[list[float], list[float]]:
    """When a process said something, and when the server that it writes to synchronised."""
    with made_in(server) as place, traced(folder.parent / "server-calls", *server.processes()):
        command = [sys.executable, *code, str(PROCESS), told(place), str(folder), "20", "1"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        said, _ = written_under_a_tracer(folder.parent / "calls", command, environment)
    return said, syncs(folder.parent / "server-calls")


def test_every_acknowledgement_of_a_server_follows_a_sync(postgres: Server, keys_folder: Path) -> None:
    said, synced = acknowledged_by_a_server(postgres, keys_folder, [])
    assert (len(said), too_early(said, synced)) == (20, 0)


def test_a_server_that_leaves_syncs_out_is_noticed(postgres: Server, keys_folder: Path) -> None:
    """The negative control: a server without fsync, and a writer that does not ask for it."""
    hasty = Server(postgres.programs, {"fsync": "off"})
    try:
        said, synced = acknowledged_by_a_server(hasty, keys_folder, ["-c", HASTY])
    finally:
        hasty.stop()
    assert (len(said), too_early(said, synced)) == (20, 20)
