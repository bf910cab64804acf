"""A site's own rules: a folder of `*.cedar` files, read as one."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from policies.authorizer import Authorizer, complaint, shipped
from policies.errors import PolicyInvalidError
from policies.personal_data import KnownTypes
from policies.rules import Rule

_SUFFIX = ".cedar"
_MOST_FILES = 1000
_LARGEST_FILE_BYTES = 1_000_000
_BUILT_IN_TYPES = KnownTypes()


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of a bundle by name, in their order; none when a site has no rules of its own."""

    files: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, files: Mapping[str, str]) -> Self:
        """A bundle of these files."""
        return cls(tuple(sorted(files.items())))

    @property
    def text(self) -> str:
        """All of it, as the engine reads it."""
        return "\n".join(text for _, text in self.files)

    def stored(self) -> str:
        """The bundle as JSON."""
        return json.dumps(dict(self.files), ensure_ascii=False)

    @classmethod
    def from_stored(cls, text: str) -> Self:
        """The bundle that `stored` wrote.

        Raises:
            PolicyInvalidError: The text is none.
        """
        try:
            files = json.loads(text)
        except (ValueError, RecursionError) as error:
            message = "The stored policies are damaged. Load them again with `muniment policy load`."
            raise PolicyInvalidError(message, ("the stored policies are damaged",)) from error
        if not isinstance(files, dict) or not all(isinstance(part, str) for part in files.values()):
            message = "The stored policies are damaged. Load them again with `muniment policy load`."
            raise PolicyInvalidError(message, ("the stored policies are damaged",))
        return cls.of(files)


@dataclass(frozen=True, slots=True)
class RuleChanges:
    """How two bundles differ: ids of rules, sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


def read_bundle(folder: Path) -> Bundle:
    """Read every `*.cedar` file of a folder; other files and folders within are passed over.

    Raises:
        PolicyInvalidError: The folder or a file cannot be read.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == _SUFFIX and path.is_file())
        if len(paths) > _MOST_FILES or any(path.stat().st_size > _LARGEST_FILE_BYTES for path in paths):
            raise _unreadable(
                folder, f"it holds more than {_MOST_FILES} files, or one over {_LARGEST_FILE_BYTES} bytes"
            )
        return Bundle.of({path.name: path.read_text(encoding="utf-8-sig") for path in paths})
    except OSError as error:
        raise _unreadable(folder, error.strerror or "it cannot be read") from error
    except UnicodeDecodeError as error:
        raise _unreadable(folder, "a file is not UTF-8 text") from error


def compile_bundle(
    bundle: Bundle, networks: Collection[str] | None = None, types: KnownTypes = _BUILT_IN_TYPES
) -> Authorizer:
    """The shipped policies of this version with a site's own.

    Raises:
        PolicyInvalidError: They do not fit; every problem is listed, with the file at fault where one cannot be read.
    """
    problems = [f"{name}: {wrong}" for name, text in bundle.files if (wrong := complaint(text)) is not None]
    if problems:
        message = "".join(
            ["The policies were not loaded; those in force stay. Correct:", *map("\n  - {}".format, problems)]
        )
        raise PolicyInvalidError(message, tuple(problems))
    return Authorizer(*shipped(), bundle.text, networks, types)


def rule_changes(before: Sequence[Rule], after: Sequence[Rule]) -> RuleChanges:
    """Which rules came, which went, and which say something else now."""
    old, new = ({rule.id: rule.digest for rule in rules} for rules in (before, after))
    return RuleChanges(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(id_ for id_ in new.keys() & old.keys() if new[id_] != old[id_])),
    )


def _unreadable(folder: Path, why: str) -> PolicyInvalidError:
    return PolicyInvalidError(f"The policies in {folder} cannot be read: {why}.", (why,))
