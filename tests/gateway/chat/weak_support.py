"""The check as it was at first, kept as a negative control: numbers anywhere in a passage, half of the words."""

from collections.abc import Sequence

from gateway.chat.sentences import coverage, numbers, split_sentences


def marks(answer: str, passages: Sequence[str]) -> bool:
    """Whether it marks any sentence of an answer."""
    return not all(
        any(numbers(sentence) <= numbers(passage) and coverage(sentence, passage) >= 0.5 for passage in passages)
        for sentence in split_sentences(answer)
    )
