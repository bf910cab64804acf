"""A sentence is supported only by sentences that have its facts in the same place and say yes and no to the same."""

import pytest

from gateway.chat.support import Reason, check_support

TRAVEL = (
    "Travel\nAllowances\nHotels may cost 140 EUR a night in Lisbon, and meals 45 EUR a day. "
    "The limit is $50,000 a year. "
    "Employees must not share passwords. Requests are sent before the trip. Ada Brandt reports to Max Ames. "
    "You need at least two hours of overlap. Payroll runs on 3 March 2027 at 3 pm. "
    "About 12.5 % of claims are rejected. "
    "The service speaks TLS 1.3 as RFC 8446 has it, and release v2.3.1 fixes JIRA-123. "
    "Visitors are allowed in the lab unless a test runs. Receipts are required. Staff in the Netherlands get 25 days."
)
OTHER = "Parking\n\nParking permits cost 900 EUR a year."


def verdict(sentence: str, *passages: str, question: str = "") -> Reason | None:
    [found] = check_support(sentence, passages or (TRAVEL,), question)
    assert found.supported is (found.reason is None)
    return found.reason


@pytest.mark.parametrize(
    ("wrong", "right", "reason"),
    [
        ("Hotels may cost 240 EUR a night in Lisbon.", "Hotels may cost 140 euros a night in Lisbon.", Reason.NUMBER),
        ("Hotels may cost 45 EUR a night in Lisbon.", "Meals may cost 45 EUR a day.", Reason.NUMBER),
        ("Hotels may cost 140 USD a night in Lisbon.", "In Lisbon hotels may cost 140 EUR a night.", Reason.NUMBER),
        ("The limit is $5,000 a year.", "The limit is $50k a year.", Reason.NUMBER),
        ("The limit is $500,000 a year.", "The limit is 50,000 dollars a year.", Reason.NUMBER),
        ("You need at least three hours of overlap.", "You need at least 2 hours of overlap.", Reason.NUMBER),
        ("You need at least two days of overlap.", "You need at least 120 minutes of overlap.", Reason.NUMBER),
        ("About 125 % of claims are rejected.", "About 12.5 percent of claims are rejected.", Reason.NUMBER),
        ("The service speaks TLS 1.2.", "The service speaks TLS 1.3.", Reason.NUMBER),
        ("Release v2.3.2 fixes JIRA-123.", "Release 2.3.1 fixes JIRA-123.", Reason.NUMBER),
        ("Release v2.3.1 fixes JIRA-132.", "Release v2.3.1 fixes JIRA 123.", Reason.NUMBER),
        (
            "The service speaks TLS 1.3 as RFC 8447 has it.",
            "The service speaks TLS 1.3 as RFC 8446 has it.",
            Reason.NUMBER,
        ),
        ("Payroll runs on 4 March 2027.", "Payroll runs on 2027-03-03.", Reason.DATE),
        ("Payroll runs on March 3rd, 2026.", "Payroll runs on March 3rd, 2027.", Reason.DATE),
        ("Payroll runs on 04/03/2027.", "Payroll runs on 03/03/2027.", Reason.DATE),
        ("Payroll runs on 3 March 2027 at 4 pm.", "Payroll runs on 3 March 2027 at 15:00.", Reason.DATE),
        ("Hotels may cost 140 EUR a night in Porto.", "Lisbon hotels may cost 140 EUR a night.", Reason.NAME),
        ("Max Ames reports to Ada Brandt.", "Ada Brandt reports to Max Ames.", Reason.NAME),
        ("Kim Brandt reports to Max Ames.", "Brandt reports to Ames.", Reason.NAME),
        ("Staff in Lisbon get 25 days.", "Staff in the Netherlands get 25 days.", Reason.NAME),
        ("Employees must share passwords.", "Employees mustn't share passwords.", Reason.NEGATION),
        ("Employees need not share passwords.", "Employees must never share passwords.", None),
        (
            "Hotels may not cost 140 EUR a night in Lisbon.",
            "Hotels can cost 140 EUR a night in Lisbon.",
            Reason.NEGATION,
        ),
        ("Requests are sent after the trip.", "Before the trip, requests are sent.", Reason.NEGATION),
        ("You need at most two hours of overlap.", "You need no less than two hours of overlap.", Reason.NEGATION),
        ("Visitors are prohibited in the lab.", "Visitors are allowed in the lab.", Reason.NEGATION),
        ("Visitors are not allowed in the lab.", "Visitors are permitted in the lab.", Reason.NEGATION),
        ("Receipts are optional.", "Receipts are mandatory.", Reason.NEGATION),
        ("Receipts aren't required.", "Receipts are required.", Reason.NEGATION),
        ("Managers approve parking permits quarterly.", "Claims are rejected.", Reason.WORDING),
    ],
)
def test_what_is_altered_is_told_and_what_is_put_otherwise_is_confirmed(
    wrong: str, right: str, reason: Reason | None
) -> None:
    assert verdict(wrong, TRAVEL) is reason
    assert verdict(right, TRAVEL) is None


