"""Valid identifiers of many countries, drawn at random. Imports nothing of the product.

Each check digit is worked out here a second time, from the published descriptions (the tax authorities' own, and
Wikipedia's "National identification number" and "VAT identification number"), by constructing the number rather than by
verifying it. Nobody is known to hold any of them; whatever is drawn is forgotten with the run.
"""
# ruff: noqa: E501 - rows of tables

import base64
import random
import string
from collections.abc import Callable
from dataclasses import dataclass

Draw = random.Random
UPPER, DIGITS = string.ascii_uppercase, string.digits
MIXED = string.ascii_letters + DIGITS


@dataclass(frozen=True)
class Kind:
    """A kind of identifier.

    `labels` are what it is called, by language; a number that needs no name to be recognised is `strong`. What sort of
    value it is says which obfuscations make sense: `number` (may be divided anywhere), `code` (letters and digits, may
    be divided), `address` (signs inside have a meaning), `secret` (case has a meaning too). A strong number without a check
    of its own is told by its dividers (`as_written`): divided otherwise, it needs its name.
    """

    name: str
    sort: str
    make: Callable[[Draw], str]
    labels: dict[str, tuple[str, ...]]
    strong: bool = False
    as_written: bool = False


def digits(draw: Draw, count: int, first: str = DIGITS) -> str:
    return draw.choice(first) + "".join(draw.choices(DIGITS, k=count - 1))


def weighted(number: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=False))


def luhn_digit(number: str) -> str:
    doubled = [sum(divmod(2 * int(d), 10)) if at % 2 == 0 else int(d) for at, d in enumerate(reversed(number))]
    return str(-sum(doubled) % 10)


def until(draw: Draw, make: Callable[[Draw], str | None]) -> str:
    while True:
        if (value := make(draw)) is not None:
            return value


def mod97_letters(text: str) -> int:
    return int("".join(str(UPPER.index(c) + 10) if c in UPPER else c for c in text)) % 97


def day(draw: Draw) -> tuple[int, int, int]:
    return draw.randint(1940, 1999), draw.randint(1, 12), draw.randint(1, 28)


def mod11_10(number: str) -> str:
    """ISO 7064 mod 11,10, of Germany and Croatia."""
    product = 10
    for digit in number:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return str((11 - product) % 10)


# Cards and accounts.

BRANDS = {
    "4": 16, "51": 16, "53": 16, "55": 16, "2221": 16, "2720": 16, "34": 15, "37": 15, "6011": 16, "65": 16, "36": 14,
    "3528": 16, "62": 16, "2200": 16,
}  # fmt: skip


def card(draw: Draw) -> str:
    prefix = draw.choice(list(BRANDS))
    body = prefix + digits(draw, BRANDS[prefix] - 1 - len(prefix))
    number = body + luhn_digit(body)
    cut = {15: (4, 6, 5), 14: (4, 6, 4), 16: (4, 4, 4, 4)}[len(number)]
    return grouped(number, cut, draw.choice(["", " ", " ", "-"]))


def grouped(number: str, sizes: tuple[int, ...], divider: str) -> str:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(number[at : at + size])
        at += size
    return divider.join(pieces)


IBANS = {
    "DE": "n18", "FR": "n10c11n2", "GB": "a4n14", "ES": "n20", "IT": "a1n10c12", "NL": "a4n10", "BE": "n12", "PL": "n24",
    "SE": "n20", "AT": "n16", "CH": "n5c12", "DK": "n14", "NO": "n11", "FI": "n14", "PT": "n21", "IE": "a4n14",
    "CZ": "n20", "SK": "n20", "RO": "a4c16", "BG": "a4n6c8", "HR": "n17", "HU": "n24", "GR": "n7c16", "EE": "n16",
    "LT": "n16", "LV": "a4c13", "SI": "n15", "LU": "n3c13", "MT": "a4n5c18", "CY": "n8c16",
}  # fmt: skip


