"""A model's vocabulary: text to tokens and back.

llama.cpp's own content mode is not enough: it still turns user-defined tokens (`<tool_call>`) into themselves, and
merging bytes could in principle spell a special token. So special spellings are cut in two before they are encoded,
and whatever comes out is looked at once more.
"""

import ctypes
import re
from itertools import pairwise

import llama_cpp
import numpy as np

_SPECIAL = (
    llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
)
# The longest piece of a vocabulary of 150,000 tokens has 256 bytes (a run of spaces).
_PIECE_BYTES = 1024


class SpecialTokenError(Exception):
    """Content came out as a special token: it is not used."""


class Vocabulary:
    """Encodes content, names control tokens, and knows the bytes of each token.

    Encoding only reads the model, so any thread may do it.
    """

    def __init__(self, model: llama_cpp.llama_model_p) -> None:
        self.pointer = llama_cpp.llama_model_get_vocab(model)
        self.size = int(llama_cpp.llama_vocab_n_tokens(self.pointer))
        attributes = [int(llama_cpp.llama_vocab_get_attr(self.pointer, token)) for token in range(self.size)]
        self.special = frozenset(token for token, attribute in enumerate(attributes) if attribute & _SPECIAL)
        self.never_said = np.array(
            [token for token in self.special if not llama_cpp.llama_vocab_is_eog(self.pointer, token)], dtype=np.int32
        )
        self.pieces = [b"" if token in self.special else self._piece(token) for token in range(self.size)]
        self._names = {self._name(token): token for token in self.special}
        self._starts = re.compile("|".join(f"(?={re.escape(name)})" for name in self._names if len(name) > 1) or "(?!)")

    def control(self, text: str) -> int:
        """The control token of that name.

        Raises:
            LookupError: The model has none.
        """
        if text not in self._names:
            message = f"the model has no control token {text!r}"
            raise LookupError(message)
        return self._names[text]

    def ends(self, token: int) -> bool:
        """Whether a produced token ends the answer: any special one does, since none is text."""
        return token in self.special

    def encode(self, text: str) -> list[int]:
        """The tokens of a text as content: none of them is special, however the text is spelt.

        Raises:
            SpecialTokenError: One would be, in spite of all.
        """
        # After the first character of each special spelling, overlapping ones too: no piece then holds a whole one.
        cuts = [0, *sorted({found.start() + 1 for found in self._starts.finditer(text)}), len(text)]
        tokens = [token for start, end in pairwise(cuts) for token in self.tokenize(text[start:end], special=False)]
        if not self.special.isdisjoint(tokens):
            message = "the text would have become a control token; it is not used"
            raise SpecialTokenError(message)
        return tokens

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """llama.cpp's own tokens of a text; with `special`, spellings of control tokens become those tokens."""
        content = text.encode("utf-8", "replace")
        room = len(content) + 1
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.pointer, content, len(content), tokens, room, False, special)
        return list(tokens[:count])

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        length = llama_cpp.llama_token_to_piece(self.pointer, token, buffer, _PIECE_BYTES, 0, False)
        return buffer.raw[: max(length, 0)]

    def _name(self, token: int) -> str:
        name: bytes = llama_cpp.llama_vocab_get_text(self.pointer, token)
        return name.decode("utf-8", "replace")
