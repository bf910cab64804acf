"""Data keys: random, and stored only as another key encrypts them. Whoever destroys one destroys all that it opens.

AES-256-GCM (NIST SP 800-38D). What is encrypted is bound to what it is about, so nothing opens in the place of
something else. What the installation's master key wraps names that key, so that it can be replaced (`wrapped_by`).
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from policies.errors import VaultUnreadableError
from policies.keys import Keys

_WRAPPED, _SEALED = b"\x01", b"\x01"
_PURPOSE = "data-keys"
_MASTER_ID_BYTES = 8
_PURPOSE = "data-keys"
_NONCE_BYTES = 12
_KEY_BYTES = 32


def new_key() -> bytes:
    """A random data key."""
    return os.urandom(_KEY_BYTES)


def wrap(keys: Keys, about: str, data: bytes) -> bytes:
    """Encrypt under the installation's master key: a version, which master key, a nonce, ciphertext and tag.

    The key is the one that is in force now: it may have been rotated since this process opened its keys.
    """
    keys = keys.fresh()
    head = _WRAPPED + bytes.fromhex(keys.master_id)
    return head + _encrypted(keys.derive(_PURPOSE), head + about.encode(), data)


def unwrap(keys: Keys, about: str, wrapped: bytes) -> bytes:
    """What `wrap` encrypted, under whichever of the masters that are here.

    Raises:
        VaultUnreadableError: It is damaged, about something else, or of another installation or a master that is gone.
    """
    head, rest = wrapped[: 1 + _MASTER_ID_BYTES], wrapped[1 + _MASTER_ID_BYTES :]
    master = wrapped_by(wrapped)
    keys = keys if master in keys.masters else keys.fresh()
    if head[:1] != _WRAPPED or master not in keys.masters:
        raise _unreadable(about)
    return _decrypted(keys.derive(_PURPOSE, master=master), head + about.encode(), rest, about)


def rewrap(keys: Keys, about: str, wrapped: bytes) -> bytes:
    """The same under the master that wraps now; as it is where that wrapped it.

    Raises:
        VaultUnreadableError: As in `unwrap`.
    """
    return wrapped if wrapped_by(wrapped) == keys.master_id else wrap(keys, about, unwrap(keys, about, wrapped))


def wrapped_by(wrapped: bytes) -> str:
    """The id of the master key that wrapped this."""
    return wrapped[1 : 1 + _MASTER_ID_BYTES].hex()


def seal_with(key: bytes, about: str, data: bytes) -> bytes:
    """Encrypt under a data key: a version, a nonce, the ciphertext with its tag."""
    return _SEALED + _encrypted(key, _SEALED + about.encode(), data)


def open_with(key: bytes, about: str, sealed: bytes) -> bytes:
    """What `seal_with` encrypted.

    Raises:
        VaultUnreadableError: It is damaged, about something else, or of another key.
    """
    if sealed[:1] != _SEALED:
        raise _unreadable(about)
    return _decrypted(key, _SEALED + about.encode(), sealed[1:], about)


def _encrypted(key: bytes, bound_to: bytes, data: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, bound_to)


def _decrypted(key: bytes, bound_to: bytes, encrypted: bytes, about: str) -> bytes:
    try:
        return AESGCM(key).decrypt(encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError) as error:  # What is too short is a ValueError.
        raise _unreadable(about) from error


def _unreadable(about: str) -> VaultUnreadableError:
    return VaultUnreadableError(f"What was sealed ({about}) does not open with this installation's keys.")
