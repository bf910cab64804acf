"""What an answer is made from: the sentences that meet the question, in one piece of each passage, offsets right."""

import random
import re

import pytest

from gateway.chat.passages import cut
from policies.labels import Label
from policies.personal_data import EntityType, Span
from retrieval.chunks import sentences
from retrieval.retriever import FoundPassage, Sentence

LEAVE = "Ask your manager first. You get 28 days of leave a year. Send the form to the office. Then enjoy it."
TRAVEL = "Book trains early. Hotels cost at most 150 EUR a night. Keep the receipts."


def passage(rank: int, text: str, *scores: float, author: str = "", spans: tuple[Span, ...] = ()) -> FoundPassage:
    places = sentences(text) if scores else []
    return FoundPassage(
        rank, 0.5, 0.5, 1.0, rank, 0, f"d{rank}", "pages", f"{rank}.md", (), "T", (), "H", (), text, spans, 1000,
        1000 + len(text), None, "", author, None, "", Label.private(), f"digest of {rank}",
        tuple(Sentence(*place, score) for place, score in zip(places, scores, strict=True)),
    )  # fmt: skip


def texts(passages: list[FoundPassage]) -> list[str]:
    return [each.text for each in passages]


def test_the_sentences_that_meet_the_question_are_taken() -> None:
    found = [passage(1, LEAVE, 0.1, 0.9, 0.2, 0.1), passage(2, TRAVEL, 0.3, 0.8, 0.3)]
    kept = cut(found, most=4, most_tokens=20)
    assert texts(kept) == ["You get 28 days of leave a year.", "Hotels cost at most 150 EUR a night."]


def test_all_is_taken_where_there_is_room() -> None:
    assert texts(cut([passage(1, LEAVE, 0.1, 0.9, 0.2, 0.1)], most=4, most_tokens=450)) == [LEAVE]


def test_an_excerpt_is_one_piece() -> None:
    (kept,) = cut([passage(1, LEAVE, 0.8, 0.1, 0.9, 0.0)], most=4, most_tokens=25)
    assert kept.text == "Ask your manager first. You get 28 days of leave a year. Send the form to the office."


def test_the_best_sentence_stays_however_little_room_there_is() -> None:
    assert texts(cut([passage(1, LEAVE, 0.1, 0.9, 0.2, 0.1)], most=4, most_tokens=1)) == [
        "You get 28 days of leave a year."
    ]


def test_offsets_are_those_of_the_document_and_the_digest_that_of_the_passage() -> None:
    (kept,) = cut([passage(1, LEAVE, 0.1, 0.9, 0.2, 0.1)], most=4, most_tokens=10)
    assert LEAVE[kept.start - 1000 : kept.end - 1000] == kept.text
    assert kept.sha256 == "digest of 1"


def test_a_passage_further_down_is_taken_for_a_better_sentence() -> None:
    found = [passage(1, LEAVE, 0.1, 0.2, 0.2, 0.1), passage(2, TRAVEL, 0.3, 0.8, 0.3)]
    assert texts(cut(found, most=1, most_tokens=12)) == ["Hotels cost at most 150 EUR a night."]


def test_passages_come_in_the_order_they_were_found() -> None:
    found = [passage(1, LEAVE, 0.1, 0.5, 0.2, 0.1), passage(2, TRAVEL, 0.3, 0.8, 0.3)]
    assert [each.rank for each in cut(found, most=2, most_tokens=100)] == [1, 2]


def test_what_is_said_twice_is_taken_once() -> None:
    found = [passage(1, LEAVE, 0.1, 0.9, 0.2, 0.1), passage(2, LEAVE, 0.1, 0.9, 0.2, 0.1), passage(3, TRAVEL, 0, 1, 0)]
    assert [each.rank for each in cut(found, most=3, most_tokens=450)] == [1, 3]


def test_no_author_fills_a_prompt_with_fitting_sentences() -> None:
    own = [passage(rank, f"Sentence {'x' * rank}.", 0.99, author="mallory") for rank in range(1, 5)]
    others = [passage(rank, f"Another {'y' * rank}.", 0.1, author=str(rank)) for rank in range(5, 9)]
    kept = cut([*own, *others], most=4, most_tokens=450, author_share=0.5)
    assert [each.author for each in kept].count("mallory") == 2
    alone = cut([*own, *others], most=4, most_tokens=450, author_share=1.0)
    assert [each.author for each in alone] == ["mallory"] * 4, "control: without the share"


def test_where_sentences_are_not_known_passages_are_taken_whole() -> None:
    found = [passage(1, LEAVE), passage(2, TRAVEL)]
    assert texts(cut(found, most=4, most_tokens=450)) == [LEAVE, TRAVEL]
    assert texts(cut(found, most=4, most_tokens=1)) == [LEAVE]


def test_nothing_found_is_nothing_cut() -> None:
    assert cut([], most=4, most_tokens=450) == []


def test_personal_data_is_never_cut_in_two() -> None:
    """A name over a sentence's end, as an address over lines: the excerpt is widened to hold all of it."""
    text = "Ask first. Write to\nAda Brandt\nHarbour Street 5. That is all."
    span = Span(text.index("Ada"), text.index(" That"), EntityType.ADDRESS, 1.0, "test")
    scores = [1.0 if text[start:end].startswith("Ada") else 0.0 for start, end in sentences(text)]
    (kept,) = cut([passage(1, text, *scores, spans=(span,))], most=1, most_tokens=1)
    assert kept.text == "Ada Brandt\nHarbour Street 5."
    assert [(each.start, each.end) for each in kept.spans] == [(0, len(kept.text))]


@pytest.mark.parametrize("seed", range(50))
def test_spans_mark_the_same_text_in_an_excerpt(seed: int) -> None:
    chance = random.Random(seed)
    words = [chance.choice(["leave", "form", "Ada", "office.", "Ravi Okafor", "days.\n"]) for _ in range(60)]
    text = " ".join(words).strip()
    spans = tuple(
        Span(match.start(), match.end(), EntityType.PERSON, 1.0, "test")
        for match in re.finditer("Ada|Ravi Okafor", text)
    )
    scores = [chance.random() for _ in sentences(text)]
    (kept,) = cut([passage(1, text, *scores, spans=spans)], most=1, most_tokens=chance.randint(1, 60))
    assert kept.text == text[kept.start - 1000 : kept.end - 1000]
    assert {kept.text[span.start : span.end] for span in kept.spans} <= {"Ada", "Ravi Okafor"}
    assert len(kept.spans) == len(re.findall("Ada|Ravi Okafor", kept.text))
