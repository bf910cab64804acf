"""Texts to vectors: the one door to sentence-transformers.

A text's vector depends on the text alone: each is computed by itself, at its own length, so that neither its batch
mates nor their padding change a bit of it. An index of fewer documents therefore gives the very same scores.
Cores are used by computing several texts side by side, one thread each. (Two threads on one small text wait for each
other more than they work: on a busy two-core machine 0.6 texts a second, against 11 side by side.)
"""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from policies.offline import switch_off

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = npt.NDArray[np.float32]
_Made = TypeVar("_Made")

_NATIVE_BFLOAT16 = ("avx512_bf16", "amx_bf16")


class Precision(StrEnum):
    """How matrix products are computed. Vectors of the two differ by about 3e-5 in cosine; do not mix them."""

    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """A text's vector, and those of its tokens where they stand in it, all of length 1.

    Attributes:
        vector: Of the whole text.
        tokens: As rows, without the two that frame a text.
        offsets: Where each token begins and ends in the text.
    """

    vector: Vectors
    tokens: Vectors
    offsets: tuple[tuple[int, int], ...]


class Embedder:
    """A sentence-transformers model on the CPU.

    Args:
        path: The model's folder, as `ModelStore.path` gives it.
        precision: How to compute; by default bfloat16 where the CPU does it natively, for its speed.
        threads: How many texts are computed side by side; 0 means one per core.
    """

    def __init__(self, path: Path, *, precision: Precision | None = None, threads: int = 0) -> None:
        self._path = path
        self._threads = threads or os.cpu_count() or 1
        self._precision = precision
        self._loading = threading.Lock()
        self._parts: _Parts | None = None

    def load(self) -> None:
        """Read the model into memory; does nothing the second time."""
        with self._loading:
            if self._parts is None:
                self._parts = _load(self._path)

    @property
    def id(self) -> str:
        """Names the vector space: vectors of different ids must not be compared."""
        return f"{self._path.name}/{self.precision}"

    @property
    def precision(self) -> Precision:
        """How this embedder computes."""
        if self._precision is None:
            self._precision = _fastest_precision()
        return self._precision

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return int(self._loaded().model.get_embedding_dimension() or 0)

    @property
    def max_tokens(self) -> int:
        """The longest text that is read whole, as `count_tokens` counts; the rest of a longer one is ignored."""
        return int(self._loaded().model.max_seq_length or 0)

    def count_tokens(self, text: str) -> int:
        """How many tokens a text takes, with the two that frame it."""
        return len(self._loaded().counting.encode(text).ids)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector of length 1 per text, as rows."""
        vectors = self.embed_each(texts, lambda _text, embedded: embedded.vector)
        return np.vstack(vectors) if vectors else np.empty((0, self.dimensions), dtype=np.float32)

    def embed_each(self, texts: Sequence[str], made: Callable[[str, Embedded], _Made]) -> list[_Made]:
        """What is made of each text and its vectors. Of a text's tokens there are 200 kB, so they are not all kept."""
        self._loaded()
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(lambda text: made(text, self.embed_whole(text)), texts))

    def embed_query(self, text: str) -> Vectors:
        """The vector of one question, of length 1."""
        return self.embed_whole(text).vector

    def offsets(self, text: str) -> tuple[tuple[int, int], ...]:
        """Where each token of a text stands, as in `Embedded`, without computing vectors."""
        encoded = self._loaded().cutting.encode(text)
        return tuple(encoded.offsets[place] for place in _inside(encoded))

    def embed_whole(self, text: str) -> Embedded:
        """One text with its tokens: one pass of the model gives both."""
        parts = self._loaded()
        torch, bfloat16 = parts.torch, self.precision is Precision.BFLOAT16
        encoded = parts.cutting.encode(text)
        ids = torch.tensor([encoded.ids])
        features = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            found = parts.model(features)
        vector, tokens = found["sentence_embedding"][0].float(), found["token_embeddings"][0].float()
        inside = _inside(encoded)
        tokens = tokens[inside] / tokens[inside].norm(dim=1, keepdim=True)
        return Embedded(
            np.asarray((vector / vector.norm()).numpy(), dtype=np.float32),
            np.asarray(tokens.numpy(), dtype=np.float32),
            tuple(encoded.offsets[place] for place in inside),
        )

    def _loaded(self) -> "_Parts":
        if self._parts is None:
            message = "Embedder.load() comes before its use."
            raise RuntimeError(message)
        return self._parts


def _inside(encoded: Any) -> list[int]:
    """The tokens of a text but those that frame it."""
    return [place for place, frames in enumerate(encoded.special_tokens_mask) if not frames]


@dataclass(frozen=True, slots=True)
class _Parts:
    """What loading gives. Use changes none of it, so threads share it; a model's own tokenizer is another matter."""

    torch: Any
    model: "SentenceTransformer"
    counting: Any
    cutting: Any


def _load(path: Path) -> _Parts:
    switch_off()
    # Importing takes seconds, and commands that embed nothing should not wait for it.
    import torch  # noqa: PLC0415
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    from tokenizers import Tokenizer  # noqa: PLC0415
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    model = SentenceTransformer(
        str(path),
        device="cpu",
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True},
    ).eval()
    counting, cutting = (Tokenizer.from_file(str(path / "tokenizer.json")) for _ in range(2))
    for tokenizer in (counting, cutting):
        tokenizer.no_truncation()
        tokenizer.no_padding()
    cutting.enable_truncation(max_length=model.max_seq_length)
    return _Parts(torch, model, counting, cutting)


def _fastest_precision() -> Precision:
    import torch  # noqa: PLC0415 - as above.

    native = torch.cpu.get_capabilities()
    return Precision.BFLOAT16 if any(native.get(name) for name in _NATIVE_BFLOAT16) else Precision.FLOAT32
