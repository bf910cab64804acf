"""The shapes of OpenAI's chat completions: what clients send, and what they get back.

Clients send much that has no meaning here; unknown fields are passed over. What would change the answer's form and
is not offered is refused in a sentence, so that nobody mistakes one thing for another.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from gateway.chat.schemas import Answer, CheckedSentence, Citation, Usage
from gateway.chat.service import Question
from gateway.chat.store import Message
from gateway.errors import BadRequestError
from gateway.texts import in_utc
from models.engine import Speaker
from policies.context import RequestContext
from policies.principals import Principal
from retrieval.retriever import Narrowing

_MOST_SEED = 2**32 - 1
"""Clients send negative seeds too; what counts is that the same one gives the same answer."""
_MOST_SOURCES = 100
"""Each becomes a variable of an SQL statement, of which there are only so many."""
_PIECE_WORDS = 4
"""Words of one streamed piece: smooth to look at, and few enough frames."""
ZonedDatetime = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone, as in 2026-11-01T00:00:00Z."""


class MessageRole(StrEnum):
    """Who wrote a message of the request."""

    ASSISTANT = "assistant"
    DEVELOPER = "developer"
    SYSTEM = "system"
    USER = "user"


class ContentPart(msgspec.Struct, frozen=True):
    """A part of a message; only parts of type `text` are read."""

    type: str
    text: str = ""


class RequestMessage(msgspec.Struct, frozen=True):
    """A message of the request."""

    role: MessageRole
    content: str | list[ContentPart] | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """What a stream carries besides the answer."""

    include_usage: bool = False


class MunimentOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What only this service understands.

    `conversation` continues a stored conversation, whose own turns then count as the history; `keep` begins one.
    `sources` and the dates narrow what is searched, they never widen it.
    """

    conversation: str | None = None
    keep: bool = False
    sources: list[str] | None = None
    modified_after: ZonedDatetime | None = None
    modified_before: ZonedDatetime | None = None


class CompletionRequest(msgspec.Struct, frozen=True):
    """A question in OpenAI's form.

    The last user message is the question; earlier user and assistant messages are its history. System messages are
    accepted and have no effect: what the model is told is the operator's to say. The answer's length is the
    operator's setting, so `max_tokens` and `max_completion_tokens` have no effect either.
    """

    model: str
    messages: Annotated[list[RequestMessage], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    user: str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    logprobs: bool | None = None
    response_format: dict[str, Any] | None = None
    muniment: MunimentOptions | None = None


class PromptTokens(msgspec.Struct, frozen=True):
    """Prompt tokens by kind."""

    cached_tokens: int


class CompletionUsage(msgspec.Struct, frozen=True):
    """Tokens counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens


class Proof(msgspec.Struct, frozen=True):
    """What stands behind an answer: the fields of `muniment ask --json`, the answer itself aside."""

    abstained: bool
    citations: list[Citation]
    sentences: list[CheckedSentence]
    redactions: dict[str, int]
    receipt: dict[str, Any]
    usage: Usage
    timings_ms: dict[str, float]
    conversation: str | None
    kept_here: int


class AnswerMessage(msgspec.Struct, frozen=True):
    """The message of a completion."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class AnswerChoice(msgspec.Struct, frozen=True):
    """The one choice of a completion."""

    message: AnswerMessage
    index: int = 0
    finish_reason: Literal["stop"] = "stop"
    logprobs: None = None


class Completion(msgspec.Struct, frozen=True):
    """An answer in OpenAI's form, with its proof."""

    id: str
    created: int
    model: str
    choices: list[AnswerChoice]
    usage: CompletionUsage
    muniment: Proof
    object: Literal["chat.completion"] = "chat.completion"


class Delta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET


class ChunkChoice(msgspec.Struct, frozen=True):
    """The one choice of a chunk."""

    delta: Delta
    index: int = 0
    finish_reason: Literal["stop"] | None = None
    logprobs: None = None


