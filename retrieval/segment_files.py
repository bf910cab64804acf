"""The index on disk: segment files that never change, and one manifest that names those in use.

Every byte is vouched for before it is used: the manifest carries a MAC under a key of this installation, and names the
MAC of each block of each segment. A file somebody else wrote could make a search return anything.

A new state is written beside the old one and put in its place by renaming the manifest, so a crash or a full disk at
any point leaves the old one in use. Processes that still have an old segment mapped keep it until they let go.
"""

import errno
import fcntl
import hashlib
import hmac
import logging
import mmap
import os
import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from policies.private_files import replace_private, sync_folder
from retrieval.labels import CorpusState
from retrieval.layers import Layer, whole
from retrieval.segments import Buffer, Segment, Shape, segment_over, size_bytes

_log = logging.getLogger(__name__)

_FORMATS = b"muniment-index-"
_FORMAT = _FORMATS + b"3"
_MAC_BYTES = 32
_BLOCK_BYTES = 4 * 1024 * 1024
"""Large enough that a call costs nothing beside its hashing, small enough that two cores share a small index."""
_SUFFIX = ".segment"
_ABANDONED_SECONDS = 3600.0
"""A file no manifest names may be one that another process is still writing; after so long it is a crash's."""


_GENERATION, _PURGE_LOCK = "generation", "purge.lock"


class PurgedError(OSError):
    """What was to be written was made before the files were purged: it is made again from the database of now."""

    def __init__(self) -> None:
        super().__init__(errno.ESTALE, "The index was purged; it is made anew from the database")


class _Stored(msgspec.Struct, array_like=True, frozen=True):
    """A segment file: its name in the folder, its shape, and the MAC of each block."""

    name: str
    shape: Shape
    macs: list[bytes]


class _Use(msgspec.Struct, array_like=True, frozen=True):
    """A segment in use, with a bit for each row that is dead; no bits when none is."""

    stored: _Stored
    dead: bytes


class _Manifest(msgspec.Struct, array_like=True, frozen=True):
    state: CorpusState
    embedder: str
    dimensions: int
    uses: list[_Use]


