"""Numbers that carry a check: their forms, how they are written, and whether they count without being named.

A number counts when it is named near by (`LABEL`), however it is divided. Without a name it counts only where chance
hardly makes one: when it holds a date of birth, letters or two check digits, and is written as its office writes it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from policies.personal_data import EntityType
from policies.redaction import checksums

_CARD_DIGITS = range(13, 20)


@dataclass(frozen=True, slots=True)
class Number:
    """A kind of number.

    Attributes:
        name: Who found it, in spans and reports.
        type: What it is.
        forms: What it looks like without dividers: 9 for a digit, A for a letter.
        check: Whether such a value is one, given without dividers.
        written: Sizes of groups in which it counts without a name, as `3-2-4`; none where it never does.
        signs: What may divide these groups.
        whole: Whether it counts without a name in one piece, and in any other pieces that nothing else adjoins.
        label: What it is called; a number without a check of its own needs its own name.
    """

    name: str
    type: EntityType
    forms: tuple[str, ...]
    check: Callable[[str], bool]
    written: frozenset[str] = frozenset()
    signs: str = " .-/_\n"
    whole: bool = False
    label: re.Pattern[str] | None = None


# Payment cards by how their numbers begin (ISO/IEC 7812 ranges as the brands publish them) and how long they are.
_BRANDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}"
    r"|3(?:0[0-5]|[689]\d)\d{11,16}|35\d{14,17}"
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12,15}|62\d{14,17}"
    r"|220[0-4]\d{12,15}"
    r"|(?:5[06-9]|6\d)\d{11,17}|9792\d{12}"
)


def is_card(number: str) -> bool:
    """Whether the digits are those of a payment card: its brand's length, a check digit, not one digit repeated."""
    return bool(_BRANDS.fullmatch(number)) and len(set(number)) > 1 and checksums.luhn(number)


def _ssn(number: str) -> bool:
    """American social security numbers: areas, groups and serials that were never given out."""
    return number[:3] not in ("000", "666") and number[0] != "9" and number[3:5] != "00" and number[5:] != "0000"


def _itin(number: str) -> bool:
    return number[0] == "9" and int(number[3:5]) in {*range(50, 66), *range(70, 89), *range(90, 93), *range(94, 100)}


_NO_EIN = frozenset(
    ("00", "07", "08", "09", "17", "18", "19", "28", "29", "49", "69", "70", "78", "79", "89", "96", "97")
)


def _is_nie(number: str) -> bool:
    return number[0].upper() in "XYZ" and checksums.spanish(number)


