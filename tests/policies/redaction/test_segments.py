"""Where texts are cut, and that it does not matter how they arrive."""

import random

import pytest

from policies.redaction.segments import MAX_SEGMENT_CHARS, next_cut, segments


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in segments(text)]


def cut_as_stream(text: str, chunks: list[str]) -> tuple[list[str], int]:
    """The segments of a text that arrives in chunks, and the most that was held back."""
    held, found, most = "", [], 0
    for chunk in chunks:
        held += chunk
        while at := next_cut(held[: MAX_SEGMENT_CHARS + 1], final=False):
            found.append(held[:at])
            held = held[at:]
        most = max(most, len(held))
    while held:
        at = next_cut(held[: MAX_SEGMENT_CHARS + 1], final=True) or 0
        found.append(held[:at])
        held = held[at:]
    return found, most


def random_chunks(text: str, source: random.Random) -> list[str]:
    sizes = [source.choice([1, 1, 2, 3, 5, 8, 40]) for _ in range(len(text) + 1)]
    chunks, at = [], 0
    for size in sizes:
        chunks.append(text[at : at + size])
        at += size
    return [chunk for chunk in chunks if chunk]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three", ["One. ", "Two! ", "Three"]),
        ("Dr. Ada Lovelace met J. R. Smith at 3 p.m. in St. Gallen.", None),
        ("He left. then he came", None),
        ("- one\n- two\n", ["- one\n", "- two\n"]),
        ("# Title\nText goes on\nin the next line", ["# Title\n", "Text goes on\nin the next line"]),
        ("12 Main Street\nSpringfield", None),
        ("First.\n\nSecond", ["First.\n", "\nSecond"]),
        ("1. First\n2. Second", None),
    ],
)
def test_a_segment_is_a_sentence_or_a_line_that_stands_alone(text: str, expected: list[str] | None) -> None:
    assert cut(text) == (expected or [text])


def test_segments_are_the_whole_text_and_short() -> None:
    text = "word " * 500 + "x" * 1000 + "\n" * 50 + "A. B. " * 200
    assert "".join(cut(text)) == text
    assert max(map(len, cut(text))) <= MAX_SEGMENT_CHARS
    assert cut("") == []


def test_a_forced_cut_spares_numbers_and_placeholders() -> None:
    number = "4111 1111 1111 1111"
    assert any(
        number in segment for segment in cut("w" * 190 + " and then " + "v" * 185 + " " + number + " and more " * 9)
    )
    assert any("⟦PERSON_1⟧" in segment for segment in cut("x" * 395 + "⟦PERSON_1⟧" + "x" * 50))


def test_chunks_do_not_change_the_cuts() -> None:
    source = random.Random(11)
    pieces = [
        "Dr. ",
        "Ada ",
        "met. ",
        "\n",
        "\n\n",
        "- item\n",
        "x" * 90,
        "1. ",
        "| a |\n",
        "No.",
        "!",
        " ",
        "é",
        "⟦PERSON_1⟧",
        "end.) ",
    ]
    for _ in range(400):
        text = "".join(source.choices(pieces, k=source.randint(1, 40)))
        found, most = cut_as_stream(text, random_chunks(text, source))
        assert found == cut(text)
        assert most <= MAX_SEGMENT_CHARS + 1


def test_a_cutter_that_looks_at_what_has_arrived_only_is_noticed() -> None:
    """Negative control: cutting at each full stop as soon as it is there gives other segments than the whole."""

    def eager(chunks: list[str]) -> list[str]:
        held, found = "", []
        for chunk in chunks:
            held += chunk
            if held.rstrip().endswith("."):
                found.append(held)
                held = ""
        return [*found, held]

    text = "She met Dr. Lovelace. Then she left."
    assert eager(list(text)) != cut(text)
