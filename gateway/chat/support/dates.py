"""Dates and times of day in a text, in many spellings, as far as they are certain.

A date names some of year, month and day; `03/04/2027` may mean two. Words that depend on today ("next Friday") name a
weekday and no more.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MONTHS = (
    "january jan januar jänner janvier enero января январь",
    "february feb februar février fevrier febrero февраля февраль",
    "march mar märz maerz mars marzo марта март",
    "april apr avril abril апреля апрель",
    "may mai mayo мая май",
    "june jun juni juin junio июня июнь",
    "july jul juli juillet julio июля июль",
    "august aug août aout agosto августа август",
    "september sep sept septembre septiembre сентября сентябрь",
    "october oct oktober okt octobre octubre октября октябрь",
    "november nov novembre noviembre ноября ноябрь",
    "december dec dezember dez décembre decembre diciembre декабря декабрь",
)
_MONTH_OF = {word: number for number, words in enumerate(_MONTHS, start=1) for word in words.split()}
_WEEKDAYS = (
    "monday mon montag lundi lunes понедельник",
    "tuesday tue tues dienstag mardi martes вторник",
    "wednesday wed mittwoch mercredi miércoles среда среду",
    "thursday thu thurs donnerstag jeudi jueves четверг",
    "friday fri freitag vendredi viernes пятница пятницу",
    "saturday sat samstag samedi sábado суббота субботу",
    "sunday sun sonntag dimanche domingo воскресенье",
)
_WEEKDAY_OF = {word: f"weekday {at}" for at, words in enumerate(_WEEKDAYS) for word in words.split()}
_SHORT = frozenset({"may", "mar", "march", "mai", "mars", "mon", "sun", "sat", "wed"})
"""Words that mean other things, too: they need a capital and, for months without a day or year, a word before them."""
_MONTH = "(?P<month>" + "|".join(sorted(_MONTH_OF, key=len, reverse=True)) + r")\b\.?"
_YEAR = r"(?P<year>[12]\d{3})(?!\d)"
_DAY = r"(?<![\d.,])(?P<day>[0-3]?\d)"
_PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![\d.-])(?P<year>[12]\d{3})[-/.](?P<m>[01]?\d)[-/.](?P<d>[0-3]?\d)(?![\d-])",
        r"(?<![\d./-])(?P<a>[0-3]?\d)(?P<by>[./-])(?P<b>[0-3]?\d)(?P=by)(?P<year>\d{4}|\d{2})(?!\d|\.\d)",
        rf"{_DAY}(?:st|nd|rd|th|er|\.)?\s+(?:of\s+|de\s+)?{_MONTH}(?!\s+\d{{1,2}}(?!\d))(?:,?\s+(?:de\s+|of\s+)?{_YEAR})?",
        rf"\b{_MONTH}\s+(?P<day>[0-3]?\d)(?:st|nd|rd|th)?(?!\d|[.,:]\d|\s?%)(?:,?\s+{_YEAR})?",
        rf"\b{_MONTH},?\s+(?:of\s+|de\s+)?{_YEAR}",
        rf"\b{_MONTH}(?!\w)",
    )
]
_BEFORE_MONTH = re.compile(
    r"\b(?:in|of|by|until|since|from|to|every|each|this|last|next|early|mid|late|and|im|en)[ -]$", re.IGNORECASE
)
_TIME = re.compile(
    r"(?<![\d:.])(?P<hour>[01]?\d|2[0-4])(?:[:.](?P<minute>[0-5]\d)(?!\d))?\s?(?P<half>[ap]\.?m\b\.?)"
    r"|(?<![\d:.])(?P<hour24>[01]?\d|2[0-4]):(?P<minute24>[0-5]\d)(?![\d:])",
    re.IGNORECASE,
)
_NOON = {"noon": 720, "midday": 720, "midnight": 0}
_WORD = re.compile(r"[^\W\d_]+")

Reading = tuple[int | None, int | None, int | None]
"""Year, month and day, as far as they are named."""


@dataclass(frozen=True, slots=True)
class When:
    """A date or a time of day where it stands; `named` is a weekday or a time, else there are readings of a date."""

    start: int
    end: int
    readings: frozenset[Reading] = frozenset()
    named: str = ""

    def agrees(self, source: "When") -> bool:
        """Whether a source that names this much supports it: all that is said here has to be said there."""
        if self.named or source.named:
            return self.named == source.named
        return any(_within(said, stated) for said in self.readings for stated in source.readings)

    @property
    def numbers(self) -> frozenset[int]:
        """Its year and day, as numbers that may stand without the rest."""
        return frozenset(part for year, _, day in self.readings for part in (year, day) if part is not None)


def _within(said: Reading, stated: Reading) -> bool:
    return all(part is None or part == other for part, other in zip(said, stated, strict=True))


def dates(text: str) -> list[When]:
    """The dates, weekdays and times of a text in their order, none inside another."""
    found: list[When] = []
    for when in (*_dates(text), *_times(text), *_weekdays(text)):
        if not any(when.start < other.end and other.start < when.end for other in found):
            found.append(when)
    return sorted(found, key=lambda when: when.start)


def _dates(text: str) -> Iterator[When]:
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            readings = frozenset(_readings(match.groupdict()))
            if readings and not _another_word(text, match):
                yield When(match.start(), match.end(), readings)


def _readings(parts: dict[str, str | None]) -> Iterator[Reading]:
    year = int(parts["year"] or 0) if parts.get("year") else None
    if "a" in parts:
        one, two = int(parts["a"] or 0), int(parts["b"] or 0)
        year = year + 2000 if year is not None and year < 100 else year  # noqa: PLR2004 - two digits
        candidates: list[tuple[int | None, int, int | None]] = [(year, two, one), (year, one, two)]
    elif "m" in parts:
        candidates = [(year, int(parts["m"] or 0), int(parts["d"] or 0))]
    else:
        month = _MONTH_OF[(parts["month"] or "").lower()]
        day = int(parts["day"] or 0) if parts.get("day") else None
        candidates = [(year, month, day)]
    yield from ((y, m, d) for y, m, d in candidates if 1 <= m <= 12 and (d is None or 1 <= d <= 31))  # noqa: PLR2004 - a calendar


def _another_word(text: str, match: re.Match[str]) -> bool:
    """Whether "may" and the like are no month here."""
    parts = match.groupdict()
    if not parts.get("month"):
        return False
    month = parts["month"] or ""
    alone = not parts.get("day") and not parts.get("year")
    if not alone:
        return month.lower() in _SHORT and month.islower() and not parts.get("year")
    if month[:1].islower() and month.lower() in _SHORT:
        return True
    ambiguous = month.lower() in _SHORT or len(month) <= 3  # noqa: PLR2004 - abbreviations
    return ambiguous and not _BEFORE_MONTH.search(text, 0, match.start())


def _times(text: str) -> Iterator[When]:
    for match in _TIME.finditer(text):
        hour = int(match["hour"] or match["hour24"])
        minute = int(match["minute"] or match["minute24"] or 0)
        if match["half"]:
            hour = hour % 12 + (12 if match["half"].lower().startswith("p") else 0)
        yield When(match.start(), match.end(), named=f"time {hour * 60 + minute}")
    for word in _WORD.finditer(text):
        if word[0].lower() in _NOON:
            yield When(word.start(), word.end(), named=f"time {_NOON[word[0].lower()]}")


def _weekdays(text: str) -> Iterator[When]:
    for word in _WORD.finditer(text):
        day = word[0].lower()
        named = _WEEKDAY_OF.get(day) or _WEEKDAY_OF.get(day.removesuffix("s"))
        if named and ((day not in _SHORT and len(day) > 3) or (word[0].istitle() and len(day) > 4)):  # noqa: PLR2004 - abbreviations are other words, too
            yield When(word.start(), word.end(), named=named)
