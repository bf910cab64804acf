"""A time stamp authority of the tests' own: openssl behind a server on loopback."""

import contextlib
import http.server
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.policies.sinks.authority import Authority

POLICY, OTHER_POLICY = "1.2.3.4.1", "1.2.3.4.5.6"
_CONFIGURATION = """
[tsa]
default_tsa = tsa_config
[tsa_config]
serial = {folder}/serial
signer_digest = sha256
default_policy = {policy}
other_policies = {other}
digests = sha256, sha512
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass(slots=True)
class Tsa:
    """Stamps requests; `twist` changes what is asked or answered."""

    folder: Path
    certificate: Path
    key: Path
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    responses: list[bytes] = field(default_factory=list)
    twist_request: Callable[[bytes], bytes] = lambda request: request
    twist_response: Callable[[bytes], bytes] = lambda response: response
    status: int = 200

    def stamp(self, request: bytes) -> bytes:
        query, reply = self.folder / "query", self.folder / "reply"
        query.write_bytes(request)
        command = ["openssl", "ts", "-reply", "-config", self.folder / "tsa.conf", "-section", "tsa_config"]
        files = ["-queryfile", query, "-signer", self.certificate, "-inkey", self.key, "-out", reply]
        subprocess.run([*command, *files], check=True, capture_output=True)
        return reply.read_bytes()


@contextlib.contextmanager
def running_tsa(folder: Path, authority: Authority, policy: str = POLICY, **issued: Any) -> Iterator[Tsa]:
    """An authority on loopback whose certificate is by the tests' authority."""
    folder.mkdir(exist_ok=True)
    usage = issued.pop("usage", ExtendedKeyUsageOID.TIME_STAMPING)
    certificate, key = authority.issue("tsa", usage=usage, **issued)
    made = Tsa(folder, certificate, key)
    (folder / "tsa.conf").write_text(_CONFIGURATION.format(folder=folder, policy=policy, other=OTHER_POLICY))
    (folder / "serial").write_text("01")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            made.requests.append(asked)
            given = made.twist_response(made.stamp(made.twist_request(asked)))
            made.responses.append(given)
            self.send_response(made.status)
            self.send_header("Content-Length", str(len(given)))
            self.end_headers()
            self.wfile.write(given)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True)
        thread.start()
        yield made
        server.shutdown()
        thread.join()
