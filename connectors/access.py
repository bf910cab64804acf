"""The access file: who may read what, by path prefix, for sources that do not know it themselves.

Labels are made here; whether a principal may read under one is the policies' decision.
"""

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from connectors.contract import Part
from connectors.errors import AccessUnreadableError
from policies.labels import Classification, Label


class _Readers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    groups: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    deny_groups: tuple[str, ...] = ()
    deny_users: tuple[str, ...] = ()
    classification: Classification = Classification.INTERNAL

    def label(self) -> Label:
        return Label(
            allow_groups=frozenset(self.groups),
            allow_users=frozenset(self.users),
            deny_groups=frozenset(self.deny_groups),
            deny_users=frozenset(self.deny_users),
            classification=self.classification,
        )


class _Part(_Readers, frozen=True, forbid_unknown_fields=True, kw_only=True):
    heading: str
    optional: bool = False


class _Rule(_Readers, frozen=True, forbid_unknown_fields=True, kw_only=True):
    prefix: str
    parts: tuple[_Part, ...] = ()

    def restricted(self) -> tuple[Part, ...]:
        return tuple(Part(part.heading, part.label(), part.optional) for part in self.parts)


class _AccessFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    groups: tuple[str, ...]
    rules: tuple[_Rule, ...]
    users: dict[str, tuple[str, ...]] = {}


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The opened access file.

    Attributes:
        groups: The groups it declares.
        users: The users it declares, each with the groups they belong to.
        digest: SHA-256 of the file, in hexadecimal: two rule sets with one digest label alike.
        labels: The label of each prefix, prefixes in Unicode form NFC, and the parts of documents that it restricts.
        lengths: The lengths of the prefixes, longest first.
    """

    groups: frozenset[str]
    users: Mapping[str, frozenset[str]]
    digest: str
    labels: Mapping[str, tuple[Label, tuple[Part, ...]]]
    lengths: tuple[int, ...]

    def label(self, path: str) -> Label:
        """Who may read the document at `path`: what the longest matching prefix says, nobody when none matches."""
        return self.rule(path)[0]

    def parts(self, path: str) -> tuple[Part, ...]:
        """Which parts of that document fewer people may read; the same prefix says it."""
        return self.rule(path)[1]

    def rule(self, path: str) -> tuple[Label, tuple[Part, ...]]:
        """Both of them.

        The cost depends on how many different lengths the prefixes have, not on how many prefixes there are.
        """
        wanted = unicodedata.normalize("NFC", path)
        matches = (self.labels.get(wanted[:length]) for length in self.lengths if length <= len(wanted))
        return next((rule for rule in matches if rule is not None), (Label.private(), ()))


def load_access(path: Path) -> AccessRules:
    """Read an access file.

    Raises:
        AccessUnreadableError: It cannot be read, is malformed, or contradicts itself; the text names the place.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"The access file {path} cannot be read: {error.strerror}. Nothing is read without it."
        raise AccessUnreadableError(message) from error
    try:
        file = msgspec.convert(_json(content), _AccessFile)
    except (ValueError, RecursionError) as error:
        message = f"The access file {path} is malformed: {error}. Correct it; nothing is read until then."
        raise AccessUnreadableError(message) from error
    problem = next(_problems(file), None)
    if problem is not None:
        message = f"The access file {path} contradicts itself: {problem}. Correct it; nothing is read until then."
        raise AccessUnreadableError(message)
    labels = {unicodedata.normalize("NFC", rule.prefix): (rule.label(), rule.restricted()) for rule in file.rules}
    return AccessRules(
        groups=frozenset(file.groups),
        users={user: frozenset(groups) for user, groups in file.users.items()},
        digest=hashlib.sha256(content).hexdigest(),
        labels=labels,
        lengths=tuple(sorted({len(prefix) for prefix in labels}, reverse=True)),
    )


def _json(content: bytes) -> Any:
    return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object_without_twins)


def _object_without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets the last of two equal keys win without a word; here that would drop a rule or a user."""
    twin = _first_twin(key for key, _ in pairs)
    if twin is not None:
        message = f"the key {twin!r} stands twice in one object"
        raise ValueError(message)
    return dict(pairs)


def _first_twin(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _problems(file: _AccessFile) -> Iterator[str]:
    """What is wrong with a file of the right form. A misspelt name in a deny list would open a document."""
    groups = frozenset(file.groups)
    for user, member_of in file.users.items():
        yield from (
            f"user {user!r} is in group {group!r}, which is not in groups" for group in member_of if group not in groups
        )
    for number, rule in enumerate(file.rules, start=1):
        place = f"rule {number} (prefix {rule.prefix!r})"
        if _matches_nothing(rule.prefix):
            yield f"{place} matches no path; paths are relative to the source, with forward slashes, such as 'finance/'"
        yield from _unknown_names(place, rule, file, groups)
        for part in rule.parts:
            if not part.heading.strip():
                yield f"{place} has a part without a heading"
            yield from _unknown_names(f"{place}, part {part.heading!r}", part, file, groups)
    twin = _first_twin(unicodedata.normalize("NFC", rule.prefix) for rule in file.rules)
    if twin is not None:
        yield f"two rules have the prefix {twin!r}"


def _unknown_names(place: str, readers: _Readers, file: _AccessFile, groups: frozenset[str]) -> Iterator[str]:
    yield from (
        f"{place} names group {group!r}, which is not in groups"
        for group in (*readers.groups, *readers.deny_groups)
        if group not in groups
    )
    yield from (
        f"{place} names user {user!r}, who is not in users"
        for user in (*readers.users, *readers.deny_users)
        if file.users and user not in file.users
    )


def _matches_nothing(prefix: str) -> bool:
    return "\\" in prefix or any(part in {"", ".", ".."} for part in prefix.split("/")[:-1])
