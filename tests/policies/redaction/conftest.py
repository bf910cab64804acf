"""The recognition models, loaded once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from policies.keys import Keys, create_keys
from policies.redaction.engine import Redactor
from policies.redaction.site import SiteRedaction


@pytest.fixture(scope="session")
def recogniser_model(model_path: Callable[[str], Path]) -> Path:
    return model_path("en-core-web-sm-3.8.0")


@pytest.fixture(scope="session")
def russian_model(model_path: Callable[[str], Path]) -> Path:
    return model_path("natasha-1.6.0")


@pytest.fixture(scope="session")
def redactor(recogniser_model: Path, russian_model: Path) -> Redactor:
    redactor = Redactor(recogniser_model, SiteRedaction(clear_words=("Sourcewell",)), russian_model)
    redactor.load()
    return redactor


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return create_keys(tmp_path_factory.mktemp("home") / "keys")
