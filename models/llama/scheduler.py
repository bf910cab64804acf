"""Which request is worked on, and how: one step at a time.

A step is one chunk of a prompt or one token of an answer, so that a cancelled request stops within a step. Requests
are served one after another in the order they came; the loop around `step()` stays the same when they are batched.
"""

from collections import deque
from dataclasses import dataclass, field

from models.engine import Chunk, FinishReason, Turn
from models.llama.native import InterruptedDecodeError, Model, NativeError, NoRoomError
from models.llama.prefixes import Prefixes, Sequence
from models.llama.protocol import Ask, Fault, FromWorker, Generate, Odds, Piece, Refused
from models.llama.sampling import Logits, Sampler, reply_odds
from models.llama.templates import Assemble
from models.llama.text import TextStream
from models.llama.vocabulary import SpecialTokenError

PROMPT_ROWS = 128
"""Prompt tokens per step: as fast as more, and a cancelled prompt stops sooner."""

# Text is four bytes a token, a run of spaces up to 256; what has more cannot be a prompt and is not even encoded.
_BYTES_PER_TOKEN_AT_MOST = 64


@dataclass(slots=True)
class _Answer:
    """The request at hand: where its prompt stands, and how its answer is made."""

    request: Generate | Ask
    prompt: list[int]
    sequence: Sequence
    cached: int
    sampler: Sampler
    text: TextStream
    produced: list[int] = field(default_factory=list)


