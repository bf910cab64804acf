"""The vault: what a conversation holds, encrypted so that it opens for that conversation and its subject only.

AES-256-GCM (NIST SP 800-38D) under the conversation's own random key, with whose it is, which conversation and which
of its records as associated data: a record that is altered, put in the place of another, or given to another person in
the database does not open. Where records and keys are kept is the caller's business (`policies/wrapping.py`).

Records of before conversations had keys (version 2) are under keys derived from the installation's master key.
"""

import contextlib
import json
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from policies.errors import VaultUnreadableError
from policies.keys import Keys

_VERSION, _VERSION_BEFORE = b"\x03", b"\x02"
_NONCE_BYTES = 12
_TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class Place:
    """What a record is bound to: whose conversation (their token), which one, and which of its records."""

    subject: str
    conversation: str
    record: str

    def encoded(self) -> bytes:
        """The place as bytes that no other place has."""
        return json.dumps(["muniment/vault", self.subject, self.conversation, self.record]).encode()


def seal(key: bytes, place: Place, data: bytes) -> bytes:
    """Encrypt a record for its place: a version, a random nonce, the ciphertext with its tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + AESGCM(key).encrypt(nonce, data, _VERSION + place.encoded())


def unseal(key: bytes, place: Place, sealed: bytes) -> bytes:
    """The data that `seal` encrypted for this place.

    Raises:
        VaultUnreadableError: The record is damaged, of another place or subject, or under another key.
    """
    return _unsealed(key, place, sealed, _VERSION)


def unseal_before(keys: Keys, place: Place, sealed: bytes) -> bytes:
    """The data of a record of before; the place then named its subject by the user's name.

    Raises:
        VaultUnreadableError: The record is damaged, of another place or subject, or of another installation.
    """
    for master in keys.masters:  # These records do not say which it was.
        with contextlib.suppress(VaultUnreadableError):
            key = keys.derive(place.encoded().decode(), master=master)
            return _unsealed(key, place, sealed, _VERSION_BEFORE)
    raise VaultUnreadableError(_message(place))


def is_of_before(sealed: bytes) -> bool:
    """Whether a record was sealed before conversations had keys of their own."""
    return sealed[:1] == _VERSION_BEFORE


def _unsealed(key: bytes, place: Place, sealed: bytes, version: bytes) -> bytes:
    nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    if sealed[:1] != version or len(ciphertext) < _TAG_BYTES:
        raise VaultUnreadableError(_message(place))
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, version + place.encoded())
    except InvalidTag as error:
        raise VaultUnreadableError(_message(place)) from error


def _message(place: Place) -> str:
    return (
        f"The sealed record of conversation {place.conversation} does not open with this installation's keys. "
        "Start a new conversation."
    )
