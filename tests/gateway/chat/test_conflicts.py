"""Sources that state another value are told with their dates, and what only looks alike is not."""

from datetime import UTC, datetime

import pytest

from gateway.chat.support import Conflict, check_support, describe, find_conflicts

SAID = "The daily allowance for travel in Norway is 480 kroner."
OLD, NEW = datetime(2025, 3, 1, tzinfo=UTC), datetime(2026, 1, 10, tzinfo=UTC)


def conflicts(other: str, *, said: str = SAID, same_document: bool = False) -> list[Conflict]:
    passages = [f"Travel\n\n{said}", f"Travelling\n\n{other}"]
    documents = ["one", "one" if same_document else "two"]
    return find_conflicts(check_support(said, passages), passages, documents)


def test_another_amount_for_the_same_is_told_with_both_dates() -> None:
    [conflict] = conflicts("Our daily allowance for travel in Norway is 520 kroner.")
    assert describe(conflict, (1, 2), (NEW, OLD)) == (
        "The sources differ: 480 kroner (as of 2026-01-10) [1], 520 kroner (as of 2025-03-01) [2]."
    )


def test_a_newer_source_is_said_to_be_newer() -> None:
    [conflict] = conflicts("The daily allowance for travel in Norway is 520 kroner.")
    assert describe(conflict, (1, 2), (OLD, NEW)).startswith("A newer source says otherwise: 480 kroner (as of 2025")
    assert describe(conflict, (1, 2), (None, NEW)).startswith("The sources differ: 480 kroner [1], 520 kroner (as of")


def test_another_date_is_told() -> None:
    [conflict] = conflicts("Payroll for March runs on 5 April 2027.", said="Payroll for March runs on 2 April 2027.")
    assert (conflict.said.value, conflict.instead.value) == ("2 April 2027", "5 April 2027")


@pytest.mark.parametrize(
    "other",
    [
        "The daily allowance for travel in Sweden is 450 kroner.",
        "The daily allowance for travel in Norway is 480 NOK.",
        "The daily allowance for travel in Norway covers meals.",
        "The monthly allowance for phones in Norway is 300 kroner.",
        "The daily allowance for travel in Norway is 480 kroner, up from 450 kroner.",
        "The daily allowance for travel in Norway is paid within 30 days.",
    ],
)
def test_what_is_about_something_else_or_says_the_same_is_not(other: str) -> None:
    assert conflicts(other) == []


def test_one_document_does_not_differ_from_itself() -> None:
    assert conflicts("The daily allowance for travel in Norway is 520 kroner.", same_document=True) == []


def test_what_is_not_confirmed_is_held_against_nothing() -> None:
    passages = ["Travel\n\nThe daily allowance for travel in Norway is 500 kroner."]
    assert find_conflicts(check_support(SAID, passages), passages, ["one"]) == []
