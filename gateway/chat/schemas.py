"""What goes into a question and what comes out with an answer, as every channel shows it."""

from datetime import datetime
from typing import Any

import msgspec


class Citation(msgspec.Struct, frozen=True):
    """A passage an answer stands on; `supported` is false when a sentence that cites it is not stated there."""

    n: int
    source: str
    document: str
    path: str
    title: str
    url: str
    heading: str
    page: int | None
    modified: datetime | None
    text: str
    supported: bool


class CheckedSentence(msgspec.Struct, frozen=True):
    """A sentence of the answer, the number of the citation it was held against, and what was found.

    `reason` says why it is not supported: `number`, `date`, `name`, `negation`, `language` or `wording`; empty where it
    is. `text` is empty where what may leave of the answer no longer falls into the sentences that were checked.
    """

    text: str
    n: int
    supported: bool
    reason: str


class Usage(msgspec.Struct, frozen=True):
    """Tokens counted; `cached_tokens` of the prompt were not computed again."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    total_tokens: int


class Answer(msgspec.Struct, frozen=True):
    """An answer and all that proves it.

    `kept_here` counts the passages that it would have been made from too, had policy let them be sent to the model.
    """

    answer: str
    abstained: bool
    citations: list[Citation]
    sentences: list[CheckedSentence]
    redactions: dict[str, int]
    receipt: dict[str, Any]
    usage: Usage
    timings_ms: dict[str, float]
    conversation: str | None = None
    kept_here: int = 0

    @property
    def model(self) -> str:
        """Which model answered."""
        return str(self.receipt["receipt"]["model"])
