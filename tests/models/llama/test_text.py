"""Text is shown as soon as it can be, whole characters only, and never a part of a stop text."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from models.llama.text import TextStream


def shown(pieces: list[bytes], stops: tuple[str, ...]) -> str:
    stream = TextStream(stops)
    return "".join(stream.push(piece) for piece in pieces) + stream.finish()


def cut(content: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(position % (len(content) + 1) for position in cuts), len(content)]
    return [content[start:end] for start, end in pairwise(at)]


def until_first_stop(text: str, stops: tuple[str, ...]) -> str:
    return text[: min([at for stop in stops if (at := text.find(stop)) >= 0], default=len(text))]


@given(st.text(alphabet="abä漢🙂", max_size=40), st.lists(st.integers(0, 200), max_size=10))
def test_text_cut_anywhere_comes_out_whole(text: str, cuts: list[int]) -> None:
    assert shown(cut(text.encode(), cuts), ()) == text


@given(st.text(alphabet="ab\n", max_size=40), st.lists(st.integers(0, 200), max_size=10))
def test_nothing_from_a_stop_text_on_is_shown_however_it_is_cut(text: str, cuts: list[int]) -> None:
    stops = ("aab", "\n\n", "bb")
    # What follows the piece that completes a stop text is not asked for any more, so only single bytes are exact.
    pieces = [text.encode()[at : at + 1] for at in range(len(text))] if cuts else [text.encode()]
    assert shown(pieces, stops) == until_first_stop(text, stops)


def test_a_character_waits_for_all_its_bytes() -> None:
    stream = TextStream(())
    assert [stream.push(bytes([byte])) for byte in "é".encode()] == ["", "é"]


def test_what_could_begin_a_stop_text_waits_and_is_shown_when_it_does_not() -> None:
    stream = TextStream(("<end>",))
    assert stream.push(b"one <en") == "one "
    assert stream.push(b"try>") == "<entry>"
    assert stream.push(b"<end") == ""
    assert stream.finish() == "<end"


def test_bytes_that_are_no_text_become_a_replacement() -> None:
    assert shown([b"a\xff", b"b\xe2\x82"], ()) == "a\ufffdb\ufffd"
