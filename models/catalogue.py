"""The catalogue: which models there are, what bytes they consist of, and where those can be had.

Reading is strict: an unknown field, a wrong type or a contradiction is an error, never a guess. Fetching is
`fetching.py`, keeping is `store.py`.
"""

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec

from models.errors import CatalogueError

_PACKAGED = Path(__file__).with_name("catalogue.toml")

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Bytes = Annotated[int, msgspec.Meta(ge=0)]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$")]
_Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Https = Annotated[str, msgspec.Meta(pattern="^https://")]
_HttpsFolder = Annotated[str, msgspec.Meta(pattern="^https://[^?#]+/$")]
# What pip would take for an option, a path or an address is no package name (PEP 508) or version here.
_Package = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$")]
_Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9][A-Za-z0-9.]*$")]


class Kind(StrEnum):
    """What a model is for."""

    EMBEDDER = "embedder"
    ENTITY_RECOGNISER = "entity-recogniser"
    GENERATOR = "generator"
    RUSSIAN_RECOGNISER = "russian-recogniser"


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a model: its path below the model's folder, and what its bytes must be."""

    path: _Text
    size_bytes: _Bytes
    sha256: _Sha256


class Hub(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="hub"):
    """A model hub: `url` plus a file's path is the address of that file at a fixed revision.

    `hosts` are those that it leads on to, where it keeps large files.
    """

    url: _HttpsFolder
    hosts: tuple[str, ...] = ()


class PackageFolder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="package-folder"):
    """A package whose wheel carries all files of a model in one folder."""

    package: _Package
    version: _Version
    folder: _Text
    wheel_bytes_at_most: _Bytes


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One piece of a large file: a member of one package's wheel."""

    package: _Package
    version: _Version
    member: _Text
    size_bytes: _Bytes


class PackageParts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="package-parts"):
    """Packages that each carry one piece of a single large file, in order."""

    parts: Annotated[tuple[Part, ...], msgspec.Meta(min_length=1)]


Source = Hub | PackageFolder | PackageParts


class Artefact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model.

    Attributes:
        context_tokens: The longest input it was trained on.
        template: How its conversations are written (`models/llama/templates.py`); generators only.
        template_sha256: Digest of what that template makes of a fixed conversation (`models/fingerprints.py`), so that
            a model is not asked in another way than it was measured with.
        digests_from: Where others publish the digests of its files.
    """

    id: _Id
    kind: Kind
    title: _Text
    licence: _Text
    digests_from: _Https
    files: Annotated[tuple[ModelFile, ...], msgspec.Meta(min_length=1)]
    sources: tuple[Source, ...]
    context_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    template: Literal["chatml"] | None = None
    template_sha256: _Sha256 | None = None

    @property
    def size_bytes(self) -> int:
        """All its files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def sha256(self) -> str:
        """The digest that names its content: of its largest file, the weights."""
        return max(self.files, key=lambda file: file.size_bytes).sha256

    @property
    def version_sha256(self) -> str:
        """The digest that names every byte of it: its file's, or that of the list `sha256sum` prints of its files."""
        if len(self.files) == 1:
            return self.files[0].sha256
        listed = "".join(f"{file.sha256}  {file.path}\n" for file in sorted(self.files, key=lambda file: file.path))
        return hashlib.sha256(listed.encode()).hexdigest()


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All models, and which of each kind is used when nothing else is said."""

    defaults: dict[Kind, _Id]
    artefacts: tuple[Artefact, ...]

    def artefact(self, artefact_id: str) -> Artefact:
        """The model of that id.

        Raises:
            CatalogueError: There is none.
        """
        for artefact in self.artefacts:
            if artefact.id == artefact_id:
                return artefact
        known = ", ".join(artefact.id for artefact in self.artefacts)
        message = f"The catalogue holds no model {artefact_id!r}. It holds: {known}."
        raise CatalogueError(message)

    def default(self, kind: Kind) -> Artefact:
        """The model of a kind that is used when nothing else is said."""
        return self.artefact(self.defaults[kind])


def load_catalogue(path: Path = _PACKAGED) -> Catalogue:
    """Read a catalogue.

    Raises:
        CatalogueError: It cannot be read, or says something that cannot be.
    """
    try:
        catalogue = msgspec.toml.decode(path.read_bytes(), type=Catalogue)
    except OSError as error:
        message = f"The model catalogue {path} cannot be read: {error.strerror}."
        raise CatalogueError(message) from error
    except msgspec.MsgspecError as error:
        message = f"The model catalogue {path} is not valid: {error}."
        raise CatalogueError(message) from error
    for problem in _problems(catalogue):
        message = f"The model catalogue {path} contradicts itself: {problem}."
        raise CatalogueError(message)
    return catalogue


def _problems(catalogue: Catalogue) -> Iterable[str]:
    ids = [artefact.id for artefact in catalogue.artefacts]
    yield from (f"two models are named {twice}" for twice in _repeated(ids))
    yield from (f"no default {kind} is named" for kind in Kind if kind not in catalogue.defaults)
    kinds = {artefact.id: artefact.kind for artefact in catalogue.artefacts}
    for kind, artefact_id in catalogue.defaults.items():
        if kinds.get(artefact_id) != kind:
            yield f"the default {kind} {artefact_id} is not a model of that kind"
    for artefact in catalogue.artefacts:
        yield from (f"{artefact.id}: {problem}" for problem in _artefact_problems(artefact))


def _artefact_problems(artefact: Artefact) -> Iterable[str]:
    paths = [file.path for file in artefact.files]
    yield from (f"the file {twice} stands twice" for twice in _repeated(paths))
    yield from (f"the path {path!r} is not a plain path below the model's folder" for path in paths if not _plain(path))
    if artefact.kind is Kind.GENERATOR:
        if artefact.template is None or artefact.context_tokens is None:
            yield "a generator needs a template and context_tokens"
        if len(artefact.files) != 1:
            yield "a generator is one file"
    for source in artefact.sources:
        if isinstance(source, PackageParts):
            joined = sum(part.size_bytes for part in source.parts)
            if len(artefact.files) != 1 or joined != artefact.size_bytes:
                yield f"the parts make {joined} bytes, its single file has {artefact.size_bytes}"


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _plain(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return "/".join(parts) == path and ".." not in parts and not path.startswith("/") and "\\" not in path
