"""Structured identifiers of many countries: how many are masked whole, plain and dressed up, and how much else is.

Judged by letters and digits that a reader reads, whatever type they got. What is taken for a name or a street is left
out of the count on both sides: names have figures of their own.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from policies.personal_data import EntityType
from policies.redaction import numbers, phones, recognition
from policies.redaction.engine import Redactor
from policies.redaction.normalise import View
from tests.policies.redaction.identifier_texts import OBFUSCATIONS, Case, cases, near_misses
from tests.policies.redaction.identifier_values import KINDS

pytestmark = pytest.mark.models

SEED = 20_261_125
PLAIN_RECALL, PLAIN_PRECISION, DRESSED_RECALL = 0.995, 0.95, 0.98
QUICK = 2 * len(KINDS)
FULL = 100 * len(KINDS)
NOT_COUNTED = {EntityType.PERSON, EntityType.ADDRESS}


@dataclass
class Figures:
    """Cases by kind, those of them that were not masked whole, and letters and digits masked rightly and wrongly."""

    of: Counter[str] = field(default_factory=Counter)
    missed: dict[str, list[Case]] = field(default_factory=lambda: defaultdict(list))
    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    right_chars: int = 0
    wrong_chars: int = 0

    @property
    def recall(self) -> float:
        return 1 - sum(map(len, self.missed.values())) / self.of.total()

    @property
    def precision(self) -> float:
        return self.right_chars / max(1, self.right_chars + self.wrong_chars)

    def report(self) -> str:
        """The share found, and the kinds with misses, worst first, with an example each."""
        lines = [f"recall {self.recall:.4f} of {self.of.total()}, precision {self.precision:.4f}"]
        worst = sorted(self.missed, key=lambda kind: len(self.missed[kind]) / self.of[kind], reverse=True)
        lines += [
            f"  {kind}: missed {len(self.missed[kind])} of {self.of[kind]}, as in {self.missed[kind][0].text!r}"
            for kind in worst
        ]
        lines += [f"  wrongly masked, {kind}: {len(values)}, as {values[0]!r}" for kind, values in self.wrong.items()]
        return "\n".join(lines)


@pytest.fixture(autouse=True)
def names_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names do not count here, and take nothing from what is counted; asking for them takes most of the time."""
    monkeypatch.setattr(recognition, "may_hold_names", lambda *_: False)


def judged(redactor: Redactor, some: Sequence[Case]) -> Figures:
    figures = Figures()
    for case, spans in zip(some, redactor.find_many([case.text for case in some]), strict=True):
        masked = {at for span in spans if span.type not in NOT_COUNTED for at in range(span.start, span.end)}
        masked = {at for at in masked if case.text[at].isalnum()}
        hidden = masked.intersection(case.masked)
        figures.right_chars += len(hidden)
        outside = sorted(at for at in masked if not case.start <= at < case.end)
        figures.wrong_chars += len(outside)
        if outside:
            figures.wrong[case.kind].append(case.text)
        if case.masked:
            figures.of[case.kind] += 1
            if len(hidden) < len(case.masked):
                figures.missed[case.kind].append(case)
    return figures


def plain_figures(redactor: Redactor, count: int) -> Figures:
    return judged(redactor, [*cases(SEED, count), *near_misses(SEED, count)])


def test_identifiers_are_masked_and_other_numbers_are_not(redactor: Redactor) -> None:
    figures = plain_figures(redactor, 2 * QUICK)
    assert figures.recall >= PLAIN_RECALL, figures.report()
    assert figures.precision >= PLAIN_PRECISION, figures.report()


@pytest.mark.parametrize("name", OBFUSCATIONS)
def test_identifiers_are_masked_however_they_are_dressed_up(redactor: Redactor, name: str) -> None:
    figures = judged(redactor, cases(SEED, QUICK, OBFUSCATIONS[name]))
    assert figures.recall >= DRESSED_RECALL, figures.report()


@pytest.mark.deep
@pytest.mark.timeout(3_600)
def test_five_thousand_identifiers_in_many_locales(redactor: Redactor) -> None:
    figures = plain_figures(redactor, FULL)
    assert figures.of.total() >= 5_000
    assert figures.recall >= PLAIN_RECALL, figures.report()
    assert figures.precision >= PLAIN_PRECISION, figures.report()


@pytest.mark.deep
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", OBFUSCATIONS)
def test_five_thousand_identifiers_under_each_obfuscation(redactor: Redactor, name: str) -> None:
    figures = judged(redactor, cases(SEED + 1, FULL, OBFUSCATIONS[name]))
    assert figures.of.total() >= 5_000
    assert figures.recall >= DRESSED_RECALL, figures.report()


def as_written(view: View) -> View:
    return view


def bare(text: str) -> View:
    return View(text, range(len(text)), range(1, len(text) + 1))


def test_what_is_dressed_up_is_missed_when_it_is_read_as_it_stands(
    redactor: Redactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: without the two views of a reader, few of the dressed-up values are found."""
    monkeypatch.setattr(recognition, "normalise", bare)
    monkeypatch.setattr(recognition, "seen", bare)
    monkeypatch.setattr(recognition, "codes", as_written)
    for name in ("zero-width characters", "full-width forms", "markup inside", "character references", "fancy digits"):
        assert judged(redactor, cases(SEED, QUICK, OBFUSCATIONS[name])).recall < 0.8, name


def test_other_numbers_are_masked_when_every_check_agrees(redactor: Redactor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with checks that accept everything, what is no identifier is masked as well."""
    accepting = {form: [replace(each, check=bool) for each in some] for form, some in numbers._BY_FORM.items()}
    monkeypatch.setattr(numbers, "_BY_FORM", accepting)
    monkeypatch.setattr(phones, "_is_possible", lambda _: True)
    assert plain_figures(redactor, QUICK).precision < PLAIN_PRECISION


def test_a_number_missed_counts_against_recall(redactor: Redactor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without the numbers that carry a check, the figure falls."""
    monkeypatch.setattr(numbers, "_BY_FORM", {})
    assert plain_figures(redactor, QUICK).recall < 0.9
