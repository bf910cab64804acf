"""Answers that are true to a passage, and what a machine makes of them: a wrong number, name or negation.

Written without a look into the check that has to notice: it shares no pattern and no word list with it. Alterations
are seeded. True answers are sentences of the passages, as they are and said in other words by plain means.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """What was done to an answer."""

    TRUE = "true"
    NUMBER = "number"
    NAME = "name"
    NEGATION = "negation"


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer to be checked against the passages it was made from.

    `how` says what was done to it, for looking at what goes wrong.
    """

    answer: str
    passages: tuple[str, ...]
    kind: Kind
    how: str


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“])")
_DIGITS = re.compile(r"(?<![\w.,-])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w-]|[.,]\d)")
_NUMBER_WORDS = "two three four five six seven eight nine ten eleven twelve fifteen twenty thirty fifty".split()
_NUMBER_WORD = re.compile(r"\b(" + "|".join(_NUMBER_WORDS) + r")\b")
_MONTHS = "January February March April May June July August September October November December".split()
_DAY_OF_MONTH = re.compile(rf"\b(\d{{1,2}}) ({'|'.join(_MONTHS)})\b")
_MONTH = re.compile(rf"(?<=[a-z0-9,] )({'|'.join(_MONTHS)})(?= \d|,? \d{{4}}|[.,;])")
_NAME = re.compile(
    r"(?<=[a-z,;] )(?:[A-Z][\w’'&-]*[a-z0-9A-Z])(?: (?:of |and )?[A-Z][\w’'&-]*[a-z0-9A-Z])*|⟦PERSON_\d+⟧"
)
_QUESTIONS = frozenset({"Who", "Where", "What", "When", "How", "Which", "Why", "By", "First", "The", "If", "In"})
_AUXILIARY = re.compile(
    r"\b(is|are|was|were|can|must|should|may|will|would|could|has been|have been|had been|does|do|did)\b"
    r"(?! (?:not|n't|never)\b)(?= [a-z])"
)
_NEGATIVE = re.compile(
    r"\b(?:is|are|was|were|can|must|should|may|will|would|could|do|does|did|has|have|had) not\b"
    r"|\b(?:is|are|was|were|must|should|would|could|do|does|did|has|have|had|ca)n['’]t\b"
    r"|\b(?:cannot|never|without)\b|\bno\b(?! (?:more|less|later|longer|matter)\b)"
)
_PRONOUN = re.compile(
    r"^(We|They|You|I|It|He|She) "
    r"(?!(?:is|are|was|were|can|must|should|may|will|do|does|did|have|has|had|would|could|never|am|cannot|can|don|doesn|didn)\b)(?=[a-z])"
)
_OPPOSITES = [
    pair
    for one, other in (
        ("before", "after"), ("more", "less"), ("always", "never"), ("at least", "at most"), ("increase", "decrease"),
        ("increased", "decreased"), ("minimum", "maximum"), ("all", "no"), ("every", "no"), ("allowed", "forbidden"),
        ("required", "optional"), ("include", "exclude"), ("includes", "excludes"), ("higher", "lower"),
        ("first", "last"), ("internal", "external"), ("public", "private"), ("approve", "reject"),
        ("accept", "reject"), ("above", "below"), ("most", "few"), ("with", "without"), ("unless", "if"),
        ("permitted", "prohibited"), ("larger", "smaller"), ("mandatory", "voluntary"), ("both", "neither"),
        ("must", "need not"), ("able", "unable"), ("won", "lost"), ("north", "south"), ("began", "ended"),
    )
    for pair in ((one, other), (other, one))
]  # fmt: skip
_SAME = [
    ("must", "has to"), ("about", "approximately"), ("in order to", "to"), ("such as", "like"), ("because", "since"),
    ("do not", "don't"), ("does not", "doesn't"), ("is not", "isn't"), ("are not", "aren't"), ("cannot", "can not"),
    ("don't", "do not"), ("doesn't", "does not"), ("isn't", "is not"), ("can't", "cannot"), ("per cent", "%"),
    ("percent", "%"), ("however, ", ""), ("also ", ""), ("usually ", "normally "), ("until", "till"),
    ("however ", ""), ("although", "though"), ("our ", "the "), ("your ", "the "), ("within", "in"), ("upon", "on"),
]  # fmt: skip
_LEADS = ("According to the document, ", "According to the passage, ", "Yes, ", "The answer is that ", "")


