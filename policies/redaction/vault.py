"""The vault: what a conversation holds, encrypted so that it opens for that conversation and its subject only.

AES-256-GCM (NIST SP 800-38D) with a key of its own for each record of each conversation of each subject, the person
whose conversation it is, and these names as associated data: a record that is altered, put in the place of another, or
given to another person in the database does not open. Where records are kept is the caller's business.
"""

import json
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from policies.errors import VaultUnreadableError
from policies.keys import Keys

_VERSION = b"\x02"
_NONCE_BYTES = 12
_TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class Place:
    """What a record is bound to: whose conversation, which one, and which of its records."""

    subject: str
    conversation: str
    record: str

    def encoded(self) -> bytes:
        """The place as bytes that no other place has."""
        return json.dumps(["muniment/vault", self.subject, self.conversation, self.record]).encode()


def seal(keys: Keys, place: Place, data: bytes) -> bytes:
    """Encrypt a record for its place: a version, a random nonce, the ciphertext with its tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + _cipher(keys, place).encrypt(nonce, data, _VERSION + place.encoded())


def unseal(keys: Keys, place: Place, sealed: bytes) -> bytes:
    """The data that `seal` encrypted for this place.

    Raises:
        VaultUnreadableError: The record is damaged, of another place or subject, or of another installation.
    """
    nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    if sealed[:1] != _VERSION or len(ciphertext) < _TAG_BYTES:
        raise VaultUnreadableError(_message(place))
    try:
        return _cipher(keys, place).decrypt(nonce, ciphertext, _VERSION + place.encoded())
    except InvalidTag as error:
        raise VaultUnreadableError(_message(place)) from error


def _cipher(keys: Keys, place: Place) -> AESGCM:
    return AESGCM(keys.derive(place.encoded().decode()))


def _message(place: Place) -> str:
    return (
        f"The sealed record of conversation {place.conversation} does not open with this installation's keys. "
        "Start a new conversation."
    )
