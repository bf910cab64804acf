"""Who is computed next: all requests together, one step at a time.

A step computes the next token of every answer that is being written and, beside them, a bounded piece of the prompts
that wait; so a long prompt stalls nobody, and a cancelled request stops within a step. Prompts with less left to
compute go first, the longer one waits the more. A request whose prompt begins like one that is just being computed
waits for that and then goes on from there.
"""

import time
from collections.abc import Callable, Iterable

import numpy as np

from models.engine import Turn
from models.llama.grammar import Grammar, GrammarError
from models.llama.native import InterruptedDecodeError, Model, NativeError, NoRoomError, Slice
from models.llama.pace import Pace
from models.llama.prefixes import Domains, Keys, Prefixes, Sequence, common_length, tokens_of
from models.llama.protocol import Ask, Fault, FromWorker, Generate, Refused, RefusedError
from models.llama.sampling import Logits, Sampler
from models.llama.templates import Assemble
from models.llama.text import TextStream
from models.llama.vocabulary import SpecialTokenError
from models.llama.work import Work

# Text is four bytes a token, a run of spaces up to 256; what has more cannot be a prompt and is not even encoded.
_BYTES_PER_TOKEN_AT_MOST = 64
_AGEING_TOKENS_PER_SECOND = 100.0
"""A prompt that has waited for ten seconds comes before one that just arrived and is a thousand tokens shorter."""
_WORTH_WAITING = 16
"""So many tokens must be saved for a request to wait until another has computed them."""


