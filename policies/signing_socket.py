"""The signing key in a process of its own: how it is asked over a Unix socket, and what it refuses.

Whoever holds the gateway's machine account can ask for signatures, and gets none that would make a second history: the
process remembers the last checkpoint that it signed, signs only the one after it, and of each number only one. One line
of JSON is asked, one is answered.
"""

import base64
import json
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from policies.audit.chain import canonical
from policies.audit.checkpoints import CHECKPOINT_PURPOSE, Checkpoint, SignedCheckpoint, digest
from policies.audit.receipts import RECEIPT_PURPOSE, Receipt
from policies.errors import KeysUnusableError, SignatureRefusedError, SignerUnavailableError
from policies.private_files import read_private, replace_private
from policies.signing import FileSigner, key_id

_DEADLINE_SECONDS = 2.0
"""How long the gateway waits; a signature takes a few milliseconds, most of them for the disk."""
_MOST_BYTES = 256 * 1024
"""Of a line; a receipt of an answer from many passages has a few kilobytes."""
_PEER = struct.Struct("3i")
_LAST = "last-checkpoint.json"
_RECEIPT_FIELDS = {field.name for field in fields(Receipt)}


class Notary:
    """What the process signs: the checkpoints of one trail, one after the other, and receipts of answers in it.

    The first trail whose checkpoint it signs is the one. `folder` holds `signing.pem` and what it signed last.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._signer = FileSigner(folder / "signing.pem", None)
        self._lock = threading.Lock()
        self._last = self._read_last()

    def answer(self, asked: Mapping[str, Any]) -> dict[str, str]:
        """Answer one request; what is refused is said under `refused`."""
        with self._lock:
            match asked.get("do"):
                case "public":
                    return self._public()
                case "next":
                    return self._next()
                case "sign":
                    return self._sign(base64.b64decode(str(asked.get("message", "")), validate=True))
        return {"refused": "it is not known what is asked"}

    def _next(self) -> dict[str, str]:
        try:
            return {"public": self._signer.next_key().public_bytes_raw().hex()}
        except KeysUnusableError:
            return {"refused": "no next key was prepared there (muniment signer --prepare-next)"}

    def _sign(self, message: bytes) -> dict[str, str]:
        if message.startswith(CHECKPOINT_PURPOSE):
            return self._sign_checkpoint(message.removeprefix(CHECKPOINT_PURPOSE).decode())
        if message.startswith(RECEIPT_PURPOSE) and self._is_receipt(message.removeprefix(RECEIPT_PURPOSE)):
            return self._signed(message)
        return {"refused": "this is neither a checkpoint nor a receipt of this trail"}

    def _is_receipt(self, text: bytes) -> bool:
        said = json.loads(text)
        form = canonical(said).encode() == text and set(said) == _RECEIPT_FIELDS
        return form and self._last is not None and bool(said["intent"]["log"] == self._last.checkpoint.log)

    def _sign_checkpoint(self, body: str) -> dict[str, str]:
        asked = SignedCheckpoint.from_parts(body, b"").checkpoint
        if problem := self._objection(asked):
            return {"refused": problem, "last": self._last.line() if self._last else ""}
        answer = self._signed(CHECKPOINT_PURPOSE + body.encode())
        signed = SignedCheckpoint(asked, base64.b64decode(answer["signature"]))
        replace_private(self._folder / _LAST, signed.line().encode())  # Durable before anybody has the signature.
        self._last = signed
        if asked.next_key:
            self._signer.take_over()
        return answer

    def _objection(self, asked: Checkpoint) -> str:
        """Why a checkpoint is not signed; empty when it is."""
        last = self._last
        if asked.key != key_id(self._signer.public_key()):
            return "it names another key"
        if asked.next_key and asked.next_key != self._next().get("public"):
            return "it hands over to a key that is not here"
        if last is not None and not follows(asked, last):
            return f"it does not follow checkpoint {last.checkpoint.number}, the last that was signed"
        return ""

    def _signed(self, message: bytes) -> dict[str, str]:
        signature = self._signer.sign(message)
        return {"signature": base64.b64encode(signature).decode(), **self._public()}

    def _public(self) -> dict[str, str]:
        return {"public": self._signer.public_key().public_bytes_raw().hex()}

    def _read_last(self) -> SignedCheckpoint | None:
        if not (self._folder / _LAST).exists():
            return None
        try:
            last = SignedCheckpoint.from_line(read_private(self._folder / _LAST).decode())
        except ValueError as error:
            message = f"{self._folder / _LAST} is damaged, so it is not known what was signed last. Restore it."
            raise KeysUnusableError(message) from error
        # A hand-over was signed, and the process ended before the next key took its place.
        if last.checkpoint.next_key and key_id(self._signer.public_key()) == last.checkpoint.key:
            self._signer.take_over()
        return last


def follows(asked: Checkpoint, last: SignedCheckpoint) -> bool:
    """Whether a checkpoint goes on where the last one ended; what was removed does not come back."""
    before = last.checkpoint
    return (
        (asked.log, asked.number, asked.first) == (before.log, before.number + 1, before.count + 1)
        and asked.previous == digest(last.body, last.signature)
        and asked.count >= before.count
        and asked.removed >= before.removed
    )


def serve_signatures(notary: Notary, path: Path, users: Collection[int], group: int | None = None) -> "SignerServer":
    """Listen on a Unix socket that only its owner, and a group if there is one, can reach, for these users.

    Raises:
        KeysUnusableError: The socket cannot be made, or another process listens on it.
    """
    try:
        if path.is_socket() and not _is_answered(path):
            path.unlink()  # Left by a process that is gone.
        mask = os.umask(0o177)
        try:
            server = SignerServer(notary, str(path), frozenset(users))
        finally:
            os.umask(mask)
        if group is not None:
            os.chown(path, -1, group)
            path.chmod(0o660)
    except OSError as error:
        message = f"The socket {path} cannot be had: {error.strerror}. End the process that has it, or name another."
        raise KeysUnusableError(message) from error
    return server


class SignerServer(socketserver.ThreadingUnixStreamServer):
    """Answers whoever connects, after a look at who that is."""

    daemon_threads = True

    def __init__(self, notary: Notary, path: str, users: frozenset[int]) -> None:
        self.notary = notary
        self.users = users
        super().__init__(path, _Connection)


class _Connection(socketserver.StreamRequestHandler):
    timeout = _DEADLINE_SECONDS
    server: SignerServer

    def handle(self) -> None:
        peer = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        _, user, _ = _PEER.unpack(peer)
        if user not in self.server.users:
            answer = {"refused": f"the user {user} may not ask for signatures"}
        else:
            answer = self._answer()
        self.wfile.write(json.dumps(answer).encode() + b"\n")

    def _answer(self) -> dict[str, str]:
        try:
            asked = json.loads(self.rfile.readline(_MOST_BYTES))
            return self.server.notary.answer(asked)
        except (ValueError, TypeError, KeyError, AttributeError):
            return {"refused": "what is asked cannot be read"}
        except (OSError, KeysUnusableError, SignerUnavailableError) as error:
            return {"refused": f"it could not be done: {error}"}


class SocketSigner:
    """The signing key, held by a process behind a socket. A process that is gone, and comes back, is found again."""

    signs_once = True

    def __init__(self, path: Path, deadline_seconds: float = _DEADLINE_SECONDS) -> None:
        self._path = path
        self._deadline_seconds = deadline_seconds
        self._public: Ed25519PublicKey | None = None

    def public_key(self) -> Ed25519PublicKey:
        """The public half, as it was when it was asked for last."""
        if self._public is None:
            self._public = _public(self._ask({"do": "public"}))
        return self._public

    def sign(self, message: bytes, key: str | None = None) -> bytes:
        """A signature; one that is not good is none."""
        answer = self._ask({"do": "sign", "message": base64.b64encode(message).decode()})
        try:
            self._public, signature = _public(answer), base64.b64decode(answer["signature"])
            self._public.verify(signature, message)
        except (InvalidSignature, KeyError, ValueError) as error:
            problem = f"The signer at {self._path} answers with something else than a signature."
            raise SignerUnavailableError(problem) from error
        if key not in (None, key_id(self._public)):
            problem = f"The signer at {self._path} has another key since a moment ago. Try again."
            raise SignerUnavailableError(problem)
        return signature

    def refresh(self, key: str) -> bool:
        """Ask again which key signs."""
        self._public = None
        return key_id(self.public_key()) == key

    def prepare_next(self) -> Ed25519PublicKey:
        """The next key, which the signer's own operator prepared."""
        return _public(self._ask({"do": "next"}))

    def take_over(self) -> None:
        """The signer did so when it signed the hand-over."""
        self._public = None

    def _ask(self, asked: Mapping[str, str]) -> dict[str, str]:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self._deadline_seconds)
                connection.connect(str(self._path))
                connection.sendall(json.dumps(asked).encode() + b"\n")
                with connection.makefile("rb") as file:
                    answer: dict[str, str] = json.loads(file.readline(_MOST_BYTES))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or "no answer"
            message = f"The signer at {self._path} cannot be asked: {reason}. Nothing is answered until it can."
            raise SignerUnavailableError(message) from error
        if refused := answer.get("refused"):
            message = f"The signer at {self._path} refuses: {refused}."
            if last := answer.get("last"):
                raise SignatureRefusedError(message, last)
            raise SignerUnavailableError(message)
        return answer


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_DEADLINE_SECONDS)
        return connection.connect_ex(str(path)) == 0


def _public(answer: Mapping[str, str]) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(answer["public"]))
