"""What servers say, read with mistrust: nothing of it is believed that was not asked for, or that cannot be."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from models.engine import FinishReason
from models.openai.faults import TryFailedError

_DONE = b"[DONE]"
_FINISHES = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
_TOO_LONG = re.compile(
    rb"context_length_exceeded|exceed_context_size|prompt is too long"
    rb"|(?:maximum|exceed\w*|available)[^.]{0,60}context (?:length|size|window)"
    rb"|context (?:length|size|window)[^.]{0,40}exceed",
    re.IGNORECASE,
)


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _StreamChoice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Cached(msgspec.Struct):
    cached_tokens: Any = None


class _Usage(msgspec.Struct):
    prompt_tokens: Any = None
    completion_tokens: Any = None
    prompt_tokens_details: _Cached | None = None


class _Event(msgspec.Struct):
    choices: list[_StreamChoice] = []
    usage: _Usage | None = None
    error: Any = None


class _Alternative(msgspec.Struct):
    token: str = ""
    logprob: float = -math.inf


class _Position(msgspec.Struct):
    top_logprobs: list[_Alternative] = []


class _Logprobs(msgspec.Struct):
    content: list[_Position] | None = None


class _Said(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Said | None = None
    logprobs: _Logprobs | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens as the server counts them, where it can be believed; none where it cannot."""

    prompt: int | None = None
    cached: int | None = None
    completion: int | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """What one event adds: text, or that the model thinks, or why it ended, or counts."""

    text: str = ""
    thinks: bool = False
    finish: FinishReason | None = None
    counts: Counts | None = None
    over: bool = False

    @property
    def moves(self) -> bool:
        """Whether it is a sign that the answer goes on, which a comment or an empty event is not."""
        return bool(self.text or self.thinks or self.finish or self.over)


def read_event(data: bytes) -> Delta:
    """One event of a stream.

    Raises:
        TryFailedError: It is not one, or says that something went wrong.
    """
    if data.strip() == _DONE:
        return Delta(over=True)
    event = _decoded(data, _Event)
    if event.error is not None:
        what = "ended its answer with an error"
        raise TryFailedError(what)
    choice = next((choice for choice in event.choices if choice.index == 0), _StreamChoice())
    delta = choice.delta or _Delta()
    return Delta(
        text=delta.content or "",
        thinks=bool(delta.reasoning_content or delta.reasoning),
        finish=_finish(choice.finish_reason),
        counts=_counts(event.usage) if event.usage else None,
    )


def read_odds(body: bytes, replies: Sequence[str]) -> tuple[dict[str, float], bool]:
    """The odds of each reply by the probabilities of the first token, and whether the server told these.

    Where it did not, the word that it said has all of them. Where neither fits any reply, nothing is known and all are
    equally likely.

    Raises:
        TryFailedError: It is no completion.
    """
    completion = _decoded(body, _Completion)
    if not completion.choices:
        what = "answered without an answer"
        raise TryFailedError(what)
    choice = completion.choices[0]
    if choice.logprobs is not None and choice.logprobs.content:
        alternatives = choice.logprobs.content[0].top_logprobs
        if alternatives:
            return _scaled({reply: _chance(reply, replies, alternatives) for reply in replies}), True
    words = ((choice.message and choice.message.content) or "").split()
    said = words[0] if words else ""
    return _scaled({reply: float(_begins(said, reply, replies)) for reply in replies}), False


def finds_too_long(body: bytes) -> bool:
    """Whether a refusal says that the prompt does not fit; servers agree on no code for that."""
    return _TOO_LONG.search(body) is not None


def _chance(reply: str, replies: Sequence[str], alternatives: Sequence[_Alternative]) -> float:
    known = [one.logprob for one in alternatives if _begins(one.token, reply, replies)]
    return sum(math.exp(min(logprob, 0.0)) for logprob in known if not math.isnan(logprob))


def _begins(token: str, reply: str, replies: Sequence[str]) -> bool:
    """Whether a token begins this reply, or this with a sign behind it, and no other reply."""
    bare = re.sub(r"^\W+|\W+$", "", token).casefold()
    return bool(bare) and [each for each in replies if each.casefold().startswith(bare)] == [reply]


def _scaled(chances: Mapping[str, float]) -> dict[str, float]:
    total = sum(chances.values())
    return {reply: chance / total if total else 1 / len(chances) for reply, chance in chances.items()}


def _finish(reason: str | None) -> FinishReason | None:
    if not reason:
        return None
    if reason not in _FINISHES:
        what = "ended its answer for a reason of its own, such as a filter"
        raise TryFailedError(what, counts=False)
    return _FINISHES[reason]


def _counts(usage: _Usage) -> Counts:
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Counts(_count(usage.prompt_tokens), _count(cached), _count(usage.completion_tokens))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _decoded(data: bytes, as_: type[Any]) -> Any:
    try:
        return msgspec.json.decode(data, type=as_)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        what = "sends what cannot be read"
        raise TryFailedError(what) from None  # The text of the error can hold what was sent.
