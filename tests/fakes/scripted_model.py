"""A language model that says what a test tells it to, and remembers what it was asked."""

from collections.abc import AsyncIterator, Callable, Mapping

from models.engine import Choice, Chunk, EngineHealth, FinishReason, Generation, Turn, check_turns

Reply = str | Exception | Callable[[Generation], str]
Weights = Mapping[str, float] | Exception | Callable[[Choice], Mapping[str, float]]


class ScriptedModel:
    """Implements `models.engine.Engine`.

    Args:
        reply: What it answers, or raises, or a function of the request.
        odds: The odds of replies, or raises, or a function; by default all replies are equally likely.

    Attributes:
        generations: The requests for text, in order.
        choices: The requests for odds, in order.
        cancelled: How many answers were closed before their end.
        forgotten: How often it was told to let go of what it keeps.
    """

    def __init__(self, reply: Reply = "Yes [1].", odds: Weights | None = None) -> None:
        self.reply = reply
        self.weights = odds
        self.generations: list[Generation] = []
        self.choices: list[Choice] = []
        self.cancelled = 0
        self.forgotten = 0
        self.running = False

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    async def stream(self, generation: Generation) -> AsyncIterator[Chunk]:
        check_turns(generation.turns)
        self.generations.append(generation)
        text = said(self.reply(generation) if callable(self.reply) else self.reply)
        words = pieces(text)
        finish = FinishReason.STOP if len(words) <= generation.max_tokens else FinishReason.LENGTH
        words = words[: generation.max_tokens]
        try:
            for word in words:
                yield Chunk(word)
        except GeneratorExit:
            self.cancelled += 1
            raise
        prompt = sum(len(pieces(part)) for turn in generation.turns for part in turn.parts)
        yield Chunk("", finish, prompt_tokens=prompt, completion_tokens=len(words))

    async def odds(self, choice: Choice) -> dict[str, float]:
        check_turns(choice.turns)
        self.choices.append(choice)
        if isinstance(self.weights, Exception):
            raise self.weights
        given = self.weights(choice) if callable(self.weights) else self.weights
        chances = {reply: (given or {}).get(reply, 0.0 if given else 1.0) for reply in choice.replies}
        total = sum(chances.values())
        return {reply: chance / total for reply, chance in chances.items()}

    async def count_tokens(self, text: str) -> int:
        return len(pieces(text))

    async def forget(self) -> None:
        self.forgotten += 1

    async def health(self) -> EngineHealth:
        return EngineHealth(self.running, "scripted", 4096, 0, "" if self.running else "not started")


def prompt_of(turns: tuple[Turn, ...]) -> str:
    """All a model was shown, as one text."""
    return "\n".join("".join(turn.parts) for turn in turns)


def said(reply: str | Exception) -> str:
    if isinstance(reply, Exception):
        raise reply
    return reply


def pieces(text: str) -> list[str]:
    """Words with the blanks before them, which stand for tokens."""
    found: list[str] = []
    for letter in text:
        if found and not (letter.isspace() and not found[-1].isspace()):
            found[-1] += letter
        else:
            found.append(letter)
    return found