class CompletionChunk(msgspec.Struct, frozen=True):
    """A piece of a streamed answer; the last one carries the proof."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | UnsetType | None = UNSET
    muniment: Proof | UnsetType = UNSET
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"


class Model(msgspec.Struct, frozen=True):
    """A model that a request may name."""

    id: str
    created: int = 0
    object: Literal["model"] = "model"
    owned_by: Literal["muniment"] = "muniment"


class ModelList(msgspec.Struct, frozen=True):
    """The models that a request may name."""

    data: list[Model]
    object: Literal["list"] = "list"


def read_question(request: CompletionRequest, principal: Principal, context: RequestContext) -> Question:
    """The question that a request asks.

    Raises:
        BadRequestError: There is none, or it wants what is not offered.
    """
    _refuse_unsupported(request)
    spoken = [message for message in request.messages if message.role in {MessageRole.USER, MessageRole.ASSISTANT}]
    if not spoken or spoken[-1].role is not MessageRole.USER:
        message = "The last message is not the user's, so there is no question. End `messages` with a user message."
        raise BadRequestError(message)
    *earlier, last = [(Speaker(message.role.value), read_text(message)) for message in spoken]
    options = request.muniment or MunimentOptions()
    return Question(
        principal=principal,
        text=last[1],
        context=context,
        history=tuple(Message(speaker, text) for speaker, text in earlier if text),
        conversation=options.conversation,
        keep=options.keep,
        narrowing=read_narrowing(options.sources, options.modified_after, options.modified_before),
        temperature=request.temperature or 0.0,
        seed=(request.seed or 0) & _MOST_SEED,
        model=request.model,
    )


def read_text(message: RequestMessage) -> str:
    """The text of a message.

    Raises:
        BadRequestError: A part of it is not text.
    """
    if not isinstance(message.content, list):
        return message.content or ""
    for part in message.content:
        if part.type != "text":
            text = f"A message has a part of type {part.type[:40]!r}; only text is read. Send the message without it."
            raise BadRequestError(text)
    return "\n".join(part.text for part in message.content)


def read_narrowing(
    sources: Sequence[str] | None, modified_after: datetime | None, modified_before: datetime | None
) -> Narrowing | None:
    """What to leave out of a search; none when nothing is.

    Raises:
        BadRequestError: It names too many sources, or a time that is out of bounds.
    """
    if sources is None and modified_after is None and modified_before is None:
        return None
    if sources is not None and len(sources) > _MOST_SOURCES:
        message = f"The search names {len(sources)} sources; at most {_MOST_SOURCES} are taken. Name fewer, or none."
        raise BadRequestError(message)
    after, before = (None if moment is None else in_utc(moment) for moment in (modified_after, modified_before))
    return Narrowing(None if sources is None else frozenset(sources), after, before)


def completion(answer: Answer, id_: str, created: int) -> Completion:
    """An answer as one response."""
    choice = AnswerChoice(AnswerMessage(answer.answer))
    return Completion(id_, created, answer.model, [choice], _usage(answer.usage), _proof(answer))


def chunks(answer: Answer, id_: str, created: int, *, include_usage: bool) -> Iterator[CompletionChunk]:
    """An answer in pieces; the last one carries the proof, and the usage where it is wanted."""

    def chunk(choices: list[ChunkChoice], **more: Any) -> CompletionChunk:
        usage = {"usage": None} if include_usage else {}
        return CompletionChunk(id_, created, answer.model, choices, **usage | more)

    yield chunk([ChunkChoice(Delta(role="assistant", content=""))])
    for piece in _pieces(answer.answer):
        yield chunk([ChunkChoice(Delta(content=piece))])
    end = [ChunkChoice(Delta(), finish_reason="stop")]
    if not include_usage:
        yield chunk(end, muniment=_proof(answer))
        return
    yield chunk(end)
    yield chunk([], usage=_usage(answer.usage), muniment=_proof(answer))


def _refuse_unsupported(request: CompletionRequest) -> None:
    wanted = {
        "More than one choice (`n`)": (request.n or 1) != 1,
        "Calling tools (`tools`, `functions`)": bool(request.tools or request.functions),
        "Token probabilities (`logprobs`)": bool(request.logprobs),
        "A structured answer (`response_format`)": (request.response_format or {}).get("type", "text") != "text",
    }
    for what, is_wanted in wanted.items():
        if is_wanted:
            message = f"{what} is not offered: an answer is one text from the documents. Leave it out."
            raise BadRequestError(message)


def _pieces(text: str) -> Iterator[str]:
    words = text.split(" ")
    for start in range(0, len(words), _PIECE_WORDS):
        yield (" " if start else "") + " ".join(words[start : start + _PIECE_WORDS])


def _usage(usage: Usage) -> CompletionUsage:
    details = PromptTokens(usage.cached_tokens)
    return CompletionUsage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, details)


def _proof(answer: Answer) -> Proof:
    return Proof(**{name: getattr(answer, name) for name in Proof.__struct_fields__})
