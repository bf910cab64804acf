"""Telephone numbers: runs of digits that are grouped like one, checked against the numbering plans.

The plans (`phonenumbers`) are asked about candidate runs only; matching whole texts against each plan is the
slowest part of stock recognition.
"""

import re
from collections.abc import Iterator

import phonenumbers

from policies.personal_data import EntityType, Span
from policies.redaction.rules import digits_of

# A run is up to 15 digits (ITU-T E.164) in groups with little between them, and perhaps an extension.
_CANDIDATE = re.compile(
    r"(?<![\w$€£#./%-])\(?\+?\(?\d++(?:[ .\-/()_\n\u2011\u2013]{1,3}\d++){0,15}\)?"
    r"(?:\s?(?:x|ext\.?|extension)\s?\d{1,6})?(?![\w%]|[.,]\d|-\w)",
    re.IGNORECASE,
)
_NORTH_AMERICAN = re.compile(
    r"(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?:\s?(?:x|ext\.?|extension)\s?\d{1,6})?", re.IGNORECASE
)
_NAMED = re.compile(
    r"\b(?:phones?|tele(?:phone|fon)|tel|mobile|mob|cell|cellphone|call(?:ed|ing)?|fax|desk|sms|text(?:ed|s)?"
    r"|whatsapp|dial|ring|landline|hotline|handy(?:nummer)?|mobil(?:nummer|telefon|funk)?|rufnummer|durchwahl|telefon\w{0,6}"
    r"|portable|telefono|movil|cellulare|telefoon\w{0,6}|mobiel|komork[aię]|gsm|telefono|celular"
    r"|телефон\w{0,3}|тел|моб|мобильн\w{2,3}|сотов\w{2,3}|звон\w{2,4}"
    r"|reach(?:ed)?|answering|messages? (?:to|at|on))\b[^\d\n]{0,40}$|☎\s*$",
    re.IGNORECASE,
)
_NAMED_ABOVE = re.compile(_NAMED.pattern[: _NAMED.pattern.index("[^")] + r"(?:.{0,120})$", re.IGNORECASE | re.DOTALL)
_NAMED_AFTER = re.compile(
    r"\s?(?:[(,-]\s?|(?:as|is)\s(?:the|my|his|her|their)\s)" + _NAMED.pattern[: _NAMED.pattern.index("[^")],
    re.IGNORECASE,
)
_PERHAPS_NAMED = re.compile(
    r"\b(?:contact|registered|(?:my|his|her|their|your|our|new|old|home|work|office|emergency) number)\b[^\d\n]{0,40}$",
    re.IGNORECASE,
)
_OTHER_NUMBER = re.compile(
    r"\b(?:account|acct|sku|part|art|article|model|serial|lot|batch|ref|order|invoice|ticket|issue|pr|case|version|isbn|doi|rfc|id|ids|port|page|pages|year|years"
    r"|commit|build|run|row|rows|line|lines|step|between|from|v)\b[^\w\n]{0,4}(?:(?:no|nr|number)\b\.?[^\w\n]{0,3})?$",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?:19|20)\d\d[-./ ]\d{1,2}[-./ ]\d{1,2}\b|\d{1,2}[-./ ]\d{1,2}[-./ ](?:19|20)\d\d$|(?:19"
    r"|20)\d\d\s?[-\u2013/]\s?(?:19|20)?\d\d$"
)
_GROUPED_THOUSANDS = re.compile(r"\d{1,3}(?:[ .]\d{3})+$")
_DIGITS = range(7, 16)
_NATIONAL_DIGITS = range(9, 13)
_FEWEST_NAMED_DIGITS = 6
# Asking the plans takes a millisecond; a segment with more such numbers than this is a list of them.
_MOST_ASKED = 8
_RUSSIAN_DIGITS = 11
_LOOK_BACK_CHARS, _LOOK_ON_CHARS = 100, 40
# Plans asked about numbers without a country code: those of the larger countries of several continents.
_REGIONS = (
    "US",
    "GB",
    "DE",
    "FR",
    "IT",
    "ES",
    "NL",
    "BE",
    "CH",
    "AT",
    "SE",
    "NO",
    "DK",
    "FI",
    "PL",
    "CZ",
    "HU",
    "PT",
    "IE",
    "AU",
    "NZ",
    "IN",
    "BR",
    "RU",
    "JP",
)


