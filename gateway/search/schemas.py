"""What a search gives, as every channel shows it."""

import msgspec


class SearchedPassage(msgspec.Struct, frozen=True):
    """A passage found; `start` and `end` are code points of the document's text."""

    rank: int
    score: float
    document: str
    path: str
    title: str
    heading: str
    text: str
    start: int
    end: int


class SearchResult(msgspec.Struct, frozen=True):
    """What a search gives."""

    passages: list[SearchedPassage]
    took_ms: float
