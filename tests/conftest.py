"""What every test may lean on."""

import os
from pathlib import Path

import platformdirs
import pytest


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
