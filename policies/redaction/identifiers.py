"""Numbers and codes that lead to a person or an account: cards, accounts, national identifiers, dates of birth.

What Presidio's own recognisers do well stands in `recognisers.py` instead.
"""

import re
from collections.abc import Callable

from policies.personal_data import EntityType
from policies.redaction import checksums
from policies.redaction.rules import CODE, Rule, digits_of, labelled

_FEWEST_ID_DIGITS = 5
_FEWEST_ACCOUNT_DIGITS = 6
_CARD_DIGITS = range(13, 20)

_NATIONAL_LABELS = (
    r"social security|social insurance|national insurance|national identification|national id(?:entity)?"
    r"|insurance number|ssn|sin|nino|ni number"
    r"|personal (?:identity|identification|id)|identity (?:card|document)|id card|citizen id"
    r"|tax(?:payer)?[ -](?:id(?:entification)?|file|reference|payer id)"
    r"|tin|itin|tfn|utr|nif|nie|dni|cpf|curp|bsn|pesel|personnummer|steuer-?id|steuernummer|sozialversicherungsnummer"
    r"|aadhaa?r|pan(?= (?:card|number|no))"
    r"|nhs|medicare|passport|travel document|codice fiscale|inn|snils|rrn|nric|hetu|tckn|oib|egn|cnp|rodné číslo"
    r"|alien registration|green card"
    r"|driv(?:er|ing)(?:[\u2019']?s)?[ -]licen[cs]e|driver(?:[\u2019']?s)? permit|dl(?= (?:number|no))"
)
_HOLDER_LABELS = (
    r"(?:employee|staff|personnel|payroll|badge|customer|client|member(?:ship)?|patient|student|policy|insurance"
    r"|subscriber|user|loyalty"
    r"|frequent flyer|medical record|claim|case|applicant|candidate|taxpayer)[ -](?:identifier|identification|number"
    r"|id|no|nr|code|card)"
    r"|mrn|imei|matrikelnummer|personalnummer"
    r"|kundennummer"
)
_ACCOUNT_LABELS = (
    r"bank account|(?:checking|savings|giro|current) account|(?:bank )?(?:account|acct|a/c)(?=\s*(?:number|no|nr|num"
    r"|#))|sort code|bsb"
    r"|(?:aba|bank) routing|routing(?= (?:number|no|code|transit))|kontonummer"
)
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_DATE = (
    r"(?:\d{1,4}[./-]\d{1,2}[./-]\d{2,4}"
    rf"|(?:the )?\d{{1,2}}(?:st|nd|rd|th)?[ -](?:of )?(?i:{_MONTH})(?:,?[ -]\d{{2,4}}\b)?"
    rf"|(?i:{_MONTH})[ -]\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?[ -]\d{{4}}\b)?"
    rf"|(?i:{_MONTH}) \d{{4}}\b)"
)
_BORN = r"born|birth ?date|date of birth|birthday|d\.?o\.?b\b\.?|geburtsdatum|date de naissance|fecha de nacimiento"


def _digits(fewest: int, most: int = 30) -> Callable[[str], bool]:
    """A check that a value has enough digits to identify anybody, and not one digit repeated, as in examples."""
    return lambda value: fewest <= len(digits := digits_of(value)) <= most and len(set(digits)) > 1


def _is_card(value: str) -> bool:
    digits = digits_of(value)
    return len(digits) in _CARD_DIGITS and digits[0] in "23456" and len(set(digits)) > 1 and checksums.luhn(digits)


def _checked(check: Callable[[str], bool], strip: str = " .-/") -> Callable[[str], bool]:
    drop = str.maketrans("", "", strip)
    return lambda value: check(value.translate(drop))


def _national(name: str, pattern: str, check: Callable[[str], bool]) -> Rule:
    return Rule(name, EntityType.NATIONAL_ID, re.compile(pattern), 0.95, _checked(check))


_IBAN = "|".join(
    rf"{country}\d{{2}}(?:[ -]?[A-Z0-9]){{{length - 4}}}" for country, length in checksums.IBAN_LENGTHS.items()
)

