"""Does a text give orders to a language model, instead of telling its readers something?

No single word says so: handbooks tell people to ignore a section, to act as a host and to answer with a form. What an
order to a model does falls into a few aspects. Each signal of one has a weight; an aspect counts once, by its strongest
signal and a little for a second one, and all are added up. The signals, in English and Russian, are the lists of
`instructions.toml`; they are looked for in the form a reader sees, so that disguises do not help.

Pure, and linear in the length of the text: every gap in a pattern is bounded.
"""

import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from policies.redaction.normalise import normalise

ENOUGH = 2.0
"""The highest sum on 10,032 passages of a handbook was 2.0, and 53 of 55 attacks had more; see `docs/redaction.md`."""

_SECOND = 0.5
_MOST_SIGNALS = 2
_SPACED = re.compile(r"(?<![^\W_])[^\W_](?:[ .·_-][^\W_]){4,40}(?![^\W_])")
_BETWEEN_LETTERS = re.compile(r"[ .·_-]")
_BLANKS = re.compile(r"\s+")
_SMALL_YO, _SMALL_YE = "\u0451", "\u0435"
_PART = re.compile(r"\{([A-Z_]+)\}")


class Aspect(StrEnum):
    """What an order to a model does."""

    ADDRESS = "address"
    """It speaks to a model."""
    AUTHORITY = "authority"
    """It pretends to come from the system, or from outside of the document."""
    DISCLOSURE = "disclosure"
    """It wants told, or sent away, what was not asked for."""
    OVERRIDE = "override"
    """It says that other instructions do not count."""
    REPLY = "reply"
    """It says what a reply must be."""
    ROLE = "role"
    """It gives another role, or takes limits away."""
    SECRECY = "secrecy"
    """It wants to go unmentioned."""


class _Signal(NamedTuple):
    aspect: Aspect
    weight: float
    pattern: re.Pattern[str]


def _read(file: Path) -> tuple[_Signal, ...]:
    """The signals of a file, the strongest of an aspect first."""
    read: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))

    def filled(pattern: str) -> str:
        return _PART.sub(lambda match: filled(read["parts"][match[1]]), pattern)

    return tuple(
        _Signal(aspect, weight, re.compile(filled(pattern)))
        for aspect in Aspect
        for weight, pattern in sorted(read[aspect]["signals"], key=lambda signal: -signal[0])
    )


_SIGNALS = _read(Path(__file__).with_name("instructions.toml"))


def gives_orders(text: str) -> bool:
    """Does the text give orders to a model?"""
    return sum(aspects(text).values()) >= ENOUGH


def aspects(text: str) -> dict[Aspect, float]:
    """What of an order to a model stands in a text, and how much of each aspect."""
    plain = _plain(text)
    found: dict[Aspect, list[float]] = {}
    for signal in _SIGNALS:
        if len(found.get(signal.aspect, ())) < _MOST_SIGNALS and signal.pattern.search(plain):
            found.setdefault(signal.aspect, []).append(signal.weight)
    return {aspect: weights[0] + _SECOND * (len(weights) - 1) for aspect, weights in found.items()}


def _plain(text: str) -> str:
    """As a reader sees it, in small letters and on one line; l e t t e r s set apart are put together."""
    seen = normalise(text).text.casefold().replace("\u2019", "'").replace(_SMALL_YO, _SMALL_YE)
    seen = _SPACED.sub(lambda match: _BETWEEN_LETTERS.sub("", match[0]), seen)
    return _BLANKS.sub(" ", seen)
