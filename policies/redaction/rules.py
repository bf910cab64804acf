"""What a rule is: a pattern, a check of what it matched, and how to apply it.

Rules use the standard library's `re`, which has no time-out: they only ever see a segment and its look-back, some
500 characters, and tests hold each of them to a few milliseconds on hostile ones.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from policies.personal_data import Span, SpanType


@dataclass(frozen=True, slots=True)
class Rule:
    """A shape of personal data.

    Attributes:
        name: Who found it, in spans and reports.
        type: What it is.
        pattern: What to look for; its group `value`, where it has one, is the personal part.
        score: How sure a match is, 0 to 1.
        accepts: A check of the value, such as a checksum.
        needs: Whether a text may hold one at all, which is told in less time than by the pattern.
    """

    name: str
    type: SpanType
    pattern: re.Pattern[str]
    score: float
    accepts: Callable[[str], bool] = bool
    needs: Callable[[str], object] = bool


def holds(*pieces: str) -> Callable[[str], bool]:
    """A check that a text holds one of some pieces, as they are written."""
    return lambda text: any(piece in text for piece in pieces)


def apply(rules: Iterable[Rule], text: str, begin: int) -> Iterator[Span]:
    """Spans of what the rules find in `text` from `begin` on; what stands before serves as context."""
    for rule in rules:
        if not rule.needs(text):
            continue
        group = "value" if "value" in rule.pattern.groupindex else 0
        for match in rule.pattern.finditer(text):
            start, end = match.span(group)
            if end > begin and rule.accepts(match[group]):
                yield Span(max(start, begin), end, rule.type, rule.score, rule.name)


def digits_of(value: str) -> str:
    """The digits of a value, without what divides them."""
    return "".join(character for character in value if character.isdecimal())


def labelled(label: str, value: str) -> re.Pattern[str]:
    """A pattern for a value after what it is called, as in `Passport no.: X123`; the label's case does not matter.

    A blank in the label may be an underscore or a dash, as in keys of fields. Labels are read without accents.
    """
    spaced = label.replace("[ -]", " ").replace(" ", "[ _-]")
    filler = (
        r"(?:[\s_(-]+(?:card|number|numbers|numero|nummer|no|nr|num|id|code|номер)\b\.?){0,2}[\s:#=.(|\"'>;,-]{0,8}"
        r"(?:(?:is|was|lautet|ist|est|es|e|to|это)\b[\s:][\s:\"'-]{0,2}(?:le\s)?)?"
    )
    return re.compile(rf"(?i:\b(?:{spaced}){filler})(?P<value>{value})")


CODE = (
    r"(?:[A-Z]{1,3}[ -])?(?=[A-Za-z]{0,19}\d)[A-Za-z0-9]{1,20}"
    r"(?:[ ./_-](?=[A-Za-z]{0,11}\d)[A-Za-z0-9]{1,12}\b|[ -][A-Z]\b){0,14}"
)
"""A code of groups that each hold a digit, possibly between letters: `AB 12 34 56 C`, `X1234567`."""