_NINO = re.compile(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", re.IGNORECASE)


def _national(
    name: str,
    forms: str,
    check: Callable[[str], bool],
    written: str = "",
    signs: str = " .-/_\n",
    *,
    whole: bool = False,
    label: str = "",
) -> Number:
    own = re.compile(label) if label else None
    return Number(
        name, EntityType.NATIONAL_ID, tuple(forms.split()), check, frozenset(written.split()), signs, whole, own
    )


def _form(digits: int) -> str:
    return "9" * digits


NUMBERS = (
    Number(
        "card",
        EntityType.CREDIT_CARD,
        tuple(_form(digits) for digits in _CARD_DIGITS),
        is_card,
        frozenset({"4-4-4-4", "4-6-5", "4-6-4", "4-4-4-4-3", "4-4-4-1", "8-8"}),
        whole=True,
    ),
    _national(
        "American SSN",
        _form(9),
        _ssn,
        "3-2-4",
        " .-",
        label=r"(?i:\bssns?(?![a-z])|social[ _-]security|taxpayer[ _-]id)",
    ),
    _national("American ITIN", _form(9), _itin, "3-2-4", " -"),
    _national(
        "American EIN",
        _form(9),
        lambda n: n[:2] not in _NO_EIN,
        label=r"(?<![A-Za-z])EIN(?![A-Za-z])|(?<![A-Za-z])(?i:ein)(?=[_\"'|;,:=])|(?i:employer[ _-]id|federal[ _-]tax)",
    ),
    _national("British national insurance", "AA999999A", lambda n: bool(_NINO.fullmatch(n)), "2-2-2-2-1", whole=True),
    _national("British NHS number", _form(10), checksums.nhs),
    _national("British UTR", _form(10), checksums.utr),
    _national("German tax identification", _form(11), checksums.german_tax, "2-3-3-3", whole=True),
    _national("German pension insurance", "99999999A999", checksums.german_pension, "2-6-1-3", whole=True),
    _national("French social security", f"{_form(15)} 999999A99999999", checksums.french, "1-2-2-2-3-3-2", whole=True),
    _national("Spanish DNI", "99999999A", checksums.spanish, "8-1", whole=True),
    _national("Spanish NIE", "A9999999A", _is_nie, "1-7-1", whole=True),
    _national("Italian tax code", "AAAAAA99A99A999A", checksums.italian, whole=True),
    _national("Dutch BSN", _form(9), checksums.dutch),
    _national("Belgian national number", _form(11), checksums.belgian, "2-2-2-3-2 6-3-2", whole=True),
    _national("Polish PESEL", _form(11), checksums.polish, whole=True),
    _national("Polish NIP", _form(10), checksums.nip),
    _national("Portuguese NIF", _form(9), checksums.portuguese),
    _national("Swedish personal number", f"{_form(10)} {_form(12)}", checksums.swedish, "6-4 8-4", "-+"),
    _national(
        "Danish CPR number",
        _form(10),
        checksums.day_first,
        label=r"(?<![A-Za-z])(?:CPR|(?i:cpr(?=[-_ ]?n)|personnummer))",
    ),
    _national(
        "Russian passport",
        _form(10),
        lambda n: n[:2] != "00",
        label=r"(?i:(?<![^\W\d_])(?:паспорт\w*|серия))|(?i:russian passport)",
    ),
    _national("Finnish personal identity", "999999999A", checksums.finnish, "6-4", whole=True),
    _national("Finnish personal identity, digits only", _form(10), checksums.finnish, "6-4", "-+"),
    _national("Norwegian birth number", _form(11), checksums.norwegian, "6-5", whole=True),
    _national("Austrian social insurance", _form(10), checksums.austrian, "4-6"),
    _national("Czech or Slovak birth number", _form(10), checksums.czech, "6-4", "/"),
    _national("Romanian CNP", _form(13), checksums.romanian, whole=True),
    _national("Bulgarian EGN", _form(10), checksums.bulgarian),
    _national("Croatian OIB", _form(11), checksums.mod11_10),
    _national("Estonian or Lithuanian code", _form(11), checksums.baltic, whole=True),
    _national("Latvian code", _form(11), checksums.latvian),
    _national("Hungarian tax number", _form(10), checksums.hungarian),
    _national("Greek tax number", _form(9), checksums.greek),
    _national("Irish PPS", "9999999A 9999999AA", checksums.irish),
    _national("EMŠO or JMBG", _form(13), checksums.yugoslav, whole=True),
    _national("Swiss AHV number", _form(13), lambda n: n[:3] == "756" and checksums.ean(n), "3-4-4-2", whole=True),
    _national("Brazilian CPF", _form(11), checksums.cpf, "3-3-3-2", ".-"),
    _national(
        "Chinese resident identity",
        f"{_form(18)} {_form(17)}A",
        lambda n: n[6:8] in ("19", "20") and n[17].upper() in "0123456789X" and checksums.chinese(n),
        whole=True,
    ),
    _national("Russian INN", f"{_form(10)} {_form(12)}", checksums.inn),
    _national("Russian SNILS", _form(11), checksums.snils, "3-3-3-2", "- "),
    _national(
        "European VAT number",
        "AA99999999 AA999999999 AA9999999999 AA99999999999 AA999999999999 AAA99999999 AA999999999A99 AA99999999A"
        " AAA9999999A",
        checksums.vat,
    ),
)
"""Every number that is known by a check."""

# Names that are also ordinary words, or parts of them, count in capitals only, or as the key of a field.
_SHORT = (
    "AFM|AHV|AVS|BSN|C\\.?F\\.?|CNP|CPF|CPR|CURP|DNI|EGN|EIN|EMSO|HETU|INN|INSEE|ITIN|JMBG|NHS|NIE|NIF|NINO|NIP|NIR|NISS|OIB|PESEL"
    "|PPSN?|RRN|SIN|SNILS|SSN|SVNR|TCKN|TFN|TIN|UTR|VAT|IVA|TVA|BTW|RC"
)
LABEL = re.compile(
    r"(?<![^\W\d_])(?=[^\W\d_])(?:"  # Only where a word begins: most places fail at once.
    rf"(?<![A-Za-z])(?:{_SHORT})(?![A-Za-z])|(?<![A-Za-z])(?i:{_SHORT})(?=[_\"'|;,:=])"
    r"|(?i:(?<![A-Za-z])(?:"
    r"(?:pesel|snils|bsn|ssn|itin|nino|dni|oib|egn|cnp|hetu|emso|jmbg|ppsn|svnr|utr|cpf)(?![A-Za-z])"
    r"|social[ _-](?:security|insurance)|national[ _-](?:insurance|id|identi\w+|number)|personal[ _-](?:code|number|id)"
    r"|identi(?:ty|fication)[ _-](?:number|no|code|card)|tax(?:payer)?[ _-](?:id|no|number|code|reference)"
    r"|taxpayer|health service|\bid[ _-](?:number|no|card)|birth[ _-]number|vat[ _-](?:id|no|number|reg)"
    r"|steuer-?[ _]?(?:id|identifikation|nummer)|steuernr|id-?nr|ust-?id|umsatzsteuer|sozialversicherung"
    r"|rentenversicherung"
    r"|versicherungsn|sv[ _-]?n|personenkennz"
    r"|securite[ _]sociale|numero[ _](?:fiscal|national|de[ _](?:securite|tva|identi)|avs)"
    r"|n[o\u00b0]?[ _](?:fiscal|tva)"
    r"|identifiant[ _]fiscal"
    r"|numero[ _](?:de[ _])?(?:identi|seguridad|fiscal)|seguridad[ _]social|documento[ _]nacional|contribuinte"
    r"|codice[ _]fiscale|partita[ _]iva|p\.[ ]?iva|tessera[ _]sanitaria"
    r"|burgerservice|rijksregister|fiscaal|sofinummer|btw[ _-]?n"
    r"|numer[ _](?:pesel|podatk|identyf|nip|ewid)|personnummer|fodselsnummer|personnr|henkilotunnus"
    r"|rodne[ _]c|cod[ _]numeric|isikukood|asmens[ _]kod|personas[ _]kod|adoazonosito|adoszam|cpr[ _-]?n"
    r"))"
    r"|(?i:(?<![^\W\d_])(?:инн|снилс|егн|афм|паспорт\w*|удостоверени\w+|идентификационн\w+|налогоплательщик\w*"
    r"|страхов\w+))"
    r"(?![^\W\d_])|ΑΦΜ|A[ΦФ]M"
    r")"
)
"""What such numbers are called. Letters are read without their marks (`normalise.codes`)."""
