"""A second, independent reading of an access file, which the product's own access is held against.

Nothing here is shared with `connectors/access.py` or `policies/`: an error in them must not hide itself.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import BadRequestError


@dataclass(frozen=True, slots=True)
class Access:
    """Who is in which groups, and the rules as the file states them."""

    users: Mapping[str, frozenset[str]]
    rules: Sequence[Mapping[str, Any]]

    def may_read(self, user: str, path: str) -> bool:
        """Whether the longest rule whose prefix begins the path lets the user read; without a rule nobody may."""
        name = unicodedata.normalize("NFC", path)
        matching = [rule for rule in self.rules if name.startswith(unicodedata.normalize("NFC", rule["prefix"]))]
        if not matching:
            return False
        rule = max(matching, key=lambda rule: len(unicodedata.normalize("NFC", rule["prefix"])))
        return self._named(user, rule, "") and not self._named(user, rule, "deny_")

    def _named(self, user: str, rule: Mapping[str, Any], kind: str) -> bool:
        groups = self.users.get(user, frozenset())
        return user in rule.get(f"{kind}users", ()) or not groups.isdisjoint(rule.get(f"{kind}groups", ()))

    def first_reader(self, groups: Sequence[str]) -> str | None:
        """The first user in one of the groups, in the file's order; with no groups named, the first user."""
        return next((user for user, own in self.users.items() if not groups or not own.isdisjoint(groups)), None)


def read_access(path: Path) -> Access:
    """Read an access file a second way.

    Raises:
        BadRequestError: It cannot be read, is no access file, or names no users.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        users = {str(user): frozenset(groups) for user, groups in content["users"].items()}
        rules = [dict(rule) for rule in content["rules"]]
        prefixes = [rule["prefix"] for rule in rules]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not an access file with users and rules"
        message = f"The access file {path} cannot be read: {reason}."
        raise BadRequestError(message) from error
    if not users or not all(isinstance(prefix, str) for prefix in prefixes):
        message = f"The access file {path} names no users to ask as, or a prefix that is not text."
        raise BadRequestError(message)
    return Access(users, rules)