def iban(draw: Draw) -> str:
    country = draw.choice(list(IBANS))
    body, shape = "", IBANS[country]
    while shape:
        kind = shape[0]
        size = "".join(c for c in shape[1:3] if c.isdigit())
        shape = shape[1 + len(size) :]
        pool = {"n": DIGITS, "a": UPPER, "c": UPPER + DIGITS}[kind]
        body += "".join(draw.choices(pool, k=int(size)))
    number = f"{country}{98 - mod97_letters(body + country + '00'):02}{body}"
    if draw.random() < 0.4:
        return number
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))


# People, by country.


def ssn(draw: Draw) -> str:
    area = draw.choice([area for area in range(1, 900) if area != 666])
    return f"{area:03}{draw.choice('--- ')}{draw.randint(1, 99):02}-{draw.randint(1, 9999):04}".replace(" ", "-")


def itin(draw: Draw) -> str:
    return f"9{draw.randint(0, 99):02}-{draw.choice([70, 75, 81, 88, 90, 92, 94, 99])}-{draw.randint(1, 9999):04}"


def ein(draw: Draw) -> str:
    return f"{draw.choice(['12', '20', '36', '45', '59', '82', '94'])}-{digits(draw, 7)}"


def nino(draw: Draw) -> str:
    value = draw.choice("ABCEHJKLMPRS") + draw.choice("ABCEHJKLMPRS") + digits(draw, 6) + draw.choice("ABCD")
    return value if draw.random() < 0.5 else grouped(value, (2, 2, 2, 2, 1), " ")


def nhs(draw: Draw) -> str:
    def make(draw: Draw) -> str | None:
        body = digits(draw, 9, "46")
        check = (11 - weighted(body, tuple(range(10, 1, -1))) % 11) % 11
        return None if check == 10 else body + str(check)

    return grouped(until(draw, make), (3, 3, 4), draw.choice(["", " ", "-"]))


def utr(draw: Draw) -> str:
    body = digits(draw, 9)
    check = "21987654321"[weighted(body, (6, 7, 8, 9, 10, 5, 4, 3, 2)) % 11]
    return check + body


def german_tax(draw: Draw) -> str:
    pool = draw.sample(DIGITS, 10)
    twice, left_out = draw.choice(pool), ""
    left_out = draw.choice([d for d in pool if d != twice])
    body = [d for d in pool if d != left_out] + [twice]
    draw.shuffle(body)
    if body[0] == "0":
        body.append(body.pop(0))
    if body[0] == "0":
        body[0], body[1] = body[1], "0"
        draw_from = [at for at, d in enumerate(body) if d != "0"]
        body[0], body[draw_from[0]] = body[draw_from[0]], body[0]
    number = "".join(body)
    return grouped(number + mod11_10(number), (2, 3, 3, 3), draw.choice(["", " "]))


def german_pension(draw: Draw) -> str:
    year, month, date = day(draw)
    letter = draw.choice(UPPER)
    body = f"{draw.choice(['12', '15', '53', '65'])}{date:02}{month:02}{year % 100:02}"
    serial = f"{draw.randint(0, 99):02}"
    full = body + f"{UPPER.index(letter) + 1:02}" + serial
    crossed = [sum(divmod(int(d) * w, 10)) for d, w in zip(full, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True)]
    value = body + letter + serial + str(sum(crossed) % 10)
    return value if draw.random() < 0.6 else grouped(value, (2, 6, 1, 3), " ")


def french(draw: Draw) -> str:
    year, month, _ = day(draw)
    body = f"{draw.choice('12')}{year % 100:02}{month:02}{draw.choice(['75', '13', '69', '31', '2A', '2B'])}"
    body += f"{draw.randint(1, 500):03}{draw.randint(1, 500):03}"
    key = 97 - int(body.replace("2A", "19").replace("2B", "18")) % 97
    value = f"{body}{key:02}"
    return value if draw.random() < 0.5 else grouped(value, (1, 2, 2, 2, 3, 3, 2), " ")


def dni(draw: Draw) -> str:
    number = draw.randint(1_000_000, 99_999_999)
    return f"{number:08}{draw.choice(['', '', '-'])}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


