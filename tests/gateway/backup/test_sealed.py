"""A sealed file is given back as it was written, or not at all."""

import io
import os
import random
from collections.abc import Callable, Iterator

import pytest

from gateway.backup import sealed
from gateway.backup.passphrase import new_parameters, secret_of
from gateway.backup.sealed import (
    InstallationKey,
    PassphraseKey,
    SealedReader,
    SealedWriter,
    is_secret_of,
    new_header,
    read_header,
)
from gateway.errors import BackupError

SECRET = b"s" * 32
CHUNK = 64
SEALED_CHUNK = CHUNK + 16


def sealed_file(content: bytes, secret: bytes = SECRET, pieces: int = 37) -> bytes:
    out = io.BytesIO()
    writer = SealedWriter(out, new_header(InstallationKey("0" * 16), CHUNK), secret)
    for start in range(0, len(content), pieces):
        writer.write(content[start : start + pieces])
    writer.finish()
    return out.getvalue()


def opened(file: bytes, secret: bytes = SECRET, reader: type[SealedReader] = SealedReader) -> bytes:
    source = io.BytesIO(file)
    header, mac = read_header(source)
    if not is_secret_of(header, mac, secret):
        message = "wrong secret"
        raise BackupError(message)
    reading = reader(source, header, secret)
    return b"".join(iter(lambda: reading.read(50), b""))


def is_refused(file: bytes, reader: type[SealedReader] = SealedReader) -> bool:
    try:
        opened(file, reader=reader)
    except BackupError:
        return True
    return False


def head_length(file: bytes) -> int:
    source = io.BytesIO(file)
    read_header(source)
    return source.tell()


def chunks_of(file: bytes) -> list[bytes]:
    body = file[head_length(file) :]
    return [body[start : start + SEALED_CHUNK] for start in range(0, len(body), SEALED_CHUNK)]


CONTENT = random.Random(7).randbytes(CHUNK * 5 + 20)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK * 2, CHUNK * 3 + 5])
def test_what_was_written_is_given_back(size: int) -> None:
    content = os.urandom(size)
    assert opened(sealed_file(content)) == content


def cuts(file: bytes) -> Iterator[bytes]:
    """The file ended at every chunk's boundary, and at every byte."""
    yield from (file[:length] for length in range(len(file)))


def flips(file: bytes) -> Iterator[bytes]:
    """Every bit of the header, and one of every byte after it, the other way round."""
    head = head_length(file)
    for at in range(len(file)):
        for bit in range(8) if at < head else (at % 8,):
            yield file[:at] + bytes([file[at] ^ 1 << bit]) + file[at + 1 :]


def rearranged(file: bytes) -> Iterator[bytes]:
    """Chunks exchanged, repeated, left out, put behind the end, and taken from another file of the same key."""
    head, parts = file[: head_length(file)], chunks_of(file)
    other = chunks_of(sealed_file(CONTENT))
    for one in range(len(parts)):
        yield head + b"".join(parts[:one] + parts[one + 1 :])
        yield head + b"".join([*parts[:one], parts[one], *parts[one:]])
        yield head + b"".join([*parts[:one], other[one], *parts[one + 1 :]])
        for two in range(one):
            mixed = list(parts)
            mixed[one], mixed[two] = mixed[two], mixed[one]
            yield head + b"".join(mixed)
    yield file + parts[0]
    yield file + b"\0"
    yield file + file
    yield sealed_file(CONTENT)[: len(head)] + b"".join(parts)


@pytest.mark.parametrize("altered", [cuts, flips, rearranged])
def test_every_alteration_is_refused(altered: Callable[[bytes], Iterator[bytes]]) -> None:
    file = sealed_file(CONTENT)
    versions = list(altered(file))
    assert len(versions) > 20
    assert [number for number, version in enumerate(versions) if not is_refused(version)] == []


