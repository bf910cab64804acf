"""Several processes write to one trail; one that is killed loses nothing it has acknowledged."""

import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest

from policies.audit import store
from policies.audit.events import Event, QuestionAsked
from policies.audit.places import TrailPlace
from policies.audit.store import EntryRef, Trail
from policies.audit.verifier import verify
from policies.keys import Keys, create_keys, open_keys
from tests.policies.trails import rows, told

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


@pytest.mark.parametrize("tracer", [shutil.which("strace")])
def test_every_acknowledgement_follows_a_sync(trail_file: Path, keys_folder: Path, tracer: str | None) -> None:
    """The order of system calls: nothing is said before the write-ahead log has been synchronised."""
    if tracer is None:
        pytest.skip("strace is not installed")
    log = keys_folder.parent / "calls"
    command = [tracer, "-f", "-o", str(log), "-e", "trace=fsync,fdatasync,write", sys.executable, str(PROCESS)]
    arguments = [str(trail_file), str(keys_folder), "20", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    traced = subprocess.run([*command, *arguments], env=environment, capture_output=True, check=False)
    if traced.returncode != 0:
        pytest.skip("strace may not trace here")
    synced = 0
    said = 0
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if "sync(" in line or "sync resumed" in line:
            synced += 1
        elif re.search(r'write\(1, "[0-9a-f]{16} ', line):
            said += 1
            assert synced, f"acknowledgement {said} came without a sync"
            synced = 0
    assert said == 20