def sentences_of(passage: str) -> list[str]:
    """The whole sentences of a passage that could be answers."""
    lines = [line.strip(" -*•\t") for line in passage.splitlines()]
    return [
        sentence.strip()
        for line in lines
        for sentence in _SENTENCE_END.split(line)
        if 6 <= len(sentence.split()) <= 40 and sentence[:1].isupper() and sentence.rstrip().endswith((".", "!"))
    ]


def true_answers(passage: str, draw: random.Random) -> Iterator[tuple[str, str]]:
    """True answers from a passage, each with how it was made."""
    for sentence in sentences_of(passage):
        yield sentence, "verbatim"
        for how, change in _REWORDINGS.items():
            changed = change(sentence, draw)
            if changed is not None and changed != sentence and len(changed.split()) > 3:
                yield changed, how


def altered(answer: str, passage: str, others: Sequence[str], draw: random.Random) -> Iterator[tuple[str, Kind, str]]:
    """An answer with one thing wrong, in as many ways as it allows, each with its kind and how."""
    for kind, changes in _ALTERATIONS.items():
        for how, change in changes.items():
            changed = change(answer, passage, others, draw)
            if changed is not None and changed.lower() != answer.lower() and changed.rstrip(".") not in passage:
                yield changed, kind, how


def samples(texts: Sequence[tuple[str, ...]], seed: int) -> list[Sample]:
    """All samples of these groups of passages; an answer is made from the first passage of a group."""
    made: list[Sample] = []
    for at, group in enumerate(texts):
        draw = random.Random(f"{seed} {at}")
        others = [texts[draw.randrange(len(texts))][0] for _ in range(8)]
        for answer, how in true_answers(group[0], draw):
            made.append(Sample(answer, group, Kind.TRUE, how))
            made += (
                Sample(changed, group, kind, f"{way} of {how}")
                for changed, kind, way in altered(answer, group[0], others, draw)
            )
    return made


def drawn(made: Sequence[Sample], counts: dict[Kind, int], seed: int) -> list[Sample]:
    """So many samples of each kind, each way of making them as often as the others where there are enough."""
    draw = random.Random(seed)
    taken: list[Sample] = []
    for kind, count in counts.items():
        ways: dict[str, list[Sample]] = {}
        for sample in made:
            if sample.kind is kind:
                ways.setdefault(sample.how.split(" of ")[0], []).append(sample)
        for way in ways.values():
            draw.shuffle(way)
        queue = [
            way[at] for at in range(max(map(len, ways.values()), default=0)) for way in ways.values() if at < len(way)
        ]
        taken += queue[:count]
    return taken


def from_answer(answer: str, passages: Sequence[str], others: Sequence[str], draw: random.Random) -> list[Sample]:
    """A model's own answer and its alterations."""
    group = tuple(passages)
    made = [Sample(changed, group, kind, how) for changed, kind, how in altered(answer, "\n".join(group), others, draw)]
    return [Sample(answer, group, Kind.TRUE, "written by a model"), *made]


# Numbers


def _another_digit(answer: str, _passage: str, _others: Sequence[str], draw: random.Random) -> str | None:
    return _substituted(_DIGITS, answer, draw, lambda found: _changed_digits(found, draw))


def _changed_digits(digits: str, draw: random.Random) -> str:
    at = draw.choice([i for i, sign in enumerate(digits) if sign.isdigit()])
    new = draw.choice([sign for sign in "123456789" if sign != digits[at]])
    return digits[:at] + new + digits[at + 1 :]


def _number_of_passage(answer: str, passage: str, _others: Sequence[str], draw: random.Random) -> str | None:
    stated = [found for found in _DIGITS.findall(passage) if found not in _DIGITS.findall(answer)]
    return _substituted(_DIGITS, answer, draw, lambda _: draw.choice(stated)) if stated else None


