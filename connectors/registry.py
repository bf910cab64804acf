"""Which connectors there are, and how a source's settings become a connector.

The built-in ones stand in the table below. Those of other packages are found by name under the entry-point group
`muniment.connectors` and loaded only when a source names them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from connectors.access import AccessRules
from connectors.contract import Connector
from connectors.errors import ConfigurationError
from connectors.folder.connector import FolderConnector, FolderOptions

ENTRY_POINT_GROUP = "muniment.connectors"


@dataclass(frozen=True, slots=True)
class ConnectorType:
    """A kind of source.

    Attributes:
        name: What `--type` says.
        summary: What it reads, in a sentence.
        options: A msgspec Struct whose fields are the settings, described with `msgspec.Meta(description=...)`.
        connect: Makes the connector from its options and the access file's rules, None when the source has none.
    """

    name: str
    summary: str
    options: type[msgspec.Struct]
    connect: Callable[[Any, AccessRules | None], Connector]


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a connector; `default` is None when it must be given."""

    name: str
    description: str
    default: str | None


BUILT_IN: tuple[ConnectorType, ...] = (
    ConnectorType("folder", "Files below a folder of this machine.", FolderOptions, FolderConnector),
)


def names() -> list[str]:
    """The names a source may give as its type; nothing is loaded to list them."""
    installed = {point.name for point in entry_points(group=ENTRY_POINT_GROUP)}
    return sorted(installed | {type_.name for type_ in BUILT_IN})


def connector_type(name: str) -> ConnectorType:
    """The connector of that name; one of another package is loaded now.

    Raises:
        ConfigurationError: There is none, or two, or its package cannot be loaded.
    """
    built_in = next((type_ for type_ in BUILT_IN if type_.name == name), None)
    return built_in or _third_party(name)


def settings_of(type_: ConnectorType) -> list[Setting]:
    """The settings a connector takes, in the order its options declare them."""
    described = msgspec.json.schema(type_.options)["$defs"][type_.options.__name__]["properties"]
    return [
        Setting(
            field.name,
            described[field.encode_name].get("description", ""),
            None if field.required else str(field.default),
        )
        for field in msgspec.structs.fields(type_.options)
    ]


def settings_to_save(type_name: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The settings as they should be stored: checked, and with what depends on the present folder made absolute.

    Raises:
        ConfigurationError: There is no such connector, or a setting is unknown, missing or malformed.
    """
    options = msgspec.to_builtins(_options(connector_type(type_name), settings))
    return {name: options[name] if isinstance(options[name], str) else given for name, given in settings.items()}


def create(type_name: str, settings: Mapping[str, str], access: AccessRules | None) -> Connector:
    """Make the connector of a source; without access rules every document of it is private.

    Raises:
        ConfigurationError: There is no such connector, or a setting is unknown, missing or malformed.
    """
    type_ = connector_type(type_name)
    return type_.connect(_options(type_, settings), access)


def _options(type_: ConnectorType, settings: Mapping[str, str]) -> msgspec.Struct:
    known = settings_of(type_)
    unknown = sorted(settings.keys() - {setting.name for setting in known})
    missing = [setting.name for setting in known if setting.default is None and setting.name not in settings]
    if unknown or missing:
        problem = f"has no setting {unknown[0]!r}" if unknown else f"needs the setting {missing[0]!r}"
        listed = ", ".join(f"{one.name} (required)" if one.default is None else one.name for one in known)
        message = f"The {type_.name} connector {problem}. Its settings are: {listed}."
        raise ConfigurationError(message)
    try:
        return msgspec.convert(dict(settings), type_.options, strict=False)
    except msgspec.ValidationError as error:
        message = f"A setting of the {type_.name} connector is malformed: {error}. Correct it."
        raise ConfigurationError(message) from error


def _third_party(name: str) -> ConnectorType:
    points = entry_points(group=ENTRY_POINT_GROUP, name=name)
    if not points:
        message = f"There is no connector named {name!r}. There are: {', '.join(names())}."
        raise ConfigurationError(message)
    if len(points) > 1:
        packages = ", ".join(sorted(point.dist.name for point in points if point.dist))
        message = f"More than one package brings a connector named {name!r}: {packages}. Uninstall all but one."
        raise ConfigurationError(message)
    return _loaded(next(iter(points)))


def _loaded(point: EntryPoint) -> ConnectorType:
    """Load the type from its package, whose code may fail in any way at import."""
    try:
        type_ = point.load()
    except Exception as error:
        message = (
            f"The connector {point.name!r} ({point.value}) cannot be loaded: {error}. Repair or update its package."
        )
        raise ConfigurationError(message) from error
    if not isinstance(type_, ConnectorType) or type_.name != point.name:
        message = f"{point.value} is not a ConnectorType named {point.name!r}. Repair or update its package."
        raise ConfigurationError(message)
    return type_
