"""Sentences, and what in them must be right."""

from decimal import Decimal

import pytest

from gateway.chat.sentences import coverage, numbers, split_sentences


def test_sentences_are_split_at_ends_and_lines_not_at_abbreviations() -> None:
    text = "Ask Dr. Ames first. It costs 3.5 EUR, e.g. by card.\nThen wait!"
    assert split_sentences(text) == ["Ask Dr. Ames first.", "It costs 3.5 EUR, e.g. by card.", "Then wait!"]


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("$50,000", {"50000"}),
        ("50k USD", {"50000"}),
        ("at least two hours", {"2"}),
        ("3.5 % of 1,000", {"3.5", "1000"}),
        ("1.2 million", {"1200000"}),
        ("version v2", set()),
        ("no amount", set()),
    ],
)
def test_numbers(text: str, amounts: set[str]) -> None:
    assert numbers(text) == {Decimal(amount) for amount in amounts}


def test_coverage_is_a_share_of_terms() -> None:
    assert coverage("hotel budget", "The hotel is fine.") == 0.5
    assert coverage("the", "the") == 0.0
