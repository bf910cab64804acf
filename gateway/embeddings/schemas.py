"""The shapes of OpenAI's embeddings."""

import base64
from typing import Annotated, Literal

import msgspec
import numpy as np

from models.embedder import Vectors

MOST_TEXTS = 64
LONGEST_TEXT = 8000
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TEXT)]


class EmbeddingsRequest(msgspec.Struct, frozen=True):
    """Texts to make vectors of; what clients send besides has no meaning here.

    A text that is longer than the model reads is cut, as the model's own users know it.
    """

    model: str
    input: _Text | Annotated[list[_Text], msgspec.Meta(min_length=1, max_length=MOST_TEXTS)]
    encoding_format: Literal["base64", "float"] = "float"
    dimensions: int | None = None

    @property
    def texts(self) -> list[str]:
        """The texts, also where there is one."""
        return [self.input] if isinstance(self.input, str) else self.input


class Embedding(msgspec.Struct, frozen=True):
    """One text's vector: numbers, or the bytes of little-endian 32-bit floats in base64."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingsUsage(msgspec.Struct, frozen=True):
    """Tokens counted."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(msgspec.Struct, frozen=True):
    """The vectors, in the order of the texts."""

    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage
    object: Literal["list"] = "list"


def embeddings(vectors: Vectors, model: str, tokens: int, encoding: Literal["base64", "float"]) -> Embeddings:
    """Vectors as a response."""
    if encoding == "base64":
        written: list[list[float] | str] = [
            base64.b64encode(vector.astype(np.dtype("<f4")).tobytes()).decode() for vector in vectors
        ]
    else:
        written = [vector.tolist() for vector in vectors]
    data = [Embedding(index, embedding) for index, embedding in enumerate(written)]
    return Embeddings(data, model, EmbeddingsUsage(tokens, tokens))
