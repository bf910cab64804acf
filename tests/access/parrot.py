"""A model in an attacker's hands: it says everything it is shown, and finds that well supported."""

import re

from models.engine import Choice, Generation
from tests.fakes.scripted_model import ScriptedModel, prompt_of

_PASSAGE = re.compile(r"<passage \d+ \w+>\n.*\n([\s\S]*?)\n</passage \d+ \w+>")


class Parrot(ScriptedModel):
    """Repeats the passages of its prompt, one a line."""

    def __init__(self) -> None:
        super().__init__(repeat, sure)


def repeat(generation: Generation) -> str:
    return "\n".join(_PASSAGE.findall(prompt_of(generation.turns))) or "Nothing."


def sure(choice: Choice) -> dict[str, float]:
    return dict(zip(choice.replies, (0.97, 0.03), strict=True))
