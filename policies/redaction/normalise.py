"""Undo the ways in which text is dressed up, so that recognisers see what a reader sees.

Every view keeps, for each of its characters, where that came from, so that what is found in it can be masked in
the original. Recognising is others' work.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]+"
)
_EMPHASIS = re.compile(r"[*`]+|~~|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)")
_MIXED_SCRIPT = re.compile(r"(?<![^\W\d_])[^\W\d_]*(?:[A-Za-z][\u0370-\u052f]|[\u0370-\u052f][A-Za-z])[^\W\d_]*")
# Letters of Cyrillic and Greek that are drawn like Latin ones; each maps to one letter, so offsets stay.
_LOOK_ALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјкорсухԁһΑΒΕΖΗΙΚΜΝΟΡΤΥΧανορυχ",
    "ABESIJKMHOPCTYXaesijkopcyxdhABEZHIKMNOPTYXavopux",
)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s<>\"'`|\])]+|\bwww\.[^\s<>\"'`|\])]+", re.IGNORECASE)
# What prose is dressed in and no name is part of: tags, link targets, addresses, code-like words.
_NO_PROSE = re.compile(
    r"</?[a-z][a-z0-9-]*(?:\s[^<>\n]{0,200})?/?>"
    r"|(?:[a-z][a-z0-9+.-]{1,20}://|www\.|mailto:)[^\s<>\"'`|\])]+"
    r"|&[a-z]{2,8};"
    r"|(?<![\w.+-])[\w.+-]++@[\w.-]+"
    r"|(?<!\w)[#/~\\$][\w./:@#-]+"
    r"|(?<![a-z0-9.-])[a-z0-9.-]++(?:[/\\][\w.-]+)+"
    r"|(?<!\w)[^\W_]*+_[\w.-]+"
    r"|[\[\]{}<>^\\]|[-=_]{3,}"
)
_SHORT_LINE_CHARS = 50
# Names do not go on over the target of a link, an at-sign, the wall of a table's cell, or a short line's end.
_BREAK_LINK = re.compile(r"(?<=\])\([^()\s]{1,300}(?:\s\"[^\"\n]{0,100}\")?\)")
_BREAK = re.compile(rf"[@|]|(?<![^\n]{{{_SHORT_LINE_CHARS}}})\n")
_SPACES = re.compile(r"\s{2,}|[\n\r\t]")


@dataclass(frozen=True, slots=True)
class View:
    """A text to search, and where each of its characters stands in the original: `starts[i]` to `ends[i]`."""

    text: str
    starts: list[int] | range
    ends: list[int] | range

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where the original of `text[start:end]` begins and ends; the slice is not empty."""
        return self.starts[start], self.ends[end - 1]

    def replaced(self, pattern: re.Pattern[str], by: str) -> "View":
        """The view in which each match reads `by`."""
        if not pattern.search(self.text):
            return self
        text: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        done = 0
        for match in pattern.finditer(self.text):
            text += (self.text[done : match.start()], by)
            starts += (*self.starts[done : match.start()], *[self.starts[match.start()]] * len(by))
            ends += (*self.ends[done : match.start()], *[self.ends[match.end() - 1]] * len(by))
            done = match.end()
        return View("".join((*text, self.text[done:])), [*starts, *self.starts[done:]], [*ends, *self.ends[done:]])


def normalise(text: str) -> View:
    """What a reader sees: compatible forms folded (NFKC), invisible characters, emphasis and look-alikes gone."""
    view = View(text, range(len(text)), range(1, len(text) + 1))
    if not text.isascii():
        view = _composed(view.replaced(_INVISIBLE, ""))
        folded = _MIXED_SCRIPT.sub(lambda match: match[0].translate(_LOOK_ALIKES), view.text)
        view = View(folded, view.starts, view.ends)
    return view.replaced(_EMPHASIS, "")


def without_addresses(view: View) -> str:
    """The text with the paths of web addresses blanked, character for character: numbers in them name pages."""
    if "://" not in view.text and "www." not in view.text:
        return view.text
    return _URL.sub(lambda match: _blank_path(match[0]), view.text)


def without_links(text: str) -> str:
    """The text with web addresses blanked altogether, character for character."""
    return _URL.sub(lambda match: " " * len(match[0]), text) if "://" in text or "www." in text else text


def prose(view: View) -> View:
    """What is left to read aloud: no tags, link targets, addresses or code; semicolons where nothing goes on."""
    return view.replaced(_BREAK_LINK, "; ").replaced(_NO_PROSE, " ").replaced(_BREAK, "; ").replaced(_SPACES, " ")


def _blank_path(url: str) -> str:
    cut = min((at for at in (url.find("?"), url.find("#")) if at >= 0), default=len(url))
    return " " * cut + url[cut:]


def _composed(view: View) -> View:
    if unicodedata.is_normalized("NFKC", view.text):
        return view
    pieces = [(unicodedata.normalize("NFKC", view.text[a:b]), a, b) for a, b in _clusters(view.text)]
    starts = [view.starts[a] for piece, a, _ in pieces for _ in piece]
    ends = [view.ends[b - 1] for piece, _, b in pieces for _ in piece]
    return View("".join(piece for piece, _, _ in pieces), starts, ends)


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Each base character with the combining marks that follow it."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not unicodedata.combining(text[at]):
            yield start, at
            start = at
