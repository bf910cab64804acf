r"""A stream of bytes, encrypted so that a change anywhere in it is noticed before its end is believed.

The file begins with four lines: what it is, how its key is found (`Header`), a MAC under that key, which tells a wrong
passphrase from damage, and the SHA-256 of the three lines before. Then come chunks of AES-256-GCM (NIST SP 800-38D) in
the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár ("Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance", CRYPTO 2015, section 7): a chunk's nonce is its number and whether it is the last, so chunks that
are cut off, moved, repeated or left out do not open. The key is made for one file, from its own random salt and its
header (HKDF-SHA256), so no nonce is used twice and no chunk of another file opens.
"""

import hashlib
import hmac
import os
from typing import BinaryIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import BackupError

CHUNK_BYTES = 1 << 16
_TAG_BYTES = 16
_SALT_BYTES = 32
_COUNTER_BYTES = 11
_NAME = b"MUNIMENT-BACKUP "
_FORMAT = 1
_LONGEST_LINE = 4096


class PassphraseKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="passphrase"):
    """The key comes from a passphrase by Argon2id (RFC 9106) with these parameters."""

    salt: bytes
    passes: int
    memory_kib: int
    lanes: int


class InstallationKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="installation"):
    """The key is derived from a master key of the installation, which is not in the file; `master` is that key's id."""

    master: str


KeySource = PassphraseKey | InstallationKey


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the key of a file is found: where the secret comes from, and the salt that makes a key of it for this file.

    A chunk holds `chunk_bytes` of what was written; the last one may hold fewer.
    """

    key: KeySource
    salt: bytes
    chunk_bytes: int

    def line(self) -> bytes:
        """The header as it stands in the file."""
        return msgspec.json.encode(self, order="sorted") + b"\n"

    def id(self) -> str:
        """What the file is called in the trail: 16 hexadecimal digits that no other backup has."""
        return hashlib.sha256(self.line()).hexdigest()[:16]


def new_header(key: KeySource, chunk_bytes: int = CHUNK_BYTES) -> Header:
    """The header of a new file."""
    return Header(key, os.urandom(_SALT_BYTES), chunk_bytes)


class SealedWriter:
    """Takes bytes and writes them to a file, sealed. What was written is only whole after `finish`."""

    def __init__(self, out: BinaryIO, header: Header, secret: bytes) -> None:
        self._out = out
        self._size = header.chunk_bytes
        self._cipher = AESGCM(_derive(secret, header, "stream"))
        self._waiting = bytearray()
        self._number = 0
        out.write(_head(header, secret))

    def write(self, data: bytes) -> int:
        """Take some bytes."""
        self._waiting += data
        while len(self._waiting) > self._size:  # The last chunk is never empty, unless nothing was written at all.
            self._seal(self._size, last=False)
        return len(data)

    def finish(self) -> None:
        """Write what waits, as the last chunk."""
        self._seal(self._size, last=True)

    def _seal(self, size: int, *, last: bool) -> None:
        chunk = bytes(self._waiting[:size])
        del self._waiting[:size]
        self._out.write(self._cipher.encrypt(_nonce(self._number, last=last), chunk, None))
        self._number += 1


class SealedReader:
    """Gives back what a `SealedWriter` took; not a byte of a chunk that is not as it was written.

    Only when `read` has given the end is the file known to be whole.
    """

    def __init__(self, source: BinaryIO, header: Header, secret: bytes) -> None:
        self._source = source
        self._size = header.chunk_bytes + _TAG_BYTES
        self._cipher = AESGCM(_derive(secret, header, "stream"))
        self._next = source.read(self._size)
        self._opened = bytearray()
        self._number = 0
        self._ended = False

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end.

        Raises:
            BackupError: The file is not what was written.
        """
        while len(self._opened) < size and not self._ended:
            self._open()
        given = bytes(self._opened[:size])
        del self._opened[:size]
        return given

    def read_to_the_end(self) -> None:
        """Open every chunk that is left.

        Raises:
            BackupError: The file is not what was written.
        """
        while not self._ended:
            self._open()
            self._opened.clear()

    def _open(self) -> None:
        chunk, self._next = self._next, self._source.read(self._size)
        last = not self._next
        try:
            self._opened += self._cipher.decrypt(_nonce(self._number, last=last), chunk, None)
        except (InvalidTag, ValueError) as error:
            message = (
                f"The backup is damaged, cut off or altered at its part {self._number + 1}. Nothing was restored; use "
                "another copy of it."
            )
            raise BackupError(message) from error
        self._number += 1
        self._ended = last


def read_header(source: BinaryIO) -> tuple[Header, bytes]:
    """The header of a file, and the MAC that `require_secret` compares.

    Raises:
        BackupError: This is no backup, its beginning is damaged, or it is of a newer version.
    """
    lines = [source.readline(_LONGEST_LINE) for _ in range(4)]
    _require_format(lines[0])
    if lines[3] != _checksum(lines[:3]):
        message = "The beginning of the backup is damaged. Nothing was restored; use another copy of it."
        raise BackupError(message)
    try:
        header = msgspec.json.decode(lines[1], type=Header)
    except msgspec.MsgspecError as error:
        message = "The backup's header is none that this version knows. Nothing was restored."
        raise BackupError(message) from error
    if not 1 <= header.chunk_bytes <= 1 << 24:
        message = f"The backup claims chunks of {header.chunk_bytes} bytes, which no backup has. Nothing was restored."
        raise BackupError(message)
    return header, lines[2]


def is_secret_of(header: Header, mac: bytes, secret: bytes) -> bool:
    """Whether this is the secret that a file was sealed under."""
    return hmac.compare_digest(mac, _mac_line(header, secret))


def _require_format(line: bytes) -> None:
    number = line.removeprefix(_NAME).strip()
    if line == _name_line():
        return
    if line.startswith(_NAME) and number.isdigit() and int(number) > _FORMAT:
        message = f"The backup was made by a newer version of Muniment (format {int(number)}). Install that version."
        raise BackupError(message)
    message = "This is no backup of Muniment, or its beginning is damaged."
    raise BackupError(message)


def _head(header: Header, secret: bytes) -> bytes:
    lines = [_name_line(), header.line(), _mac_line(header, secret)]
    return b"".join([*lines, _checksum(lines)])


def _name_line() -> bytes:
    return _NAME + str(_FORMAT).encode() + b"\n"


def _mac_line(header: Header, secret: bytes) -> bytes:
    said = _name_line() + header.line()
    return hmac.digest(_derive(secret, header, "header"), said, "sha256").hex().encode() + b"\n"


def _checksum(lines: list[bytes]) -> bytes:
    return hashlib.sha256(b"".join(lines)).hexdigest().encode() + b"\n"


def _derive(secret: bytes, header: Header, purpose: str) -> bytes:
    """A key for one purpose in one file; a header that says anything else leads to another key."""
    info = f"muniment/backup/{purpose}\n".encode() + _name_line() + header.line()
    return HKDF(hashes.SHA256(), 32, salt=header.salt, info=info).derive(secret)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES, "big") + bytes([last])
