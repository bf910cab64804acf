"""A part of a document can be more restricted than the whole, and opens nothing when it is renamed."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from connectors.contract import Part, Upsert
from policies.labels import Label
from policies.principals import Principal
from retrieval import ingestion
from retrieval.parsing import parse
from retrieval.parts import cut_by_parts, part_key
from tests.fakes.sources import page
from tests.retrieval.conftest import Corpus

EVERYONE, FINANCE = Label.for_groups("everyone"), Label.for_groups("finance")
OWEN = Principal("owen", frozenset({"everyone"}))
NADIA = Principal("nadia", frozenset({"everyone", "finance"}))
OUTSIDER = Principal("fay", frozenset({"finance"}))
TEXT = """# Offer letters

Letters are sent by post.

## Salaries

Ada earns 90000.

### Bonus

The bonus is 7 per cent.

## Travel

Travel is paid.
"""


def letter(text: str = TEXT, *parts: Part) -> Upsert:
    return replace(page("letter", text, EVERYONE), parts=parts or (Part("salaries", FINANCE),))


def texts(corpus: Corpus, principal: Principal, question: str = "salaries bonus travel letters") -> str:
    return "\n".join(f"{found.heading}\n{found.text}" for found in corpus.search(question, principal).passages)


def test_only_some_readers_of_a_document_read_its_part(corpus: Corpus) -> None:
    """Sections this short would share a passage, if they were for the same readers."""
    corpus.sync(letter())
    seen = texts(corpus, OWEN)
    assert "post" in seen
    assert "Travel is paid" in seen
    assert not any(word in seen for word in ("90000", "7 per cent", "Salaries", "Bonus"))
    assert "90000" in texts(corpus, NADIA)
    assert "7 per cent" in texts(corpus, NADIA)


def test_a_part_is_read_only_by_whom_may_read_the_document(corpus: Corpus) -> None:
    corpus.sync(letter())
    assert texts(corpus, OUTSIDER) == ""


def test_the_same_without_a_boundary_between_parts_would_leak(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: passages cut first and labelled after."""
    monkeypatch.setattr(ingestion, "cut_by_parts", lambda document, _keys: [((), document)])
    corpus.sync(replace(letter(), parts=(Part("salaries", FINANCE, optional=True),)))
    assert "90000" in texts(corpus, OWEN)


def test_a_renamed_heading_opens_nothing(corpus: Corpus) -> None:
    corpus.sync(letter(TEXT.replace("Salaries", "Wages")))
    assert texts(corpus, OWEN) == ""
    assert "90000" in texts(corpus, NADIA)


def test_a_document_may_lack_an_optional_part(corpus: Corpus) -> None:
    corpus.sync(letter(TEXT.replace("Salaries", "Wages"), Part("Salaries", FINANCE, optional=True)))
    assert "90000" in texts(corpus, OWEN)


def test_changed_rights_of_a_part_work_at_the_next_request(corpus: Corpus) -> None:
    corpus.sync(letter(TEXT, Part("Salaries", EVERYONE)))
    assert "90000" in texts(corpus, OWEN)
    report = corpus.sync(letter(TEXT, Part("Salaries", FINANCE)))
    assert (report.relabelled, report.upserted) == (1, 0)
    assert "90000" not in texts(corpus, OWEN)
    assert "90000" in texts(corpus, NADIA)


def test_a_new_part_of_an_unchanged_document_is_cut_out(corpus: Corpus) -> None:
    corpus.sync(page("letter", TEXT, EVERYONE))
    assert "90000" in texts(corpus, OWEN)
    corpus.sync(letter())
    assert "90000" not in texts(corpus, OWEN)


def test_the_documents_own_rights_still_count(corpus: Corpus) -> None:
    corpus.sync(letter())
    corpus.sync(replace(letter(), label=Label.private()))
    assert texts(corpus, NADIA) == ""


def test_what_stands_in_a_hidden_part_changes_nothing(make_corpus: Callable[[], Corpus]) -> None:
    one, other = make_corpus(), make_corpus()
    one.sync(letter())
    other.sync(letter(TEXT.replace("Ada earns 90000.", "Travel travel letters. " * 40)))
    for question in ("salaries", "bonus travel", "letters by post"):
        shown, alone = (corpus.search(question, OWEN).passages for corpus in (one, other))
        assert [(found.text, found.heading, found.score) for found in shown] == [
            (found.text, found.heading, found.score) for found in alone
        ]


@pytest.mark.parametrize("heading", ["SALARIES", "  salaries ", "\uff33alaries", "sala\u0000ries"])
def test_headings_are_compared_as_people_read_them(heading: str) -> None:
    assert (part_key(heading) == "salaries") is ("\0" not in heading)


@pytest.mark.parametrize("seed", range(20))
def test_no_stretch_holds_text_of_two_parts(seed: int) -> None:
    chance = random.Random(seed)
    names = ["alpha", "beta", "gamma"]
    lines: list[str] = []
    for number in range(30):
        if chance.random() < 0.4:
            lines.append(f"{'#' * chance.randint(1, 4)} {chance.choice([*names, f'free {number}'])}\n")
        else:
            lines.append(f"Sentence {number} of this page.\n")
    document = parse("\n".join(lines).encode(), "text/markdown", "page.md")
    stretches = cut_by_parts(document, names)
    assert [block for _, stretch in stretches for block in stretch.blocks] == list(document.blocks)
    for matched, stretch in stretches:
        for block in stretch.blocks:
            above = {part_key(heading) for heading in block.headings}
            assert above & set(names) <= set(matched)
