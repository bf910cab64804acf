"""The keys of one installation: one secret from which purposes derive their own, and one signing key.

They live in the `keys/` folder of the home, readable by its owner alone, and never in the database.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from policies.errors import KeysUnusableError

_MASTER, _SIGNING = "master.key", "signing.pem"
_MASTER_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """The opened keys. Never log or pickle this; `repr` hides the secret."""

    master: bytes
    signing: Ed25519PrivateKey

    def derive(self, purpose: str, length: int = 32) -> bytes:
        """A key for one purpose (HKDF-SHA256, RFC 5869), so that no key serves two."""
        return HKDF(hashes.SHA256(), length, salt=None, info=f"muniment/{purpose}".encode()).derive(self.master)

    def public_key_pem(self) -> str:
        """The public half of the signing key, which auditors keep."""
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self.signing.public_key().public_bytes(encoding, form).decode()

    def key_id(self) -> str:
        """Which signing key this is, in words that may be shown to anybody."""
        return key_id(self.signing.public_key())

    def __repr__(self) -> str:
        """Say that there are keys, not what they are."""
        return "Keys(hidden)"


def create_keys(folder: Path) -> Keys:
    """Write new keys into `folder`, which only the owner may enter; existing keys are never overwritten.

    Raises:
        KeysUnusableError: Keys are there already, or cannot be written.
    """
    signing = Ed25519PrivateKey.generate()
    pem = signing.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    master = os.urandom(_MASTER_BYTES)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        for name, content in ((_MASTER, master), (_SIGNING, pem)):
            _write_private(folder / name, content)
    except OSError as error:
        message = f"The keys could not be written to {folder}: {error.strerror}. Nothing was overwritten."
        raise KeysUnusableError(message) from error
    return Keys(master, signing)


def open_keys(folder: Path) -> Keys:
    """Read the keys of an installation.

    Raises:
        KeysUnusableError: A key is missing, readable or replaceable by others, or damaged.
    """
    if folder.is_dir() and (mode := folder.stat().st_mode) & 0o022:
        message = f"Others can replace the keys in {folder} (mode {mode & 0o777:o}). Run: chmod 700 {folder}"
        raise KeysUnusableError(message)
    master, pem = (_read_private(folder / name) for name in (_MASTER, _SIGNING))
    if len(master) != _MASTER_BYTES:
        message = f"{folder / _MASTER} is damaged: it holds {len(master)} bytes, not {_MASTER_BYTES}. Restore it."
        raise KeysUnusableError(message)
    try:
        signing = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{folder / _SIGNING} is damaged and cannot be read as a key. Restore it from a backup."
        raise KeysUnusableError(message) from error
    if not isinstance(signing, Ed25519PrivateKey):
        message = f"{folder / _SIGNING} is not an Ed25519 key. Restore it from a backup."
        raise KeysUnusableError(message)
    return Keys(master, signing)


def key_id(key: Ed25519PublicKey) -> str:
    """The name of a signing key: the first 16 hexadecimal digits of the SHA-256 of its 32 public bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def read_public_key(pem: str) -> Ed25519PublicKey:
    """The public key that `Keys.public_key_pem` wrote.

    Raises:
        KeysUnusableError: The text is no Ed25519 public key.
    """
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        message = "This is not a public key in PEM form. Use the installation's own."
        raise KeysUnusableError(message) from error
    if not isinstance(key, Ed25519PublicKey):
        message = "This is not an Ed25519 public key, so it did not sign this trail. Use the installation's own."
        raise KeysUnusableError(message)
    return key


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read_private(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            message = f"{path} can be read by others (mode {mode & 0o777:o}). Run: chmod 600 {path}"
            raise KeysUnusableError(message)
        return path.read_bytes()
    except OSError as error:
        message = f"The key {path} cannot be read: {error.strerror}. Restore it, or run `muniment init` for a new home."
        raise KeysUnusableError(message) from error
