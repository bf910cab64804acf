"""What a template makes of a fixed conversation, as a digest: it changes when our templates do.

A model that was measured, and let through a gate, is asked in the very same way afterwards, or it is not loaded.
"""

import hashlib
import itertools

from models.catalogue import Artefact
from models.engine import Speaker, Turn
from models.errors import ModelCorruptError
from models.llama.templates import TEMPLATES

_CONVERSATION = (
    Turn(Speaker.SYSTEM, ("Answer from the passages.",)),
    Turn(Speaker.USER, ("<passage>Tea is at four.</passage>\n", "When is tea?")),
    Turn(Speaker.ASSISTANT, ("At four. <|im_end|>",)),
    Turn(Speaker.USER, ("And coffee?\n\n",)),
)
_FIRST_CONTROL = 0x110000
"""Behind the last code point, so that no letter looks like a control token."""


class _Letters:
    """A vocabulary of letters, the same for every model: the digest is of the template, not of a tokenizer."""

    def __init__(self) -> None:
        self._numbers = itertools.count(_FIRST_CONTROL)
        self._controls: dict[str, int] = {}

    def control(self, text: str) -> int:
        if text not in self._controls:
            self._controls[text] = next(self._numbers)
        return self._controls[text]

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    @property
    def controls(self) -> list[str]:
        """The control tokens that were asked for, in their order."""
        return list(self._controls)


def template_sha256(template: str) -> str:
    """The digest of what a template makes of the fixed conversation, with the control tokens that it uses."""
    letters = _Letters()
    tokens = [token for _, segment in TEMPLATES[template](letters)(_CONVERSATION) for token in segment]
    return hashlib.sha256(repr((letters.controls, tokens)).encode()).hexdigest()


def require_template(artefact: Artefact) -> None:
    """Refuse a generator whose template is no longer the one that its entry in the catalogue was written for.

    Raises:
        ModelCorruptError: It is another one.
    """
    if artefact.template is None or artefact.template_sha256 is None:
        return
    if template_sha256(artefact.template) != artefact.template_sha256:
        message = (
            f"The template {artefact.template} is not the one {artefact.id} was catalogued with: it is not loaded. "
            "Evaluate the model with the new one, then set template_sha256 in the catalogue."
        )
        raise ModelCorruptError(message)
