"""What every test may lean on."""

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from models.catalogue import load_catalogue
from models.errors import ModelMissingError
from models.store import ModelStore


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the corpora; tests that need them are skipped where it is absent."""
    folder = Path(os.environ.get("MUNIMENT_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "corpora").is_dir():
        pytest.skip("the shared corpora are not beside the repository; set MUNIMENT_SHARED to their folder")
    return folder


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """Where pulled models are kept."""
    chosen = os.environ.get("MUNIMENT_MODELS")
    return Path(chosen) if chosen else platformdirs.user_cache_path("muniment") / "models"


@pytest.fixture(scope="session")
def model_path(models_folder: Path) -> Callable[[str], Path]:
    """Where a model of the catalogue lies; without it the test is skipped, or fails where CI should have pulled it."""
    store = ModelStore(models_folder, load_catalogue())

    def path(artefact_id: str) -> Path:
        try:
            return store.path(artefact_id)
        except ModelMissingError as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))

    return path