def nie(draw: Draw) -> str:
    first, rest = draw.randrange(3), digits(draw, 7)
    divider = draw.choice(["", "-"])
    return f"{'XYZ'[first]}{divider}{rest}{divider}{'TRWAGMYFPDXBNJZSQVHLCKE'[int(str(first) + rest) % 23]}"


_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
ODD = dict(
    zip(
        DIGITS + UPPER,
        (*_ODD[:10], *_ODD),
        strict=True,
    )
)


def codice_fiscale(draw: Draw) -> str:
    year, month, date = day(draw)
    name = "".join(draw.choices("BCDFGLMNPRSTVZ", k=6))
    body = f"{name}{year % 100:02}{'ABCDEHLMPRST'[month - 1]}{date + 40 * draw.randrange(2):02}{draw.choice('FHLAZ')}"
    body += digits(draw, 3)
    even = {c: at % 36 if c in DIGITS else at for at, c in enumerate(DIGITS)} | {c: at for at, c in enumerate(UPPER)}
    total = sum(ODD[c] if at % 2 == 0 else even[c] for at, c in enumerate(body))
    return body + UPPER[total % 26]


def bsn(draw: Draw) -> str:
    def make(draw: Draw) -> str | None:
        body = digits(draw, 8, "123456789")
        check = weighted(body, (9, 8, 7, 6, 5, 4, 3, 2)) % 11
        return None if check == 10 else body + str(check)

    return until(draw, make)


def belgian(draw: Draw) -> str:
    year, month, date = day(draw)
    body = f"{year % 100:02}{month:02}{date:02}{draw.randint(1, 997):03}"
    value = f"{body}{97 - int(body) % 97:02}"
    if draw.random() < 0.4:
        return value
    return f"{value[:2]}.{value[2:4]}.{value[4:6]}-{value[6:9]}.{value[9:]}"