RULES = (
    Rule(
        "card",
        EntityType.CREDIT_CARD,
        re.compile(r"(?<![\w/])(?<!\d[.-])\d(?:[ -]{0,2}\d){12,18}(?![\w-])"),
        0.95,
        _is_card,
    ),
    # Grouped as on the card, even where other numbers stand next to it.
    Rule(
        "card, grouped",
        EntityType.CREDIT_CARD,
        re.compile(r"(?<!\d)(?=(?P<value>\d{4}([ -])\d{4}\2\d{4}\2\d{1,7}|\d{4}([ -])\d{6}\3\d{4,5})(?!\d))"),
        0.95,
        _is_card,
    ),
    Rule(
        "card, named",
        EntityType.CREDIT_CARD,
        re.compile(
            r"(?i:\b(?:card|cc|visa|mastercard|amex|maestro"
            r"|discover)\b)[^\d\n]{0,30}(?P<value>\d(?:[ -]{0,2}\d){11,18})(?!\w)"
        ),
        0.8,
        _digits(12, 19),
    ),
    Rule(
        "IBAN",
        EntityType.IBAN_CODE,
        re.compile(rf"(?<![A-Za-z0-9])(?=[A-Za-z]{{2}}\d\d)(?i:{_IBAN})(?![A-Za-z0-9])"),
        1.0,
        _checked(checksums.iban, " -"),
    ),
    Rule(
        "IBAN, named",
        EntityType.IBAN_CODE,
        re.compile(r"(?i:\biban\b)[\s:#=is]{0,6}(?P<value>[A-Za-z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30})(?![A-Za-z0-9])"),
        0.8,
    ),
    Rule(
        "account, named",
        EntityType.BANK_ACCOUNT,
        labelled(_ACCOUNT_LABELS, r"\d(?:[ -]?\d){5,17}\b"),
        0.8,
        _digits(_FEWEST_ACCOUNT_DIGITS),
    ),
    Rule(
        "national identifier, named",
        EntityType.NATIONAL_ID,
        labelled(_NATIONAL_LABELS, CODE),
        0.85,
        _digits(_FEWEST_ID_DIGITS),
    ),
    _national("Brazilian CPF", r"(?<![\d.])\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)", checksums.cpf),
    _national("Swiss AHV number", r"(?<![\d.])756\.\d{4}\.\d{4}\.\d{2}(?!\d)", checksums.ean),
    _national(
        "French social security number",
        r"(?<!\w)[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?\d\d ?\d{3} ?\d{3} ?\d\d(?!\w)",
        checksums.french,
    ),
    _national(
        "Chinese resident identity",
        r"(?<!\w)[1-9]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[012]\d|3[01])\d{3}[\dXx](?!\w)",
        checksums.chinese,
    ),
    _national("Russian SNILS", r"(?<!\w)\d{3}-\d{3}-\d{3}[ -]\d\d(?!\w)", checksums.snils),
    _national("Spanish DNI or NIE", r"(?<!\w)(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z](?!\w)", checksums.spanish),
    Rule("identifier, named", EntityType.IDENTIFIER, labelled(_HOLDER_LABELS, CODE), 0.75, _digits(3)),
    Rule(
        "licence plate, named",
        EntityType.IDENTIFIER,
        labelled(
            r"(?:licen[cs]e|number|registration) plate|vehicle registration|kennzeichen",
            r"(?=[A-Z -]{0,6}\d)[A-Z0-9]{1,4}(?:[ -][A-Z0-9]{1,4}){0,3}\b",
        ),
        0.75,
    ),
    Rule(
        "date of birth",
        EntityType.BIRTH_DATE,
        re.compile(rf"(?i:\b(?:{_BORN}))[^\d\n]{{0,40}}?\b(?P<value>{_DATE})"),
        0.9,
    ),
    Rule(
        "date of birth, after",
        EntityType.BIRTH_DATE,
        re.compile(rf"\b(?P<value>{_DATE})\s*[(,:\u2013-]\s*(?i:date of birth|d\.?o\.?b\b|birthday|birth ?date)"),
        0.85,
    ),
)
"""Rules for text that holds a digit."""