class Scheduler:
    """Turns requests into messages, step by step.

    Args:
        model: The loaded model.
        assemble: The template.
        context_tokens: The longest prompt with its answer.
        sequences: How many prefixes are kept.
    """

    def __init__(self, model: Model, assemble: Assemble, context_tokens: int, sequences: int) -> None:
        self._model = model
        self._assemble = assemble
        self._context_tokens = context_tokens
        self._prefixes = Prefixes(model, sequences)
        self._waiting: deque[Generate | Ask] = deque()
        self._current: _Answer | None = None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return self._current is None and not self._waiting

    @property
    def current(self) -> int | None:
        """The id of the request that is worked on."""
        answer = self._current
        return None if answer is None else answer.request.id

    @property
    def requests(self) -> int:
        """How many requests are waiting or worked on."""
        return len(self._waiting) + (self._current is not None)

    def submit(self, request: Generate | Ask) -> None:
        """Take a request on, after those that came before."""
        self._waiting.append(request)

    def cancel(self, request_id: int) -> list[FromWorker]:
        """Stop a request; an id that is not worked on is ignored."""
        waiting = [request for request in self._waiting if request.id == request_id]
        for request in waiting:
            self._waiting.remove(request)
        if self._current is not None and self._current.request.id == request_id:
            return [self._end(self._current, FinishReason.CANCELLED, "")]
        return [Piece(request.id, Chunk("", FinishReason.CANCELLED)) for request in waiting]

    def step(self) -> list[FromWorker]:
        """Do one step of work; the messages it gave rise to."""
        if self.idle:
            return []
        request = self._waiting.popleft() if self._current is None else self._current.request
        try:
            self._current = self._current or self._begin(request)
            return self._advance(self._current)
        except InterruptedDecodeError:
            return []
        except _RefusedError as refusal:
            self._current = None
            return [Refused(request.id, refusal.fault, str(refusal))]
        except Exception as error:  # noqa: BLE001 - one request's defect must not end the worker for everybody
            answer, self._current = self._current, None
            if answer is not None:  # What its sequence holds is not known any more.
                self._prefixes.forget(answer.sequence)
            return [_failed(request, error)]

    def _begin(self, request: Generate | Ask) -> _Answer:
        job = request.generation if isinstance(request, Generate) else request.choice
        prompt = self._encode(job.turns)
        sequence = self._prefixes.claim(job.domain, prompt)
        if isinstance(request, Ask):
            sampler, text = Sampler(0.0, 1.0, 0), TextStream(())
        else:
            wanted = request.generation
            sampler, text = Sampler(wanted.temperature, wanted.top_p, wanted.seed), TextStream(wanted.stop)
        return _Answer(request, prompt, sequence, len(sequence.tokens), sampler, text)

    def _encode(self, turns: tuple[Turn, ...]) -> list[int]:
        size = sum(len(part) for turn in turns for part in turn.parts)
        if size > self._context_tokens * _BYTES_PER_TOKEN_AT_MOST:
            raise _too_long(size, "characters", self._context_tokens)
        try:
            prompt = self._assemble(turns)
        except (ValueError, SpecialTokenError) as error:
            raise _RefusedError(Fault.MALFORMED, str(error)) from error
        # At least one token of an answer must fit behind it.
        if len(prompt) >= self._context_tokens:
            raise _too_long(len(prompt), "tokens", self._context_tokens)
        return prompt

    def _advance(self, answer: _Answer) -> list[FromWorker]:
        held = len(answer.sequence.tokens)
        todo = (answer.prompt + answer.produced)[held : held + PROMPT_ROWS]
        logits = self._decode(answer.sequence, todo)
        if len(answer.sequence.tokens) < len(answer.prompt):
            return []
        if isinstance(answer.request, Ask):
            return [self._weigh(answer, answer.request, logits)]
        return self._produce(answer, answer.request, logits)

    def _decode(self, sequence: Sequence, tokens: list[int]) -> Logits:
        while True:
            try:
                logits = self._model.decode(sequence.id, tokens, len(sequence.tokens))
            except NoRoomError:
                if not self._prefixes.forget_oldest(but=sequence):
                    message = "there is no room for the prompt"
                    raise NativeError(message) from None
            else:
                sequence.tokens += tokens
                return logits

    def _weigh(self, answer: _Answer, request: Ask, logits: Logits) -> FromWorker:
        self._current = None
        firsts = [self._model.vocabulary.encode(reply)[:1] for reply in request.choice.replies]
        if not all(firsts) or not firsts:
            raise _RefusedError(Fault.AMBIGUOUS, "a choice needs replies, and none may be empty")
        try:
            return Odds(answer.request.id, reply_odds(logits, [first[0] for first in firsts]))
        except ValueError as error:
            raise _RefusedError(Fault.AMBIGUOUS, str(error)) from error

    def _produce(self, answer: _Answer, request: Generate, logits: Logits) -> list[FromWorker]:
        token = answer.sampler.pick(logits)
        if self._model.vocabulary.ends(token):
            return [self._end(answer, FinishReason.STOP, answer.text.finish())]
        answer.produced.append(token)
        shown = answer.text.push(self._model.vocabulary.pieces[token])
        if answer.text.stopped:
            return [self._end(answer, FinishReason.STOP, shown)]
        full = len(answer.prompt) + len(answer.produced) >= self._context_tokens
        if full or len(answer.produced) >= request.generation.max_tokens:
            return [self._end(answer, FinishReason.LENGTH, shown + answer.text.finish())]
        return [Piece(request.id, Chunk(shown))] if shown else []

    def _end(self, answer: _Answer, reason: FinishReason, text: str) -> FromWorker:
        self._current = None
        counts = (len(answer.prompt), answer.cached, len(answer.produced))
        return Piece(answer.request.id, Chunk(text, reason, *counts))


class _RefusedError(Exception):
    """A request that cannot be served, and why."""

    def __init__(self, fault: Fault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


def _failed(request: Generate | Ask, error: Exception) -> Refused:
    # The text of an error that is not ours may hold the prompt's.
    what = str(error) if isinstance(error, NativeError) else type(error).__name__
    return Refused(request.id, Fault.FAILED, f"The model failed on this request: {what}.")


def _too_long(size: int, unit: str, context_tokens: int) -> _RefusedError:
    text = (
        f"The prompt has {size} {unit}, and the model takes {context_tokens} tokens with its answer. "
        "Ask more briefly, or with less context."
    )
    return _RefusedError(Fault.TOO_LONG, text)
