"""Labels: who may read a document, in one canonical form.

Many documents share one label, so labels are interned: storage keeps each distinct label once and documents
refer to it by number (see `retrieval/tables.py`). Whether a principal may read a label is Cedar's decision.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Classification(StrEnum):
    """How sensitive a document is, from least to most."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"


@dataclass(frozen=True, slots=True)
class Label:
    """The set of who may read, who may not, and the classification.

    A label that allows nobody is private: only its absence of readers is known, so nobody reads it.

    Attributes:
        allow_groups: Members of any of these groups may read.
        allow_users: These users may read.
        deny_groups: Members of any of these groups may not read, whatever allows it.
        deny_users: These users may not read, whatever allows it.
        classification: How sensitive the document is.
        source: The source that says so, by its configured name; empty until ingestion fills it in.
        within: The label of the document that a more restricted part belongs to. Both must allow reading.
    """

    allow_groups: frozenset[str] = frozenset()
    allow_users: frozenset[str] = frozenset()
    deny_groups: frozenset[str] = frozenset()
    deny_users: frozenset[str] = frozenset()
    classification: Classification = Classification.INTERNAL
    source: str = ""
    within: "Label | None" = None

    @classmethod
    def private(cls) -> Self:
        """What a source says when it cannot tell who may read."""
        return cls()

    @classmethod
    def for_groups(cls, *groups: str) -> Self:
        """The common case: members of any of these groups may read."""
        return cls(allow_groups=frozenset(groups))

    def canonical(self) -> str:
        """One JSON text per label, in ASCII, whatever order its members were named in and whatever they contain."""
        return json.dumps(self._fields(), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_canonical(cls, text: str) -> Self:
        """The label that `canonical` wrote.

        Raises:
            ValueError: The text is not a label.
        """
        try:
            return cls._from_fields(json.loads(text))
        except (KeyError, TypeError, RecursionError) as error:
            message = f"not a label: {error!r}"
            raise ValueError(message) from error

    def parts(self) -> tuple["Label", ...]:
        """This label and those it stands within, from the inside out: each must allow what is asked."""
        return (self, *self.within.parts()) if self.within else (self,)

    def _fields(self) -> dict[str, Any]:
        return {
            "allow_groups": sorted(self.allow_groups),
            "allow_users": sorted(self.allow_users),
            "classification": self.classification.value,
            "deny_groups": sorted(self.deny_groups),
            "deny_users": sorted(self.deny_users),
            "source": self.source,
            "within": self.within._fields() if self.within else None,
        }

    @classmethod
    def _from_fields(cls, fields: Any) -> Self:
        within, source = fields["within"], fields["source"]
        if not isinstance(source, str):
            message = "the source is not a text"
            raise TypeError(message)
        return cls(
            allow_groups=_names(fields["allow_groups"]),
            allow_users=_names(fields["allow_users"]),
            deny_groups=_names(fields["deny_groups"]),
            deny_users=_names(fields["deny_users"]),
            classification=Classification(fields["classification"]),
            source=source,
            within=None if within is None else cls._from_fields(within),
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal: the label's identity in storage and in the trail."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


def _names(found: object) -> frozenset[str]:
    """A list of names; a single text must not be taken for the list of its letters."""
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        message = "names are not a list of texts"
        raise TypeError(message)
    return frozenset(found)
