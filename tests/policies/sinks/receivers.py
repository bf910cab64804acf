"""Places that the trail is sent to, played by the tests: over HTTP and syslog, well or badly behaved."""

import contextlib
import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Post:
    """A request as it arrived."""

    headers: dict[str, str]
    lines: list[str]


@dataclass(slots=True)
class HttpReceiver:
    """Keeps what it says it has taken; `answer` says how it answers a request: a status and headers, or nothing."""

    answer: Callable[[Post], tuple[int, dict[str, str]] | None]
    port: int = 0
    posts: list[Post] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)


@contextlib.contextmanager
def http_receiver(
    answer: Callable[[Post], tuple[int, dict[str, str]] | None] = lambda _: (200, {}),
    certificates: ssl.SSLContext | None = None,
) -> Iterator[HttpReceiver]:
    """A receiver on loopback."""
    made = HttpReceiver(answer)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            post = Post({name.lower(): value for name, value in self.headers.items()}, body.decode().splitlines())
            made.posts.append(post)
            answered = made.answer(post)
            if answered is None:
                self.close_connection = True
                return
            status, headers = answered
            if 200 <= status < 300:
                made.taken.extend(post.lines)
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificates:
        server.socket = certificates.wrap_socket(server.socket, server_side=True)
    made.port = server.server_address[1]
    with (
        _in_thread(lambda: server.serve_forever(0.02)),
        contextlib.closing(_Closing(server.shutdown, server.server_close)),
    ):
        yield made


@dataclass(slots=True)
class SyslogReceiver:
    """Keeps the messages that it took apart by counting; `fault` is why it could not."""

    port: int = 0
    messages: list[str] = field(default_factory=list)
    connections: int = 0
    fault: str = ""


@contextlib.contextmanager
def syslog_receiver(
    certificates: ssl.SSLContext | None = None, handle: Callable[[socket.socket], None] | None = None
) -> Iterator[SyslogReceiver]:
    """A receiver on loopback, which reads each connection to its end, or does with it what `handle` does."""
    made = SyslogReceiver()
    listening = socket.create_server(("127.0.0.1", 0))
    made.port = listening.getsockname()[1]

    def take(connection: socket.socket) -> None:
        with contextlib.ExitStack() as closing, contextlib.suppress(OSError):
            closing.enter_context(connection)
            if certificates is not None:
                connection = closing.enter_context(certificates.wrap_socket(connection, server_side=True))
            if handle is not None:
                handle(connection)
                return
            data = read_all(connection)
            try:
                made.messages.extend(parse_frames(data))
            except ValueError as error:
                made.fault = str(error)
            if isinstance(connection, ssl.SSLSocket):
                closing.enter_context(connection.unwrap())

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                made.connections += 1
                threading.Thread(target=take, args=(connection,), daemon=True).start()

    def stop() -> None:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)

    with _in_thread(accept), contextlib.closing(_Closing(stop, listening.close)):
        yield made


def parse_frames(data: bytes) -> list[str]:
    """Messages by their lengths, as RFC 6587, 3.4.1, has it.

    Raises:
        ValueError: It is not written so.
    """
    found = []
    while data:
        count, space, rest = data.partition(b" ")
        if not space or not count.isdigit() or len(rest) < int(count):
            message = f"no frame begins with {data[:20]!r}"
            raise ValueError(message)
        found.append(rest[: int(count)].decode())
        data = rest[int(count) :]
    return found


def read_all(connection: socket.socket) -> bytes:
    """Everything up to the end."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


class _Closing:
    """Several ends in one."""

    def __init__(self, *ends: Callable[[], object]) -> None:
        self._ends = ends

    def close(self) -> None:
        for end in self._ends:
            end()


@contextlib.contextmanager
def _in_thread(target: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    yield
    thread.join(10)
