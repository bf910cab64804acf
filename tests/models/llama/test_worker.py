"""The worker trusts neither its model file nor its peer, has no way out, and ends with its parent."""

import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from models.catalogue import Artefact
from models.engine import Generation
from models.errors import EngineUnavailableError, ModelCorruptError
from models.llama.client import _environment
from models.llama.protocol import (
    LENGTH_BYTES,
    Count,
    Counted,
    Fault,
    FromWorker,
    Generate,
    Load,
    Loaded,
    Piece,
    Ping,
    Pong,
    Refused,
    RefusedError,
    ToWorker,
    frame,
    frame_length,
    read_reply,
)
from models.llama.worker import Peer, Service, _check_digest
from tests.models.conftest import changed, file_of
from tests.models.llama.conftest import conversation, make_engine


def load_of(path: Path, content: bytes) -> Load:
    digest = hashlib.sha256(content).hexdigest()
    return Load(
        str(path),
        len(content),
        digest,
        "chatml",
        context_tokens=256,
        cache_tokens=512,
        at_once=2,
        threads=1,
        gpu_layers=0,
    )


class RawWorker:
    """A worker process, spoken to byte by byte."""

    def __init__(self) -> None:
        self.connection, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-s", "-m", "models.llama.worker", str(theirs.fileno()), "error"]
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=_environment(), stderr=subprocess.DEVNULL
            )

    def send(self, message: ToWorker) -> None:
        self.connection.sendall(frame(message))

    def receive(self) -> FromWorker:
        length = frame_length(self._read(LENGTH_BYTES))
        return read_reply(self._read(length))

    def until(self, kind: type[FromWorker]) -> FromWorker:
        while not isinstance(message := self.receive(), kind):
            pass
        return message

    def _read(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            received = self.connection.recv(count - len(content))
            assert received, "the worker is gone"
            content += received
        return content

    def close(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def worker() -> Iterator[RawWorker]:
    raw = RawWorker()
    yield raw
    raw.close()


def refused(worker: RawWorker, load: Load) -> Refused:
    worker.send(load)
    reply = worker.receive()
    assert isinstance(reply, Refused)
    return reply


def test_a_model_with_one_flipped_bit_is_refused_before_it_is_parsed(worker: RawWorker, tmp_path: Path) -> None:
    content = b"GGUF" + os.urandom(100_000)
    path = tmp_path / "model.gguf"
    path.write_bytes(content[:50_000] + bytes([content[50_000] ^ 1]) + content[50_001:])
    assert refused(worker, load_of(path, content)).fault is Fault.CORRUPT


def test_control_the_same_file_unflipped_does_reach_the_parser(worker: RawWorker, tmp_path: Path) -> None:
    content = b"GGUF" + os.urandom(100_000)
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    reply = refused(worker, load_of(path, content))
    assert reply.fault is Fault.FAILED
    assert "cannot load" in reply.text


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.deep)])
def test_no_flipped_or_cut_file_passes_the_digest(tmp_path: Path, count: int) -> None:
    rng = random.Random(11)
    content = rng.randbytes(20_000)
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with path.open("rb") as opened:
        _check_digest(opened.fileno(), load_of(path, content))
    for _ in range(count):
        spoilt = bytearray(content)
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
        path.write_bytes(rng.choice([bytes(spoilt), content[: rng.randrange(len(content))], content + b"\0"]))
        with path.open("rb") as opened, pytest.raises(RefusedError):
            _check_digest(opened.fileno(), load_of(path, content))


def test_the_file_that_was_hashed_is_the_file_that_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file slipped under the name between the two is never read."""
    good, evil = b"good" * 1000, b"evil" * 1000
    path = tmp_path / "model.gguf"
    path.write_bytes(good)
    read: list[bytes] = []

    def swap_then_load(opened: Path, **_options: int) -> object:
        (tmp_path / "new").write_bytes(evil)
        (tmp_path / "new").rename(path)
        read.extend((opened.read_bytes(), path.read_bytes()))
        raise RefusedError(Fault.FAILED, "enough seen")

    monkeypatch.setattr("models.llama.native.Model", swap_then_load)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(RefusedError, match="enough seen"):
        Service(Peer(ours), load_of(path, good), "error")
    # The second is the control: by its name, the other file would have been read.
    assert read == [good, evil]


def test_a_missing_file_or_an_unknown_template_is_told(worker: RawWorker, tmp_path: Path) -> None:
    assert "No such file" in refused(worker, load_of(tmp_path / "none.gguf", b"")).text


def test_the_first_message_must_say_what_to_load(worker: RawWorker) -> None:
    worker.send(Ping(1))
    assert isinstance(reply := worker.receive(), Refused)
    assert reply.fault is Fault.MALFORMED
    assert worker.process.wait(10) == 0


CONFINED = """
import ctypes, os, resource, socket, sys
from policies.sandbox import confine