class IndexFiles:
    """The index files of one installation. Safe across threads and processes."""

    def __init__(self, folder: Path, mac_key: bytes) -> None:
        self._folder = folder
        self._key = mac_key
        self._stored: WeakKeyDictionary[Segment, _Stored] = WeakKeyDictionary()

    @property
    def manifest(self) -> Path:
        """The file that names all others."""
        return self._folder / "manifest"

    def read(
        self, states: Collection[CorpusState], embedder: str, dimensions: int
    ) -> tuple[CorpusState, list[Layer]] | None:
        """What was written last; none unless it is of one of these states and this key vouches for every byte."""
        for _ in range(2):  # Another process may put a new state in place between the manifest and its files.
            manifest = self._read_manifest()
            if manifest is None or (manifest.embedder, manifest.dimensions) != (embedder, dimensions):
                return None
            if manifest.state not in states:
                return None
            with suppress(FileNotFoundError):
                layers = self._open_all(manifest)
                return None if layers is None else (manifest.state, layers)
        _log.warning("index_file_missing folder=%s; the index is rebuilt from the database", self._folder)
        return None

    def is_authentic(self) -> bool:
        """Whether this key vouches for every byte of what is there."""
        manifest = self._read_manifest()
        try:
            return manifest is not None and self._open_all(manifest) is not None
        except FileNotFoundError:
            return False

    def size_bytes(self) -> int:
        """How much room all files take."""
        return sum(path.stat().st_size for path in self._folder.glob("*") if path.is_file())

    def write(
        self,
        state: CorpusState,
        embedder: str,
        dimensions: int,
        layers: Sequence[Layer],
        generation: str | None = None,
    ) -> None:
        """Put these layers in place of what was there; segments that are on disk already are not written again.

        Raises:
            PurgedError: They were made of a database of another generation than this one.
            OSError: They could not be written; what was there before is still in use.
        """
        with self.current(self.generation if generation is None else generation):
            while True:
                for layer in layers:
                    self._keep(layer.segment)
                with self._locked():
                    uses = [_Use(self._stored[layer.segment], _bits(layer)) for layer in layers]
                    if all((self._folder / use.stored.name).exists() for use in uses):
                        self._swap(_Manifest(state, embedder, dimensions, uses))
                        return

    @property
    def generation(self) -> str:
        """Changes when everything here was purged; read before the database is, it tells what may be written here."""
        try:
            return (self._folder / _GENERATION).read_text(encoding="ascii")
        except FileNotFoundError:
            return ""

    def purge(self) -> None:
        """Take every file away, for good: words and vectors of passages stand in them that must be nowhere.

        Nothing that was made of a database of before can be written from now on, by whatever process: see `generation`.

        Raises:
            OSError: A file could not be removed; purging again may.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._purging(fcntl.LOCK_EX), self._locked():
            replace_private(self._folder / _GENERATION, secrets.token_hex(8).encode())
            for path in self._folder.iterdir():
                if path.name not in {_GENERATION, _PURGE_LOCK, "lock"}:
                    path.unlink()
            sync_folder(self._folder)

    @contextmanager
    def current(self, generation: str) -> Iterator[None]:
        """While files are written that were made of a database of this generation; nothing is purged meanwhile.

        Raises:
            PurgedError: It was purged since.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._purging(fcntl.LOCK_SH):
            if self.generation != generation:
                raise PurgedError
            yield

    @contextmanager
    def _purging(self, how: int) -> Iterator[None]:
        with (self._folder / _PURGE_LOCK).open("w") as file:
            fcntl.flock(file, how)
            yield

    def remove(self) -> None:
        """Take the manifest away, so that the next start makes the index anew."""
        self.manifest.unlink(missing_ok=True)

    @contextmanager
    def new_segment(self) -> Iterator["NewSegment"]:
        """A place for a segment that is filled where it will lie; what is not finished is removed again."""
        self._folder.mkdir(parents=True, exist_ok=True)
        new = NewSegment(self._folder / f".{secrets.token_hex(8)}{_SUFFIX}")
        try:
            yield new
        finally:
            new.path.unlink(missing_ok=True)

    def finish(self, new: "NewSegment", shape: Shape) -> Segment:
        """Make a filled segment durable and give it back as it lies in its file, which can only be read from now on."""
        new.flush()
        name = new.path.name.removeprefix(".")
        stored = _Stored(name, shape, self._macs(name, new.buffer))
        path = self._folder / name
        new.path.rename(path)
        sync_folder(self._folder)
        segment = segment_over(shape, _mapped(path, size_bytes(shape)))
        self._stored[segment] = stored
        return segment

    def _keep(self, segment: Segment) -> None:
        """See to it that a segment is on disk."""
        stored = self._stored.get(segment)
        if stored is not None and (self._folder / stored.name).exists():
            return
        with self.new_segment() as new:
            size = size_bytes(segment.shape)
            np.frombuffer(new.allocate(size), dtype=np.uint8)[:size] = np.frombuffer(
                segment.buffer, dtype=np.uint8, count=size
            )
            copy = self.finish(new, segment.shape)
        self._stored[segment] = self._stored[copy]

    def _swap(self, manifest: _Manifest) -> None:
        old = self._read_manifest()
        payload = msgspec.msgpack.encode(manifest)
        replace_private(self.manifest, _FORMAT + _mac(self._key, _FORMAT, payload) + payload)
        used = {use.stored.name for use in manifest.uses}
        self._clean(used, {use.stored.name for use in old.uses} - used if old else set())

    def _clean(self, used: set[str], replaced: set[str]) -> None:
        """Remove what the last manifest named and this one does not, and what a crash left behind."""
        for path in self._folder.iterdir():
            ours = path.name.endswith(_SUFFIX) or path.name.startswith(".manifest.") or path.name == "passages.bin"
            with suppress(OSError):  # What cannot be removed only takes room.
                if path.name in replaced or (
                    ours and path.name not in used and path.stat().st_mtime < time.time() - _ABANDONED_SECONDS
                ):
                    path.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Only one process at a time puts a new state in place; the lock goes with the process."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _read_manifest(self) -> _Manifest | None:
        try:
            content = self.manifest.read_bytes()
        except OSError:
            return None
        mac, payload = content[len(_FORMAT) :][:_MAC_BYTES], content[len(_FORMAT) + _MAC_BYTES :]
        if content.startswith(_FORMATS) and not content.startswith(_FORMAT):
            _log.warning(
                "index_format_other path=%s; another version wrote it, the index is rebuilt from the database",
                self.manifest,
            )
            return None
        if not content.startswith(_FORMAT) or not hmac.compare_digest(mac, _mac(self._key, _FORMAT, payload)):
            self._refused(self.manifest)
            return None
        return msgspec.msgpack.decode(payload, type=_Manifest)

    def _open_all(self, manifest: _Manifest) -> list[Layer] | None:
        layers = []
        for use in manifest.uses:
            segment = self._open(use.stored)
            if segment is None:
                return None
            layer = whole(segment)
            if use.dead:
                bits = np.unpackbits(np.frombuffer(use.dead, dtype=np.uint8), count=len(segment))
                layer = layer.without_rows(np.flatnonzero(bits))
            layers.append(layer)
        return layers

    def _open(self, stored: _Stored) -> Segment | None:
        path, size = self._folder / stored.name, size_bytes(stored.shape)
        try:
            buffer = _mapped(path, size)
        except FileNotFoundError:
            raise
        except (OSError, ValueError):  # It cannot be read, is no plain file, or has another size than was written.
            self._refused(path)
            return None
        macs = self._macs(stored.name, buffer)
        if not hmac.compare_digest(b"".join(macs), b"".join(stored.macs)):
            self._refused(path)
            return None
        segment = segment_over(stored.shape, buffer)
        segment.forget_vectors()
        self._stored[segment] = stored
        return segment

    def _refused(self, path: Path) -> None:
        _log.warning("index_file_refused path=%s reason=not_authentic; the index is rebuilt from the database", path)

    def _macs(self, name: str, buffer: Buffer) -> list[bytes]:
        """The MAC of each block; its number and the file's name go into it, so that none can take another's place."""
        view = memoryview(buffer)

        def of_block(start: int) -> bytes:
            about = f"{name}\0{start // _BLOCK_BYTES}\0".encode()
            return _mac(self._key, about, view[start : start + _BLOCK_BYTES])

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(of_block, range(0, len(view), _BLOCK_BYTES)))


class NewSegment:
    """A file that a segment is written to; nobody else looks at it yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.buffer: Buffer = b""

    def allocate(self, size: int) -> Buffer:
        """Take so much room on the disk, and give it as memory.

        Raises:
            OSError: There is not so much room. Found out now, since a write to mapped memory could only crash.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            self.buffer = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        return self.buffer

    def flush(self) -> None:
        """Wait until the disk has it all."""
        self.buffer.flush()
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _mapped(path: Path, size: int) -> mmap.mmap:
    """A file as memory that can only be read.

    Raises:
        ValueError: It has another size.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_size != size:
            message = f"{path} is not {size} bytes long"
            raise ValueError(message)
        return mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)


def _bits(layer: Layer) -> bytes:
    return b"" if layer.dead is None else np.packbits(layer.dead).tobytes()


def _mac(key: bytes, about: bytes, content: Buffer) -> bytes:
    mac = hmac.new(key, about, hashlib.sha256)
    mac.update(content)
    return mac.digest()
