"""Check digits of numbers that people and accounts are known by. Each function takes the number without separators."""

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
    """French social security numbers: the last two digits complement the rest to 97 (Corsica's letters aside)."""
    return 97 - int(number[:13]) % 97 == int(number[13:])


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
    """Polish PESEL numbers."""
    return (
        sum(int(digit) * weight for digit, weight in zip(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), strict=True)) % 10
        == 0
    )
