"""From a passphrase to the secret of a backup, slowly, so that guessing costs.

Argon2id with the second recommended parameters of RFC 9106, section 4: 64 MiB, three passes, four lanes.
"""

import os
import unicodedata
from pathlib import Path

from argon2.low_level import Type, hash_secret_raw

from gateway.backup.sealed import PassphraseKey
from gateway.errors import BackupError, BadRequestError

SHORTEST = 12
"""Characters. Whoever has the file can guess without anybody noticing; several words in a row are good."""
_PASSES, _MEMORY_KIB, _LANES = 3, 64 * 1024, 4
_MOST_PASSES, _MOST_MEMORY_KIB, _MOST_LANES = 16, 2 * 1024 * 1024, 16
"""A file names its own parameters; beyond these, opening it would only exhaust the machine."""
_SALT_BYTES, _SECRET_BYTES = 16, 32
_LONGEST_FILE = 4096


def new_parameters() -> PassphraseKey:
    """Parameters for a new file."""
    return PassphraseKey(os.urandom(_SALT_BYTES), _PASSES, _MEMORY_KIB, _LANES)


def secret_of(passphrase: str, parameters: PassphraseKey) -> bytes:
    """The secret that a passphrase stands for; half a second of work.

    Raises:
        BackupError: The parameters are none that a backup has.
    """
    fits = (
        1 <= parameters.passes <= _MOST_PASSES
        and 1 <= parameters.lanes <= _MOST_LANES
        and 8 * parameters.lanes <= parameters.memory_kib <= _MOST_MEMORY_KIB
        and len(parameters.salt) == _SALT_BYTES
    )
    if not fits:
        message = "The backup asks for more work or memory than any backup does. Nothing was restored."
        raise BackupError(message)
    plain = unicodedata.normalize("NFKC", passphrase).encode()  # Keyboards differ in how they write a letter.
    return hash_secret_raw(
        plain, parameters.salt, parameters.passes, parameters.memory_kib, parameters.lanes, _SECRET_BYTES, Type.ID
    )


def require_long(passphrase: str) -> None:
    """Refuse a passphrase that protects nothing.

    Raises:
        BadRequestError: It is too short.
    """
    if len(passphrase) < SHORTEST:
        message = f"The passphrase must have at least {SHORTEST} characters. Several words in a row are good."
        raise BadRequestError(message)


def read_passphrase(file: Path) -> str:
    """The passphrase in the first line of a file that only its owner can read.

    Raises:
        BadRequestError: The file cannot be read, holds none, or can be read by others.
    """
    try:
        mode = file.stat().st_mode
        text = file.read_bytes()[:_LONGEST_FILE].decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        message = f"The passphrase cannot be read from {file}: {reason}."
        raise BadRequestError(message) from error
    if mode & 0o077:
        message = f"Others can read the passphrase in {file} (mode {mode & 0o777:o}). Run: chmod 600 {file}"
        raise BadRequestError(message)
    lines = text.splitlines()
    if not lines or not lines[0]:
        message = f"{file} holds no passphrase. It belongs into the first line."
        raise BadRequestError(message)
    return lines[0]
