"""What is said of many Russian texts at once is what Slovnet says of each alone."""

import random
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from navec import Navec
from slovnet import NER
from slovnet.token import tokenize

from policies.redaction import slovnet_people
from policies.redaction.slovnet_people import SlovnetPeople
from tests.policies.redaction.test_russian import CASES, ORDERS, WAYS
from tests.policies.redaction.test_streaming import composed

pytestmark = pytest.mark.models

PIECES = [
    "из",
    "за",
    "Иван",
    "Петров",
    "Рио",
    "-",
    "--",
    "5",
    "23",
    ".",
    ",",
    "...",
    "/",
    "_",
    "(",
    ")",
    "«",
    "»",
    "?!",
]
PIECES += ["yahoo", "!", ":)", "m\u03c3", "\u00ad", "№", "e\u0301", "км", "XXI", "\u2013", "\u2212", "\n"]


@pytest.fixture(scope="module")
def files(russian_model: Path) -> tuple[Path, Path]:
    return (
        russian_model / "model/slovnet_ner_news_v1.tar",
        russian_model / "emb/navec_news_v1_1B_250K_300d_100q.tar",
    )


@pytest.fixture(scope="module")
def people(files: tuple[Path, Path]) -> SlovnetPeople:
    return SlovnetPeople(*files)


@pytest.fixture(scope="module")
def slovnet(files: tuple[Path, Path]) -> Any:
    return NER.load(str(files[0])).navec(Navec.load(str(files[1])))


def texts() -> list[str]:
    """Names in all cases and orders, and texts that mix them with much else, of very different lengths."""
    draw = random.Random(3)
    named = [
        way(sentence.format(order.format(*parts)))
        for (sentence, names), order, way in product(CASES.items(), ORDERS, WAYS)
        for parts in names
    ]
    made = named + [composed(draw) for _ in range(200)] + [strewn(draw) for _ in range(200)]
    draw.shuffle(made)
    return made


def strewn(draw: random.Random) -> str:
    return "".join(draw.choice(PIECES) + draw.choice(["", "", " ", "  "]) for _ in range(draw.randint(1, 25)))


def alone(slovnet: Any, text: str) -> list[tuple[int, int]]:
    return [(span.start, span.stop) for span in slovnet(text).spans if span.type == "PER"] if text.strip() else []


def test_people_are_those_that_slovnet_sees(people: SlovnetPeople, slovnet: Any) -> None:
    read = texts()
    expected = [alone(slovnet, text) for text in read]
    assert sum(map(len, expected)) > 200
    assert people.find(read) == expected


def test_without_zeros_between_them_texts_would_change_each_other(
    people: SlovnetPeople, slovnet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    monkeypatch.setattr(slovnet_people, "_cleared", lambda rows, _: rows)
    read = texts()
    assert people.find(read) != [alone(slovnet, text) for text in read]


def test_a_text_reads_the_same_alone_and_among_others(people: SlovnetPeople) -> None:
    read = texts()[:200]
    assert [people.find([text])[0] for text in read] == people.find(read)
    assert people.find([]) == []
    assert people.find(["", " \n", "Иван Петров"]) == [[], [], [(0, 11)]]


def tokens(text: str) -> list[tuple[int, int]]:
    return [(token.start, token.stop) for token in tokenize(text)]


def differently_cut(people: SlovnetPeople) -> int:
    draw = random.Random(4)
    read = [*texts(), *(strewn(draw) for _ in range(3_000))]
    return sum([token[:2] for token in people._tokens_of(text)] != tokens(text) for text in read)


def test_pieces_between_blanks_are_cut_as_the_whole(people: SlovnetPeople) -> None:
    assert differently_cut(people) == 0


def test_some_pieces_are_cut_by_what_stands_beyond_the_blank(
    people: SlovnetPeople, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: most are not, which is why their tokens can be kept."""

    class Never:
        def match(self, _: str) -> None: ...

    monkeypatch.setattr(slovnet_people, "_LOOKS_BEYOND", Never())
    assert differently_cut(people) > 0
