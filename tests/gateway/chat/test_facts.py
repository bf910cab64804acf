"""Amounts, dates and names are read in the spellings that people use."""

from decimal import Decimal

import pytest

from gateway.chat.support.amounts import amounts
from gateway.chat.support.dates import dates
from gateway.chat.support.facts import facts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("$50,000", "50k USD"),
        ("1.2 million", "1,200,000"),
        ("1.500,50 EUR", "1500.5 euros"),
        ("12 345 kroner", "12,345 NOK"),
        ("1'000 CHF", "1000 CHF"),
        ("two weeks", "14 days"),
        ("one and", "1 and"),
        ("a 30-day notice", "thirty days"),
        ("twenty-five days", "25 days"),
        ("two hundred and five", "205"),
        ("3.5 %", "3,5 Prozent"),
        ("the 3rd", "the third"),
        ("zwei Wochen", "deux semaines"),
    ],
)
def test_amounts_that_are_the_same(one: str, other: str) -> None:
    [here], [there] = amounts(one), amounts(other)
    assert here.agrees(there)
    assert there.agrees(here)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("$50,000", "$5,000"),
        ("50 USD", "50 EUR"),
        ("5 days", "5 weeks"),
        ("3.5", "35"),
        ("1,000", "1"),
        ("two", "twelve"),
        ("10 %", "10 euros"),
        ("1 GB", "1 MB"),
    ],
)
def test_amounts_that_are_not(one: str, other: str) -> None:
    [here], [there] = amounts(one), amounts(other)
    assert not here.agrees(there)


def test_what_can_be_read_in_two_ways_keeps_both() -> None:
    [amount] = amounts("1.500")
    assert amount.readings == {Decimal("1.5"), Decimal(1500)}


@pytest.mark.parametrize(
    ("said", "stated"),
    [
        ("3 March 2027", "2027-03-03"),
        ("March 3rd, 2027", "3.3.2027"),
        ("03/04/2027", "3 April 2027"),
        ("03/04/2027", "March 4, 2027"),
        ("3 March", "3 March 2027"),
        ("im März 2027", "mars 2027"),
        ("3 de marzo de 2027", "3 марта 2027"),
        ("Fridays", "Friday"),
        ("3 pm", "15:00"),
        ("noon", "12:00"),
    ],
)
def test_dates_that_a_source_states(said: str, stated: str) -> None:
    [here], [there] = dates(said), dates(stated)
    assert here.agrees(there)


@pytest.mark.parametrize(
    ("said", "stated"),
    [
        ("3 March 2027", "4 March 2027"),
        ("3 March 2027", "3 March"),
        ("13/04/2027", "12 April 2027"),
        ("Friday", "Monday"),
        ("3 am", "3 pm"),
        ("May 2027", "March 2027"),
    ],
)
def test_dates_that_it_does_not(said: str, stated: str) -> None:
    [here], [there] = dates(said), dates(stated)
    assert not here.agrees(there)


@pytest.mark.parametrize("text", ["You may ask.", "They march on.", "next week", "Q3", "chapter 3.2.1"])
def test_what_is_no_date(text: str) -> None:
    assert dates(text) == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Ask Ada Brandt of ⟦PERSON_1⟧'s team in the US.", ["Ada", "Brandt", "⟦PERSON_1⟧", "US"]),
        ("See RFC-7231, v2.3.1 and JIRA-123.", ["rfc7231", "2.3.1", "jira123"]),
        ("We use 2FA and S3.", ["2fa", "s3"]),
        ("Die Karte liegt im Schrank und ist nicht aus Metall.", []),
    ],
)
def test_names_and_codes(text: str, values: list[str]) -> None:
    assert [fact.value for fact in facts(text) if isinstance(fact.value, str) and not fact.weak] == values
