"""The worker process: owns llama.cpp, serves one peer over one socket, and ends with it.

    python -m models.llama.worker SOCKET_DESCRIPTOR LOG_LEVEL

It has no network and a clean environment; a crash costs the running answers and nothing else. Two threads: this one
decodes, another reads, so that health and counting are answered, and cancelling noticed, while a step is computed.
"""

import hashlib
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from models.llama.protocol import (
    LENGTH_BYTES,
    Ask,
    Cancel,
    Count,
    Counted,
    Fault,
    Forget,
    FromWorker,
    Generate,
    Load,
    Loaded,
    Ping,
    Pong,
    Refused,
    RefusedError,
    ToWorker,
    frame,
    frame_length,
    read_request,
)
from policies.sandbox import SandboxError, confine, limit_growth

if TYPE_CHECKING:
    from models.llama.work import Work

_KEPT_PREFIXES = 24  # Each costs only the cells it uses.
_GROWTH_BYTES = 2 << 30
"""How much more memory the process may take once the model is loaded; its buffers are made by then."""
_PARENT_CHECK_SECONDS = 2.0
_LOG_LEVELS = {"debug": 1, "info": 2, "warning": 3, "error": 4}  # ggml's numbers.


class Peer:
    """The gateway's end of the socket. Any thread may send."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._parent = os.getppid()

    def send(self, *messages: FromWorker) -> None:
        """Send messages; without a peer there is nothing left to do."""
        content = b"".join(map(frame, messages))
        try:
            with self._sending:
                self._connection.sendall(content)
        except OSError:
            os._exit(0)

    def receive(self) -> ToWorker:
        """The next message. Ends the process when the peer is gone or sends what no sound peer sends.

        Raises:
            msgspec.MsgspecError: It is no message.
        """
        try:
            length = frame_length(self._read(LENGTH_BYTES))
        except ValueError:
            os._exit(1)
        return read_request(self._read(length))

    def _read(self, count: int) -> bytes:
        content = bytearray()
        while len(content) < count:
            # The socket alone does not tell when the parent died while another process holds its end.
            if not select.select([self._connection], [], [], _PARENT_CHECK_SECONDS)[0]:
                if os.getppid() != self._parent:
                    os._exit(0)
                continue
            received = self._connection.recv(count - len(content))
            if not received:
                os._exit(0)
            content += received
        return bytes(content)


class Service:
    """A loaded model at work for one peer."""

    def __init__(self, peer: Peer, load: Load, log_level: str) -> None:
        # Imported only now that the process is confined.
        from models.llama.native import Model, quiet  # noqa: PLC0415
        from models.llama.scheduler import Scheduler  # noqa: PLC0415
        from models.llama.templates import TEMPLATES  # noqa: PLC0415

        quiet(_LOG_LEVELS.get(log_level, _LOG_LEVELS["error"]))
        self._peer = peer
        self._inbox: queue.SimpleQueue[Work | Cancel | Forget] = queue.SimpleQueue()
        self._step_began: float | None = None
        self._unwanted: set[int] = set()
        began = time.monotonic()
        with Path(load.path).open("rb") as file:
            _check_digest(file.fileno(), load)
            hashed = time.monotonic()
            # The very file that was hashed, whatever the path names by now.
            path = Path(f"/proc/self/fd/{file.fileno()}")
            sequences = load.at_once + _KEPT_PREFIXES
            self._model = Model(
                path,
                cells=load.cache_tokens,
                sequences=sequences,
                threads=load.threads,
                gpu_layers=load.gpu_layers,
            )
        self._scheduler = Scheduler(
            self._model,
            TEMPLATES[load.template](self._model.vocabulary),
            context_tokens=load.context_tokens,
            cells=load.cache_tokens,
            at_once=load.at_once,
            sequences=sequences,
        )
        limit_growth(_GROWTH_BYTES)
        peer.send(Loaded(hashed - began, time.monotonic() - hashed))

    def run(self) -> None:
        """Serve until the peer is gone."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        while True:
            self._take_in()
            self._step_began = time.monotonic()
            messages = self._scheduler.step()
            self._step_began = None
            if messages:
                self._peer.send(*messages)

    def _take_in(self) -> None:
        """Hand on what has arrived; wait for something when there is nothing to do."""
        while self._scheduler.idle or not self._inbox.empty():
            message = self._inbox.get()
            if isinstance(message, Cancel):
                self._peer.send(*self._scheduler.cancel(message.id))
                self._unwanted.discard(message.id)
            elif isinstance(message, Forget):
                self._scheduler.forget()
            else:
                self._scheduler.submit(message)

    def _read(self) -> None:
        while True:
            try:
                message = self._peer.receive()
            except msgspec.MsgspecError as error:
                self._peer.send(Refused(0, Fault.MALFORMED, f"A message was not understood: {error}."))
                continue
            try:
                self._answer(message)
            except Exception as error:  # noqa: BLE001 - one message that cannot be dealt with must not end the rest.
                about = 0 if isinstance(message, Load) else message.id
                self._peer.send(Refused(about, Fault.FAILED, f"The model's worker failed: {type(error).__name__}."))

    def _answer(self, message: ToWorker) -> None:
        """Deal at once with what needs no decoding, and queue the rest."""
        if isinstance(message, Ping):
            began = self._step_began
            seconds = 0.0 if began is None else time.monotonic() - began
            waiting = self._scheduler.waiting + self._inbox.qsize()
            self._peer.send(Pong(message.id, seconds, len(self._scheduler.running), waiting))
        elif isinstance(message, Count):
            self._peer.send(Counted(message.id, len(self._model.vocabulary.encode(message.text))))
        elif isinstance(message, Generate | Ask):
            self._prepare(message)
        elif isinstance(message, Forget):
            self._inbox.put(message)
        elif isinstance(message, Cancel):
            self._inbox.put(message)
            self._unwanted.add(message.id)
            if self._scheduler.running <= self._unwanted:  # Else the step goes on: it is somebody's work.
                self._model.interrupt()

    def _prepare(self, request: Generate | Ask) -> None:
        """Encode in this thread: a long prompt must not keep others' words waiting."""
        try:
            self._inbox.put(self._scheduler.prepare(request))
        except RefusedError as refusal:
            self._peer.send(Refused(request.id, refusal.fault, str(refusal)))


