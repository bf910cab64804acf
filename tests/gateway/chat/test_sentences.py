"""Text in sentences."""

from gateway.chat.sentences import split_sentences


def test_sentences_are_split_at_ends_and_lines_not_at_abbreviations() -> None:
    text = "Ask Dr. Ames first. It costs 3.5 EUR, e.g. by card.\nThen wait!"
    assert split_sentences(text) == ["Ask Dr. Ames first.", "It costs 3.5 EUR, e.g. by card.", "Then wait!"]
