"""What the rest of the product asks of whoever finds personal data."""

from collections.abc import Sequence
from typing import Protocol

from policies.personal_data import KnownTypes, Span


class SegmentFinder(Protocol):
    """Reads one text that arrives segment by segment."""

    def find(self, segment: str) -> list[Span]:
        """The personal data in the next segment of the text, as `segments` cuts it.

        Raises:
            RedactionFailedError: It could not be looked for; the text must not be used.
        """


class Finder(Protocol):
    """Finds personal data in texts; threads may share one.

    `isolated.IsolatedRedactor` does so in processes of its own, `engine.Redactor` in this one.
    """

    types: KnownTypes
    """The kinds of personal data that are looked for."""

    def load(self) -> None:
        """Get ready, which takes seconds; later calls do nothing.

        Raises:
            RedactionFailedError: The model is missing or damaged, or no process starts.
        """

    def find(self, text: str) -> list[Span]:
        """The personal data in a text: spans in order that do not overlap.

        Raises:
            RedactionFailedError: It could not be looked for; the text must not be used.
        """

    def find_many(self, texts: Sequence[str]) -> list[list[Span]]:
        """`find` for many texts at once, which is faster.

        Raises:
            RedactionFailedError: In one of them it could not be looked for.
        """

    def recognise(self, texts: Sequence[str]) -> list[list[Span]]:
        """`find_many`, and all of `MentionType` too, whose types are not among `types` where they are not masked.

        Raises:
            RedactionFailedError: In one of them it could not be looked for.
        """

    def close(self) -> None:
        """Let go of what `load` made ready; what is asked later makes it ready again."""

    def scanner(self) -> SegmentFinder:
        """A finder for one text that arrives segment by segment.

        Raises:
            RedactionFailedError: There is none.
        """
