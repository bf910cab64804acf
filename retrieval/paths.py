"""Sealed personal data in a document's path: card numbers, accounts, national identifiers, secrets.

A path is an interface: people and scripts compare it with the source. So only what is sealed is looked for in it, and
neither a file's extension nor dates in its name are taken for data. Names and contacts in it are never hidden.
"""

import re
from collections.abc import Sequence
from typing import Protocol

from policies.personal_data import EntityType, KnownTypes, Sensitivity, Span

_EXTENSION = re.compile(r"\.(?=\w{1,8}\Z)")
_FOLDERS = str.maketrans("/", " ")
_WORDS = str.maketrans("/._-", "    ")
"""What stands between words in names of files."""
_LONG_RUN = "encoded key"
"""The rule that takes a long unbroken run for a secret. With hyphens and underscores in it, it is a name of a file."""
_DATE_FIRST = re.compile(
    r"20\d\d[-_./ ]?(?:0[1-9]|1[0-2])[-_./ ]?(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[1-9]|[12]\d|3[01])[-_./ ](?:0[1-9]|1[0-2])[-_./ ]20\d\d"
)
"""Dates and times one after the other pass a card's checksum one time in ten; no card begins so."""


class Finder(Protocol):
    """Whoever finds personal data in texts."""

    @property
    def types(self) -> KnownTypes:
        """The kinds of personal data that are looked for."""

    def find_many(self, texts: Sequence[str]) -> list[list[Span]]:
        """The personal data in each text."""


def sealed_spans(path: str, finder: Finder) -> list[Span]:
    """Where sealed personal data stands in a path; spans may overlap.

    It is read twice: as it stands, since keys have hyphens and underscores in them, and as words, since names of files
    have these for spaces.

    Raises:
        RedactionFailedError: It could not be looked for.
    """
    bare = _EXTENSION.sub(" ", path)
    as_it_stands, as_words = finder.find_many([bare.translate(_FOLDERS), bare.translate(_WORDS)])
    found = [span for span in as_it_stands if span.recogniser != _LONG_RUN] + as_words
    return [span for span in found if _is_sealed(path, span, finder.types)]


def _is_sealed(path: str, span: Span, types: KnownTypes) -> bool:
    if span.type is EntityType.CREDIT_CARD and _DATE_FIRST.match(path, span.start):
        return False
    return types.sensitivity(span.type) is Sensitivity.SEALED
