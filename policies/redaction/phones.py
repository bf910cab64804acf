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
    r"(?<![\w$€£#.,/=%-])\(?\+?\(?\d++(?:[ .\-/()\u2011\u2013]{1,3}\d++){0,7}\)?"
    r"(?:\s?(?:x|ext\.?|extension)\s?\d{1,6})?(?![\w%]|[.,]\d|-\w)",
    re.IGNORECASE,
)
_NORTH_AMERICAN = re.compile(
    r"(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?:\s?(?:x|ext\.?|extension)\s?\d{1,6})?", re.IGNORECASE
)
_NAMED = re.compile(
    r"\b(?:phones?|tele(?:phone|fon)|tel|mobile|mob|cell|cellphone|call(?:ed|ing)?|fax|desk|sms|text(?:ed|s)?"
    r"|whatsapp|dial|ring|landline|hotline|handy"
    r"|reach(?:ed)?|answering|messages? (?:to|at|on))\b[^\d\n]{0,40}$|☎\s*$",
    re.IGNORECASE,
)
_PERHAPS_NAMED = re.compile(
    r"\b(?:contact|registered|(?:my|his|her|their|your|our|new|old|home|work|office|emergency) number)\b[^\d\n]{0,40}$",
    re.IGNORECASE,
)
_OTHER_NUMBER = re.compile(
    r"\b(?:account|acct|order|invoice|ticket|issue|pr|case|version|isbn|doi|rfc|id|ids|port|page|pages|year|years"
    r"|commit|build|run|row|rows|line|lines|step|between|from|v)\b[^\w\n]{0,4}$",
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
_LOOK_BACK_CHARS = 48
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
    for match in _CANDIDATE.finditer(text):
        value = match[0].rstrip(" .-/(")
        value = value.strip("() ") if value.count("(") != value.count(")") else value
        start = text.index(value, match.start())
        if start >= begin and _is_phone(value, text[max(0, start - _LOOK_BACK_CHARS) : start]):
            yield Span(start, start + len(value), EntityType.PHONE_NUMBER, 0.75, "phone")


def _is_phone(value: str, before: str) -> bool:
    digits = digits_of(re.split(r"x|ext", value, flags=re.IGNORECASE)[0])
    if _DATE.match(value) or len(set(digits)) == 1:
        return False
    if value.startswith(("+", "00")):
        return len(digits) in _DIGITS and _is_possible(value)
    return bool(_NORTH_AMERICAN.fullmatch(value)) or (
        not _OTHER_NUMBER.search(before) and _is_local(value, digits, before)
    )


def _is_local(value: str, digits: str, before: str) -> bool:
    """Whether digits without a country code are a telephone number: they are called one, or written like one."""
    if _NAMED.search(before):
        return _FEWEST_NAMED_DIGITS <= len(digits) <= _DIGITS[-1]
    if _GROUPED_THOUSANDS.match(value) or len(digits) not in _NATIONAL_DIGITS:
        return False
    written = digits != value and value.startswith(("0", "(")) and any(_is_valid(value, region) for region in _REGIONS)
    return written or bool(_PERHAPS_NAMED.search(before))


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
