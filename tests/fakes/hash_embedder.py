"""An embedder without a model: words hashed into a few dimensions. Deterministic, and similar texts are near."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


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
                row[int.from_bytes(hashlib.sha256(word.encode()).digest()[:2], "big") % self.dimensions] += 1
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(norms, norms, 1)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return self.embed([text])[0]

    def count_tokens(self, text: str) -> int:
        return len(text.split())
