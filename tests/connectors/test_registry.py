"""Settings become connectors, or a sentence that names the right ones."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from connectors import Label, Upsert, registry
from connectors.access import load_access
from connectors.errors import ConfigurationError
from connectors.registry import ConnectorType, Setting


def test_a_folder_source_is_made_from_its_settings(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("hello")
    (tmp_path / "access.json").write_text('{"groups": ["g"], "rules": [{"prefix": "", "groups": ["g"]}]}')
    connector = registry.create("folder", {"path": str(tmp_path / "docs")}, load_access(tmp_path / "access.json"))
    connector.check()
    (upsert,) = [change for change in connector.changes(None) if isinstance(change, Upsert)]
    assert upsert.label == Label.for_groups("g")


def test_without_an_access_file_everything_is_private(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("hello")
    connector = registry.create("folder", {"path": str(tmp_path)}, None)
    (upsert,) = [change for change in connector.changes(None) if isinstance(change, Upsert)]
    assert upsert.label == Label.private()


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("floder", {"path": "x"}, "There are: folder"),
        ("folder", {}, "needs the setting 'path'"),
        ("folder", {"path": "x", "pth": "y"}, "no setting 'pth'. Its settings are: path (required), include"),
        ("folder", {"path": "x", "max_bytes": "many"}, "max_bytes"),
        ("folder", {"path": "x", "max_bytes": "0"}, "max_bytes"),
        ("folder", {"path": " "}, "path is empty"),
    ],
)
def test_a_wrong_setting_is_named(name: str, settings: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry.create(name, settings, None)
    assert said in str(caught.value)


def test_settings_are_saved_independent_of_the_present_folder(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    saved = registry.settings_to_save("folder", {"path": "docs", "max_bytes": "10"})
    assert saved == {"path": str(tmp_path / "docs"), "max_bytes": "10"}


def test_settings_are_described() -> None:
    listed = registry.settings_of(registry.connector_type("folder"))
    assert listed[0] == Setting("path", "The folder to read.", None)
    assert all(setting.description for setting in listed)
    assert [setting.default for setting in listed[1:]] == ["", "", "50000000"]


class WikiOptions(msgspec.Struct, frozen=True):
    url: Annotated[str, msgspec.Meta(description="Where the wiki is.")]


def _no_connector(options: Any, access: Any) -> Any:
    return (options, access)


WIKI = ConnectorType("wiki", "Pages of a wiki.", WikiOptions, _no_connector)
MISNAMED = ConnectorType("other", "Not what its entry point says.", WikiOptions, _no_connector)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Packages that bring the connectors wiki, broken, wrong, misnamed and (against the built-in one) folder."""
    loaded: list[str] = []

    class Recorded(EntryPoint):
        def load(self) -> Any:
            loaded.append(self.name)
            return {"wiki": WIKI, "wrong": 7, "misnamed": MISNAMED, "folder": WIKI}[self.name]

    group = registry.ENTRY_POINT_GROUP
    values = ["wiki", "broken", "wrong", "misnamed", "folder", "twice", "twice"]
    points = [Recorded(name, f"package.{name}:{name}", group) for name in values]

    monkeypatch.setattr(registry, "entry_points", EntryPoints(points).select)
    return loaded


def test_a_connector_of_another_package_is_loaded_only_when_named(installed: list[str]) -> None:
    assert "wiki" in registry.names()
    registry.connector_type("folder")
    assert installed == []
    options, _ = registry.create("wiki", {"url": "https://wiki.example"}, None)  # type: ignore[misc]
    assert options == WikiOptions("https://wiki.example")
    assert installed == ["wiki"]


def test_a_package_cannot_take_the_place_of_a_built_in_connector(installed: list[str]) -> None:
    assert registry.connector_type("folder") is registry.BUILT_IN[0]
    assert installed == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broken", "cannot be loaded"),
        ("wrong", "not a ConnectorType"),
        ("misnamed", "not a ConnectorType named"),
        ("twice", "More than one package"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_a_package_that_does_not_fit_is_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        registry.connector_type(name)