class WithoutTheEnd(SealedReader):
    """Broken on purpose: takes every chunk for what it says it is, the last one or not."""

    def _open(self) -> None:
        chunk, self._next = self._next, self._source.read(self._size)
        for last in (False, True):
            try:
                self._opened += self._cipher.decrypt(sealed._nonce(self._number, last=last), chunk, None)
                break
            except sealed.InvalidTag:
                continue
        self._number += 1
        self._ended = not self._next


class WithoutNumbers(SealedReader):
    """Broken on purpose: tries every number, as if chunks could stand anywhere."""

    def _open(self) -> None:
        chunk, self._next = self._next, self._source.read(self._size)
        self._ended = not self._next
        for number in range(20):
            try:
                self._opened += self._cipher.decrypt(sealed._nonce(number, last=self._ended), chunk, None)
            except sealed.InvalidTag:
                continue
            return
        message = "no number fits"
        raise BackupError(message)


def test_a_reader_without_the_mark_of_the_end_takes_a_cut_file() -> None:
    """Negative control of the cuts."""
    file = sealed_file(CONTENT)
    assert not is_refused(file, WithoutTheEnd)
    assert not is_refused(file[: head_length(file) + 2 * SEALED_CHUNK], WithoutTheEnd)


def test_a_reader_without_numbers_takes_exchanged_chunks() -> None:
    """Negative control of the rearranged ones."""
    file = sealed_file(CONTENT)
    assert not is_refused(file, WithoutNumbers)
    assert not all(is_refused(version, WithoutNumbers) for version in rearranged(file))


def test_nothing_of_the_content_stands_in_the_file() -> None:
    file = sealed_file(b"the Kestrel budget " * 40)
    assert b"Kestrel" not in file
    assert sealed_file(CONTENT) != sealed_file(CONTENT)


def test_another_secret_is_told_apart_from_damage() -> None:
    file = sealed_file(CONTENT)
    source = io.BytesIO(file)
    header, mac = read_header(source)
    assert is_secret_of(header, mac, SECRET)
    assert not is_secret_of(header, mac, b"t" * 32)
    for at in range(head_length(file)):
        with pytest.raises(BackupError, match=r"damaged|no backup|newer version"):
            read_header(io.BytesIO(file[:at] + bytes([file[at] ^ 1]) + file[at + 1 :]))


def test_a_newer_format_is_told() -> None:
    file = sealed_file(CONTENT).replace(b"BACKUP 1", b"BACKUP 2", 1)
    with pytest.raises(BackupError, match="newer version of Muniment"):
        read_header(io.BytesIO(file))


@pytest.mark.parametrize("file", [b"", b"\n\n\n\n", b"PK\x03\x04" + b"x" * 5000, b"MUNIMENT-BACKUP 1\n" * 4])
def test_other_files_are_no_backups(file: bytes) -> None:
    with pytest.raises(BackupError):
        read_header(io.BytesIO(file))


def test_a_passphrase_gives_its_secret_and_no_other() -> None:
    parameters = new_parameters()
    secret = secret_of("several words in a row", parameters)
    assert secret == secret_of("several words in a row", parameters)
    assert secret != secret_of("several words in a roe", parameters)
    assert secret != secret_of("several words in a row", new_parameters())
    assert secret_of("caf\u00e9 caf\u00e9 caf\u00e9", parameters) == secret_of(
        "cafe\u0301 " * 2 + "cafe\u0301", parameters
    )


@pytest.mark.parametrize(
    "parameters",
    [
        PassphraseKey(b"s" * 16, 3, 1 << 30, 4),
        PassphraseKey(b"s" * 16, 1 << 30, 65536, 4),
        PassphraseKey(b"s" * 16, 3, 65536, 1 << 20),
        PassphraseKey(b"s" * 16, 0, 65536, 4),
        PassphraseKey(b"s" * 16, 3, 1, 4),
        PassphraseKey(b"", 3, 65536, 4),
    ],
)
def test_parameters_that_exhaust_the_machine_or_protect_nothing_are_refused(parameters: PassphraseKey) -> None:
    with pytest.raises(BackupError):
        secret_of("several words in a row", parameters)
