"""How long an answer may be."""

import pytest

from gateway.chat.length import wanted_length
from gateway.config import AnswerOptions

_OPTIONS = AnswerOptions(max_words=80, most_words=250)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("How many days of holiday do I have?", 80),
        ("Explain the travel policy in detail.", 250),
        ("List all steps of an incident.", 250),
        ("Summarise the travel policy in 40 words.", 40),
        ("Tell me in 9000 words.", 250),
        ("Tell me in 0 words.", 1),
        ("In 100 words, or better 30 words?", 30),
        ("Who wrote the detailed specification?", 250),
        ("Is every employee insured?", 80),
    ],
)
def test_an_answer_is_short_unless_asked(question: str, words: int) -> None:
    assert wanted_length(question, _OPTIONS).words == words


def test_the_model_is_told_a_matching_number_of_sentences() -> None:
    assert wanted_length("Why?", _OPTIONS).sentences == "two sentences"
    assert wanted_length("Why, in 15 words?", _OPTIONS).sentences == "one sentence"
    assert wanted_length("Why, in detail?", _OPTIONS).sentences == "12 sentences"


def test_a_site_that_wants_long_answers_gets_no_shorter_ones_for_detail() -> None:
    assert wanted_length("Why, in detail?", AnswerOptions(max_words=400, most_words=250)).words == 400
