"""Which versions of its models an installation works with: by digest, so that a name cannot hide a change."""

from collections.abc import Mapping

import msgspec

from gateway.config import ModelOptions
from models.catalogue import Artefact, Catalogue, Kind
from models.openai.options import Upstream


class ModelVersion(msgspec.Struct, frozen=True):
    """One version of a model.

    Attributes:
        id: Its name in the catalogue.
        sha256: The digest of every byte of it (`Artefact.version_sha256`).
        licence: Under which licence it is used.
        template_sha256: The digest of how its conversations are written; none for what is not conversed with.
    """

    id: str
    sha256: str
    licence: str
    template_sha256: str | None = None


def version_of(artefact: Artefact | Upstream) -> ModelVersion:
    """A model's version, as the catalogue has it; of one on servers nobody here knows it."""
    if isinstance(artefact, Upstream):
        return ModelVersion(artefact.name, "", "")
    return ModelVersion(artefact.id, artefact.version_sha256, artefact.licence, artefact.template_sha256)


def supporting_versions(catalogue: Catalogue, options: ModelOptions, embedder: str) -> dict[Kind, ModelVersion]:
    """The models that work beside a generator, by what they are for."""
    used = {
        Kind.EMBEDDER: embedder,
        Kind.ENTITY_RECOGNISER: options.recogniser,
        Kind.RUSSIAN_RECOGNISER: options.russian_recogniser,
    }
    return {kind: version_of(catalogue.artefact(id_)) for kind, id_ in used.items() if id_}


def digests(versions: Mapping[Kind, ModelVersion]) -> dict[str, str]:
    """The same as names and digests alone."""
    return {kind.value: version.sha256 for kind, version in versions.items()}
