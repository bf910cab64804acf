"""A model that is tried on real questions: which one, how, and whose questions it gets."""

import hashlib
import hmac
from dataclasses import dataclass

import msgspec

from gateway.config import ModelOptions
from gateway.errors import ConfigurationError
from gateway.models.options import TrialOptions
from models.catalogue import Artefact, Catalogue, Kind

_DRAW_BYTES = 8
_DRAWS: int = 256**_DRAW_BYTES


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial as the settings have it; `key` stands for this model in this version, tried in this way.

    A trial that was given up stays so until one of these changes.
    """

    artefact: Artefact
    options: TrialOptions
    key: str


def trial_of(options: ModelOptions, catalogue: Catalogue) -> Trial | None:
    """The trial that the settings name; none where they name none, or the model in use.

    Raises:
        CatalogueError: The catalogue does not hold the model.
        ConfigurationError: It is no generator.
    """
    if options.trial.model in {"", options.generator}:
        return None
    artefact = catalogue.artefact(options.trial.model)
    if artefact.kind is not Kind.GENERATOR:
        message = f"models.trial.model names {artefact.id}, which does not generate answers. Name a generator."
        raise ConfigurationError(message)
    about = msgspec.json.encode((options.trial, artefact.version_sha256))
    return Trial(artefact, options.trial, hashlib.sha256(about).hexdigest())


def is_chosen(key: bytes, trial: str, who: str, share: float) -> bool:
    """Whether somebody, or a request, is in the share: always the same in one trial, and another draw in the next."""
    drawn = hmac.digest(key, f"{trial}\0{who}".encode(), hashlib.sha256)[:_DRAW_BYTES]
    return int.from_bytes(drawn) < int(share * _DRAWS)
