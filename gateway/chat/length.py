"""How long an answer may be: short, unless the question asks for more."""

import re
from dataclasses import dataclass

from gateway.config import AnswerOptions

_IN_WORDS = re.compile(r"\b(\d{1,4})\s+words\b", re.IGNORECASE)
_AT_LENGTH = re.compile(
    r"\b(?:in (?:more |full |great )?(?:detail|depth)|in full|at length|detailed|step[- ]by[- ]step|elaborate"
    r"|every step|(?:list|name|give)(?: me)? (?:all|every)|all (?:the )?steps)\b",
    re.IGNORECASE,
)
_WORDS_A_SENTENCE = 20
"""Of plain English prose; the model is told sentences, since small ones cannot count words."""
_CHARACTERS_A_WORD = 60
"""Ten times that of English: enough for long compounds and for scripts that put no space between words."""


@dataclass(frozen=True, slots=True)
class Length:
    """The most words of an answer, and what the model is told about it."""

    words: int
    sentences: str

    @property
    def characters(self) -> int:
        """The most characters, whatever the model takes for a word."""
        return self.words * _CHARACTERS_A_WORD


def wanted_length(question: str, options: AnswerOptions) -> Length:
    """How long the answer to this question may be.

    The usual length, unless the question names a number of words or asks for detail; never more than
    `options.most_words`.
    """
    named = [int(match[1]) for match in _IN_WORDS.finditer(question)]
    if named:
        return _length(max(1, min(*named, options.most_words)))
    if _AT_LENGTH.search(question):
        return _length(max(options.most_words, options.max_words))
    return Length(options.max_words, "two sentences")


def _length(words: int) -> Length:
    sentences = max(1, words // _WORDS_A_SENTENCE)
    return Length(words, "one sentence" if sentences == 1 else f"{sentences} sentences")
