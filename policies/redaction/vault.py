"""The vault: what a conversation's placeholders stand for, encrypted so that it opens for that conversation only.

AES-256-GCM (NIST SP 800-38D) with a key of its own for each conversation and its id as associated data: a record that
is altered, or put in the place of another, does not open. Where records are kept is the caller's business.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from policies.errors import VaultUnreadableError
from policies.keys import Keys

_VERSION = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16


def seal(keys: Keys, conversation_id: str, data: bytes) -> bytes:
    """Encrypt a record of one conversation: a version, a random nonce, the ciphertext with its tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + _cipher(keys, conversation_id).encrypt(nonce, data, _associated(conversation_id))


def unseal(keys: Keys, conversation_id: str, sealed: bytes) -> bytes:
    """The data that `seal` encrypted for this conversation.

    Raises:
        VaultUnreadableError: The record is damaged, another conversation's, or of another installation.
    """
    nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    if sealed[:1] != _VERSION or len(ciphertext) < _TAG_BYTES:
        raise VaultUnreadableError(_message(conversation_id))
    try:
        return _cipher(keys, conversation_id).decrypt(nonce, ciphertext, _associated(conversation_id))
    except InvalidTag as error:
        raise VaultUnreadableError(_message(conversation_id)) from error


def _cipher(keys: Keys, conversation_id: str) -> AESGCM:
    return AESGCM(keys.derive(f"vault/{conversation_id}"))


def _associated(conversation_id: str) -> bytes:
    return b"muniment/vault/" + _VERSION + conversation_id.encode()


def _message(conversation_id: str) -> str:
    return (
        f"The sealed record of conversation {conversation_id} does not open with this installation's keys. "
        "Start a new conversation."
    )
