"""Find numbers that carry a check (`national.py`) in whatever groups they are written.

One pass cuts a text into groups of letters and digits; runs of groups that hold digits are looked up by their form,
so a form costs one look in a table however many kinds of number there are.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from policies.personal_data import EntityType, Span
from policies.redaction.national import LABEL, NUMBERS, Number

_GROUP = re.compile(r"[A-Za-z0-9]+")
_DIVIDERS = frozenset(
    [
        " ",
        "  ",
        "\n",
        " \n",
        "\n ",
        *(f"{a}{sign}{b}" for sign in ".-/_+" for a in ("", " ", "\n") for b in ("", " ", "\n")),
    ]
)
_LONGEST_WORD = 6
"""Letters of a group without a digit, such as the bank in an account number."""
_LONGEST_FORM = max(len(form) for number in NUMBERS for form in number.forms)
_SHORTEST_FORM = min(len(form) for number in NUMBERS for form in number.forms)
_FEW_GROUPS, _MANY_GROUPS = 7, 20
"""Groups tried from any place, and from where a run of digits, or of single signs, begins."""
_LONGEST_TELEPHONE = 15
"""Digits (ITU-T E.164)."""
_LOOK_BACK_CHARS, _LOOK_ON_CHARS = 100, 40
_TO_FORM = str.maketrans("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "9" * 10 + "A" * 52)
_DATE = re.compile(
    r"(?<!\d)(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ]\d|\d[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:19|20)\d\d(?!\d)"
)
# A word before a number, which is no part of it.
_FIRST_WORD = re.compile(r"(?:am|as|e|el|en|es|est|et|he|id|il|in|is|ist|it|la|le|my|nr|no|of|on|or|to|um|und|zu)\s")
_MONEY_BEFORE, _MONEY_AFTER = "$€£¥#@+\\", "%€£$@\\"

_CARD_LABEL = re.compile(
    r"(?<![^\W\d_])(?=[^\W\d_])(?i:(?<![A-Za-z])(?:(?:credit|debit|bank|payment)?[ _-]?card(?![a-z])"
    r"|cc|visa|mastercard|amex|maestro"
    r"|kredit-?karte\w*"
    r"|kartennummer|karte|carte|tarjeta|carta|creditcard|kaart\w*|kart[ay])|карт[аыуе])(?![^\W\d_])"
)

_LABELS = (LABEL, _CARD_LABEL, *(number.label for number in NUMBERS if number.label))
_BY_FORM: dict[str, list[Number]] = defaultdict(list)
for _number in NUMBERS:
    for _its_form in _number.forms:
        _BY_FORM[_its_form].append(_number)


@dataclass(frozen=True, slots=True)
class _Run:
    """Groups side by side with dividers between them: where each stands in the text, and all of them joined."""

    groups: Sequence[tuple[int, int]]
    joined: str
    form: str
    at: Sequence[int]
    """Where each group begins in `joined`; one more at the end."""


def find_numbers(text: str, begin: int) -> Iterator[Span]:
    """Spans of the numbers in `text` from `begin` on; what stands before serves as context."""
    names: dict[re.Pattern[str], list[tuple[int, int]]] = {}
    for run in _runs(text):
        for first, last in _windows(run):
            start, end = run.groups[first][0], run.groups[last][1]
            if end <= begin or (_FIRST_WORD.match(text, start) and _is_number(run, first + 1, last)):
                continue
            if not names:  # Where names stand is looked up once, and only in text with something to name.
                names = {label: [match.span() for match in label.finditer(text)] for label in _LABELS}
            yield from _judged(text, run, first, last, names, begin)


def _judged(
    text: str, run: _Run, first: int, last: int, names: Mapping[re.Pattern[str], Sequence[tuple[int, int]]], begin: int
) -> Iterator[Span]:
    """The span of some groups, if they are a number: a name says so, or how they stand there."""
    start, end = run.groups[first][0], run.groups[last][1]
    compact = run.joined[run.at[first] : run.at[last + 1]]
    near = {label: _is_named(text, start, end, spans) for label, spans in names.items() if spans}
    apart = not _touches(text, start, end)
    whole = apart and (first == last or _is_whole(run, first, last))
    written = "-".join(map(str, _sizes(run, first, last))) if apart else ""
    for number in _BY_FORM[run.form[run.at[first] : run.at[last + 1]]]:
        # In rows of digits most groups are told to be none by where they stand, without doing the sums of each kind.
        named = bool(near) and near.get(_label_of(number), False)
        if not (named or (whole and number.whole) or (written in number.written)) or not number.check(compact):
            continue
        if named or _stands_alone(text, run, first, last, number):
            called = _goes_on_a_telephone_number(text, run, first, last)
            kind = EntityType.PHONE_NUMBER if called else number.type
            yield Span(max(start, begin), end, kind, 0.95, number.name)
            return


def _label_of(number: Number) -> re.Pattern[str]:
    return number.label or (_CARD_LABEL if number.type is EntityType.CREDIT_CARD else LABEL)


def _runs(text: str) -> Iterator[_Run]:
    groups: list[tuple[int, int]] = []
    digits = False
    for match in _GROUP.finditer(text):
        start, end = match.span()
        has_digit = any(map(str.isdigit, match[0]))
        if not has_digit and end - start > _LONGEST_WORD:
            if digits:
                yield _run(text, groups)
            groups, digits = [], False
            continue
        if groups and text[groups[-1][1] : start] not in _DIVIDERS:
            if digits:
                yield _run(text, groups)
            groups, digits = [], False
        groups.append((start, end))
        digits = digits or has_digit
    if digits:
        yield _run(text, groups)


def _run(text: str, groups: Sequence[tuple[int, int]]) -> _Run:
    pieces = [text[start:end] for start, end in groups]
    joined, at = "".join(pieces), [0]
    for piece in pieces:
        at.append(at[-1] + len(piece))
    return _Run(groups, joined, joined.translate(_TO_FORM), at)


def _windows(run: _Run) -> Iterator[tuple[int, int]]:
    """First and last group of each piece of a run that has the form of some number."""
    count = len(run.groups)
    single = [run.at[at + 1] - run.at[at] == 1 for at in range(count)]
    numeric = ["9" in run.form[run.at[at] : run.at[at + 1]] for at in range(count)]
    for first in range(count):
        begins = first == 0 or (numeric[first] and not numeric[first - 1]) or (single[first] and not single[first - 1])
        for last in range(first, min(count, first + (_MANY_GROUPS if begins else _FEW_GROUPS))):
            length = run.at[last + 1] - run.at[first]
            if length > _LONGEST_FORM:
                break
            if length >= _SHORTEST_FORM and run.form[run.at[first] : run.at[last + 1]] in _BY_FORM:
                yield first, last


def _is_number(run: _Run, first: int, last: int) -> bool:
    """Whether some of the groups are a number by themselves, so that what stands before is a word."""
    begin, end = run.at[first], run.at[last + 1]
    return any(number.check(run.joined[begin:end]) for number in _BY_FORM.get(run.form[begin:end], ()))


def _goes_on_a_telephone_number(text: str, run: _Run, first: int, last: int) -> bool:
    """Whether a plus sign and a country code stand before, with no more digits in all than telephone numbers have."""
    for at in range(first - 1, -1, -1):
        start = run.groups[at][0]
        if start and text[start - 1] == "+":
            return run.at[last + 1] - run.at[at] <= _LONGEST_TELEPHONE
    return False


def _stands_alone(text: str, run: _Run, first: int, last: int, number: Number) -> bool:
    """Whether groups that nothing touches count without a name: as their office writes them, or with nothing near."""
    written = "-".join(map(str, _sizes(run, first, last)))
    dividers = "".join(text[run.groups[at][1] : run.groups[at + 1][0]] for at in range(first, last))
    if written in number.written and all(sign in number.signs + "\n" for sign in dividers):
        return _is_set_apart(run, first, last)
    if not number.whole:
        return False
    if first == last:
        return True
    start, end = run.groups[first][0], run.groups[last][1]
    return _is_whole(run, first, last) and not (number.type is EntityType.CREDIT_CARD and _DATE.search(text[start:end]))


def _sizes(run: _Run, first: int, last: int) -> list[int]:
    """How many letters and digits each group has."""
    return [run.at[at + 1] - run.at[at] for at in range(first, last + 1)]


def _is_set_apart(run: _Run, first: int, last: int) -> bool:
    """Whether groups are not some of a longer row of groups of their size, unless they divide it without a rest."""
    sizes = _sizes(run, 0, len(run.groups) - 1)
    numeric = [run.form[run.at[at]] == "9" for at in range(len(run.groups))]
    if len(set(sizes[first : last + 1])) > 1 or first == last:
        return True
    begin, end, count = first, last + 1, last + 1 - first
    while begin > 0 and sizes[begin - 1] == sizes[first] and numeric[begin - 1]:
        begin -= 1
    while end < len(sizes) and sizes[end] == sizes[first] and numeric[end]:
        end += 1
    return (first - begin) % count == 0 and (end - begin) % count == 0


def _is_whole(run: _Run, first: int, last: int) -> bool:
    """Whether no digits adjoin the groups."""
    before = run.form[run.at[first - 1] : run.at[first]] if first else ""
    after = run.form[run.at[last + 1] : run.at[last + 2]] if last + 2 < len(run.at) else ""
    return "9" not in before + after


def _touches(text: str, start: int, end: int) -> bool:
    """Whether something before or after makes it part of a word, a path, a fraction or a sum of money."""
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    if before.isalnum() or after.isalnum() or (before and before in _MONEY_BEFORE) or (after and after in _MONEY_AFTER):
        return True
    joined_before = before in ("-", ".", "/", "_") and start > 1 and text[start - 2].isalnum()
    joined_after = after in ("-", ".", "/", "_") and text[end + 1 : end + 2].isalnum()
    return joined_before or joined_after


def _is_named(text: str, start: int, end: int, names: Sequence[tuple[int, int]]) -> bool:
    """Whether one of the names stands near before or after, and nothing of a word adjoins."""
    if not names or text[start - 1 : start].isalnum() or text[end : end + 1].isalnum():
        return False
    return any(start - _LOOK_BACK_CHARS <= first and last <= start for first, last in names) or any(
        end <= first and last <= end + _LOOK_ON_CHARS for first, last in names
    )
