"""Who holds the key that signs checkpoints and receipts: a file of this installation, or a process of its own.

A rotation goes in an order that a crash anywhere leaves in one piece: the next key is written beside the one in force,
the trail hands over to it, and only then does it take the other's place. Every process that writes to the trail notices
by the newest checkpoint that another key signs, and looks again.
"""

import contextlib
import hashlib
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.errors import KeysUnusableError, SignerUnavailableError
from policies.private_files import read_private, replace_private, write_private


class Signer(Protocol):
    """Whatever holds the signing key."""

    signs_once: bool
    """Whether it signs one checkpoint of each number and no other: what it is shown must be durable before."""

    def public_key(self) -> Ed25519PublicKey:
        """The public half of the key that signs.

        Raises:
            SignerUnavailableError: It cannot be asked.
        """

    def sign(self, message: bytes, key: str | None = None) -> bytes:
        """The signature of a checkpoint or a receipt, with its purpose in front, by the key of this id.

        Without an id it is the key that signs now. One that signed until a moment ago may do so still.

        Raises:
            SignerUnavailableError: It cannot be asked, or refuses.
        """

    def refresh(self, key: str) -> bool:
        """Look again for the key of this id, which the trail says signs now; whether it is the one that signs here."""

    def prepare_next(self) -> Ed25519PublicKey:
        """The public half of the key that the trail is to hand over to; it is kept until it takes over.

        Raises:
            KeysUnusableError: There is none, and none can be made.
            SignerUnavailableError: It cannot be asked.
        """

    def take_over(self) -> None:
        """Let the next key take the place of the one before it, since the trail has handed over.

        Raises:
            KeysUnusableError: It cannot be done.
            SignerUnavailableError: It cannot be asked.
        """


class FileSigner:
    """A signing key in a file, which its owner alone can read.

    `public_file` lists the public halves; None where that is somebody else's business.
    """

    signs_once = False

    def __init__(self, path: Path, public_file: Path | None = None) -> None:
        self._path = path
        self._public_file = public_file
        self._used: dict[str, Ed25519PrivateKey] = {}
        self._key = self._read()

    def public_key(self) -> Ed25519PublicKey:
        """The public half."""
        return self._key.public_key()

    def sign(self, message: bytes, key: str | None = None) -> bytes:
        """An Ed25519 signature."""
        chosen = self._key if key is None else self._used.get(key)
        if chosen is None:
            problem = f"The signing key {key} is not the one in {self._path}. Try again."
            raise SignerUnavailableError(problem)
        return chosen.sign(message)

    def refresh(self, key: str) -> bool:
        """Read the file again; a rotation that another process began, or did not live to end, is ended."""
        self._key = self._read()
        if key_id(self.public_key()) != key:
            with contextlib.suppress(KeysUnusableError):  # There is no next key: it is another's signature.
                if key_id(self.next_key()) == key:
                    self.take_over()
        return key_id(self.public_key()) == key

    def prepare_next(self) -> Ed25519PublicKey:
        """The key that the trail is to hand over to, which is made unless a broken off rotation left one.

        Raises:
            KeysUnusableError: It cannot be written or read.
        """
        try:
            if not self._next.exists():
                with contextlib.suppress(FileExistsError):
                    write_private(self._next, signing_pem(Ed25519PrivateKey.generate()))
        except OSError as error:
            message = f"The next key cannot be written to {self._next}: {error.strerror}. Nothing was changed."
            raise KeysUnusableError(message) from error
        return self.next_key()

    def next_key(self) -> Ed25519PublicKey:
        """The key that was prepared.

        Raises:
            KeysUnusableError: There is none.
        """
        return read_signing_key(self._next).public_key()

    def take_over(self) -> None:
        """Put the next key in the place of the one before it, which is gone then; its public half stays listed.

        Raises:
            KeysUnusableError: It cannot be done.
        """
        after = read_signing_key(self._next)
        try:
            if self._public_file is not None:
                list_public_key(self._public_file, after.public_key())
            with contextlib.suppress(FileNotFoundError):  # Another process was quicker.
                self._next.replace(self._path)
        except OSError as error:
            if self._public_file is not None:
                message = f"The key {self._next} cannot take the place of {self._path}: {error.strerror}."
                raise KeysUnusableError(message) from error
            # A mounted secret is put in its place by whoever mounts it, and signs from now on all the same.
        self._key = self._used[key_id(after.public_key())] = after

    def _read(self) -> Ed25519PrivateKey:
        found = read_signing_key(self._path)
        self._used[key_id(found.public_key())] = found
        return found

    @property
    def _next(self) -> Path:
        return self._path.with_name(f"{self._path.stem}-next{self._path.suffix}")


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """The key in a file.

    Raises:
        KeysUnusableError: It is missing, damaged, no Ed25519 key, or others can read it.
    """
    try:
        key = serialization.load_pem_private_key(read_private(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{path} is damaged and cannot be read as a key. Restore it from a backup."
        raise KeysUnusableError(message) from error
    if not isinstance(key, Ed25519PrivateKey):
        message = f"{path} is not an Ed25519 key. Restore it from a backup."
        raise KeysUnusableError(message)
    return key


def list_public_key(file: Path, key: Ed25519PublicKey) -> None:
    """Add a public key to the end of a file of them, unless it is there.

    Raises:
        OSError: The file cannot be written.
        KeysUnusableError: It cannot be read.
    """
    listed, pem = read_private(file).decode(), public_pem(key)
    if pem not in listed:
        replace_private(file, f"{listed}{pem}".encode())


def key_id(key: Ed25519PublicKey) -> str:
    """The name of a signing key: the first 16 hexadecimal digits of the SHA-256 of its 32 public bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def signing_pem(key: Ed25519PrivateKey) -> bytes:
    """A signing key as its file holds it."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def public_pem(key: Ed25519PublicKey) -> str:
    """A public key as auditors keep it."""
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(encoding, form).decode()
