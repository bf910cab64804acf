"""Putting another model to use. The files themselves are the work of `models/`."""

from sqlmodel import Session, func, select

from gateway.errors import ConfigurationError, ConflictError
from gateway.services import Services
from gateway.settings_file import with_setting
from models.catalogue import Artefact, Kind
from policies.audit.events import ModelSelected
from policies.private_files import replace_private
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
    if kind is Kind.EMBEDDER and model != previous and _has_passages(services):
        message = (
            "Documents are embedded with another model, and vectors of two models cannot be compared. "
            "Remove the sources, choose the embedder, and add them again."
        )
        raise ConflictError(message)
    file = services.home.config_file
    try:
        changed = with_setting(file.read_text(encoding="utf-8"), "models", _SETTINGS[kind], model)
        services.recorder.record_now(ModelSelected(by=by, model=model, previous=previous))
        replace_private(file, changed.encode())
    except OSError as error:
        message = f"{file} cannot be changed: {error.strerror}. Set {_SETTINGS[kind]} under [models] yourself."
        raise ConfigurationError(message) from error
    return kind


def _has_passages(services: Services) -> bool:
    with Session(services.database) as session:
        return bool(session.exec(select(func.count()).select_from(PassageRow)).one())