def find_phones(text: str, begin: int) -> Iterator[Span]:
    """Spans of the telephone numbers in `text` from `begin` on; what stands before serves as context."""
    asked = 0
    for match in _CANDIDATE.finditer(text):
        for start, value in _pieces(match):
            before = text[max(0, start - _LOOK_BACK_CHARS) : start]
            after = text[start + len(value) : start + len(value) + _LOOK_ON_CHARS]
            if start + len(value) <= begin or len(value) < _FEWEST_NAMED_DIGITS:
                continue
            asked += value.startswith(("0", "(", "8"))
            if _is_phone(value, before, after) if asked <= _MOST_ASKED else _is_grouped(value):
                yield Span(max(start, begin), start + len(value), EntityType.PHONE_NUMBER, 0.75, "phone")
                break


def _is_grouped(value: str) -> bool:
    """Whether it is written like a number of some plan: what is left to ask where too many have been asked about."""
    return len(digits_of(value)) in _NATIONAL_DIGITS and not _DATE.match(value)


def _pieces(match: re.Match[str]) -> Iterator[tuple[int, str]]:
    """What was matched and, where it goes over the ends of lines, each of its lines; with where each begins."""
    lines = match[0].split("\n")
    if len(lines) <= 2:  # noqa: PLR2004 - a number is broken once, a column of numbers more often
        yield _trimmed(match.start(), match[0])
    at = match.start()
    for line in lines if len(lines) > 1 else ():
        yield _trimmed(at, line)
        at += len(line) + 1


def _trimmed(start: int, value: str) -> tuple[int, str]:
    kept = value.strip(" .-/_\n").rstrip("(")
    kept = kept.strip("() ") if kept.count("(") != kept.count(")") else kept
    return start + value.index(kept), kept


def _is_phone(value: str, before: str, after: str) -> bool:
    digits = digits_of(re.split(r"x|ext", value, flags=re.IGNORECASE)[0])
    if len(digits) < _FEWEST_NAMED_DIGITS or _DATE.match(value) or len(set(digits)) <= 1 or _is_in_field(before):
        return False
    if value.startswith(("+", "00")):
        return len(digits) in _DIGITS and _is_possible(value)
    return bool(_NORTH_AMERICAN.fullmatch(value)) or (
        not _OTHER_NUMBER.search(before) and _is_local(value, digits, before, after)
    )


def _is_in_field(before: str) -> bool:
    """Whether a comma or an equals sign stands right before, and nothing says that telephone numbers follow it."""
    named = {",": _NAMED_ABOVE, "=": _NAMED}.get(before[-1:])
    return bool(named and not named.search(before))


def _is_local(value: str, digits: str, before: str, after: str) -> bool:
    """Whether digits without a country code are a telephone number: they are called one, or written like one."""
    if _NAMED.search(before):
        return _FEWEST_NAMED_DIGITS <= len(digits) <= _DIGITS[-1]
    named = bool(_NAMED_ABOVE.search(before) or _NAMED_AFTER.match(after))
    if len(digits) not in _NATIONAL_DIGITS or (_GROUPED_THOUSANDS.match(value) and not named):
        return False
    if named:
        return _is_valid_somewhere(digits)
    if digits != value and value.startswith(("0", "(")):
        return _is_valid_somewhere(value)
    if value.startswith(("8 ", "8-", "8(")):
        return len(digits) == _RUSSIAN_DIGITS and _is_valid(value, "RU")
    return bool(_PERHAPS_NAMED.search(before))


def _is_valid_somewhere(value: str) -> bool:
    return any(_is_valid(value, region) for region in _REGIONS)


def _is_possible(value: str) -> bool:
    number = "+" + digits_of(value.split("x", maxsplit=1)[0]).removeprefix("00")
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def _is_valid(value: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(value, region))
    except phonenumbers.NumberParseException:
        return False
