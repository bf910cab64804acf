"""The models folder: what has been pulled, and whether its bytes are still the publisher's.

One folder per model, named by its id; `fetching.py` fills it. Nothing here parses a model.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from models.catalogue import Artefact, Catalogue, ModelFile, load_catalogue
from models.errors import ModelCorruptError, ModelMissingError


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model of the catalogue, and whether it has been pulled (its digest is not looked at)."""

    artefact: Artefact
    present: bool


class ModelStore:
    """The models folder, seen through a catalogue."""

    def __init__(self, folder: Path, catalogue: Catalogue | None = None) -> None:
        self.folder = folder
        self.catalogue = catalogue or load_catalogue()

    def path(self, artefact_id: str) -> Path:
        """Where a model lies, after checking every byte: a file if it is a single one, else a folder.

        Raises:
            CatalogueError: The catalogue does not hold it.
            ModelMissingError: It has not been pulled.
            ModelCorruptError: Its bytes are not the publisher's.
        """
        self.verify(artefact_id)
        return self.locate(artefact_id)

    def locate(self, artefact_id: str) -> Path:
        """Where a model lies, for a loader that checks the digest of the file it opens itself.

        Raises:
            CatalogueError: The catalogue does not hold it.
            ModelMissingError: It has not been pulled.
        """
        artefact = self.catalogue.artefact(artefact_id)
        folder = self.home_of(artefact)
        for file in artefact.files:
            if not (folder / file.path).is_file():
                message = f"The model {artefact.id} is not on this machine. Run: muniment models pull {artefact.id}"
                raise ModelMissingError(message)
        return folder / artefact.files[0].path if len(artefact.files) == 1 else folder

    def verify(self, artefact_id: str) -> None:
        """Check that a model consists of exactly the catalogue's files, byte for byte.

        Raises:
            CatalogueError: The catalogue does not hold it.
            ModelMissingError: It has not been pulled.
            ModelCorruptError: Its bytes are not the publisher's.
        """
        self.locate(artefact_id)
        artefact = self.catalogue.artefact(artefact_id)
        folder = self.home_of(artefact)
        wrong = next(chain(_wrong_files(folder, artefact.files), _strangers(folder, artefact.files)), None)
        if wrong:
            message = (
                f"The model {artefact.id} is damaged or was changed ({folder / wrong}), so it is not loaded. "
                f"Run: muniment models pull {artefact.id}"
            )
            raise ModelCorruptError(message)

    def list(self) -> list[StoredModel]:
        """Every model of the catalogue, in its order."""
        return [StoredModel(artefact, self._present(artefact)) for artefact in self.catalogue.artefacts]

    def home_of(self, artefact: Artefact) -> Path:
        """The folder of one model, whether or not it is there."""
        return self.folder / artefact.id

    def _present(self, artefact: Artefact) -> bool:
        try:
            self.locate(artefact.id)
        except ModelMissingError:
            return False
        return True


def is_right(path: Path, file: ModelFile) -> bool:
    """Whether a file on disk has the size and SHA-256 the catalogue gives."""
    try:
        with path.open("rb") as opened:
            if os.fstat(opened.fileno()).st_size != file.size_bytes:
                return False
            return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256
    except OSError:
        return False


def _wrong_files(folder: Path, files: Iterable[ModelFile]) -> Iterator[str]:
    """The paths whose bytes are missing or not what the catalogue gives."""
    return (file.path for file in files if not is_right(folder / file.path, file))


def _strangers(folder: Path, files: Iterable[ModelFile]) -> Iterator[str]:
    """Files nobody vouches for: a loader that takes a folder might read them."""
    known = {file.path for file in files}
    found = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir())
    return (name for path in found if (name := path.relative_to(folder).as_posix()) not in known)