def _check_digest(descriptor: int, load: Load) -> None:
    """Refuse a file that is not the publisher's, before anything parses it.

    Raises:
        RefusedError: It is not.
    """
    with open(descriptor, "rb", closefd=False) as file:
        right = os.fstat(descriptor).st_size == load.size_bytes
        if not right or hashlib.file_digest(file, "sha256").hexdigest() != load.sha256:
            raise RefusedError(Fault.CORRUPT, f"The bytes of {load.path} are not the publisher's.")


def _first_message(peer: Peer) -> Load:
    first = peer.receive()
    if not isinstance(first, Load):
        raise RefusedError(Fault.MALFORMED, "The first message is not what to load.")
    return first


def main() -> None:
    """Serve the peer on the socket whose descriptor is the first argument."""
    # The gateway decides when this process ends, not a key pressed in its terminal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, log_level = int(sys.argv[1]), sys.argv[2]
    peer = Peer(socket.socket(fileno=descriptor))
    try:
        confine()
        service = Service(peer, _first_message(peer), log_level)
    except RefusedError as error:
        peer.send(Refused(0, error.fault, str(error)))
    except (OSError, SandboxError, msgspec.MsgspecError, LookupError) as error:
        peer.send(Refused(0, Fault.FAILED, f"The model's worker cannot start: {error}."))
    except Exception as error:  # noqa: BLE001 - llama.cpp's own errors; whatever it is, the gateway is told.
        peer.send(Refused(0, Fault.FAILED, f"The model cannot be loaded: {error}."))
    else:
        service.run()


if __name__ == "__main__":
    main()
