"""An embedder without a model: words hashed into a few dimensions. Deterministic, and similar texts are near."""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.embedder import Embedded

_Made = TypeVar("_Made")


class HashEmbedder:
    """Stands in for `models.embedder.Embedder`."""

    id = "hash-embedder"
    dimensions = 32
    max_tokens = 256

    def load(self) -> None:
        """Nothing to load."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[self._place(word)] += 1
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(norms, norms, 1)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return self.embed([text])[0]

    def embed_each(self, texts: Sequence[str], made: Callable[[str, Embedded], _Made]) -> list[_Made]:
        return [made(text, self.embed_whole(text)) for text in texts]

    def embed_whole(self, text: str) -> Embedded:
        """Words for tokens; each is the axis it is hashed to."""
        words = list(re.finditer(r"\S+", text))
        tokens = np.zeros((len(words), self.dimensions), dtype=np.float32)
        for row, word in zip(tokens, words, strict=True):
            row[self._place(word[0].lower())] = 1
        return Embedded(self.embed_query(text), tokens, tuple(word.span() for word in words))

    def offsets(self, text: str) -> tuple[tuple[int, int], ...]:
        return self.embed_whole(text).offsets

    def _place(self, word: str) -> int:
        return int.from_bytes(hashlib.sha256(word.encode()).digest()[:2], "big") % self.dimensions

    def count_tokens(self, text: str) -> int:
        return len(text.split())
