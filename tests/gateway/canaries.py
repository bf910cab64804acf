"""Fifty values of personal data, of every kind, and a search for them in whatever form bytes could hold them."""

import base64
import json
import urllib.parse
from collections.abc import Iterable, Iterator
from itertools import cycle, islice

from policies.personal_data import EntityType
from policies.redaction.checksums import luhn

_PEOPLE = "Turing Lovelace Hopper Dijkstra Hamilton".split()
_GIVEN = "Alan Ada Grace Edsger Margaret".split()


_CARDS = (4111222233334440, 5555444433332220, 4000123412341230, 5105105105105100)


def _card(number: int) -> str:
    digits = next(str(n) for n in range(number, number + 10) if luhn(str(n)))
    return " ".join(digits[at : at + 4] for at in range(0, 16, 4))


def _iban(account: int) -> str:
    bban = f"{37040044:08d}{account:010d}"
    check = 98 - int(f"{bban}131400") % 97
    return f"DE{check:02d}{bban}"


VALUES: dict[EntityType, list[str]] = {
    EntityType.ADDRESS: [f"{n} Evergreen Terrace" for n in (74291, 74292, 74293, 74294)],
    EntityType.BANK_ACCOUNT: ["31926819", "31926827", "31926835", "31926843"],
    EntityType.BIRTH_DATE: ["23 June 1912", "10 December 1915", "9 December 1906", "17 August 1936"],
    EntityType.CREDIT_CARD: [
        _card(n) for n in (4111222233334440, 5555444433332220, 4000123412341230, 5105105105105100)
    ],
    EntityType.CRYPTO: ["1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"],
    EntityType.EMAIL_ADDRESS: [f"{name.lower()}.canary@example.org" for name in _PEOPLE[:4]],
    EntityType.IBAN_CODE: [_iban(n) for n in (532013001, 532013002, 532013003, 532013004)],
    EntityType.IDENTIFIER: ["E-20417", "E-20418", "E-20419", "E-20420"],
    EntityType.IP_ADDRESS: ["203.0.113.77", "203.0.113.78", "203.0.113.79", "203.0.113.80"],
    EntityType.NATIONAL_ID: ["X1234567", "X1234568", "X1234569", "X1234570"],
    EntityType.PERSON: [f"{given} {family}" for given, family in zip(_GIVEN, _PEOPLE, strict=True)],
    EntityType.PHONE_NUMBER: ["+44 161 496 0001", "+44 161 496 0002", "+44 161 496 0003", "+44 161 496 0004"],
    EntityType.SECRET: ["Enigma#1940", "Bombe#1941", "Colossus#1943"],
}
SENTENCES = {
    EntityType.ADDRESS: "It was delivered to {}, Springfield, IL 62704.",
    EntityType.BANK_ACCOUNT: "It went to account number {} in May.",
    EntityType.BIRTH_DATE: "That employee was born on {} and works here.",
    EntityType.CREDIT_CARD: "It was paid with the card {} in May.",
    EntityType.CRYPTO: "It was sent to the wallet {} in May.",
    EntityType.EMAIL_ADDRESS: "Write to {} about it.",
    EntityType.IBAN_CODE: "It went to {} in May.",
    EntityType.IDENTIFIER: "It concerns employee ID {} alone.",
    EntityType.IP_ADDRESS: "It came from {} in May.",
    EntityType.NATIONAL_ID: "It was booked under passport number {} in May.",
    EntityType.PERSON: "It was approved by {} in May.",
    EntityType.PHONE_NUMBER: "Call {} about it.",
    EntityType.SECRET: "The password: {} opens it.",
}
CANARIES = [(kind, value) for kind, values in VALUES.items() for value in values]


def spread(count: int, start: int) -> list[tuple[EntityType, str]]:
    """So many of the canaries, of as many kinds as there are."""
    return list(islice(cycle(CANARIES[start:] + CANARIES[:start]), 0, count * 3, 3))


def forms(value: str) -> Iterator[bytes]:
    """A value as bytes could hold it: encoded, escaped, without what divides its parts, in small letters."""
    bare = value.replace(" ", "").replace("-", "")
    for text in {value, value.lower(), bare if len(bare) > 7 else value}:
        for raw in (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be")):
            yield raw
            yield raw.hex().encode()
            yield raw.hex().upper().encode()
            for shift in range(3):  # Wherever in a stream of base64 it begins, the letters that it alone decides.
                encoded = base64.b64encode(b"\0" * shift + raw)
                yield encoded[-(-8 * shift // 6) : 8 * (shift + len(raw)) // 6]
        yield urllib.parse.quote(text).encode()
        yield urllib.parse.quote_plus(text).encode()
        yield json.dumps(text)[1:-1].encode()
        yield "".join(f"\\u{ord(character):04x}" for character in text).encode()


_FORMS = [(value, form) for _, value in CANARIES for form in set(forms(value)) if len(form) > 6]


def found_in(content: bytes, among: Iterable[str] | None = None) -> set[str]:
    """The canaries that stand in some bytes, in whichever form."""
    wanted = None if among is None else set(among)
    return {value for value, form in _FORMS if (wanted is None or value in wanted) and form in content}
