"""One request at work: its prompt, what of the answer there is, and the words that come of the next scores."""

from dataclasses import dataclass, field

import numpy as np

from models.engine import Chunk, FinishReason
from models.llama.grammar import Grammar
from models.llama.prefixes import Keys, Sequence, beside
from models.llama.protocol import Ask, Fault, FromWorker, Generate, Piece, RefusedError, Weighed
from models.llama.sampling import Logits, Sampler, reply_odds
from models.llama.text import TextStream
from models.llama.vocabulary import Vocabulary


@dataclass(slots=True, eq=False)
class Work:
    """A request, from its arrival to its end.

    Attributes:
        request: What is asked.
        prompt: The keys of its prompt.
        limit: The most tokens of the answer.
        arrived: When, in seconds of a clock that only grows.
        sequence: Where it is computed; none while it waits.
        cached: How many tokens of the prompt were computed before.
        compute_seconds: Its share of the time of the steps it was part of.
    """

    request: Generate | Ask
    prompt: Keys
    limit: int
    arrived: float
    sampler: Sampler
    text: TextStream
    grammar: Grammar | None = None
    sequence: Sequence | None = None
    cached: int = 0
    compute_seconds: float = 0.0
    answer: Keys = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def keys(self) -> Keys:
        """Everything that is to be computed before the next word."""
        return np.concatenate([self.prompt, self.answer]) if len(self.answer) else self.prompt

    @property
    def held(self) -> int:
        """How much of it is computed."""
        return len(self.sequence.held) if self.sequence is not None else 0

    @property
    def left(self) -> int:
        """How much of it is not."""
        return len(self.prompt) + len(self.answer) - self.held

    @property
    def writing(self) -> bool:
        """Whether the next step gives the next word of an answer that was begun."""
        return self.left == 1 and len(self.answer) > 0

    def advance(self, logits: Logits, vocabulary: Vocabulary) -> tuple[FromWorker | None, bool]:
        """What the scores after all of it give rise to, and whether the request has ended.

        Raises:
            RefusedError: It cannot be served.
            GrammarError: No token may come next.
        """
        if isinstance(self.request, Ask):
            return self._weigh(self.request, logits, vocabulary), True
        token = self._pick(logits)
        if vocabulary.ends(token):
            return self._last(FinishReason.STOP, self.text.finish()), True
        self.answer = np.append(self.answer, beside(self.prompt[-1], token))
        shown = self.text.push(vocabulary.pieces[token])
        if self.text.stopped:
            return self._last(FinishReason.STOP, shown), True
        if len(self.answer) >= self.limit:
            return self._last(FinishReason.LENGTH, shown + self.text.finish()), True
        return (Piece(self.request.id, Chunk(shown)) if shown else None), False

    def cancelled(self) -> FromWorker:
        """What is said when nobody wants it any more."""
        return self._last(FinishReason.CANCELLED, "")

    def _pick(self, logits: Logits) -> int:
        token = self.sampler.pick(logits)
        if self.grammar is not None:
            if (narrowed := self.grammar.narrow(logits, token)) is not logits:
                token = self.sampler.pick(narrowed)
            self.grammar.accept(token)
        return token

    def _weigh(self, request: Ask, logits: Logits, vocabulary: Vocabulary) -> FromWorker:
        firsts = [vocabulary.encode(reply)[:1] for reply in request.choice.replies]
        if not all(firsts) or not firsts:
            raise RefusedError(Fault.AMBIGUOUS, "a choice needs replies, and none may be empty")
        try:
            odds = reply_odds(logits, [first[0] for first in firsts])
        except ValueError as error:
            raise RefusedError(Fault.AMBIGUOUS, str(error)) from error
        return Weighed(request.id, odds, len(self.prompt), self.cached, self.compute_seconds)

    def _last(self, reason: FinishReason, text: str) -> FromWorker:
        counts = (len(self.prompt), self.cached, len(self.answer), self.compute_seconds)
        return Piece(self.request.id, Chunk(text, reason, *counts))
