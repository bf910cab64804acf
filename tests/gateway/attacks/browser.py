"""Chromium, driven over a pipe: what pages make it ask for, and what scripts they make it run.

Its protocol is read and written here in a few lines; a library for it would bring a runtime of its own. Every name it
could look up leads to a server of ours on loopback, so that whatever gets out is seen, and goes nowhere.
"""

import contextlib
import fcntl
import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-default-apps --disable-extensions --disable-dev-shm-usage"
    " --disable-domain-reliability --disable-client-side-phishing-detection --no-default-browser-check --no-pings"
    " --disable-features=HttpsUpgrades,MediaRouter,OptimizationHints,Translate"
    " --autoplay-policy=no-user-gesture-required --remote-debugging-pipe"
).split()
_SECONDS = 60.0
"""How long a command or a page may take on a machine busy with other things."""
_QUIET_SECONDS = 0.3
"""How long a page is watched after it has loaded: refreshes and first timers come at once."""
_AT_3_AND_4 = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
"""Where the browser reads from and writes to."""
# One pixel.
_PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")


@dataclass
class Seen:
    """What one page did: what was asked for, as the browser and as the server saw it, and the scripts that ran."""

    asked: list[str] = field(default_factory=list)
    arrived: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)

    def elsewhere(self, origin: str) -> list[str]:
        """Requests to others."""
        others = [url for url in self.asked if not url.startswith((origin + "/", "about:"))]
        return others + [what for what in self.arrived if not what.startswith(origin + "/")]


class Pages:
    """Serves pages of one origin, and stands for every other host there is."""

    def __init__(self) -> None:
        pages = self
        self.content: dict[str, tuple[str, dict[str, str]]] = {}
        self.arrived: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def parse_request(self) -> bool:
                understood = super().parse_request()
                host = self.headers.get("Host", "?") if understood else "?"
                path = self.path if understood else self.raw_requestline[:40].hex()
                pages.arrived.append(f"http://{host}{path}")
                return understood

            def do_GET(self) -> None:
                page, headers = pages.content.get(self.path, ("", {"Content-Type": "image/gif"}))
                body = page.encode() or _PIXEL
                self.send_response(200)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *arguments: object) -> None:
                """A browser hangs up as it likes."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Browser:
    """One browser with one tab."""

    def __init__(self, program: str, folder: Path, pages: Pages) -> None:
        self.pages = pages
        self._seen = Seen()
        self._ids = itertools.count(1)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._loaded = threading.Event()
        ours_in, theirs_out = (_high(end) for end in os.pipe())
        theirs_in, ours_out = (_high(end) for end in os.pipe())
        flags = [*_FLAGS, f"--user-data-dir={folder}", f"--host-resolver-rules=MAP * 127.0.0.1:{pages.port}"]
        command = [sys.executable, "-I", "-S", "-c", _AT_3_AND_4, str(theirs_in), str(theirs_out), program, *flags]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        self._process = subprocess.Popen(
            [*command, "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out = os.fdopen(ours_out, "wb", buffering=0)
        self._in = os.fdopen(ours_in, "rb")
        self._writing = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._tab = self._open_tab()
        except BaseException:
            self.close()
            raise

    def _open_tab(self) -> str:
        target = self._command("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self._command("Target.attachToTarget", {"targetId": target, "flatten": True})
        tab: str = attached["sessionId"]
        self._watch(tab)
        return tab

    def show(self, path: str) -> Seen:
        """Load a page and say what it did until it was quiet."""
        self._seen = Seen()
        self.pages.arrived = self._seen.arrived
        self._loaded.clear()
        self._command("Page.navigate", {"url": self.pages.origin + path}, self._tab)
        if not self._loaded.wait(_SECONDS):
            pytest.fail(f"the page {path} did not load")
        time.sleep(_QUIET_SECONDS)
        seen = self._seen
        self._command("Page.navigate", {"url": "about:blank"}, self._tab)
        return seen

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._send({"id": next(self._ids), "method": "Browser.close", "params": {}})
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)
        self._out.close()
        self._in.close()

    def _watch(self, session: str) -> None:
        """Frames of other sites and workers are sessions of their own, and are watched from their beginning."""
        children = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
        for method, params in (
            ("Page.enable", {}),
            ("Debugger.enable", {}),
            ("Target.setAutoAttach", children),
            ("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}),
        ):
            self._send({"id": next(self._ids), "sessionId": session, "method": method, "params": params})

    def _command(self, method: str, params: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        id_ = next(self._ids)
        answer = self._answers[id_] = queue.Queue()
        self._send({"id": id_, "method": method, "params": params} | ({"sessionId": session} if session else {}))
        try:
            said = answer.get(timeout=_SECONDS)
        except queue.Empty:
            pytest.fail(f"the browser did not answer to {method}")
        if "error" in said:
            pytest.fail(f"the browser refused {method}: {said['error']}")
        result: dict[str, Any] = said["result"]
        return result

    def _send(self, message: dict[str, Any]) -> None:
        with self._writing:
            self._out.write(json.dumps(message).encode() + b"\0")

    def _read(self) -> None:
        for message in _messages(self._in):
            if (answer := self._answers.pop(message.get("id", 0), None)) is not None:
                answer.put(message)
            elif "method" in message:
                with contextlib.suppress(OSError):
                    self._note(message["method"], message["params"], message.get("sessionId", ""))

    def _note(self, event: str, params: dict[str, Any], session: str) -> None:
        if event == "Fetch.requestPaused":
            self._seen.asked.append(params["request"]["url"])
            go_on = {"requestId": params["requestId"]}
            self._send(
                {"id": next(self._ids), "sessionId": session, "method": "Fetch.continueRequest", "params": go_on}
            )
        elif event == "Debugger.scriptParsed":
            self._seen.scripts.append(params["url"] or f"inline at line {params['startLine']}")
        elif event == "Page.loadEventFired" and session == self._tab:
            self._loaded.set()
        elif event == "Page.javascriptDialogOpening":
            close = {"accept": False}
            self._send(
                {"id": next(self._ids), "sessionId": session, "method": "Page.handleJavaScriptDialog", "params": close}
            )
        elif event == "Target.attachedToTarget":
            self._watch(params["sessionId"])


def _messages(pipe: Any) -> Iterator[dict[str, Any]]:
    held = b""
    while piece := pipe.read1(1 << 16):
        *whole, held = (held + piece).split(b"\0")
        yield from map(json.loads, whole)


def _high(descriptor: int) -> int:
    """The descriptor above those that the browser's are put at."""
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return high


def find_browser() -> str:
    """The program; without it the test is skipped, or fails where CI should have installed it."""
    named = os.environ.get("MUNIMENT_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    if found:
        return found
    message = "there is no Chromium here; on Debian: apt install chromium-headless-shell, or set MUNIMENT_CHROMIUM"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
