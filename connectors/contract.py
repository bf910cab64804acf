"""What a connector is: two methods, and the four things it may yield.

A connector speaks one product's language and maps it to documents; parsing, chunking, indexing and permission
checks are others' work. Nothing here knows of a database or of the web.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from policies.labels import Label


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a document that fewer people may read than the rest: what stands under a heading, or in a sheet.

    Attributes:
        heading: The heading's or sheet's name, as it stands in the document; case and spacing do not matter.
        label: Who may read the part, among those who may read the document.
        optional: Whether the document may lack it. Where it must not and does, the whole document gets the part's
            label too, so that a renamed heading opens nothing.
    """

    heading: str
    label: Label
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Upsert:
    """A document that is new or changed.

    Attributes:
        id: The document's identity in its source, stable across changes.
        path: Where people find it in the source, with forward slashes.
        content: The bytes as the source holds them; parsing is not the connector's work.
        media_type: What the source says the bytes are, such as `text/markdown`.
        label: Who may read it; `Label.private()` when the source cannot tell.
        title: The source's title for it, empty to take the document's own.
        url: Where a reader may open it, empty when there is no such place.
        author: Who wrote it, as the source names them; empty when unknown.
        modified: When it last changed in the source, in UTC.
        parts: What of it is more restricted than the whole.
    """

    id: str
    path: str
    content: bytes
    media_type: str
    label: Label
    title: str = ""
    url: str = ""
    author: str = ""
    modified: datetime | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """A document that is gone from the source."""

    id: str


@dataclass(frozen=True, slots=True)
class Skip:
    """A document that exists but could not be read; an earlier version of it leaves the index.

    `reason` is a sentence for people, without the document's content.
    """

    id: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything yielded so far may be committed; `cursor` resumes from here.

    The cursor is the connector's own text, opaque to everybody else, and holds no document text.
    """

    cursor: str


Change = Upsert | Delete | Skip | Checkpoint
"""What `changes` yields."""


class Connector(Protocol):
    """One configured source."""

    def check(self) -> None:
        """Find out whether the source can be read with this configuration; called before it is saved.

        Raises:
            ConnectorError: It cannot; the text says why and what to do.
        """
        ...

    def changes(self, since: str | None) -> Iterator[Change]:
        """Yield what changed since the cursor (everything when None), with a final `Checkpoint`.

        Raises:
            ConnectorError: The run cannot go on. What was yielded before the last checkpoint stands.
        """
        ...
