"""Text in sentences."""

import re

_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[⟦]?[A-Z0-9⟦])|\n+")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|approx|no|dr|mr|mrs|ms|prof|st|inc|ltd|co|jr|sr)\.$", re.IGNORECASE)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, trimmed; list items and lines count as sentences."""
    pieces: list[str] = []
    start = 0
    for match in _END.finditer(text):
        if _ABBREVIATION.search(text, start, match.start()):
            continue
        pieces.append(text[start : match.end()])
        start = match.end()
    return [piece.strip() for piece in (*pieces, text[start:]) if piece.strip()]
