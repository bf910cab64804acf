"""What speaks for a name before it is found by its last word, and no cue is missed by that."""

import random
from collections.abc import Iterator

import pytest

from policies.redaction import cues
from policies.redaction.lexicon import LISTS
from tests.policies.redaction import effort_texts

ASKED = (
    "my name is ", "call me ", "surnames: ", "maiden name ", "his brother is named ", '"name": "', "first_name=",
    "known as ", "the name on my card is ", "in the name of ",
    "signed as ", "goes by ", "I am ", "I\u2019m ", "this is ", "Dear, ",
    "Best regards, ", "my old ex-husband ", "their neighbours ", "your neighbor is ", "our fianc\u00e9e, ",
    "her fiance ",
    "signed by, ", "c/o ", "Attn: ", "contact person: ", "reported by: ", "we asked ", "met with ", "letter from ",
    "photo by ", "married to ", "on behalf of ", "a certain ", "why is ", "who\u2019s ", "no problem, ", "thank you, ",
    "(cried ", "under the name ",
)  # fmt: skip


def places(texts: Iterator[str]) -> Iterator[tuple[str, str]]:
    """What stands before and after every place in texts where a word begins."""
    for text in texts:
        for at in range(1, len(text)):
            if not text[at - 1].isalnum() and text[at].isalnum():
                yield text[max(0, at - cues.LOOK_BACK_CHARS) : at], text[at : at + 80]


def texts() -> Iterator[str]:
    draw = random.Random(5)
    for kind in effort_texts.PROSE.values():
        yield kind(8_000)
    roles = sorted(LISTS["occupations"] | LISTS["roles"])
    for cue in (*ASKED, *(f"the {role}: " for role in roles), *(f"The {role} " for role in roles)):
        for shown in (cue, cue.upper(), cue.capitalize()):
            yield f"{draw.choice(['', 'Well. ', 'x, ', '- '])}{shown}Quionia left"


def whole(before: str) -> object:
    """What every pattern says, without the short cut."""
    return next((found[1:] for found in cues._BEFORE if found[0].search(before)), None)


def missed() -> int:
    return sum(
        1
        for before, after in places(texts())
        if whole(before) and cues.cue.__wrapped__(before, after, 0) != whole(before)
    )


def test_no_cue_is_missed_for_its_last_word() -> None:
    assert sum(1 for before, _ in places(texts()) if whole(before)) > 1000
    assert missed() == 0


def test_a_short_cut_that_knows_too_few_words_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(cues, "_LAST_WORDS", cues._LAST_WORDS - {"is"})
    assert missed() > 0


@pytest.mark.parametrize("cue", ASKED)
def test_each_is_a_cue(cue: str) -> None:
    assert whole(cue)