def _ten_times(answer: str, _passage: str, _others: Sequence[str], draw: random.Random) -> str | None:
    return _substituted(_DIGITS, answer, draw, lambda found: found.split(".")[0].replace(",", "") + "0")


def _another_number_word(answer: str, _passage: str, _others: Sequence[str], draw: random.Random) -> str | None:
    return _substituted(
        _NUMBER_WORD, answer, draw, lambda found: draw.choice([word for word in _NUMBER_WORDS if word != found])
    )


def _another_month(answer: str, _passage: str, _others: Sequence[str], draw: random.Random) -> str | None:
    return _substituted(_MONTH, answer, draw, lambda found: draw.choice([month for month in _MONTHS if month != found]))


# Names


def _name_of_passage(answer: str, passage: str, _others: Sequence[str], draw: random.Random) -> str | None:
    return _another_name(answer, [found for found in _NAME.findall(passage) if found not in answer], draw)


def _name_from_elsewhere(answer: str, passage: str, others: Sequence[str], draw: random.Random) -> str | None:
    return _another_name(answer, [n for each in others for n in _NAME.findall(each) if n not in passage], draw)


def _invented_name(answer: str, _passage: str, _others: Sequence[str], draw: random.Random) -> str | None:
    return _another_name(
        answer, ["Henrik Solberg", "Marlowe", "Aquila Systems", "Tarragona", "Fenwick", "Olympus"], draw
    )


def _another_name(answer: str, names: Sequence[str], draw: random.Random) -> str | None:
    names = [name for name in names if _singular(name) not in answer and not _is_date(name) and name not in _QUESTIONS]
    if not names:
        return None
    changed = _substituted(_NAME, answer, draw, lambda found: found if _is_date(found) else draw.choice(names))
    return changed if changed != answer else None


def _singular(name: str) -> str:
    return re.sub(r"['’]s$|s$", "", name)


def _is_date(name: str) -> bool:
    return name.split(maxsplit=1)[0] in _MONTHS or name.rstrip("s").endswith("day")


def _names_swapped(answer: str, _passage: str, _others: Sequence[str], _draw: random.Random) -> str | None:
    found = list(_NAME.finditer(answer))
    if len(found) != 2 or re.search(
        rf"{re.escape(found[0][0])}(?:,? (?:and|or|the)|,)+ {re.escape(found[1][0])}", answer
    ):
        return None  # "A and B" says the same as "B and A".
    one, two = found
    if any(
        _is_date(name) or _singular(other[0]).startswith(_singular(name))
        for name, other in ((one[0], two), (two[0], one))
    ):
        return None
    return answer[: one.start()] + two[0] + answer[one.end() : two.start()] + one[0] + answer[two.end() :]


# Negations


def _not_inserted(answer: str, _passage: str, _others: Sequence[str], draw: random.Random) -> str | None:
    return _substituted(_AUXILIARY, answer, draw, lambda found: found + " not")


def _not_taken_out(answer: str, _passage: str, _others: Sequence[str], draw: random.Random) -> str | None:
    return _substituted(_NEGATIVE, answer, draw, _affirmed)


def _affirmed(found: str) -> str:
    fixed = {"cannot": "can", "can't": "can", "can’t": "can", "never": "always", "without": "with", "no": "every"}
    return fixed.get(found) or re.sub(r" not$|n['’]t$", "", found)


def _never_inserted(answer: str, _passage: str, _others: Sequence[str], _draw: random.Random) -> str | None:
    changed, count = _PRONOUN.subn(r"\1 never ", answer)
    return changed if count else None


def _opposite(answer: str, _passage: str, _others: Sequence[str], draw: random.Random) -> str | None:
    there = [(one, other) for one, other in _OPPOSITES if re.search(rf"\b{one}\b", answer)]
    if not there:
        return None
    one, other = draw.choice(there)
    return re.sub(rf"\b{one}\b", other, answer, count=1)


