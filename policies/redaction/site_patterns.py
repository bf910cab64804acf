"""Patterns that a site writes: refused unless their work is bounded, and run with a time-out that fails the text.

A pattern's cost is the number of ways in which it can be tried at one place of a text. It is counted on the parsed
pattern, as if every character fitted everywhere, so it is never more in a real text: nested quantifiers multiply, and
an open one (`*`, `+`) has as many ways as a text has characters.
"""

import importlib
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import regex

from policies.errors import RedactionFailedError

MOST_WAYS = 5_000
"""At one place. A text of 500 characters then takes 99 ms at the worst (measured), a fifth of the time-out."""
LONGEST_PATTERN = 1_000
_LONGEST_READ = 500
"""Characters that a pattern sees: a segment with its look-back."""
_TIMEOUT_S = 0.5
# `regex` reads {e<=1} as "nearly", which `re`, that counts for us, takes for plain characters.
_STRANGE_BRACE = re.compile(r"(?<!\\)(?:\\\\)*\{(?!\d+(?:,\d*)?\}|,\d+\})")
_PLAIN = {"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT", "CATEGORY", "RANGE"}
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}
_ASSERTIONS = {"ASSERT", "ASSERT_NOT"}

Finder = Callable[[str], Iterator[tuple[int, int]]]
"""Gives where something stands in a text."""


def pattern_finder(pattern: str) -> Finder:
    """A finder for a pattern; its group `value`, where it has one, is the part that counts.

    Raises:
        ValueError: The pattern is refused; the text says why, and what to do.
    """
    if len(pattern) > LONGEST_PATTERN:
        message = f"it has more than {LONGEST_PATTERN} characters; make several types of it"
        raise ValueError(message)
    if _STRANGE_BRACE.search(pattern):
        message = "it has a { that begins no number of repeats; write \\{ for the sign itself"
        raise ValueError(message)
    parsed = _parsed(pattern)
    if parsed.getwidth()[0] == 0:
        message = "it matches the empty text, and so everywhere; let it need a character at least"
        raise ValueError(message)
    if _ways(parsed) > MOST_WAYS:
        message = (
            "it could take very long on some texts, since quantifiers stand in one another or there are several open "
            "ones; write how often at most, such as {1,20} for + or *, and none within another"
        )
        raise ValueError(message)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compiled_finder(regex.compile(pattern))


def compiled_finder(compiled: Any) -> Finder:
    """A finder for a pattern of the module `regex`, whatever it costs.

    The finder raises `RedactionFailedError` when the pattern takes too long: then nobody knows what the text holds.
    """
    group = "value" if "value" in compiled.groupindex else 0

    def find(text: str) -> Iterator[tuple[int, int]]:
        try:
            matches = list(compiled.finditer(text, timeout=_TIMEOUT_S))
        except TimeoutError as error:
            message = (
                "A pattern of the settings took too long to look for personal data, so the text was not used. "
                "Simplify the patterns under redaction.types."
            )
            raise RedactionFailedError(message) from error
        for match in matches:
            start, end = match.span(group)
            if start < end:
                yield start, end

    return find


def _parsed(pattern: str) -> Any:
    """The pattern as Python's own `re` reads it, which knows fewer and safer constructs than `regex`."""
    parser = importlib.import_module("re._parser")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Sets within sets, which the two modules may read differently.
            return parser.parse(pattern)
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        message = f"it is no pattern: {error}"
        raise ValueError(message) from error
    except Warning as error:
        message = f"it has a sign with two meanings ({error}); put a \\ before it"
        raise ValueError(message) from error


def _ways(items: Any) -> int:
    """In how many ways a sequence can be tried, up to a little over the most that is allowed."""
    ways = 1
    for operation, argument in items:
        ways *= _ways_of(str(operation), argument)
        if ways > MOST_WAYS:
            return MOST_WAYS + 1
    return ways


def _ways_of(operation: str, argument: Any) -> int:
    if operation in _PLAIN:
        return 1
    if operation in _REPEATS:
        fewest, most, items = argument
        return _ways_of_repeat(min(fewest, _LONGEST_READ), min(most, _LONGEST_READ), _ways(items))
    if operation == "BRANCH":
        return sum(_ways(branch) for branch in argument[1])
    if operation in _ASSERTIONS or operation == "SUBPATTERN":
        return _ways(argument[-1])
    if operation == "ATOMIC_GROUP":
        return _ways(argument)
    message = "it refers back to a group, which can take very long; write the part out"
    raise ValueError(message)


def _ways_of_repeat(fewest: int, most: int, ways: int) -> int:
    if ways == 1:
        return most - fewest + 1
    total = 0
    for times in range(fewest, most + 1):
        total += ways ** min(times, MOST_WAYS.bit_length())
        if total > MOST_WAYS:
            return MOST_WAYS + 1
    return total


def context_finder(words: Sequence[str]) -> Callable[[str], bool]:
    """Whether one of the words, or a longer one that begins so, stands in a text; case does not matter."""
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})", re.IGNORECASE)
    return lambda text: bool(pattern.search(text))