class Scheduler:
    """Turns requests into messages, step by step.

    Args:
        model: The loaded model.
        assemble: The template.
        context_tokens: The longest prompt with its answer.
        cells: How many tokens all sequences can hold together.
        at_once: How many requests are worked on at a time.
        sequences: How many prefixes there can be, those that are worked on included.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        model: Model,
        assemble: Assemble,
        *,
        context_tokens: int,
        cells: int,
        at_once: int,
        sequences: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._assemble = assemble
        self._context_tokens = context_tokens
        self._cells = cells
        self._at_once = at_once
        self._clock = clock
        self._domains = Domains()
        self._prefixes = Prefixes(model, sequences)
        self._pace = Pace()
        self._waiting: list[Work] = []
        self._running: list[Work] = []
        self._not_kept: set[Work] = set()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._running and not self._waiting

    @property
    def running(self) -> frozenset[int]:
        """The ids of the requests that are worked on."""
        return frozenset(work.request.id for work in tuple(self._running))

    @property
    def waiting(self) -> int:
        """How many are not yet."""
        return len(self._waiting)

    def prepare(self, request: Generate | Ask) -> Work:
        """Encode a request; one thread may do it while another does the steps.

        Raises:
            RefusedError: It cannot be served.
        """
        job = request.generation if isinstance(request, Generate) else request.choice
        prompt = self._encode(job.turns, job.domain)
        if isinstance(request, Ask):
            return Work(request, prompt, 0, self._clock(), Sampler(0.0, 1.0, 0), TextStream(()))
        wanted = request.generation
        try:
            grammar = Grammar(self._model.vocabulary, wanted.grammar) if wanted.grammar else None
        except GrammarError as error:
            raise RefusedError(Fault.MALFORMED, str(error)) from error
        sampler = Sampler(wanted.temperature, wanted.top_p, wanted.seed)
        limit = max(1, min(wanted.max_tokens, self._context_tokens - len(prompt)))
        return Work(request, prompt, limit, self._clock(), sampler, TextStream(wanted.stop), grammar)

    def submit(self, work: Work) -> None:
        """Take a request on."""
        self._waiting.append(work)

    def cancel(self, request_id: int) -> list[FromWorker]:
        """Stop a request; an id that is not known is ignored."""
        ending = [work for work in (*self._waiting, *self._running) if work.request.id == request_id]
        for work in ending:
            self._end(work)
        return [work.cancelled() for work in ending]

    def forget(self) -> None:
        """Let go of every prompt that nobody works on; those of running requests are kept no longer than these run."""
        while self._prefixes.forget_oldest():
            pass
        self._not_kept.update(self._running)

    def step(self) -> list[FromWorker]:
        """Do one step of work; the messages it gave rise to."""
        self._admit()
        if not (planned := self._plan()):
            return []
        began = self._clock()
        messages = self._compute(planned)
        seconds, rows = self._clock() - began, sum(count for _, count in planned)
        self._pace.observe(rows, seconds)
        return messages

    def _encode(self, turns: tuple[Turn, ...], domain: str) -> Keys:
        size = sum(len(part) for turn in turns for part in turn.parts)
        if size > self._context_tokens * _BYTES_PER_TOKEN_AT_MOST:
            raise _too_long(size, "characters", self._context_tokens)
        try:
            segments = self._assemble(turns)
        except (ValueError, SpecialTokenError) as error:
            raise RefusedError(Fault.MALFORMED, str(error)) from error
        prompt = np.concatenate([self._domains.keys(_whose(own, domain), tokens) for own, tokens in segments])
        # At least one token of an answer must fit behind it.
        if len(prompt) >= self._context_tokens:
            raise _too_long(len(prompt), "tokens", self._context_tokens)
        return prompt

    def _admit(self) -> None:
        """Begin what can be begun, the most urgent first; what another is just computing the beginning of waits."""
        now = self._clock()
        urgency = {id(work): self._urgency(work, now, self._prefixes.common(work.keys)) for work in self._waiting}
        for work in sorted(self._waiting, key=lambda work: urgency[id(work)]):
            if len(self._running) >= self._at_once or not self._fits(work):
                return
            if self._is_being_computed(work):
                continue
            sequence = self._prefixes.claim(work.keys)
            if sequence is None:
                return
            work.sequence, work.cached = sequence, min(len(sequence.held), len(work.prompt))
            self._waiting.remove(work)
            self._running.append(work)

    def _urgency(self, work: Work, now: float, computed: int) -> float:
        left = len(work.prompt) + len(work.answer) - computed
        return left - (now - work.arrived) * _AGEING_TOKENS_PER_SECOND

    def _is_being_computed(self, work: Work) -> bool:
        """Whether a running prompt will soon hold more of this one's beginning than anything does now."""
        keys = work.keys[:-1]
        now = self._prefixes.common(work.keys)
        soon = (min(common_length(each.prompt, keys), len(each.prompt) - 1) for each in self._running if each.left > 1)
        return max(soon, default=0) - now >= _WORTH_WAITING

    def _fits(self, work: Work) -> bool:
        """Whether all answers that are begun, and this one, can end without one having to make room for another.

        What prompts have in common is held once.
        """
        needed = 0
        together = [*self._running, work]
        for number, each in enumerate(together):
            shared = max((common_length(each.prompt, other.prompt) for other in together[:number]), default=0)
            needed += len(each.prompt) + each.limit - shared
        return needed <= self._cells or not self._running

    def _plan(self) -> list[tuple[Work, int]]:
        """Which requests are computed in this step, and how many tokens of each."""
        writing = [work for work in self._running if work.writing]
        planned = [(work, 1) for work in writing]
        reading = [work for work in self._running if not work.writing]
        rows = self._pace.prompt_rows(len(writing), len(reading))
        now = self._clock()
        for work in sorted(reading, key=lambda work: self._urgency(work, now, work.held)):
            if rows > 0:
                planned.append((work, min(rows, work.left)))
                rows -= min(rows, work.left)
        return planned

    def _compute(self, planned: list[tuple[Work, int]]) -> list[FromWorker]:
        began = self._clock()
        try:
            scores = self._model.decode([_slice(work, count) for work, count in planned])
        except InterruptedDecodeError:
            return []
        except NoRoomError:
            return self._make_room(planned)
        except Exception as error:  # noqa: BLE001 - one request's defect must not end the worker for everybody
            return self._isolate(planned, error)
        seconds = (self._clock() - began) / sum(count for _, count in planned)
        for work, count in planned:
            _held(work).held.frombytes(work.keys[work.held : work.held + count].tobytes())
            work.compute_seconds += seconds * count
        ready = [work for work, _ in planned if work.left == 0]
        return [message for work, logits in zip(ready, scores, strict=True) for message in self._advance(work, logits)]

    def _advance(self, work: Work, logits: Logits) -> Iterable[FromWorker]:
        try:
            message, ended = work.advance(logits, self._model.vocabulary)
        except (RefusedError, GrammarError) as refusal:
            self._end(work)
            fault = refusal.fault if isinstance(refusal, RefusedError) else Fault.MALFORMED
            return [Refused(work.request.id, fault, str(refusal))]
        except Exception as error:  # noqa: BLE001 - see `_compute`
            return [self._fail(work, error)]
        if ended:
            self._end(work)
        return [message] if message is not None else []

    def _make_room(self, planned: list[tuple[Work, int]]) -> list[FromWorker]:
        """Forget what nobody works on; else let the youngest begin again later. The next step tries once more."""
        if self._prefixes.forget_oldest():
            return []
        if len(self._running) > 1:
            youngest = max(self._running, key=lambda work: work.arrived)
            self._running.remove(youngest)
            self._prefixes.forget(_held(youngest))
            youngest.sequence = None
            self._waiting.append(youngest)
            return []
        return [self._fail(planned[0][0], NativeError("there is no room for the prompt"))]

    def _isolate(self, planned: list[tuple[Work, int]], error: Exception) -> list[FromWorker]:
        """After a failure: each request by itself, so that only the one it is about fails."""
        if len(planned) == 1:
            return [self._fail(planned[0][0], error)]
        return [message for each in planned for message in self._compute([each])]

    def _fail(self, work: Work, error: Exception) -> FromWorker:
        sequence = work.sequence
        self._end(work)
        if sequence is not None:  # What it holds is not known any more.
            self._prefixes.forget(sequence)
        # The text of an error that is not ours may hold the prompt's.
        what = str(error) if isinstance(error, NativeError) else type(error).__name__
        return Refused(work.request.id, Fault.FAILED, f"The model failed on this request: {what}.")

    def _end(self, work: Work) -> None:
        if work in self._running:
            self._running.remove(work)
        else:
            self._waiting.remove(work)
        if work.sequence is not None:
            self._prefixes.release(work.sequence)
            if work in self._not_kept:
                self._prefixes.forget(work.sequence)
            work.sequence = None
        self._not_kept.discard(work)


def _whose(part: str, request: str) -> str:
    """A name for a domain; a shared one and a request's own never meet, however they are spelt."""
    return f"shared/{part}" if part else f"own/{request}"


def _slice(work: Work, count: int) -> Slice:
    held = work.held
    return Slice(_held(work).id, tokens_of(work.keys[held : held + count]), held, wanted=count == work.left)


def _held(work: Work) -> Sequence:
    if work.sequence is None:
        message = "a request without a sequence was to be computed"
        raise AssertionError(message)
    return work.sequence


def _too_long(size: int, unit: str, context_tokens: int) -> RefusedError:
    text = (
        f"The prompt has {size} {unit}, and the model takes {context_tokens} tokens with its answer. "
        "Ask more briefly, or with less context."
    )
    return RefusedError(Fault.TOO_LONG, text)
