"""The keys of one installation, in the `keys/` folder of the home: readable by its owner alone, never in the database.

| file | what it is |
|---|---|
| `master.key` | the secret from which the keys are derived that seal and authenticate; it can be rotated |
| `master-ID.key` | one before it, as long as something is sealed with it |
| `identifiers.key` | the secret behind identifiers and digests that must stay the same for good |
| `signing.pem` | the key that signs checkpoints and receipts, unless it is held elsewhere (`signing.py`) |
| `public.pem` | its public half, behind those of the keys that signed before it; auditors keep the first |
"""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from policies.errors import KeysUnusableError
from policies.private_files import read_private, replace_private, sync_folder, write_private
from policies.signing import FileSigner, Signer, key_id, public_pem, signing_pem

__all__ = ["Keys", "create_keys", "key_id", "open_keys", "public_keys", "read_public_keys"]

_MASTER, _IDENTIFIERS, _SIGNING, _PUBLIC = "master.key", "identifiers.key", "signing.pem", "public.pem"
_SECRET_BYTES = 32
_EARLIER = re.compile(r"master-([0-9a-f]{16})\.key")
_PEM_END = re.compile(r"(?<=-----END PUBLIC KEY-----)")
"""Behind each key of a text that holds several."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The opened keys. Never log or pickle this; `repr` hides the secrets.

    `earlier` are the masters before this one, by their ids: what they sealed can be read until it is sealed anew.
    """

    master: bytes
    identifiers: bytes
    signing: Signer
    public_file: Path
    earlier: Mapping[str, bytes] = field(default_factory=dict)

    def derive(self, purpose: str, length: int = 32, master: str | None = None) -> bytes:
        """A key for one purpose (HKDF-SHA256, RFC 5869), so that no key serves two.

        `master` names an earlier one, as whatever was sealed with it does; without, it is the one that seals now.

        Raises:
            KeysUnusableError: There is no master of that name.
        """
        return _derived(self._master(master), purpose, length)

    def lasting(self, purpose: str, length: int = 32) -> bytes:
        """A key for identifiers and digests that stand in the trail, in receipts or as names, and so never change."""
        return _derived(self.identifiers, purpose, length)

    @property
    def master_id(self) -> str:
        """Which master seals now, in words that may be shown to anybody."""
        return master_id(self.master)

    @property
    def masters(self) -> Mapping[str, bytes]:
        """All masters by their ids."""
        return {**self.earlier, self.master_id: self.master}

    def fresh(self) -> "Keys":
        """The keys as they are now: a process that runs for long follows a rotation of the master.

        Raises:
            KeysUnusableError: They cannot be read any more.
        """
        return open_keys(self.public_file.parent, self.signing)

    def public_key_pem(self) -> str:
        """The public halves of the keys that signed and of the one that signs, the oldest first."""
        return public_keys(self.public_file.parent)

    def key_id(self) -> str:
        """Which signing key this is, in words that may be shown to anybody."""
        return key_id(self.signing.public_key())

    def _master(self, id_: str | None) -> bytes:
        found = self.master if id_ is None else self.masters.get(id_)
        if found is None:
            message = (
                f"The master key {id_} is not in {self.public_file.parent}. Restore master-{id_}.key from a backup."
            )
            raise KeysUnusableError(message)
        return found

    def __repr__(self) -> str:
        """Say that there are keys, not what they are."""
        return "Keys(hidden)"


