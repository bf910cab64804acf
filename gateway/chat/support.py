"""Which passage an answer's sentence stands on, and whether it really does.

Numbers and placeholders must stand in the cited passage exactly; the other words must overlap enough. Sentences are
compared as the model saw and wrote them, with personal data replaced, so names compare as names.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.chat.sentences import coverage, numbers, split_sentences

_ENOUGH = 0.5
"""The least share of a sentence's terms that its passage must hold."""


@dataclass(frozen=True, slots=True)
class SupportedSentence:
    """A sentence of an answer, the number of the passage nearest to it (from 0), and whether that states it."""

    text: str
    passage: int
    supported: bool
    coverage: float


def check_support(answer: str, passages: Sequence[str]) -> list[SupportedSentence]:
    """Match each sentence of an answer with the passage that supports it best; needs at least one passage."""
    return [_best(sentence, passages) for sentence in split_sentences(answer)]


def _best(sentence: str, passages: Sequence[str]) -> SupportedSentence:
    wanted = numbers(sentence)
    judged = [(wanted <= numbers(passage), coverage(sentence, passage)) for passage in passages]
    best = max(range(len(passages)), key=lambda index: (*judged[index], -index))
    exact, share = judged[best]
    return SupportedSentence(sentence, best, exact and share >= _ENOUGH, share)