def pesel(draw: Draw) -> str:
    year, month, date = day(draw)
    body = f"{year % 100:02}{month:02}{date:02}{digits(draw, 4)}"
    return body + str(-weighted(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10)


def nip(draw: Draw) -> str:
    def make(draw: Draw) -> str | None:
        body = digits(draw, 9, "123456789")
        check = weighted(body, (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11
        return None if check == 10 else body + str(check)

    return grouped(until(draw, make), (3, 3, 2, 2), draw.choice(["", "-"]))


def portuguese(draw: Draw) -> str:
    body = digits(draw, 8, "123")
    check = (11 - weighted(body, (9, 8, 7, 6, 5, 4, 3, 2)) % 11) % 11 % 10
    return grouped(body + str(check), (3, 3, 3), draw.choice(["", " "]))


def swedish(draw: Draw) -> str:
    year, month, date = day(draw)
    body = f"{year % 100:02}{month:02}{date:02}{digits(draw, 3)}"
    value = body + luhn_digit(body)
    return f"{draw.choice(['', str(year // 100)])}{value[:6]}-{value[6:]}"


def danish(draw: Draw) -> str:
    year, month, date = day(draw)
    return f"{date:02}{month:02}{year % 100:02}-{draw.randint(0, 3)}{digits(draw, 3)}"


def finnish(draw: Draw) -> str:
    year, month, date = day(draw)
    body, serial = f"{date:02}{month:02}{year % 100:02}", f"{draw.randint(2, 899):03}"
    return f"{body}-{serial}{'0123456789ABCDEFHJKLMNPRSTUVWXY'[int(body + serial) % 31]}"


def norwegian(draw: Draw) -> str:
    def make(draw: Draw) -> str | None:
        year, month, date = day(draw)
        body = f"{date:02}{month:02}{year % 100:02}{draw.randint(0, 499):03}"
        one = (11 - weighted(body, (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11) % 11
        two = (11 - weighted(body + str(one), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11
        return None if 10 in (one, two) else f"{body}{one}{two}"

    return grouped(until(draw, make), (6, 5), draw.choice(["", " "]))


def austrian(draw: Draw) -> str:
    def make(draw: Draw) -> str | None:
        year, month, date = day(draw)
        serial, born = digits(draw, 3, "123456789"), f"{date:02}{month:02}{year % 100:02}"
        check = weighted(serial + born, (3, 7, 9, 5, 8, 4, 2, 1, 6)) % 11
        return None if check == 10 else f"{serial}{check}{draw_space}{born}"

    draw_space = draw.choice(["", " "])
    return until(draw, make)


def czech(draw: Draw) -> str:
    def make(draw: Draw) -> str | None:
        year, month, date = draw.randint(1955, 1999), draw.randint(1, 12), draw.randint(1, 28)
        body = f"{year % 100:02}{month + 50 * draw.randrange(2):02}{date:02}{digits(draw, 3)}"
        check = int(body) % 11
        return None if check == 10 else f"{body[:6]}/{body[6:]}{check}"

    return until(draw, make)


def romanian(draw: Draw) -> str:
    year, month, date = day(draw)
    body = f"{draw.choice('12')}{year % 100:02}{month:02}{date:02}{draw.randint(1, 46):02}{digits(draw, 3)}"
    check = weighted(body, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return body + str(1 if check == 10 else check)


def bulgarian(draw: Draw) -> str:
    year, month, date = day(draw)
    body = f"{year % 100:02}{month:02}{date:02}{digits(draw, 3)}"
    return body + str(weighted(body, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10)


def croatian(draw: Draw) -> str:
    body = digits(draw, 10)
    return body + mod11_10(body)


def baltic(draw: Draw) -> str:
    """Estonia and Lithuania."""
    year, month, date = day(draw)
    body = f"{draw.choice('34')}{year % 100:02}{month:02}{date:02}{digits(draw, 3)}"
    check = weighted(body, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:
        check = weighted(body, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return body + str(check)


def latvian(draw: Draw) -> str:
    def make(draw: Draw) -> str | None:
        year, month, date = day(draw)
        body = f"{date:02}{month:02}{year % 100:02}1{digits(draw, 3)}"
        check = (1101 - weighted(body, (1, 6, 3, 7, 9, 10, 5, 8, 4, 2))) % 11
        return None if check == 10 else f"{body[:6]}-{body[6:]}{check}"

    return until(draw, make)


def hungarian(draw: Draw) -> str:
    """The tax number of a person."""

    def make(draw: Draw) -> str | None:
        body = "8" + digits(draw, 8)
        check = weighted(body, tuple(range(1, 10))) % 11
        return None if check == 10 else body + str(check)

    return until(draw, make)


def greek(draw: Draw) -> str:
    body = digits(draw, 8, "01")
    total = sum(int(d) << (8 - at) for at, d in enumerate(body))
    return body + str(total % 11 % 10)


def irish(draw: Draw) -> str:
    body = digits(draw, 7, "123456789")
    second = draw.choice(["", "A", "B"])
    total = weighted(body, (8, 7, 6, 5, 4, 3, 2)) + (9 * (UPPER.index(second) + 1) if second else 0)
    return body + "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] + second


def slovenian(draw: Draw) -> str:
    def make(draw: Draw) -> str | None:
        year, month, date = day(draw)
        body = f"{date:02}{month:02}{year % 1000:03}50{draw.randint(0, 999):03}"
        check = -weighted(body, (7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
        return None if check == 10 else body + str(check)

    return until(draw, make)


def swiss(draw: Draw) -> str:
    body = "756" + digits(draw, 9)
    return grouped(body + str(-weighted(body, (1, 3) * 6) % 10), (3, 4, 4, 2), ".")


def inn_person(draw: Draw) -> str:
    body = digits(draw, 10, "123456789")
    one = weighted(body, (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    return f"{body}{one}{weighted(body + str(one), (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10}"


def inn_company(draw: Draw) -> str:
    body = digits(draw, 9, "123456789")
    return body + str(weighted(body, (2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10)


def snils(draw: Draw) -> str:
    body = digits(draw, 9, "123456789")
    check = weighted(body, tuple(range(9, 0, -1))) % 101 % 100
    return draw.choice([*[f"{body[:3]}-{body[3:6]}-{body[6:]} {check:02}"] * 2, f"{body}{check:02}"])


def russian_passport(draw: Draw) -> str:
    series, number = f"{draw.randint(10, 97)}{draw.choice(['', ' '])}{draw.randint(1, 24):02}", digits(draw, 6)
    return draw.choice([f"{series} {number}", f"{series} № {number}", f"серия {series} номер {number}"])


def vat(draw: Draw) -> str:
    body = digits(draw, 8, "123456789")
    nine = digits(draw, 9, "123456789")
    italian = digits(draw, 10)
    numbers = {
        "DE": body + mod11_10(body),
        "IT": italian + luhn_digit(italian),
        "PL": nip(draw).replace("-", ""),
        "PT": portuguese(draw).replace(" ", ""),
        "BE": f"0{body[:7]}{97 - int(body[:7]) % 97:02}",
        "NL": f"{bsn(draw)}B{draw.randint(1, 20):02}",
        "ES": dni(draw).replace("-", ""),
        "FR": f"{(12 + 3 * (int(siren := nine[:8] + luhn_digit(nine[:8])) % 97)) % 97:02}{siren}",
        "HR": croatian(draw),
        "EL": greek(draw),
        "LU": f"{body[:6]}{int(body[:6]) % 89:02}",
    }
    country = draw.choice(list(numbers))
    return country + draw.choice(["", "", " "]) + numbers[country]


# Addresses of people and machines.

WORDS = "amber birch cobalt delta ember flint garnet hazel indigo juniper kestrel linden maple nimbus onyx".split()
DOMAINS = ["example.com", "example.org", "mail.example.net", "beispiel.de", "exemple.fr", "przyklad.pl", "primer.ru"]
DOMAINS += ["voorbeeld.nl", "ejemplo.es", "esempio.it", "corp.example.co.uk", "files.internal"]


def email(draw: Draw) -> str:
    joint = draw.choice([".", "_", "-", "", "+"])
    return f"{draw.choice(WORDS)}{joint}{draw.choice(WORDS)}{draw.choice(['', '7', '1984'])}@{draw.choice(DOMAINS)}"


PHONES = {
    "us": ["+1 NXX-NXX-####", "(NXX) NXX-####", "NXX-NXX-####", "+1NXXNXX####", "1-NXX-NXX-####", "NXX.NXX.####"],
    "uk": ["+44 20 7### ####", "+44 (0)20 7### ####", "020 7### ####", "07### ######", "+447#########", "01632 96####"],
    "de": ["+49 30 2#######", "030 2#######", "0171 5######", "+49 (0)89 3#######", "+491715######", "030/2#######"],
    "fr": ["+33 6 1# ## ## ##", "06 1# ## ## ##", "01.42.##.##.##", "+331424#####", "0033 1 42 ## ## ##"],
    "it": ["+39 06 4### ####", "+39 347 ### ####", "347 ### ####", "06 4### ####", "+3934712#####"],
    "es": ["+34 61# ### ###", "61# ### ###", "+34 91 4## ## ##", "91 4## ## ##", "+3461#######"],
    "nl": ["+31 6 1### ####", "06-1#######", "06 1### ####", "020-6######", "+31 20 6## ####"],
    "pl": ["+48 60# ### ###", "60# ### ###", "+4860#######", "22 6## ## ##", "+48 22 6## ## ##"],
    "se": ["+46 70 1## ## ##", "070-1## ## ##", "08-5## ### ##", "+46701######"],
    "ru": ["+7 (916) ###-##-##", "8 (916) ###-##-##", "8 916 ### ## ##", "+7916#######", "8-916-###-##-##"],
    "ch": ["+41 44 2## ## ##", "044 2## ## ##", "079 2## ## ##"],
    "at": ["+43 1 5######", "0664 1######"],
}


def phone(draw: Draw) -> str:
    shape = draw.choice(PHONES[draw.choice(list(PHONES))])
    fill = {"N": "23456789", "X": DIGITS, "#": DIGITS}
    return "".join(draw.choice(fill[c]) if c in fill else c for c in shape).replace("555", "556")


def ipv4(draw: Draw) -> str:
    return draw.choice([
        f"203.0.113.{draw.randint(1, 254)}", f"198.51.100.{draw.randint(1, 254)}", f"10.{draw.randint(1, 254)}.3.17",
        f"192.168.{draw.randint(1, 254)}.{draw.randint(1, 254)}", f"85.{draw.randint(1, 254)}.{draw.randint(1, 254)}.9",
    ])  # fmt: skip


def ipv6(draw: Draw) -> str:
    parts = [f"{draw.randrange(1, 65_536):x}" for _ in range(6)]
    return draw.choice(
        [f"2001:db8:{':'.join(parts)}", f"2001:db8::{parts[0]}:{parts[1]}", f"fe80::{':'.join(parts[:4])}"]
    )


def mac(draw: Draw) -> str:
    octets = [f"{draw.randrange(256):02x}" for _ in range(6)]
    octets[0] = draw.choice(["3c", "a4", "00", "f8"])
    written = draw.choice([":", "-"]).join(octets)
    if draw.random() < 0.2:
        flat = "".join(octets)
        written = f"{flat[:4]}.{flat[4:8]}.{flat[8:]}"
    return draw.choice([written, written.upper()])


def login(draw: Draw) -> str:
    return f"{draw.choice(WORDS)}:{secret_word(draw)}"


def secret_word(draw: Draw) -> str:
    return draw.choice(WORDS).title() + digits(draw, 3) + draw.choice("!#_-") + "".join(draw.choices(MIXED, k=5)) + "7x"


def plate(draw: Draw) -> str:
    two = "".join(draw.choices("ABCDEFGHJKLMNPRSTUVWXYZ", k=2))
    three = "".join(draw.choices("ABCDEFGHJKLMNPRSTUVWXYZ", k=3))
    return draw.choice([
        f"{draw.choice(['B', 'M', 'HH', 'K'])}-{two} {draw.randint(100, 9999)}", f"{two}{draw.randint(50, 74)} {three}",
        f"{two}-{draw.randint(100, 999)}-{two}", f"{draw.randint(1000, 9999)} {three}", f"7{three}{draw.randint(100, 999)}",
    ])  # fmt: skip


def birth_date(draw: Draw) -> str:
    year, month, date = day(draw)
    english = "January February March April May June July August September October November December".split()[month - 1]
    return draw.choice([
        f"{year}-{month:02}-{date:02}", f"{date:02}.{month:02}.{year}", f"{date:02}/{month:02}/{year}",
        f"{date} {english} {year}", f"{english} {date}, {year}", f"{date:02}-{month:02}-{year}",
    ])  # fmt: skip


# Secrets.


def drawn(draw: Draw, count: int, pool: str = MIXED) -> str:
    return "".join(draw.choices(pool, k=count - 2)) + draw.choice("kqz") + draw.choice("27")


def jwt(draw: Draw) -> str:
    def part(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    subject = '{"sub":"' + digits(draw, 9) + '"}'
    return ".".join([part('{"alg":"HS256"}'), part(subject), drawn(draw, 43)])


def pem(draw: Draw) -> str:
    body = "\n".join(drawn(draw, 64, MIXED + "+/") for _ in range(2))
    kind = draw.choice(["RSA ", "EC ", "", "OPENSSH "])
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"


SECRETS: dict[str, Callable[[Draw], str]] = {
    "AWS access key": lambda draw: draw.choice(["AKIA", "ASIA"]) + "".join(draw.choices(UPPER + "234567", k=16)),
    "GitHub token": lambda draw: draw.choice(["ghp_", "gho_", "ghs_"]) + drawn(draw, 36),
    "GitHub fine-grained token": lambda draw: "github_pat_" + drawn(draw, 22) + "_" + drawn(draw, 59),
    "GitLab token": lambda draw: "glpat-" + drawn(draw, 20),
    "Slack token": lambda draw: f"xoxb-{digits(draw, 11)}-{digits(draw, 12)}-{drawn(draw, 24)}",
    "Stripe key": lambda draw: draw.choice(["sk_live_", "rk_live_"]) + drawn(draw, 24),
    "Google key": lambda draw: "AIza" + drawn(draw, 35),
    "model provider key": lambda draw: draw.choice(["sk-proj-", "sk-"]) + drawn(draw, 40),
    "JSON web token": jwt,
}

KINDS: tuple[Kind, ...] = (
    Kind("e-mail", "address", email, {"en": ("e-mail", "contact"), "de": ("E-Mail",), "fr": ("courriel",), "es": ("correo",), "ru": ("почта",)}, strong=True),
    Kind("phone", "number", phone, {
        "en": ("phone", "mobile number", "Tel."), "de": ("Telefon", "Handynummer"), "fr": ("téléphone", "portable"),
        "es": ("teléfono", "móvil"), "it": ("telefono", "cellulare"), "nl": ("telefoonnummer", "mobiel"),
        "pl": ("telefon", "komórka"), "ru": ("телефон", "тел.", "моб."),
    }),
    Kind("card", "number", card, {
        "en": ("card number", "credit card"), "de": ("Kartennummer", "Kreditkarte"), "fr": ("numéro de carte",),
        "es": ("tarjeta",), "it": ("carta di credito",), "nl": ("kaartnummer",), "pl": ("numer karty",),
        "ru": ("номер карты",),
    }, strong=True),
    Kind("IBAN", "code", iban, {"en": ("IBAN", "account"), "de": ("Konto",), "fr": ("compte",), "es": ("cuenta",), "pl": ("konto",), "ru": ("счёт",)}, strong=True),
    Kind("US SSN", "number", ssn, {"en": ("SSN", "social security number")}, strong=True, as_written=True),
    Kind("US ITIN", "number", itin, {"en": ("ITIN", "taxpayer ID")}, strong=True, as_written=True),
    Kind("US EIN", "number", ein, {"en": ("EIN", "employer identification number")}),
    Kind("UK NINO", "code", nino, {"en": ("NINO", "National Insurance number")}, strong=True),
    Kind("UK NHS", "number", nhs, {"en": ("NHS number", "NHS no.")}),
    Kind("UK UTR", "number", utr, {"en": ("UTR", "unique taxpayer reference")}),
    Kind("DE tax id", "number", german_tax, {"de": ("Steuer-ID", "IdNr.", "Steueridentifikationsnummer"), "en": ("German tax ID",)}, strong=True),
    Kind("DE social security", "code", german_pension, {"de": ("Rentenversicherungsnummer", "Sozialversicherungsnummer")}, strong=True),
    Kind("FR NIR", "number", french, {"fr": ("numéro de sécurité sociale", "NIR"), "en": ("INSEE number",)}, strong=True),
    Kind("ES DNI", "code", dni, {"es": ("DNI", "NIF")}, strong=True),
    Kind("ES NIE", "code", nie, {"es": ("NIE",)}, strong=True),
    Kind("IT codice fiscale", "code", codice_fiscale, {"it": ("codice fiscale", "C.F.")}, strong=True),
    Kind("NL BSN", "number", bsn, {"nl": ("BSN", "burgerservicenummer"), "en": ("BSN",)}),
    Kind("BE national number", "number", belgian, {"nl": ("rijksregisternummer",), "fr": ("numéro national",), "en": ("Belgian national number",)}, strong=True),
    Kind("PL PESEL", "number", pesel, {"pl": ("PESEL", "numer PESEL"), "en": ("PESEL",)}, strong=True),
    Kind("PL NIP", "number", nip, {"pl": ("NIP", "numer identyfikacji podatkowej")}),
    Kind("PT NIF", "number", portuguese, {"es": ("NIF",), "en": ("Portuguese NIF", "contribuinte")}),
    Kind("SE personnummer", "number", swedish, {"en": ("personnummer", "Swedish personal identity number")}, strong=True, as_written=True),
    Kind("DK CPR", "number", danish, {"en": ("CPR number", "CPR-nummer")}),
    Kind("FI HETU", "code", finnish, {"en": ("henkilötunnus", "HETU")}, strong=True),
    Kind("NO fødselsnummer", "number", norwegian, {"en": ("fødselsnummer",)}, strong=True),
    Kind("AT SVNR", "number", austrian, {"de": ("SVNR", "Sozialversicherungsnummer", "SV-Nummer")}),
    Kind("CZ/SK rodné číslo", "number", czech, {"en": ("rodné číslo", "RČ", "birth number")}, strong=True, as_written=True),
    Kind("RO CNP", "number", romanian, {"en": ("CNP", "cod numeric personal")}, strong=True),
    Kind("BG EGN", "number", bulgarian, {"en": ("EGN",), "ru": ("ЕГН",)}),
    Kind("HR OIB", "number", croatian, {"en": ("OIB",)}),
    Kind("EE/LT code", "number", baltic, {"en": ("isikukood", "asmens kodas", "personal code")}, strong=True),
    Kind("LV code", "number", latvian, {"en": ("personas kods", "Latvian personal code")}),
    Kind("HU tax number", "number", hungarian, {"en": ("adóazonosító jel", "Hungarian tax ID")}),
    Kind("GR AFM", "number", greek, {"en": ("AFM", "ΑΦΜ")}),
    Kind("IE PPS", "code", irish, {"en": ("PPS number", "PPSN")}),
    Kind("SI EMSO", "number", slovenian, {"en": ("EMŠO", "EMSO")}, strong=True),
    Kind("CH AHV", "number", swiss, {"de": ("AHV-Nummer",), "fr": ("numéro AVS",)}, strong=True),
    Kind("EU VAT", "code", vat, {"en": ("VAT number", "VAT ID"), "de": ("USt-IdNr.",), "fr": ("numéro de TVA",), "it": ("partita IVA",), "nl": ("btw-nummer",), "es": ("NIF-IVA",)}),
    Kind("RU INN, person", "number", inn_person, {"ru": ("ИНН", "ИНН физлица"), "en": ("INN",)}),
    Kind("RU INN, company", "number", inn_company, {"ru": ("ИНН", "ИНН организации"), "en": ("INN",)}),
    Kind("RU SNILS", "number", snils, {"ru": ("СНИЛС", "номер СНИЛС"), "en": ("SNILS",)}),
    Kind("RU passport", "number", russian_passport, {"ru": ("паспорт", "паспорт РФ", "паспортные данные")}),
    Kind("IPv4", "address", ipv4, {"en": ("IP", "client address"), "de": ("IP-Adresse",), "ru": ("IP-адрес",)}, strong=True),
    Kind("IPv6", "address", ipv6, {"en": ("IP", "host")}, strong=True),
    Kind("MAC", "address", mac, {"en": ("MAC address", "device")}, strong=True),
    Kind("login in a URL", "secret", login, {"en": ("connection", "mirror", "database URL")}, strong=True),
    Kind("licence plate", "code", plate, {
        "en": ("licence plate", "license plate", "vehicle registration"), "de": ("Kennzeichen",),
        "fr": ("plaque d'immatriculation",), "es": ("matrícula",), "it": ("targa",), "nl": ("kenteken",),
        "pl": ("numer rejestracyjny",), "ru": ("госномер",),
    }),
    Kind("date of birth", "address", birth_date, {
        "en": ("date of birth", "born", "DOB"), "de": ("Geburtsdatum", "geboren am"), "fr": ("date de naissance", "né le"),
        "es": ("fecha de nacimiento",), "it": ("data di nascita", "nato il"), "nl": ("geboortedatum",),
        "pl": ("data urodzenia",), "ru": ("дата рождения",),
    }),
    *(Kind(name, "secret", make, {"en": ("token", "value in the vault")}, strong=True) for name, make in SECRETS.items()),
    Kind("private key", "secret", pem, {"en": ("key file",)}, strong=True),
    Kind("password", "secret", secret_word, {"en": ("password",), "de": ("Passwort",), "fr": ("mot de passe",), "es": ("contraseña",), "nl": ("wachtwoord",), "pl": ("hasło",), "ru": ("пароль",)}),
)  # fmt: skip
"""Every kind whose figures are counted."""