def create_keys(folder: Path) -> Keys:
    """Write new keys into `folder`, which only the owner may enter; existing keys are never overwritten.

    Raises:
        KeysUnusableError: Keys are there already, or cannot be written.
    """
    signing = Ed25519PrivateKey.generate()
    contents = {
        _MASTER: os.urandom(_SECRET_BYTES),
        _IDENTIFIERS: os.urandom(_SECRET_BYTES),
        _SIGNING: signing_pem(signing),
        _PUBLIC: public_pem(signing.public_key()).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        for name, content in contents.items():
            write_private(folder / name, content)
    except OSError as error:
        message = f"The keys could not be written to {folder}: {error.strerror}. Nothing was overwritten."
        raise KeysUnusableError(message) from error
    return open_keys(folder)


def open_keys(folder: Path, signer: Signer | None = None) -> Keys:
    """Read the keys of an installation; `signer` holds the signing key where that is not in the folder.

    Raises:
        KeysUnusableError: A key is missing, readable or replaceable by others, or damaged.
    """
    if folder.is_dir() and (mode := folder.stat().st_mode) & 0o022:
        message = f"Others can replace the keys in {folder} (mode {mode & 0o777:o}). Run: chmod 700 {folder}"
        raise KeysUnusableError(message)
    master, identifiers = (_read_secret(folder / name) for name in (_MASTER, _IDENTIFIERS))
    earlier = {match[1]: _read_secret(path) for path in folder.iterdir() if (match := _EARLIER.fullmatch(path.name))}
    public = folder / _PUBLIC
    return Keys(master, identifiers, signer or FileSigner(folder / _SIGNING, public), public, earlier)


def rotate_master(folder: Path) -> str:
    """Put a new master in the place of the one that seals, which is kept to read what it sealed; returns the new id.

    Raises:
        KeysUnusableError: It cannot be done; the one before seals on.
    """
    before = _read_secret(folder / _MASTER)
    new = os.urandom(_SECRET_BYTES)
    try:
        with contextlib.suppress(FileExistsError):  # A rotation was broken off here.
            write_private(folder / f"master-{master_id(before)}.key", before)
        replace_private(folder / _MASTER, new)
    except OSError as error:
        message = f"The new master key cannot be written to {folder}: {error.strerror}. Nothing was changed."
        raise KeysUnusableError(message) from error
    return master_id(new)


def retire_masters(folder: Path, ids: Iterable[str]) -> None:
    """Destroy earlier masters, with which nothing is sealed any more: what they sealed cannot be opened by anybody.

    Raises:
        KeysUnusableError: One cannot be removed.
    """
    try:
        for id_ in ids:
            (folder / f"master-{id_}.key").unlink(missing_ok=True)
        sync_folder(folder)
    except OSError as error:
        message = f"An earlier master key in {folder} cannot be removed: {error.strerror}."
        raise KeysUnusableError(message) from error


def public_keys(folder: Path) -> str:
    """The public halves of an installation's signing keys as PEM, the oldest first.

    Raises:
        KeysUnusableError: They are missing, or replaceable by others.
    """
    return read_private(folder / _PUBLIC).decode(errors="replace")


def master_id(master: bytes) -> str:
    """The name of a master key: derived from it, so that whatever was sealed with it can name it and tell nothing."""
    return _derived(master, "master-id", 8).hex()


def read_public_keys(pem: str) -> tuple[Ed25519PublicKey, ...]:
    """The public keys of a text, in its order: an auditor's one, or those of an installation, the oldest first.

    Raises:
        KeysUnusableError: The text holds no Ed25519 public key, or something else.
    """
    try:
        keys = [serialization.load_pem_public_key(block.encode()) for block in _PEM_END.split(pem) if block.strip()]
    except (ValueError, UnsupportedAlgorithm) as error:
        message = "This is not a public key in PEM form. Use the installation's own."
        raise KeysUnusableError(message) from error
    found = tuple(key for key in keys if isinstance(key, Ed25519PublicKey))
    if not found or len(found) != len(keys):
        message = "This is not an Ed25519 public key, so it did not sign this trail. Use the installation's own."
        raise KeysUnusableError(message)
    return found


def _derived(secret: bytes, purpose: str, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt=None, info=f"muniment/{purpose}".encode()).derive(secret)


def _read_secret(path: Path) -> bytes:
    found = read_private(path)
    if len(found) != _SECRET_BYTES:
        message = f"{path} is damaged: it holds {len(found)} bytes, not {_SECRET_BYTES}. Restore it."
        raise KeysUnusableError(message)
    return found
