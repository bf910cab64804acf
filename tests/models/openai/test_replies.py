"""What servers say is read with mistrust."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine import FinishReason
from models.openai.faults import TryFailedError
from models.openai.replies import Counts, finds_too_long, read_event, read_odds

YES_NO = ("Yes", "No")


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def odds(top: list[tuple[str, float]], said: str = "") -> tuple[dict[str, float], bool]:
    alternatives = [{"token": token, "logprob": math.log(chance) if chance else -9999.0} for token, chance in top]
    logprobs = {"content": [{"token": "x", "logprob": 0.0, "top_logprobs": alternatives}]}
    return read_odds(encoded({"choices": [{"message": {"content": said}, "logprobs": logprobs}]}), YES_NO)


def test_text_end_and_counts() -> None:
    assert read_event(encoded({"choices": [{"index": 0, "delta": {"content": "a"}}]})).text == "a"
    ended = read_event(encoded({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}))
    assert ended.finish is FinishReason.LENGTH
    counted = read_event(encoded({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}))
    assert counted.counts == Counts(7, None, 2)
    assert read_event(b" [DONE] ").over


def test_other_choices_and_unknown_fields_are_passed_over() -> None:
    event = read_event(encoded({"choices": [{"index": 1, "delta": {"content": "b"}}], "x": {"y": [1]}}))
    assert not event.moves


def test_thinking_is_a_sign_of_life_and_no_text() -> None:
    event = read_event(encoded({"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}))
    assert (event.text, event.moves) == ("", True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"{",
        b"\xff\xfe",
        b'{"choices": "secret words"}',
        b'{"choices": [{"delta": {"content": 7}}]}',
        b'{"choices": [{"delta": {"content": "\xff secret words"}}]}',
        b'{"choices": [{"delta": {"content": "\\ud800"}}]}',
        b"[" * 100_000,
        b'{"error": {"message": "secret words"}}',
        b'{"choices": [{"delta": {}, "finish_reason": "secret words"}]}',
    ],
)
def test_what_cannot_be_read_is_told_without_its_words(data: bytes) -> None:
    with pytest.raises(TryFailedError) as caught:
        read_event(data)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(st.binary(max_size=400) | st.text(max_size=100).map(str.encode))
def test_anything_is_an_event_or_a_fault(data: bytes) -> None:
    for reader in (read_event, lambda raw: read_odds(raw, YES_NO)):
        with contextlib.suppress(TryFailedError):
            reader(data)  # type: ignore[operator]


@pytest.mark.parametrize("count", [-1, 1.5, "7", True, None, [7]])
def test_counts_that_cannot_be_are_none(count: Any) -> None:
    assert read_event(encoded({"choices": [], "usage": {"prompt_tokens": count}})).counts == Counts()


def test_odds_are_those_of_the_first_token() -> None:
    told, known = odds([("Yes", 0.6), (" yes", 0.1), ("No", 0.2), ("Maybe", 0.1)])
    assert known
    assert told["Yes"] == pytest.approx(7 / 9)
    assert sum(told.values()) == pytest.approx(1)


def test_a_token_that_begins_both_replies_or_none_counts_for_nobody() -> None:
    assert odds([("", 0.5), ("\n", 0.3), ("Perhaps", 0.2)])[0] == {"Yes": 0.5, "No": 0.5}
    body = encoded({"choices": [{"logprobs": {"content": [{"top_logprobs": [{"token": "A", "logprob": -0.1}]}]}}]})
    assert read_odds(body, ("Apples", "Ants"))[0] == {"Apples": 0.5, "Ants": 0.5}


@pytest.mark.parametrize(
    ("said", "expected"), [("Yes", 1.0), (" **No**, it", 0.0), ("yes.", 1.0), ("I think", 0.5), ("", 0.5)]
)
def test_without_probabilities_the_word_has_all_of_it(said: str, expected: float) -> None:
    told, known = read_odds(encoded({"choices": [{"message": {"content": said}}]}), YES_NO)
    assert not known
    assert told["Yes"] == expected


def test_probabilities_that_cannot_be_are_bounded() -> None:
    logprobs = {"content": [{"top_logprobs": [{"token": "Yes", "logprob": 1e300}, {"token": "No", "logprob": -1.0}]}]}
    told, _ = read_odds(encoded({"choices": [{"logprobs": logprobs}]}), YES_NO)
    assert 0 < told["No"] < told["Yes"] <= 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"code": "context_length_exceeded", "message": "x"}}',
        b'{"object":"error","message":"This model\'s maximum context length is 4096 tokens. However, you requested"}',
        b'{"error":{"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}',
        b'{"error":{"message":"Requested tokens (5000) exceed context window of 4096"}}',
    ],
)
def test_servers_say_in_many_ways_that_a_prompt_is_too_long(body: bytes) -> None:
    assert finds_too_long(body)
    assert not finds_too_long(b'{"error": {"message": "temperature must be at most 2"}}')
