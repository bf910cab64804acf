"""The recognition model, loaded once."""

import os
from pathlib import Path

import pytest

from policies.keys import Keys, create_keys
from policies.redaction.engine import Redactor
from policies.redaction.site import SiteRedaction


@pytest.fixture(scope="session")
def recogniser_model(models_folder: Path) -> Path:
    folder = models_folder / "en-core-web-sm-3.8.0"
    if not folder.is_dir():
        reason = "en-core-web-sm-3.8.0 has not been pulled; run: muniment models pull en-core-web-sm-3.8.0"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def redactor(recogniser_model: Path) -> Redactor:
    redactor = Redactor(recogniser_model, SiteRedaction(clear_words=("Sourcewell",)))
    redactor.load()
    return redactor


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return create_keys(tmp_path_factory.mktemp("home") / "keys")
