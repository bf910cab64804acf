"""Making a home: all of it or nothing, never over something that is there."""

import stat
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway import installation
from gateway.config import CONFIG_NAME, Config, Home
from gateway.errors import ConfigurationError, ConflictError
from gateway.settings_file import settings_template, with_setting
from tests.gateway.cli.commands import Commands


def test_a_home_is_for_its_owner_alone(empty: Commands) -> None:
    said = empty.succeed("init")
    assert str(empty.home) in said
    assert "muniment models pull" in said
    for path in (empty.home, empty.home / "keys"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (empty.home / CONFIG_NAME, *(empty.home / "keys").iterdir(), *(empty.home / "data").glob("*.db")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_new_home_works_and_its_making_is_in_the_trail(empty: Commands) -> None:
    empty.succeed("init")
    assert empty.json("users", "list") == []
    assert [event["version"] for event in empty.recorded("home:created")]
    assert empty.json("audit", "verify")["ok"] is True


def test_an_empty_folder_may_become_a_home(empty: Commands) -> None:
    """As a volume of a container is."""
    empty.home.mkdir(mode=0o755)
    empty.succeed("init")
    assert stat.S_IMODE(empty.home.stat().st_mode) == 0o700


def test_nothing_is_overwritten(commands: Commands) -> None:
    before = {path: path.read_bytes() for path in (commands.home / "keys").iterdir()}
    assert "is not empty" in commands.fail("init", exit_code=6)
    assert {path: path.read_bytes() for path in (commands.home / "keys").iterdir()} == before


def test_somebody_elses_folder_is_not_touched(empty: Commands) -> None:
    empty.home.mkdir()
    (empty.home / "thesis.txt").write_text("years of work")
    empty.fail("init", exit_code=6)
    assert [path.name for path in empty.home.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("existed", [True, False])
def test_a_failure_leaves_nothing_half_made(empty: Commands, monkeypatch: pytest.MonkeyPatch, *, existed: bool) -> None:
    def fail(_folder: Path) -> None:
        message = "the disk is full"
        raise ConfigurationError(message)

    if existed:
        empty.home.mkdir()
    monkeypatch.setattr(installation, "create_keys", fail)
    assert "the disk is full" in empty.fail("init", exit_code=10)
    assert empty.home.exists() is existed
    assert not existed or list(empty.home.iterdir()) == []
    monkeypatch.undo()


@pytest.mark.parametrize("existed", [True, False])
def test_of_two_that_begin_at_once_one_makes_the_home(
    empty: Commands, monkeypatch: pytest.MonkeyPatch, *, existed: bool
) -> None:
    """Both find the folder empty; the one that comes second must not clean up after the first."""
    if existed:
        empty.home.mkdir()
    both_looked = threading.Barrier(2)
    outcomes: list[str] = []
    look = Path.mkdir

    def wait_for_the_other(path: Path, *arguments: Any, **more: Any) -> None:
        if path == empty.home and threading.current_thread().name.startswith("init"):
            both_looked.wait(60)
        look(path, *arguments, **more)

    def begin() -> None:
        try:
            installation.create_home(Home(empty.home), by="tests")
            outcomes.append("made")
        except ConflictError as error:
            outcomes.append(str(error))

    monkeypatch.setattr(Path, "mkdir", wait_for_the_other)
    threads = [threading.Thread(target=begin, name=f"init-{number}") for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    told, made = sorted(outcomes, key=lambda outcome: outcome == "made")
    assert made == "made"
    assert "nothing in it was touched" in told
    assert empty.json("users", "list") == []
    assert len(empty.recorded("home:created")) == 1


def test_a_place_that_cannot_be_written_is_named(empty: Commands) -> None:
    empty.home.write_text("a file where the folder should be")
    assert str(empty.home) in empty.fail("init", exit_code=10)


def test_every_default_stands_in_the_settings_as_a_comment() -> None:
    template = settings_template()
    assert msgspec.toml.decode(template, type=Config) == Config()
    switched_on = "\n".join(
        line.removeprefix("# ") if " = " in line else line
        for line in template.splitlines()
        if not line.startswith("#  ")
    )
    assert msgspec.toml.decode(switched_on, type=Config) == Config()
    for section in (field for field in msgspec.structs.fields(Config) if field.name != "networks"):
        for setting in msgspec.structs.fields(type(section.default)):
            part = isinstance(setting.default, msgspec.Struct)
            assert (f"[{section.name}.{setting.name}]" if part else f"# {setting.name} = ") in template


@pytest.mark.parametrize(
    "text",
    [
        settings_template(),
        "",
        "[server]\nport = 1\n",
        '[models]\ngenerator = "old" # why\nthreads = 2\n[server]\nport = 1\n',
        "[models]",
        '[models]\n  generator="old"\n',
        '[server]\nport = 1\n\n[models]\n# a remark\n# generator = "x"\n\nthreads = 2\n',
    ],
)
def test_one_setting_is_changed_and_all_else_stays(text: str) -> None:
    changed = with_setting(text, "models", "generator", "new")
    before, after = (msgspec.toml.decode(each, type=Config) for each in (text, changed))
    assert after.models.generator == "new"
    assert msgspec.structs.replace(after.models, generator=before.models.generator) == before.models
    assert after.server == before.server
    kept = [line for line in text.splitlines() if "generator" not in line]
    assert [line for line in changed.splitlines() if line in kept and line] == [line for line in kept if line]


def test_a_file_that_cannot_be_changed_safely_is_left_alone() -> None:
    with pytest.raises(ConfigurationError, match="Set generator under"):
        with_setting('models = {generator = "old"}\n', "models", "generator", "new")
