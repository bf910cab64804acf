"""Putting another model to use. The files themselves are the work of `models/`."""

from pathlib import Path

from sqlmodel import Session, func, select

from gateway.errors import ConfigurationError, ConflictError
from gateway.models.history import Cause, ModelChangeRow
from gateway.models.versions import version_of
from gateway.services import Services
from gateway.settings_file import with_setting
from models.catalogue import Artefact, Kind
from policies.audit.events import ModelSelected
from policies.private_files import replace_private
from retrieval.embeddings import release
from retrieval.tables import PassageRow

_SETTINGS = {
    Kind.EMBEDDER: "embedder",
    Kind.ENTITY_RECOGNISER: "recogniser",
    Kind.GENERATOR: "generator",
    Kind.RUSSIAN_RECOGNISER: "russian_recogniser",
}


def select_model(services: Services, model: str, by: str) -> Kind:
    """Make a pulled model, or one on other servers, the one in use for its kind.

    Raises:
        CatalogueError: The catalogue does not hold it.
        ModelMissingError: It has not been pulled.
        ConflictError: Documents have been embedded with another embedder.
        ConfigurationError: The settings cannot be changed, or give an upstream the name of another model.
        TrailUnavailableError: The change could not be recorded, so it was not made.
    """
    generator = services.generator_named(model)
    kind = generator.kind if isinstance(generator, Artefact) else Kind.GENERATOR
    if isinstance(generator, Artefact):
        services.models.locate(model)
    previous: str = getattr(services.config.models, _SETTINGS[kind])
    if kind is Kind.EMBEDDER and model != services.embedder_use.current:
        if _has_passages(services):
            message = (
                "Documents are embedded with another model, and vectors of two models cannot be compared. "
                f"Run `muniment models promote {model}`, which embeds them anew beside the others."
            )
            raise ConflictError(message)
        release(services.database)  # Nothing is embedded: whatever is ingested first decides.
    require_changeable(services, kind, model)
    services.recorder.record_now(ModelSelected(by=by, model=model, previous=previous))
    selected = ModelChangeRow(
        kind=kind.value,
        model=model,
        sha256=version_of(generator).sha256,
        previous=previous,
        by_token=services.recorder.token(by),
        cause=Cause.SELECTED.value,
    )
    services.history.add(selected)
    put_to_use(services, kind, model)
    return kind


def require_changeable(services: Services, kind: Kind, model: str) -> None:
    """Find out before anything is recorded whether the settings can be changed.

    Raises:
        ConfigurationError: They cannot.
    """
    _changed(services, kind, model)


def put_to_use(services: Services, kind: Kind, model: str) -> None:
    """Name the model of a kind in the settings: at any moment they name the old one or the new one.

    Raises:
        ConfigurationError: They cannot be changed.
    """
    file, changed = services.home.config_file, _changed(services, kind, model)
    try:
        replace_private(file, changed.encode())
    except OSError as error:
        raise _unchangeable(file, kind, error) from error


def _changed(services: Services, kind: Kind, model: str) -> str:
    file = services.home.config_file
    try:
        return with_setting(file.read_text(encoding="utf-8"), "models", _SETTINGS[kind], model)
    except OSError as error:
        raise _unchangeable(file, kind, error) from error


def _unchangeable(file: Path, kind: Kind, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{file} cannot be changed: {error.strerror}. Set {_SETTINGS[kind]} under [models] yourself."
    )


def _has_passages(services: Services) -> bool:
    with Session(services.database) as session:
        return bool(session.exec(select(func.count()).select_from(PassageRow)).one())
