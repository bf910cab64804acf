"""Check digits of numbers that people and accounts are known by. Each function takes the number without separators.

The sums are those the issuing offices publish; where that is hard to find, Wikipedia's "National identification number"
and "VAT identification number" gather them.
"""

import re
from collections.abc import Callable, Sequence

_IBAN_CHECK = 97
# Countries by the length of their account numbers, from the IBAN registry (SWIFT, ISO 13616).
_IBAN_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FI FO GL NL",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
IBAN_LENGTHS = {country: length for length, countries in _IBAN_COUNTRIES.items() for country in countries.split()}
"""The number of characters of a bank account number, by country."""


def luhn(number: str) -> bool:
    """Payment cards and others: ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 * (doubled > 9)  # noqa: PLR2004 - the sum of two digits
    return total % 10 == 0


def iban(number: str) -> bool:
    """International bank account numbers: length by country and ISO 7064 mod 97-10."""
    upper = number.upper()
    if IBAN_LENGTHS.get(upper[:2]) != len(upper):
        return False
    return mod97(upper[4:] + upper[:4])


def mod97(number: str) -> bool:
    """Codes whose last two digits are a check: ISO 7064 mod 97-10, letters counting from 10."""
    return number.isalnum() and int("".join(str(int(character, 36)) for character in number)) % _IBAN_CHECK == 1


def ean(number: str) -> bool:
    """Swiss social insurance numbers: the check digit of EAN-13."""
    return sum(int(digit) * (1 + 2 * (place % 2)) for place, digit in enumerate(number)) % 10 == 0


def cpf(number: str) -> bool:
    """Brazilian taxpayers: two check digits, mod 11."""
    if len(set(number)) == 1:
        return False
    return all(
        int(number[at]) == sum(int(digit) * (at + 1 - place) for place, digit in enumerate(number[:at])) * 10 % 11 % 10
        for at in (9, 10)
    )


def french(number: str) -> bool:
    """French social security numbers: the last two digits complement the rest to 97; 2A and 2B are Corsica."""
    body = number[:13].upper().replace("2A", "19").replace("2B", "18")
    return body.isdecimal() and 97 - int(body) % 97 == int(number[13:])


def chinese(number: str) -> bool:
    """Chinese resident identity numbers: ISO 7064 mod 11-2."""
    total = sum(int(character, 36) * 2 ** (17 - place) for place, character in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17].upper()


def snils(number: str) -> bool:
    """Russian pension insurance numbers."""
    total = sum(int(digit) * (9 - place) for place, digit in enumerate(number[:9])) % 101
    return total % 100 == int(number[9:])


def spanish(number: str) -> bool:
    """Spanish identity numbers, DNI and NIE: the letter is that of the number mod 23."""
    upper = number.upper().translate(str.maketrans("XYZ", "012")) if number[0].isalpha() else number.upper()
    last = number[-1].upper()
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(upper[:8]) % 23] == last


def polish(number: str) -> bool:
    """Polish PESEL numbers: century in the month, check digit mod 10."""
    month = int(number[2:4]) % 20
    return _is_day(int(number[4:6]), month) and weighted(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def weighted(number: str, weights: Sequence[int]) -> int:
    """The sum of the digits, each times its weight; digits beyond the weights do not count."""
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=False))


def mod11_10(number: str) -> bool:
    """German tax and VAT numbers, Croatian OIB: ISO 7064 mod 11,10."""
    product = 10
    for digit in number[:-1]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(number[-1])


def german_tax(number: str) -> bool:
    """German tax identification numbers: of the first ten digits, one stands two or three times, others once."""
    most = sorted(map(number[:10].count, set(number[:10])))
    return number[0] != "0" and most[-1] in (2, 3) and most[-2] == 1 and mod11_10(number)


def german_pension(number: str) -> bool:
    """German pension insurance numbers: area, date of birth, letter of the family name, serial, check digit."""
    full = f"{number[:8]}{ord(number[8].upper()) - 64:02}{number[9:11]}"
    total = sum(sum(divmod(int(d) * w, 10)) for d, w in zip(full, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True))
    return _is_day(int(number[2:4]) % 50 or 1, int(number[4:6])) and total % 10 == int(number[11])


def italian(number: str) -> bool:
    """Italian tax codes of people: the last letter is a sum over the others, odd places by a table of their own."""
    upper = number.upper()
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    values = [int(sign, 36) - 10 if sign.isalpha() else int(sign) for sign in upper[:15]]
    return (sum(odd[value] for value in values[::2]) + sum(values[1::2])) % 26 == ord(upper[15]) - ord("A")


def dutch(number: str) -> bool:
    """Dutch BSN: the test of eleven."""
    return int(number) > 0 and (weighted(number, range(9, 1, -1)) - int(number[8])) % 11 == 0


def belgian(number: str) -> bool:
    """Belgian national numbers: date of birth, serial, 97 less the rest; people born from 2000 on with a 2 before."""
    body, check = number[:9], int(number[9:])
    born = int(number[2:4]) % 20 <= 12 and int(number[4:6]) <= 31  # noqa: PLR2004 - months and days, of which some are 0
    return born and check in (97 - int(body) % 97, 97 - int("2" + body) % 97)


def nip(number: str) -> bool:
    """Polish NIP."""
    return weighted(number, (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11 == int(number[9])


def portuguese(number: str) -> bool:
    """Portuguese NIF."""
    return (11 - weighted(number, range(9, 1, -1)) % 11) % 11 % 10 == int(number[8])


def swedish(number: str) -> bool:
    """Swedish personal numbers, of ten digits or twelve, and those of coordination, whose day is 60 more."""
    short = number[-10:]
    return _is_day(int(short[4:6]) % 60, int(short[2:4])) and luhn(short)


def day_first(number: str) -> bool:
    """Numbers that begin with a date of birth, as ddmmyy, and may have no check digit, such as Danish CPR numbers."""
    return _is_day(int(number[:2]), int(number[2:4]))


def finnish(number: str) -> bool:
    """Finnish personal identity codes, without the sign of the century."""
    return day_first(number) and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(number[:9]) % 31] == number[9].upper()


def norwegian(number: str) -> bool:
    """Norwegian birth numbers: a date and two check digits; D-numbers add 40 to the day."""
    return (
        _is_day(int(number[:2]) % 40, int(number[2:4]) % 40)
        and weighted(number, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
        and weighted(number, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    )


def austrian(number: str) -> bool:
    """Austrian social insurance numbers: the fourth digit checks, the last six are a date of birth."""
    check = weighted(number[:3] + number[4:], (3, 7, 9, 5, 8, 4, 2, 1, 6)) % 11
    return check == int(number[3]) and day_first(number[4:])


def czech(number: str) -> bool:
    """Czech and Slovak birth numbers of ten digits: divisible by eleven."""
    month = int(number[2:4]) % 50
    rest = int(number[:9]) % 11 % 10
    return _is_day(int(number[4:6]), month - 20 * (month > 20)) and rest == int(number[9])  # noqa: PLR2004 - added to months since 2004


def romanian(number: str) -> bool:
    """Romanian CNP."""
    check = weighted(number, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return (
        number[0] in "12345678"
        and _is_day(int(number[5:7]), int(number[3:5]))
        and (1 if check == 10 else check) == int(number[12])  # noqa: PLR2004 - no digit, so 1 stands for it
    )


def bulgarian(number: str) -> bool:
    """Bulgarian EGN; months of the centuries beside the twentieth are 20 and 40 more."""
    born = _is_day(int(number[4:6]), int(number[2:4]) % 20)
    return born and weighted(number, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10 == int(number[9])


def baltic(number: str) -> bool:
    """Estonian and Lithuanian personal codes."""
    check = weighted(number, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:  # noqa: PLR2004 - no digit, so the second row of weights counts
        check = weighted(number, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return number[0] in "123456" and _is_day(int(number[5:7]), int(number[3:5])) and check == int(number[10])


def latvian(number: str) -> bool:
    """Latvian personal codes: with a date of birth and a check digit, or, since 2017, beginning with 32 and without."""
    old = (1101 - weighted(number, (1, 6, 3, 7, 9, 10, 5, 8, 4, 2))) % 11 == int(number[10])
    return number[:2] == "32" or (day_first(number) and old)


def hungarian(number: str) -> bool:
    """Hungarian tax numbers of people."""
    return number[0] == "8" and weighted(number, range(1, 10)) % 11 == int(number[9])


def greek(number: str) -> bool:
    """Greek tax numbers."""
    return int(number) > 0 and weighted(number, (256, 128, 64, 32, 16, 8, 4, 2)) % 11 % 10 == int(number[8])


def irish(number: str) -> bool:
    """Irish PPS numbers of seven digits and one or two letters."""
    upper = number.upper()
    extra = 9 * (ord(upper[8]) - 64) if len(upper) == 9 and upper[8] != "W" else 0  # noqa: PLR2004 - with a second letter
    return "WABCDEFGHIJKLMNOPQRSTUV"[(weighted(upper, range(8, 1, -1)) + extra) % 23] == upper[7]


def yugoslav(number: str) -> bool:
    """EMŠO and JMBG of Slovenia and its neighbours."""
    check = -weighted(number, (7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return day_first(number) and number[4] in "09" and check == int(number[12])


def inn(number: str) -> bool:
    """Russian tax numbers, of ten digits for companies, of twelve for people."""
    weights = (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
    if len(number) == 10:  # noqa: PLR2004 - a company's
        return weighted(number, weights[2:]) % 11 % 10 == int(number[9])
    one = weighted(number, weights[1:]) % 11 % 10
    return one == int(number[10]) and weighted(number, weights) % 11 % 10 == int(number[11])


def nhs(number: str) -> bool:
    """Numbers of the British National Health Service."""
    return (weighted(number, range(10, 1, -1)) + int(number[9])) % 11 == 0


def utr(number: str) -> bool:
    """British unique taxpayer references: the first digit checks the others."""
    return "21987654321"[weighted(number[1:], (6, 7, 8, 9, 10, 5, 4, 3, 2)) % 11] == number[0]


def vat(number: str) -> bool:
    """VAT numbers of the European Union whose check we know, with the letters of the country before."""
    upper = number.upper()
    form, check = _VAT.get(upper[:2], (r"(?!)", bool))
    return bool(re.fullmatch(form, upper[2:])) and check(upper[2:])


def _french_vat(number: str) -> bool:
    return (12 + 3 * (int(number[2:]) % 97)) % 97 == int(number[:2])


def _all_weighted(weights: Sequence[int], modulus: int) -> Callable[[str], bool]:
    """A check that the digits, each times its weight, come to a multiple."""
    return lambda number: weighted(number, weights) % modulus == 0


# European Commission, "VAT identification numbers structure"; the sums are those of the member states.
_VAT: dict[str, tuple[str, Callable[[str], bool]]] = {
    "AT": (r"U\d{8}", lambda number: (96 - _crossed(number[1:8])) % 10 == int(number[8])),
    "BE": (r"[01]\d{9}", lambda number: 97 - int(number[:8]) % 97 == int(number[8:])),
    "DE": (r"\d{9}", mod11_10),
    "DK": (r"\d{8}", _all_weighted((2, 7, 6, 5, 4, 3, 2, 1), 11)),
    "EE": (r"\d{9}", _all_weighted((3, 7, 1, 3, 7, 1, 3, 7, 1), 10)),
    "EL": (r"\d{9}", greek),
    "ES": (r"[XYZ\d]\d{7}[A-Z]", spanish),
    "FI": (r"\d{8}", _all_weighted((7, 9, 10, 5, 8, 4, 2, 1), 11)),
    "FR": (r"\d{11}", _french_vat),
    "HR": (r"\d{11}", mod11_10),
    "HU": (r"\d{8}", _all_weighted((9, 7, 3, 1, 9, 7, 3, 1), 10)),
    "IT": (r"\d{11}", luhn),
    "LU": (r"\d{8}", lambda number: int(number[:6]) % 89 == int(number[6:])),
    "NL": (r"\d{9}B\d\d", lambda number: dutch(number[:9])),
    "PL": (r"\d{10}", nip),
    "PT": (r"\d{9}", portuguese),
    "SE": (r"\d{10}01", lambda number: luhn(number[:10])),
    "SI": (r"\d{8}", lambda number: (11 - weighted(number, range(8, 1, -1)) % 11) % 10 == int(number[7])),
    "SK": (r"\d{10}", lambda number: int(number) % 11 == 0),
}


def _crossed(number: str) -> int:
    return sum(sum(divmod(int(digit) * (1 + place % 2), 10)) for place, digit in enumerate(number))


def _is_day(day: int, month: int) -> bool:
    return 1 <= day <= 31 and 1 <= month <= 12  # noqa: PLR2004 - days and months
