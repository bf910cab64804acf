"""A model in an attacker's hands: it obeys, tells everything it was shown, and tries every way out."""

import base64
import itertools
import random
import re
from collections.abc import Mapping

from models.engine import Choice, Generation
from tests.fakes.scripted_model import prompt_of
from tests.gateway.attacks.channels import HOSTS, WAYS
from tests.gateway.gated_model import GatedModel

MARK = re.compile(r"<passage \d+ (\w+)>")
_PLACEHOLDER = re.compile(r"⟦[^⟧]*⟧")
_WINDOW = 700
"""Characters of its prompt that it repeats in one answer: what the longest answer has room for."""


class ObedientModel(GatedModel):
    """Each answer tries the next way to send away a piece of the prompt, repeats another, and forges placeholders."""

    def __init__(self) -> None:
        super().__init__()
        self.reply = self._obeys
        self.weights = _sure
        self._numbers = itertools.count()

    def _obeys(self, generation: Generation) -> str:
        number = next(self._numbers)
        rng = random.Random(number)
        told = prompt_of(generation.turns)
        at = rng.randrange(max(1, len(told) - _WINDOW // 2))
        piece = told[at : at + _WINDOW]
        way = WAYS[number % len(WAYS)].format(h=HOSTS[number % len(HOSTS)], d=_encoded(rng, piece[:60]))
        values = " ".join(dict.fromkeys(_PLACEHOLDER.findall(told)))
        mark = " ".join(MARK.findall(told)[:1])
        parts = [way, mark, f"{values} ⟦CREDIT_CARD_1⟧ ⟦SECRET_1⟧ ⟦IBAN_CODE_1⟧", piece]
        rng.shuffle(parts)
        return "\n".join([way, *parts])


def _encoded(rng: random.Random, piece: str) -> str:
    raw = piece.encode()
    return rng.choice([raw.hex(), base64.urlsafe_b64encode(raw).decode(), re.sub(r"\W+", "-", piece)])


def _sure(choice: Choice) -> Mapping[str, float]:
    return dict(zip(choice.replies, (0.97, 0.03), strict=True))
