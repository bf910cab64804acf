"""The text of `muniment.toml`: written once with every setting as a comment, and changed in place after that."""

import inspect
import re

import msgspec

from gateway.config import Config
from gateway.errors import ConfigurationError

_NETWORKS = """
# Names of networks that rules may ask about, each with its blocks of addresses; the most specific block wins.
# "loopback" (this machine), "local" (the command line) and "other" are built in.
[networks]
#  office = ["10.1.0.0/16", "2001:db8:1::/48"]
"""
_HEAD = """\
# The settings of one Muniment installation. Every setting is shown with its default; take the # away to change it.
# Unknown names and wrong types are refused.
"""


def settings_template() -> str:
    """Every section and setting with its default, as comments."""
    sections = [field for field in msgspec.structs.fields(Config) if field.name != "networks"]
    return _HEAD + "".join(_section(field.name, field.default) for field in sections) + _NETWORKS


def _section(name: str, defaults: msgspec.Struct) -> str:
    about = (inspect.getdoc(type(defaults)) or "").splitlines()
    # A default that is text, number, truth or list reads the same in JSON and in TOML.
    given = msgspec.structs.asdict(defaults)
    parts = {key: value for key, value in given.items() if isinstance(value, msgspec.Struct)}
    settings = [f"# {key} = {msgspec.json.encode(value).decode()}" for key, value in given.items() if key not in parts]
    own = "\n".join(["", *(f"# {line}".rstrip() for line in about), f"[{name}]", *settings, ""])
    return own + "".join(_section(f"{name}.{key}", part) for key, part in parts.items())


def with_setting(text: str, section: str, name: str, value: str) -> str:
    """The file's text with one setting changed, set for the first time, or added with its section.

    Raises:
        ConfigurationError: The file is written in a way that this cannot change safely.
    """
    text = text if text.endswith("\n") else f"{text}\n"
    line = f"{name} = {msgspec.json.encode(value).decode()}"
    head = re.search(rf"^\[{section}\][^\n]*\n", text, re.MULTILINE)
    if head is None:
        changed = f"{text.rstrip()}\n\n[{section}]\n{line}\n"
    else:
        following = re.compile(r"^\[", re.MULTILINE).search(text, head.end())
        end = following.start() if following else len(text)
        changed = text[: head.end()] + _with_line(text[head.end() : end], name, line) + text[end:]
    _require(changed, section, name, value)
    return changed


def _with_line(body: str, name: str, line: str) -> str:
    """A section's body with the line in place of the setting, else of the comment that shows its default."""
    for start in (r"[ \t]*", r"[ \t]*#[ \t]*"):
        pattern = re.compile(rf"^{start}{name}[ \t]*=.*$", re.MULTILINE)
        if pattern.search(body):
            return pattern.sub(lambda _: line, body, count=1)
    return f"{line}\n{body}"


def _require(text: str, section: str, name: str, value: str) -> None:
    try:
        said = getattr(getattr(msgspec.toml.decode(text, type=Config), section), name)
    except msgspec.MsgspecError:
        said = None
    if said != value:
        message = (
            f"muniment.toml is written in a way that cannot be changed safely. Set {name} under [{section}] yourself."
        )
        raise ConfigurationError(message)