def _substituted(
    pattern: re.Pattern[str], answer: str, draw: random.Random, change: Callable[[str], str]
) -> str | None:
    found = list(pattern.finditer(answer))
    if not found:
        return None
    match = draw.choice(found)
    return answer[: match.start()] + change(match[0]) + answer[match.end() :]


# True in other words


def _clause_dropped(sentence: str, _draw: random.Random) -> str | None:
    match = re.search(r", (?:which|who|where|while|whereas|so that|because|as well as)\b[^,]*\.$", sentence)
    return sentence[: match.start()] + "." if match else None


def _lead_dropped(sentence: str, _draw: random.Random) -> str | None:
    match = re.match(r"(?:In|On|At|During|After|As|For|By|From|Since)\b[^,;]{3,60}, ", sentence)
    return sentence[match.end() :][:1].upper() + sentence[match.end() + 1 :] if match else None


def _clause_moved(sentence: str, _draw: random.Random) -> str | None:
    match = re.search(r" ((?:if|when|because|before|after|until|unless) [^,;]+)\.$", sentence)
    if not match or "," in sentence[: match.start()]:
        return None
    first = sentence[: match.start()]
    begun = first if first[:2].isupper() or first.startswith("I ") else first[:1].lower() + first[1:]
    return f"{match[1][:1].upper()}{match[1][1:]}, {begun}."


def _same_words(sentence: str, draw: random.Random) -> str | None:
    there = [(one, other) for one, other in _SAME if re.search(rf"\b{one}", sentence)]
    if not there:
        return None
    one, other = draw.choice(there)
    return re.sub(rf"\b{one}", other, sentence, count=1)


def _numbers_spelled(sentence: str, _draw: random.Random) -> str | None:
    spelled = dict(zip(_NUMBER_WORDS, "2 3 4 5 6 7 8 9 10 11 12 15 20 30 50".split(), strict=True))
    changed = _NUMBER_WORD.sub(lambda found: spelled[found[0]], sentence)
    changed = re.sub(r"(?<=\d),000\b(?!,)", "k", changed)
    words = {digits: word for word, digits in spelled.items()}
    return (
        re.sub(
            r"(?<=[a-z] )(\d{1,2})(?= (?!(?:am|pm|a|p)\b)[a-z])", lambda found: words.get(found[0], found[0]), changed
        )
        if changed == sentence
        else changed
    )


def _dates_spelled(sentence: str, _draw: random.Random) -> str | None:
    changed = _DAY_OF_MONTH.sub(r"\2 \1", sentence)
    if changed == sentence:
        changed = re.sub(rf"\b({'|'.join(_MONTHS)}) (\d{{1,2}})(?!\d)(?:st|nd|rd|th)?", r"\2 \1", sentence)
    return changed


def _said_first(sentence: str, draw: random.Random) -> str | None:
    lead = draw.choice(_LEADS)
    second = sentence.split(maxsplit=1)[0]
    if not lead or second[1:] != second[1:].lower() or re.search(r"\b" + second + r"\b", sentence[1:]):
        return None
    return lead + (sentence if second.isupper() else sentence[:1].lower() + sentence[1:])


_REWORDINGS = {
    "clause dropped": _clause_dropped,
    "lead dropped": _lead_dropped,
    "clause moved": _clause_moved,
    "same words": _same_words,
    "numbers spelled": _numbers_spelled,
    "dates spelled": _dates_spelled,
    "said first": _said_first,
}
_ALTERATIONS = {
    Kind.NUMBER: {
        "another digit": _another_digit,
        "number of the passage": _number_of_passage,
        "ten times": _ten_times,
        "another number word": _another_number_word,
        "another month": _another_month,
    },
    Kind.NAME: {
        "name of the passage": _name_of_passage,
        "name from elsewhere": _name_from_elsewhere,
        "invented name": _invented_name,
        "names swapped": _names_swapped,
    },
    Kind.NEGATION: {
        "not inserted": _not_inserted,
        "not taken out": _not_taken_out,
        "never inserted": _never_inserted,
        "opposite": _opposite,
    },
}


def with_passages(sample: Sample, passages: tuple[str, ...]) -> Sample:
    """The same sample over other passages."""
    return replace(sample, passages=passages)
