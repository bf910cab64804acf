"""Amounts in a text: digits in the writing of several languages, words, ordinals, with the unit they are given in.

What can be read in two ways (`1.500`) keeps both readings; two amounts agree where a reading of both is the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

_SCALES = {
    Decimal(100): "hundred hundert cent cien",
    Decimal(1_000): "k thousand tausend mille mil тысяч тысячи тысяча тыс",
    Decimal(1_000_000): "m mn mio million millions millionen millones millón миллион миллиона миллионов млн",
    Decimal(1_000_000_000): "b bn billion billions milliarde milliarden milliard milliards миллиард миллиарда млрд",
}
_SCALE_OF = {word: scale for scale, words in _SCALES.items() for word in words.split()}
_UNITS: dict[str, tuple[str, Decimal | int, str]] = {
    # A unit's name, how many of its base it is, and how it is written.
    "second": ("second", 1, "s sec secs second seconds sekunde sekunden seconde secondes segundo segundos"),
    "minute": ("second", 60, "min mins minute minutes minuten minuto minutos"),
    "hour": ("second", 3_600, "h hr hrs hour hours stunde stunden heure heures hora horas час часа часов"),
    "day": ("second", 86_400, "d day days tag tage tagen jour jours día días день дня дней"),
    "week": ("second", 604_800, "week weeks wk wks woche wochen semaine semaines semana semanas неделя недели недель"),
    "month": ("month", 1, "month months mo monat monate monaten mois mes meses месяц месяца месяцев"),
    "quarter": ("month", 3, "quarter quarters quartal quartale trimestre trimestres"),
    "year": ("month", 12, "year years yr yrs jahr jahre jahren an ans année années año años год года лет"),
    "percent": ("percent", 1, "% percent pct prozent процент процента процентов"),
    "dollar": ("dollar", 1, "$ us$ usd dollar dollars"),
    "euro": ("euro", 1, "€ eur euro euros евро"),
    "pound": ("pound", 1, "£ gbp"),
    "franc": ("franc", 1, "chf"),
    "yen": ("yen", 1, "¥ jpy yen"),
    "krone": ("krone", 1, "kroner nok dkk sek"),
    "rouble": ("rouble", 1, "₽ rub rubles roubles рубль рубля рублей"),
    "byte": ("byte", 1, "byte bytes"),
    "kilobyte": ("byte", 10**3, "kb"),
    "megabyte": ("byte", 10**6, "mb"),
    "gigabyte": ("byte", 10**9, "gb"),
    "terabyte": ("byte", 10**12, "tb"),
    "metre": ("metre", 1, "metre metres meter meters"),
    "kilometre": ("metre", 1_000, "km kilometre kilometres kilometer kilometers"),
    "centimetre": ("metre", Decimal("0.01"), "cm"),
    "mile": ("mile", 1, "mi mile miles"),
    "foot": ("foot", 1, "ft foot feet"),
    "pixel": ("pixel", 1, "px pixel pixels"),
    "kilogram": ("kilogram", 1, "kg"),
}
_UNIT_OF = {word: (base, Decimal(size)) for base, size, words in _UNITS.values() for word in words.split()}
_SIGNS = r"(?:US)?[$€£¥₽]|\b(?:USD|EUR|GBP|CHF|JPY|NOK|DKK|SEK|RUB)\b"
_ATTACHED = "k|m|mn|bn|b|h|hr|hrs|s|min|mins|d|kb|mb|gb|tb|km|cm|kg|st|nd|rd|th|ft|mi|px"
_DIGITS = re.compile(
    rf"(?P<sign>{_SIGNS})?\s?"
    r"(?<![\w.,])(?P<digits>\d{1,3}(?:[ \u00a0\u202f]\d{3}(?!\d))+(?:[.,]\d+)?|\d+(?:[.,'’]\d+)*)"
    rf"(?:(?P<attached>{_ATTACHED})\b|(?P<other>[^\W\d_])"
    r"|(?P<after>[\s\u00a0-]{0,2}(?:per cent|pour cent|por ciento|[%€£$₽]|[^\W\d_]+))"
    r"(?P<second>[\s-](?:[^\W\d_]+))?)?",
    re.IGNORECASE,
)
_ORDINAL_ENDS = frozenset({"st", "nd", "rd", "th"})
_UP_TO_NINETEEN = (
    "zero|one eins un una|two zwei deux dos два две|three drei trois tres три|four vier quatre cuatro четыре"
    "|five fünf cinq cinco пять|six sechs seis шесть|seven sieben sept siete семь|eight acht huit ocho восемь"
    "|nine neun nueve девять|ten zehn dix diez десять|eleven elf onze|twelve zwölf douze doce|thirteen|fourteen"
    "|fifteen|sixteen|seventeen|eighteen|nineteen"
)
_BY_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_IN_ORDER = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_SMALL = {word: value for value, words in enumerate(_UP_TO_NINETEEN.split("|")) for word in words.split()}
_TENS = dict(zip(_BY_TENS.split(), range(20, 100, 10), strict=True))
_ORDINALS = {word: value for value, word in enumerate(_IN_ORDER.split(), start=1)}
_PLAIN: dict[str, Decimal | int] = {
    **_SMALL,
    **_TENS,
    **_ORDINALS,
    "dozen": 12,
    "half": Decimal("0.5"),
    "twice": 2,
    "once": 1,
}
_MULTIPLIERS = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_WORD = re.compile(r"[^\W\d_]+")
_NO_UNIT = ("", Decimal(1))
_WEAK = frozenset({"one", "un", "una", "once", "first", "second", "half"})
"""Words that mostly count nothing (one of them, at once, a second time)."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A number where it stands. `weak` ones are words that may count nothing.

    Attributes:
        readings: What it may mean, in multiples of the unit.
        base: What its unit is measured in (seconds for minutes); empty for none.
        size: How many of the base its unit is.
    """

    start: int
    end: int
    readings: frozenset[Decimal]
    base: str = ""
    size: Decimal = Decimal(1)
    weak: bool = False

    def agrees(self, other: "Amount") -> bool:
        """Whether both may mean the same; where one has no unit, the numbers alone decide."""
        if self.base and other.base:
            return self.base == other.base and bool(self.sizes & other.sizes)
        return bool(self.readings & other.readings)

    @property
    def sizes(self) -> frozenset[Decimal]:
        """What it may mean, in the base of its unit."""
        return frozenset(reading * self.size for reading in self.readings)


def amounts(text: str) -> list[Amount]:
    """The amounts of a text in their order."""
    found = [*_in_digits(text), *_in_words(text)]
    return sorted(found, key=lambda amount: amount.start)


def _in_digits(text: str) -> Iterator[Amount]:
    for match in _DIGITS.finditer(text):
        if match["other"]:  # Letters right behind digits make a code of both.
            continue
        attached = (match["attached"] or "").lower()
        words = [attached, *(_plain(match[name]) for name in ("after", "second"))]
        scale = next((_SCALE_OF[word] for word in words[:2] if word in _SCALE_OF), Decimal(1))
        rest = [(match["sign"] or "").lower().strip(), *(words if scale == 1 or attached == "m" else words[1:])]
        base, size = next((_UNIT_OF[word] for word in rest if word in _UNIT_OF), _NO_UNIT)
        if attached in _ORDINAL_ENDS:
            base, size = _NO_UNIT
        end = match.end("attached") if attached else match.end("digits")
        readings = frozenset(reading * scale for reading in _readings(match["digits"]))
        yield Amount(match.start("digits"), end, readings, base, size)


def _plain(word: str | None) -> str:
    word = (word or "").strip("-\u00a0 \n\t").lower()
    return "%" if word in ("per cent", "pour cent", "por ciento") else word


def _readings(digits: str) -> Iterator[Decimal]:
    """What digits with separators may mean: the last separator may be a decimal one, others group thousands."""
    digits = re.sub(r"['’\s]", "", digits)
    separators = re.findall(r"[.,]", digits)
    whole, _, last = digits.replace(",", ".").rpartition(".")
    if not separators:
        yield Decimal(digits)
        return
    grouped = len(last) == 3 and not whole.startswith("0")  # noqa: PLR2004 - digits of a group
    if len(set(separators)) == 2 or len(separators) == 1:  # noqa: PLR2004 - both kinds of separator
        decimal = not (grouped and len(separators) == 1 and separators[0] == ",")
        if decimal:
            yield Decimal(f"{whole.replace('.', '')}.{last}")
    if grouped and len(set(separators)) == 1:
        yield Decimal(digits.replace(",", "").replace(".", ""))


def _in_words(text: str) -> Iterator[Amount]:
    words = list(_WORD.finditer(text))
    position = 0
    while position < len(words):
        used, value = _spelled([word[0].lower() for word in words[position : position + 8]])
        if not used:
            position += 1
            continue
        first, last = words[position], words[position + used - 1]
        after = words[position + used : position + used + 2]
        base, size = next((_UNIT_OF[w[0].lower()] for w in after if w[0].lower() in _UNIT_OF), _NO_UNIT)
        weak = used == 1 and first[0].lower() in _WEAK and not base
        if not (first[0].lower() == "second" and _counts_time(words[:position])):
            yield Amount(first.start(), last.end(), frozenset({value}), base, size, weak)
        position += used


def _counts_time(before: list[re.Match[str]]) -> bool:
    return bool(before) and before[-1][0].lower() in {"a", "per", "each", "every", "one"}


def _spelled(words: list[str]) -> tuple[int, Decimal]:
    """How many of these words are one number, and which."""
    total, current, used = Decimal(0), Decimal(0), 0
    for place, word in enumerate(words):
        if word in _PLAIN and (used == 0 or _continues(words[place - 1], word)):
            current += _PLAIN[word]
        elif word in _MULTIPLIERS and (used or words[:1] != [word]):
            scale = _MULTIPLIERS[word]
            total, current = (total, current * scale) if scale == 100 else (total + current * scale, Decimal(0))  # noqa: PLR2004 - hundreds go on
        elif (
            word == "and"
            and used
            and words[place - 1] in _MULTIPLIERS
            and words[place + 1 : place + 2]
            and words[place + 1] in _PLAIN
        ):
            continue
        else:
            break
        used = place + 1
    return used, total + current


def _continues(before: str, word: str) -> bool:
    """Whether a word goes on with a number: twenty-five, two hundred five, hundred and five."""
    if before in _TENS:
        return word in _SMALL and 0 < _SMALL[word] < 10  # noqa: PLR2004 - a single digit
    return before in _MULTIPLIERS or before == "and"
