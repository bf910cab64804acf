"""Sealed personal data in a document's path: card numbers, accounts, national identifiers, secrets.

A path is an interface: people and scripts compare it with the source. So only what is sealed is looked for in it, and
a file's extension is not taken for data. Names and contacts in it are never hidden.
"""

import re
from collections.abc import Sequence
from typing import Protocol

from policies.personal_data import KnownTypes, Sensitivity, Span

_EXTENSION = re.compile(r"\.(?=\w{1,8}\Z)")
_FOLDERS = str.maketrans("/", " ")
_WORDS = str.maketrans("/._-", "    ")
"""What stands between words in names of files."""
_LONG_RUN = "encoded key"
"""The rule that takes a long unbroken run for a secret. With hyphens and underscores in it, it is a name of a file."""


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
    return [span for span in found if finder.types.sensitivity(span.type) is Sensitivity.SEALED]
