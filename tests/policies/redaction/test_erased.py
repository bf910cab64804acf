"""Values are found by their digests alone, in whatever spelling, within whole words, and masked in place."""

import random

import pytest

from policies.errors import ErasedValueError
from policies.personal_data import EntityType, Span
from policies.redaction.erased import (
    Erased,
    digest,
    digests_of,
    forget_values,
    signs,
    spellings_of_name,
    spellings_of_phone,
)
from policies.redaction.placeholders import Pseudonyms

KEY = b"k" * 32
VALUES = ["Ada Brandt", "ada.brandt@harbour.example", "+49 170 1234567", "DE89 3704 0044 0532 0130 00", "Zoë Müller"]
ERASED = Erased(KEY, frozenset(digests_of(KEY, VALUES)))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Ask Ada Brandt.", "Ask [erased]."),
        ("Ask ADA  brandt, or ada-brandt!", "Ask [erased], or [erased]!"),
        ("Ada\nBrandt sits there.", "[erased] sits there."),
        ("Ada&nbsp;Brandt and A\u200bda Br\u00adandt", "[erased] and [erased]"),
        ("**Ada** _Brandt_", "**[erased]_"),
        ("Аda Brandt in mixed scripts", "[erased] in mixed scripts"),
        ("Write to Ada.Brandt@Harbour.example now", "Write to [erased] now"),
        ("Call +491701234567 or +49 (170) 123-4567.", "Call +[erased] or +[erased]."),
        ("IBAN DE89370400440532013000", "IBAN [erased]"),
        ("Zoe Muller, Zoë Müller, ZOË MÜLLER", "[erased], [erased], [erased]"),
    ],
)
def test_every_spelling_is_masked(text: str, masked: str) -> None:
    assert ERASED.masked(text) == masked
    assert ERASED.is_in("nothing", text)


@pytest.mark.parametrize(
    "text", ["", "Ada", "Brandt", "Nada Brandts", "Ada Brandtner", "Ada C. Brandt", "49170123456", "Canada Brandt"]
)
def test_what_is_something_else_stays(text: str) -> None:
    assert ERASED.masked(text) == text
    assert not ERASED.is_in(text)


def test_nobody_is_looked_for_where_nobody_was_erased() -> None:
    nobody = Erased(KEY, frozenset())
    assert not nobody
    assert nobody.masked("Ada Brandt") == "Ada Brandt"


def test_digests_tell_nothing_without_the_key() -> None:
    assert not Erased(b"x" * 32, ERASED.digests).is_in("Ada Brandt")
    assert all("brandt" not in one for one in ERASED.digests)
    assert digest(KEY, signs("Ada Brandt")) in ERASED.digests


def test_random_texts_are_masked_where_a_plain_search_finds_the_value() -> None:
    """Against an oracle that knows the value."""
    words = random.Random(5)
    for _ in range(300):
        text = " ".join(words.choice(["ada", "brandt", "Ada", "Brandt", "the", "x", "adabrandt"]) for _ in range(12))
        expected = text.lower().replace("adabrandt", "*").replace("ada brandt", "*")
        assert ERASED.masked(text).lower().count("[erased]") == expected.count("*"), text


@pytest.mark.parametrize("value", ["", "Li", "a b", "x" * 97, " ".join("abcdefghijklmnopq")])
def test_values_that_cannot_be_looked_for_are_refused(value: str) -> None:
    with pytest.raises(ErasedValueError):
        digests_of(KEY, ["Ada Brandt", value])


def test_names_and_numbers_have_other_spellings() -> None:
    assert spellings_of_name("Ada Maria Brandt") == ["Ada Maria Brandt", "Brandt Ada Maria"]
    assert spellings_of_name("Ada") == ["Ada"]
    assert {"+49 170 1234567", "+491701234567", "0170 1234567", "0049 1701234567"} == set(
        spellings_of_phone("+49 170 1234567")
    )
    assert spellings_of_phone("0170 1234567") == ["0170 1234567"]


def test_placeholders_of_a_value_stand_for_nothing_and_keep_their_numbers() -> None:
    held = Pseudonyms()
    held.replace("Ada Brandt", [Span(0, 10, EntityType.PERSON, 1.0, "test")], "user")
    held.replace("Max Power", [Span(0, 9, EntityType.PERSON, 1.0, "test")], "user")
    dumped = held.dump()
    assert forget_values(dumped, ERASED) == 1
    again = Pseudonyms.load(dumped)
    assert again.replace("Ida Other", [Span(0, 9, EntityType.PERSON, 1.0, "test")], "user") == "⟦PERSON_3⟧"
    assert again.restore("⟦PERSON_1⟧ and ⟦PERSON_2⟧", lambda _: True) == "[erased] and Max Power"
