"""Sentences with names, addresses and what else a recogniser may find, drawn from templates of our own.

Values come from Faker's locales and from lists of names in Latin letters for countries where Faker writes another
script. The templates (`sentence_templates.txt`) are divided: rules may be changed by what is missed in `dev`, and
`held out` is only measured.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from faker import Faker

_TEMPLATES = Path(__file__).with_name("sentence_templates.txt")
_LOCALES = (
    "cs_CZ da_DK de_AT de_DE en_AU en_CA en_GB en_IE en_IN en_NZ en_US es_ES es_MX et_EE fi_FI fr_FR hr_HR hu_HU id_ID "
    "it_IT lt_LT lv_LV nl_NL no_NO pl_PL pt_BR ro_RO sk_SK sl_SI sv_SE tr_TR vi_VN en_US en_US en_GB"
).split()
_OTHER_NAMES = (
    "Haruto Nishimura, Sakura Fujimoto, Kenta Okabe, Mei Hashimoto, Wei Zhang, Xiaoming Liu, Jing Ouyang, "
    "Yating Hsieh, Minjun Kwon, Seo-yeon Jang, Ji-hoon Baek, Omar Al-Khatib, Layla Haddad, Yousef bin Rashid, "
    "Nour El-Masri, "
    "Tariq Abdelrahman, Samira Benali, Chinedu Okonkwo, Adaeze Nwosu, Babatunde Afolabi, Thandiwe Mokoena, "
    "Sipho Dlamini, Wanjiru Kamau, Abebe Girma, Selam Tesfaye, Kofi Mensah, Ama Boateng, Giorgos Papanikolaou, "
    "Eleni Stavrou, Nino Beridze, Levan Kapanadze, Aram Sargsyan, Anahit Grigoryan, Aigerim Nurlanova, "
    "Timur Bekmukhambetov, Dmitri Shevchuk, Oksana Hrytsenko, Svetlana Zhuravleva, Rahul Deshpande, Priyanka Iyer, "
    "Arjun Venkataraman, Fatemeh Rezaei, Behrouz Karimi, Zeynep Kocabas, Tuan Pham, Linh Nguyen, Somchai Wattanakul, "
    "Malia Kealoha, Tane Ngata, Aroha Parata, Siobhan O'Rourke, Niamh Ni Dhomhnaill, Rhys ap Gwilym, Bronagh MacAuley"
).split(", ")
_COUNTRIES = (
    "Germany, Kenya, Peru, New Zealand, Japan, Ireland, South Korea, Brazil, Norway, Vietnam, the Netherlands, Egypt, "
    "Canada, Poland, Chile, Australia, Ghana, Iceland, Mexico, Turkey"
).split(", ")
_NATIONALITIES = (
    "German Kenyan Peruvian Japanese Irish Korean Brazilian Norwegian Vietnamese Dutch Egyptian Canadian Polish "
    "Chilean Australian Ghanaian Mexican Turkish French Swedish"
).split()
_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_TITLES = "Mr. Mrs. Ms. Dr. Mr Mrs Ms Dr Miss Prof. Professor".split()
_STREET_WORDS = (
    "Mill Church Station Park Victoria Kirkgate Orchard Juniper Harbour Beacon Wessex Linden Fairfield Abbey Larkspur "
    "Coppice Tannery Whitmore Eastfield Sycamore Kingfisher Priory"
).split()
_ENGLISH_KINDS = (
    "Street Road Avenue Lane Drive Close Court Crescent Way Place Terrace St Rd Ave Ln Dr St. Ave. Rd.".split()
)
_FOREIGN_STREETS = (
    "{family}straße {n}",
    "{family}gasse {n}",
    "Am {family}platz {n}",
    "{given}weg {n}",
    "rue {given} {family} {n}",
    "{n} rue de {family}",
    "{n}, avenue {given} {family}",
    "Calle {family} {n}",
    "Calle de {given} {family}, {n}",
    "Via {given} {family} {n}",
    "Via {family}, {n}",
    "Piazza {family} {n}",
    "ul. {family} {n}",
    "ulica {family} {n}",
    "{family}straat {n}",
    "{family}laan {n}",
    "{family}kade {n}",
    "{family}gatan {n}",
    "{family}vägen {n}",
    "{family}gade {n}",
    "{family}vej {n}",
    "{family}veien {n}",
    "{family}katu {n}",
    "{family}tie {n}",
    "{family} utca {n}.",
    "{family} út {n}",
    "{family}ova {n}",
    "Na {family}ě {n}",
    "Rua {family}, {n}",
    "Avenida {given} {family} {n}",
    "Strada {family} nr. {n}",
    "{family}iela {n}",
    "{family} g. {n}",
    "{family} Caddesi No: {n}",
    "Jalan {family} No. {n}",
    "Trg {family} {n}",
    "Ulica {family} {n}",
    "{family} cesta {n}",
    "{family} Sokak {n}",
)
_PLACES = {
    "en_GB": "{city} {zip}",
    "en_US": "{city}, {state} {zip}",
    "en_AU": "{city} {state} {zip}",
    "de_DE": "{zip} {city}",
}
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Gold:
    """A value at `text[start:end]` and the slot that it came from."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """A filled template."""

    text: str
    gold: tuple[Gold, ...]
    template: int


PERSONAL = {
    **dict.fromkeys(
        "person given family family_given initialed lower_person lower_given upper_person".split(), "PERSON"
    ),
    **dict.fromkeys(
        "address address_line address_block street street_name unit box zip lower_street upper_street".split(),
        "ADDRESS",
    ),
    "birth_date": "BIRTH_DATE",
    "card": "CREDIT_CARD",
    "email": "EMAIL_ADDRESS",
    "handle": "IDENTIFIER",
    "iban": "IBAN_CODE",
    "ip": "IP_ADDRESS",
    "licence": "NATIONAL_ID",
    "phone": "PHONE_NUMBER",
    "ssn": "NATIONAL_ID",
    "username": "IDENTIFIER",
}
"""What our policy calls personal, by slot."""
OTHER = {
    "age": "AGE",
    "city": "LOCATION",
    "country": "LOCATION",
    "date": "DATE_TIME",
    "job": "TITLE",
    "lower_city": "LOCATION",
    "nationality": "NRP",
    "org": "ORGANIZATION",
    "title": "TITLE",
    "url": "URL",
    "weekday": "DATE_TIME",
    "year": "DATE_TIME",
}
"""What is recognised and, unless a site wants it, not masked."""


def templates(part: str) -> dict[int, str]:
    """The templates of a part, `dev` or `held out`, by number."""
    lines = [line for line in _TEMPLATES.read_text("utf-8").splitlines() if not line.startswith("#")]
    every = "\n".join(lines).split("\n---\n")
    return {number: text for number, text in enumerate(every) if (number % 2 == 1) == (part == "held out")}


def sentences(part: str, per_template: int, seed: int) -> list[Sentence]:
    """Each template of a part, filled so many times."""
    rng = random.Random(f"{part} {seed}")
    for fake in map(_faker, sorted(set(_LOCALES))):
        fake.seed_instance(rng.random())
    return [_fill(text, number, rng) for number, text in templates(part).items() for _ in range(per_template)]


def _fill(template: str, number: int, rng: random.Random) -> Sentence:
    pieces: list[str] = []
    gold: list[Gold] = []
    length = done = 0
    for match in _SLOT.finditer(template):
        before, value = template[done : match.start()], _VALUES[match[1]](rng)
        length += len(before)
        gold.append(Gold(length, length + len(value), match[1]))
        length += len(value)
        pieces += (before, value)
        done = match.end()
    return Sentence("".join((*pieces, template[done:])), tuple(gold), number)


@cache
def _faker(locale: str) -> Faker:
    return Faker(locale)


def _some(rng: random.Random) -> Faker:
    return _faker(rng.choice(_LOCALES))


def _names(rng: random.Random) -> tuple[str, str]:
    if rng.random() < 0.2:
        given, _, family = rng.choice(_OTHER_NAMES).partition(" ")
        return given, family
    fake = _some(rng)
    given, family = fake.first_name(), fake.last_name()
    if rng.random() < 0.06:
        family = f"{family}-{fake.last_name()}"
    if rng.random() < 0.04:
        given = f"{given}-{fake.first_name()}"
    return given, family


def _person(rng: random.Random) -> str:
    given, family = _names(rng)
    if rng.random() < 0.15:
        return f"{given} {rng.choice('ABCDEFGHJKLMNPRST')}. {family}"
    return f"{given} {family}"


def _initialed(rng: random.Random) -> str:
    given, family = _names(rng)
    return rng.choice((f"{given[0]}. {family}", f"{given[0]}. {rng.choice('ABCEHJKMPRT')}. {family}"))


def _street(rng: random.Random) -> str:
    number = str(rng.randint(1, 400)) + (rng.choice("abcAB") if rng.random() < 0.1 else "")
    draw = rng.random()
    if draw < 0.45:
        fake = _some(rng)
        word = rng.choice(
            (rng.choice(_STREET_WORDS), fake.last_name(), f"{rng.choice(_STREET_WORDS)} {fake.last_name()}")
        )
        return f"{number} {word} {rng.choice(_ENGLISH_KINDS)}"
    if draw < 0.7:
        given, family = (name.replace(" ", "-") for name in _names(rng))
        return rng.choice(_FOREIGN_STREETS).format(given=given, family=family, n=number)
    return _some(rng).street_address().replace("\n", ", ")


def _street_name(rng: random.Random) -> str:
    return f"{rng.choice((rng.choice(_STREET_WORDS), _some(rng).last_name()))} {rng.choice(_ENGLISH_KINDS[:11])}"


def _place(rng: random.Random) -> str:
    locale = rng.choice(list(_PLACES))
    fake = _faker(locale)
    state = fake.state_abbr() if hasattr(fake, "state_abbr") else ""
    return _PLACES[locale].format(city=fake.city(), state=state, zip=fake.postcode())


def _address(rng: random.Random, between: str) -> str:
    if rng.random() < 0.3:
        return _some(rng).address().replace("\n", between)
    parts = [_street(rng), _place(rng)]
    if rng.random() < 0.25:
        parts.insert(rng.choice((0, 1)), _unit(rng))
    if rng.random() < 0.25:
        parts.append(rng.choice(_COUNTRIES))
    return between.join(parts)


def _unit(rng: random.Random) -> str:
    return rng.choice(("Flat {}", "Apt {}", "Apt. {}", "Unit {}", "Suite {}", "Apartment {}")).format(
        rng.randint(1, 90)
    )


def _phone(rng: random.Random) -> str:
    def digits(count: int) -> str:
        return "".join(rng.choices("23456789", k=count))

    forms = (
        f"+44 20 7{digits(3)} {digits(4)}", f"07700 9{digits(2)}{digits(3)}", f"({digits(3)}) {digits(3)}-{digits(4)}",
        f"+49 30 {digits(7)}",
        f"+1-{digits(3)}-{digits(3)}-{digits(4)}", f"+33 1 {digits(2)} {digits(2)} {digits(2)} {digits(2)}",
    )  # fmt: skip
    return rng.choice(forms)


def _username(rng: random.Random) -> str:
    given, family = _names(rng)
    plain = re.sub(r"[^a-z]", "", f"{given[0]}{family}".lower()) or "qlunek"
    return f"{plain}{rng.choice(('', str(rng.randint(1, 99)), '_' + str(rng.randint(1, 99))))}"


def _url(rng: random.Random) -> str:
    fake = _faker("en_US")
    return rng.choice((fake.url(), f"https://www.{fake.domain_name()}", f"www.{fake.domain_name()}"))


def _date(rng: random.Random) -> str:
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1950, 2026)
    name = "January February March April May June July August September October November December".split()[month - 1]
    return rng.choice(
        (f"{day} {name} {year}", f"{name} {day}, {year}", f"{day:02}/{month:02}/{year}", f"{year}-{month:02}-{day:02}",
         f"{day}.{month}.{year}")
    )  # fmt: skip


def _english(name: str) -> Callable[[random.Random], str]:
    return lambda rng: str(getattr(_faker(rng.choice(("en_US", "en_GB"))), name)())


_VALUES: dict[str, Callable[[random.Random], str]] = {
    "address": lambda rng: _address(rng, ", "),
    "address_block": lambda rng: _address(rng, "\n"),
    "address_line": lambda rng: _address(rng, ", "),
    "age": lambda rng: str(rng.randint(4, 97)),
    "birth_date": _date,
    "box": lambda rng: str(rng.randint(10, 9999)),
    "card": _english("credit_card_number"),
    "city": lambda rng: _some(rng).city(),
    "country": lambda rng: rng.choice(_COUNTRIES),
    "date": _date,
    "email": _english("email"),
    "family": lambda rng: _names(rng)[1],
    "family_given": lambda rng: ", ".join(reversed(_names(rng))),
    "given": lambda rng: _names(rng)[0],
    "handle": _username,
    "iban": lambda rng: _faker(rng.choice(("de_DE", "en_GB", "fr_FR", "nl_NL"))).iban(),
    "initialed": _initialed,
    "ip": _english("ipv4_public"),
    "job": _english("job"),
    "licence": lambda rng: f"{rng.choice('ABCDEFGH')}{rng.randint(1_000_000, 9_999_999)}",
    "lower_city": lambda rng: _some(rng).city().lower(),
    "lower_given": lambda rng: _names(rng)[0].lower(),
    "lower_person": lambda rng: " ".join(_names(rng)).lower(),
    "lower_street": lambda rng: _street(rng).lower(),
    "nationality": lambda rng: rng.choice(_NATIONALITIES),
    "org": lambda rng: _some(rng).company(),
    "person": _person,
    "phone": _phone,
    "ssn": lambda rng: f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
    "street": _street,
    "street_name": _street_name,
    "title": lambda rng: rng.choice(_TITLES),
    "unit": _unit,
    "upper_person": lambda rng: _person(rng).upper(),
    "upper_street": lambda rng: _street(rng).upper(),
    "url": _url,
    "username": _username,
    "weekday": lambda rng: rng.choice(_WEEKDAYS),
    "year": lambda rng: str(rng.randint(1950, 2026)),
    "zip": lambda rng: _faker(rng.choice(("en_US", "en_GB", "de_DE", "en_AU"))).postcode(),
}
