"""Bytes to events: the same ones however the bytes are cut, and a bound on everything."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.openai.events import EventReader
from models.openai.faults import TryFailedError

STREAM = (
    b": hello\r\nevent: x\r\ndata: one\r\ndata:two\r\n\r\nid: 3\r\r\ndata: three\n\n\n\ndata:\xff\xfe\r\rdata: unended"
)
EVENTS = [b"one\ntwo", b"three", b"\xff\xfe"]


def read(*pieces: bytes, most: int = 1 << 30) -> list[bytes]:
    reader = EventReader(most)
    return [data for piece in pieces for data in reader.feed(piece)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    ends = sorted({0, *cuts, len(STREAM)})
    assert read(*(STREAM[start:end] for start, end in pairwise(ends))) == EVENTS


def test_byte_by_byte() -> None:
    assert read(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == EVENTS


@given(st.lists(st.binary(max_size=300), max_size=30))
def test_anything_is_read_or_refused(pieces: list[bytes]) -> None:
    read(*pieces)


@pytest.mark.parametrize(
    "piece",
    [b"x" * 65_536, b"data: " + b"x" * 65_536, b"data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" * 2000],
    ids=["a line without end", "data without end", "an event without end"],
)
def test_what_has_no_end_is_refused_before_it_fills_the_memory(piece: bytes) -> None:
    with pytest.raises(TryFailedError, match="more than an answer"):
        read(*[piece] * 10)


def test_the_whole_is_bounded_too() -> None:
    with pytest.raises(TryFailedError, match="more than an answer"):
        read(*[b": still here\n\n"] * 100, most=1000)


def test_many_small_pieces_take_linear_time() -> None:
    started = time.process_time()
    with pytest.raises(TryFailedError):
        read(*[b"x"] * 300_000)
    assert time.process_time() - started < 20
