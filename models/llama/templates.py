"""A conversation as tokens: our own template, never the one in a model file, which is code of whoever made that.

Control tokens come from the vocabulary by id, content is encoded apart from them, part by part. So nothing an author
writes becomes a control token, and prompts that begin with the same parts begin with the same tokens.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from models.engine import Speaker, Turn, check_turns


class Vocabulary(Protocol):
    """How a model writes text as tokens."""

    def control(self, text: str) -> int:
        """The control token of that name.

        Raises:
            LookupError: The model has none.
        """
        ...

    def encode(self, text: str) -> list[int]:
        """The tokens of a text as content: none of them is special, however the text is spelt."""
        ...


Segment = tuple[str, list[int]]
"""Tokens, and whose they are: the domain of the part they stand in or around; empty for the request's own."""
Assemble = Callable[[Sequence[Turn]], list[Segment]]


def chatml(vocabulary: Vocabulary) -> Assemble:
    """ChatML, as the Qwen models were trained on it."""
    begin, end = vocabulary.control("<|im_start|>"), vocabulary.control("<|im_end|>")
    newline = vocabulary.encode("\n")
    openings = {speaker: [begin, *vocabulary.encode(f"{speaker}\n")] for speaker in Speaker}

    def assemble(turns: Sequence[Turn]) -> list[Segment]:
        check_turns(turns)
        segments: list[Segment] = []
        for turn in turns:
            domains = [*turn.shared, *[""] * (len(turn.parts) - len(turn.shared))] or [""]
            segments.append((domains[0], openings[turn.speaker]))
            segments += zip(domains, map(vocabulary.encode, turn.parts), strict=False)
            segments.append((domains[-1], [end, *newline]))
        return [*segments, ("", openings[Speaker.ASSISTANT])]

    return assemble


TEMPLATES: dict[str, Callable[[Vocabulary], Assemble]] = {"chatml": chatml}
"""The templates that a catalogue entry can name."""