@pytest.mark.parametrize(
    ("source", "wrong", "right"),
    [
        (
            "Die Karte kostet 1.500,50 EUR im Jahr.",
            "Die Karte kostet 1.600,50 EUR im Jahr.",
            "Im Jahr kostet die Karte 1500,50 €.",
        ),
        (
            "Mitarbeiter dürfen das Lager nicht betreten.",
            "Mitarbeiter dürfen das Lager betreten.",
            "Mitarbeiter dürfen das Lager nie betreten.",
        ),
        (
            "Le contrat commence le 3 mars 2027.",
            "Le contrat commence le 3 mai 2027.",
            "Le contrat commence le 03.03.2027.",
        ),
        (
            "Les visiteurs ne peuvent pas entrer dans le dépôt.",
            "Les visiteurs peuvent entrer dans le dépôt.",
            "Les visiteurs ne peuvent jamais entrer dans le dépôt.",
        ),
        (
            "Los visitantes nunca pueden entrar en el almacén.",
            "Los visitantes pueden entrar en el almacén.",
            "En el almacén los visitantes nunca pueden entrar.",
        ),
        (
            "Сотрудники не могут брать отпуск в декабре.",
            "Сотрудники могут брать отпуск в декабре.",
            "В декабре сотрудники не могут брать отпуск.",
        ),
    ],
)
def test_other_languages_have_numbers_and_negations_too(source: str, wrong: str, right: str) -> None:
    assert verdict(wrong, source) not in (None, Reason.WORDING)
    assert verdict(right, source) is None


def test_what_is_in_another_language_than_its_source_is_not_confirmed() -> None:
    source = "The card costs 1,500 EUR a year, and the fee is paid by the company that you work for."
    assert (
        verdict("Die Karte kostet 1.500 EUR im Jahr, und die Firma zahlt das für den Mitarbeiter.", source)
        is Reason.LANGUAGE
    )
    assert (
        verdict("Die Karte kostet 1.600 EUR im Jahr, und die Firma zahlt das für den Mitarbeiter.", source)
        is Reason.NUMBER
    )


def test_the_passage_that_states_a_sentence_is_found() -> None:
    [found] = check_support("Parking permits cost 900 EUR a year.", [TRAVEL, OTHER])
    assert (found.passage, found.supported) == (1, True)


def test_each_sentence_is_judged_by_itself() -> None:
    first, second = check_support("Receipts are required. Parking permits cost 800 EUR a year.", [TRAVEL, OTHER])
    assert first.supported
    assert second.reason is Reason.NUMBER


def test_placeholders_are_names() -> None:
    source = "⟦PERSON_1⟧ approves exceptions, and ⟦PERSON_2⟧ keeps the list of them."
    assert verdict("⟦PERSON_1⟧ approves exceptions.", source) is None
    assert verdict("⟦PERSON_2⟧ approves exceptions.", source) is Reason.NAME
    assert verdict("⟦PERSON_3⟧ approves exceptions.", source) is Reason.NAME


def test_the_question_says_which_row_a_short_answer_means() -> None:
    rows = "Cards\n\nRole: Directors; Monthly limit: $1,000\nRole: Engineers; Monthly limit: $500"
    question = "What is the monthly limit of engineers?"
    assert verdict("The monthly limit is $500.", rows, question=question) is None
    assert verdict("The monthly limit is $1,000.", rows, question=question) is Reason.NUMBER


def test_a_sentence_of_hardly_more_than_facts_stands_where_all_of_them_are() -> None:
    source = "Sync\n\nThe team meets weekly about topics. The meeting is on Thursday at 8 AM PT / 3 PM UTC."
    question = "In the weekly call about topics, how long do we stay on one?"
    assert verdict("The meeting is on Thursday at 8 AM PT / 3 PM UTC.", source, question=question) is None
    assert verdict("The meeting is on Friday at 8 AM PT / 3 PM UTC.", source, question=question) is Reason.DATE


def test_what_a_reader_would_call_the_same_is_not_marked() -> None:
    """Reordered, shortened, in the passive, with a lead: no fact and no denial changes."""
    for same in (
        "According to the passage, Ada Brandt reports to Max Ames.",
        "Passwords must not be shared by employees.",
        "In Lisbon, hotels may cost 140 EUR a night.",
        "Staff in the Netherlands get twenty-five days.",
        "Yes, receipts are required.",
    ):
        assert verdict(same) is None, same
