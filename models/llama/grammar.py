"""Answers of a given form: a grammar in llama.cpp's GBNF says which token may come next."""

import ctypes
import weakref

import llama_cpp
import numpy as np

from models.llama.sampling import Logits
from models.llama.vocabulary import Vocabulary

_ROOT = b"root"
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""As `llama_token_data` lies in memory."""


class GrammarError(Exception):
    """A grammar that cannot be used, or that no token satisfies any more."""


class Grammar:
    """Where one answer stands in its grammar.

    Args:
        vocabulary: The model's.
        text: The grammar; its first rule is `root`.

    Raises:
        GrammarError: It is no grammar.
    """

    def __init__(self, vocabulary: Vocabulary, text: str) -> None:
        self._vocabulary = vocabulary
        self._sampler = llama_cpp.llama_sampler_init_grammar(vocabulary.pointer, text.encode(), _ROOT)
        if not self._sampler:
            message = "the grammar cannot be read; it must be GBNF with a rule `root` that is not left-recursive"
            raise GrammarError(message)
        weakref.finalize(self, llama_cpp.llama_sampler_free, self._sampler)

    def narrow(self, logits: Logits, favourite: int) -> Logits:
        """The scores with those of tokens that may not come next at minus infinity.

        The token that would be chosen anyway is tried first, since looking at all of them takes long.

        Raises:
            GrammarError: No token may come next.
        """
        if np.isfinite(self._apply(logits, np.array([favourite], dtype=np.int32))[0]):
            return logits
        narrowed = self._apply(logits, np.arange(len(logits), dtype=np.int32))
        if not np.isfinite(narrowed).any():
            message = "the grammar lets no token come next"
            raise GrammarError(message)
        return narrowed

    def accept(self, token: int) -> None:
        """Go on by one token."""
        llama_cpp.llama_sampler_accept(self._sampler, token)

    def _apply(self, logits: Logits, tokens: "np.ndarray[tuple[int], np.dtype[np.int32]]") -> Logits:
        candidates = np.zeros(len(tokens), dtype=_CANDIDATE)
        candidates["id"] = tokens
        candidates["logit"] = logits[tokens]
        listed = llama_cpp.llama_token_data_array(
            data=candidates.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data)),
            size=len(tokens),
            selected=-1,
            sorted=False,
        )
        llama_cpp.llama_sampler_apply(self._sampler, ctypes.byref(listed))
        # A control token is no text, whatever its spelling would match; only those that end an answer may come.
        forbidden = np.isin(tokens, self._vocabulary.never_said)
        allowed: Logits = np.where(forbidden, np.float32(-np.inf), candidates["logit"])
        return allowed