def socket_opens():
    socket.socket().close()
    return True

def program_runs():
    return os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1]) == 0

def core_is_dumped():
    PR_GET_DUMPABLE = 3
    return ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1

if sys.argv[1] == "confined":
    confine()
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
for attempt in (socket_opens, program_runs, core_is_dumped):
    try:
        if attempt():
            print(attempt.__name__)
    except OSError:
        pass
"""


def possible(how: str) -> set[str]:
    command = [sys.executable, "-c", CONFINED, how]
    return set(subprocess.run(command, env=_environment(), capture_output=True, text=True, check=True).stdout.split())


def test_a_confined_process_opens_no_socket_runs_no_program_and_leaves_no_core() -> None:
    assert possible("confined") == set()


def test_control_an_unconfined_process_may() -> None:
    assert possible("free") == {"socket_opens", "program_runs", "core_is_dumped"}


def test_the_workers_environment_holds_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_SECRET", "hush")
    assert "hush" not in _environment().values()
    assert set(_environment()) <= {
        "GOMP_SPINCOUNT",
        "LC_ALL",
        "LD_LIBRARY_PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPATH",
    }


def test_the_worker_ends_when_its_peer_is_gone(worker: RawWorker) -> None:
    worker.connection.close()
    assert worker.process.wait(10) == 0


def test_an_impossible_length_ends_the_worker(worker: RawWorker) -> None:
    worker.connection.sendall(b"\xff\xff\xff\xff")
    assert worker.process.wait(10) == 1


@pytest.mark.models
def test_a_loaded_worker_survives_nonsense_and_ends_with_its_parent(
    worker: RawWorker, model_file: Path, artefact: Artefact
) -> None:
    worker.send(Load(str(model_file), artefact.size_bytes, artefact.sha256, "chatml", 256, 512, 2, 1, 0))
    assert isinstance(worker.receive(), Loaded)
    for content in (b"", b"\xc1", b"\x80", msgspec.msgpack.encode({"type": "Ping"}), b"\x93\xff\xff\xff", b"Z" * 5000):
        worker.connection.sendall(len(content).to_bytes(LENGTH_BYTES, "big") + content)
        reply = worker.receive()
        assert isinstance(reply, Refused)
        assert reply.fault is Fault.MALFORMED
    worker.send(Count(7, "two words"))
    assert worker.receive() == Counted(7, 2)
    # A key pressed in the gateway's terminal does not end the worker.
    os.kill(worker.process.pid, signal.SIGINT)
    worker.send(Generate(8, Generation(conversation(question="Count to a hundred."), "x", max_tokens=200)))
    worker.until(Piece)
    began = time.monotonic()
    worker.send(Ping(9))
    pong = worker.until(Pong)
    assert time.monotonic() - began < 1
    assert pong == Pong(9, pong.step_seconds, 1, 0)  # type: ignore[union-attr]
    worker.connection.close()
    assert worker.process.wait(10) == 0


@pytest.mark.parametrize("fault", ["flipped", "missing"])
async def test_an_engine_with_a_wrong_file_says_what_to_do(artefact: Artefact, tmp_path: Path, fault: str) -> None:
    content = b"GGUF" + os.urandom(1000)
    path = tmp_path / "model.gguf"
    if fault == "flipped":
        path.write_bytes(b"J" + content[1:])
    engine = make_engine(path, changed(artefact, files=(file_of("model.gguf", content),)))
    expected = ModelCorruptError if fault == "flipped" else EngineUnavailableError
    with pytest.raises(expected, match=r"muniment models pull|No such file"):
        await engine.start()
    assert not (await engine.health()).ready
    await engine.stop()
