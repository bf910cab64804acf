"""A home that was made by the commands themselves, once; each test works on a copy."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.cli.commands import KESTREL_ANSWER, Commands, use_fakes, write_documents
from tests.gateway.gated_model import GatedModel


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_documents(folder)
    commands = Commands(folder, GatedModel())
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_fakes(monkeypatch, commands.model)
        commands.succeed("init")
        commands.succeed("users", "add", "--from", str(commands.access))
        path, access = f"path={commands.documents}", str(commands.access)
        commands.succeed("sources", "add", "company", "--type", "folder", "--set", path, "--access", access)
        commands.succeed("sync")
    return folder


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Commands where there is no home yet."""
    monkeypatch.delenv("MUNIMENT_HOME", raising=False)
    model = GatedModel()
    use_fakes(monkeypatch, model)
    write_documents(tmp_path)
    return Commands(tmp_path, model)


@pytest.fixture
def commands(made_home: Path, empty: Commands) -> Iterator[Commands]:
    """Commands on a fresh copy of the home. Its source still reads the documents it was made with."""
    shutil.copytree(made_home / "home", empty.home)
    empty.model.says(KESTREL_ANSWER)
    return empty
