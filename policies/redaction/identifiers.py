"""Numbers and codes that lead to a person or an account: cards, accounts, national identifiers, dates of birth.

What carries a check is in `numbers.py`; what Presidio's own recognisers do well, in `recognisers.py`.
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
    r"|nhs|medicare|passport|travel document|codice fiscale|inn|snils|rrn|nric|hetu|tckn|oib|egn|cnp|rodne cislo"
    r"|alien registration|green card|reisepass|passnummer|(?:personal)?ausweis(?:nummer|nr)?|passeport"
    r"|pasaporte|passaporto|paspoort"
    r"|paszport\w{0,3}|dowod osobisty|carte d'identite|carta d'identita|identiteitskaart"
    r"|fuhrerschein(?:nummer)?|permis de conduire"
    r"|permiso de conducir|patente di guida|rijbewijs|prawo jazdy|паспорт\w{0,3}|загранпаспорт\w{0,3}"
    r"|удостоверени[ея]|снилс|инн"
    r"|driv(?:er|ing)(?:[\u2019']?s)?[ -]licen[cs]e|driver(?:[\u2019']?s)? permit|dl(?= (?:number|no))"
    r"|licen[cs]e(?=\s\(?(?:number|no|nr)\b)"
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
    r"|bankverbindung|numero de compte|numero de cuenta|rekeningnummer|numer konta|conto corrente|\u0440/\u0441"
    r"|расчетный счет|расчётный счёт"
    r"|(?:aba|bank) routing|routing(?= (?:number|no|code|transit))|kontonummer"
)
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?|januar|februar|marz|mai|juni|juli|oktober|dezember"
    r"|janvier|fevrier|mars|avril|juin|juillet|aout|septembre|octobre|novembre|decembre"
    r"|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre"
    r"|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre|januari|februari|maart|mei|augustus"
    r"|stycznia|lutego|marca|kwietnia|maja|czerwca|lipca|sierpnia|wrzesnia|pazdziernika|listopada|grudnia"
    r"|января|февраля|марта|апреля|мая|июня|июля|августа|сентября|октября|ноября|декабря)\.?"
)
_DATE = (
    r"(?:\d{1,4}\s?[./-]\s?\d{1,2}\s?[./-]\s?\d{2,4}"
    r"|\d{1,2} \d{1,2} (?:19|20)\d\d|(?:19|20)\d\d \d{1,2} \d{1,2}\b"
    rf"|(?:the )?\d{{1,2}}(?:st|nd|rd|th)?[\s-](?:of |de )?(?i:{_MONTH})(?:,?[\s-](?:de )?\d{{2,4}}\b)?"
    rf"|(?i:{_MONTH})[\s-]\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?[\s-]\d{{4}}\b)?"
    rf"|(?i:{_MONTH}) \d{{4}}\b)"
)
_FULL_DATE = (
    r"(?:(?:19|20)\d\d[./ -]\s?\d{1,2}[./ -]\s?\d{1,2}\b|\d{1,2}[./ -]\s?\d{1,2}[./ -]\s?(?:19|20)\d\d\b"
    rf"|\d{{1,2}}\.?\s(?i:{_MONTH})\s(?:19|20)\d\d\b|(?i:{_MONTH})\s\d{{1,2}},\s(?:19|20)\d\d\b)"
)
_AFTER = (
    r"born\b|date of birth|d\.?o\.?b\b|birthday|birth ?date|geburtsdatum|date de naissance"
    r"|fecha de nacimiento|data di nascita"
)
_BORN = (
    r"born|birth[ _]?date|date[ _]of[ _]birth|birthday|d\.?o\.?b\b\.?|geburtsdatum|geb\.|geboren|geburtstag"
    r"|date[ _]de[ _]naissance|ne(?:\(?e\)?)?[ _]le\b|fecha[ _]de[ _]nacimiento|nacid[oa]\b"
    r"|data[ _]di[ _]nascita|nat[oa][ _]il\b"
    r"|geboortedatum|data[ _]urodzenia|urodzon[ya]\b|дата рождения|родил(?:ся|ась)|\u0433\.\u0440\."
)


def _digits(fewest: int, most: int = 30) -> Callable[[str], bool]:
    """A check that a value has enough digits to identify anybody, and not one digit repeated, as in examples."""
    return lambda value: fewest <= len(digits := digits_of(value)) <= most and len(set(digits)) > 1


def _is_plate(value: str) -> bool:
    """Whether letters and digits stand together, as they do on a plate."""
    return any(map(str.isdigit, value)) and any(map(str.isalpha, value))


def _checked(check: Callable[[str], bool], strip: str = " ./_\n-") -> Callable[[str], bool]:
    drop = str.maketrans("", "", strip)
    return lambda value: check(value.translate(drop))


_BETWEEN = r"[ ./_\n-]{0,3}"
_IBAN = "|".join(
    rf"{country[0]}{_BETWEEN}{country[1]}(?:{_BETWEEN}\d){{2}}(?:{_BETWEEN}[A-Z0-9]){{{length - 4}}}"
    for country, length in checksums.IBAN_LENGTHS.items()
)
_PLATE_LABELS = (
    r"(?:licen[cs]e|number|registration)[ _-]plate|vehicle[ _-]registration|(?:kfz-?)?kennzeichen"
    r"|plaque(?:[ _]d'immatriculation)?"
    r"|immatriculation|matricula|targa|kenteken|numer[ _]rejestracyjny|госномер\w*"
    r"|\u0433\u043e\u0441\.? ?номер|номер[ _]автомобиля"
)
# A letter or two groups of them and digits in the orders of many countries, in capitals; in small letters in one piece.
_PLATE = (
    r"(?<![\w-])(?:[A-Z]{1,3}-[A-Z]{1,3}[ -]?\d{1,4}[EH]?|(?:[A-Z]{1,3} )?[A-Z]{1,3}[ -]?\d{1,4}"
    r"(?:[ -]?[A-Z]{1,3}(?:[ -]?\d{2,3})?)?"
    r"|\d{1,4}[ -]?[A-Z]{1,3}(?:[ -]?\d{1,4})?|(?i:[a-z]{1,3}-[a-z]{1,3}[ -]?\d{1,4}|[a-z]{1,3}-?\d{1,4}[ -]?[a-z]{0,3}"
    r"|\d{1,4}[ -]?[a-z]{2,3}(?:[ -]?\d{1,4})?|[a-z]{1,3}-\d{1,4}-[a-z]{1,3}))(?![\w-])"
)
# A row of a table, or a line of fields, under one that names what stands in it.
_NEXT_ROW = r"[^\n]{0,60}\n(?:[|:\s-]{3,60}\n)?[^\n]{0,60}?"

RULES = (
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
        re.compile(rf"(?<![A-Za-z0-9])(?=[A-Za-z]{_BETWEEN}[A-Za-z]{_BETWEEN}\d)(?i:{_IBAN})(?![A-Za-z0-9])"),
        1.0,
        _checked(checksums.iban),
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
    Rule("identifier, named", EntityType.IDENTIFIER, labelled(_HOLDER_LABELS, CODE), 0.75, _digits(3)),
    Rule(
        "licence plate, named",
        EntityType.IDENTIFIER,
        re.compile(rf"(?i:\b(?:{_PLATE_LABELS}))(?:[^\d\n]{{0,40}}?|{_NEXT_ROW})(?P<value>{_PLATE})"),
        0.75,
        _is_plate,
    ),
    Rule(
        "licence plate, briefly named",
        EntityType.IDENTIFIER,
        re.compile(
            r"(?i:\b(?:plates?|car reg(?:istration)?))(?:[^\d\n]{0,20}?)(?P<value>(?<![\w-])(?:[A-Z]{2}\d{2} ?[A-Z]{3}"
            r"|\d[A-Z]{3}\d{3}|[A-Z]{3}-?\d{3,4}|\d{3}-[A-Z]{3})(?![\w-]))"
        ),
        0.5,
    ),
    Rule(
        "licence plate, named after",
        EntityType.IDENTIFIER,
        re.compile(rf"(?P<value>{_PLATE})(?:\s*[(,:-]\s*|\s(?:as|is)\sthe\s)(?i:{_PLATE_LABELS})"),
        0.7,
        _is_plate,
    ),
    Rule(
        "Russian passport",
        EntityType.NATIONAL_ID,
        re.compile(
            rf"(?i:(?:паспорт\w{{0,3}}|passport)(?:[^\d\n]{{0,60}}?|{_NEXT_ROW})|серия[ :-]{{0,3}}|series[ :-]{{0,3}})"
            rf"(?P<value>(?<!\d)\d(?:{_BETWEEN}\d){{3}}[ .,\n-]{{0,3}}(?:(?i:No|N|номер"
            rf"|HOMEP)\.?[ :\n]{{0,2}})?\d(?:{_BETWEEN}\d){{5}})(?!\d)"
        ),
        0.85,
    ),
    Rule(
        "address of a network card",
        EntityType.IDENTIFIER,
        re.compile(
            r"(?<![\w:.-])(?:[0-9A-Fa-f]{2}(?:(?::[0-9A-Fa-f]{2}){5}|(?:-[0-9A-Fa-f]{2}){5})"
            r"|[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2})(?![\w:-]|\.\w)"
        ),
        0.85,
    ),
    Rule(
        "date of birth",
        EntityType.BIRTH_DATE,
        re.compile(rf"(?i:(?<![^\W\d_])(?:{_BORN}))(?:[^\d\n]{{0,40}}?|[^\w\n]{{0,4}}\n\s{{0,3}})\b(?P<value>{_DATE})"),
        0.9,
    ),
    Rule(
        "date of birth, in a table",
        EntityType.BIRTH_DATE,
        re.compile(rf"(?i:(?<![^\W\d_])(?:{_BORN})){_NEXT_ROW}\b(?P<value>{_FULL_DATE})"),
        0.85,
    ),
    Rule(
        "date of birth, after",
        EntityType.BIRTH_DATE,
        re.compile(rf"\b(?P<value>{_DATE})(?:\s*[(,:-]\s*|\s(?:as|is|was)\s(?:the|his|her|their)\s)(?i:{_AFTER})"),
        0.85,
        needs=re.compile(_AFTER, re.IGNORECASE).search,
    ),
)
"""Rules for text that holds a digit."""
