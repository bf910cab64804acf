"""Texts to vectors: the one door to sentence-transformers.

A text's vector depends on the text alone: each is computed by itself, at its own length, so that neither its batch
mates nor their padding change a bit of it. An index of fewer documents therefore gives the very same scores.
Cores are used by computing several texts side by side, one thread each. (Two threads on one small text wait for each
other more than they work: on a busy two-core machine 0.6 texts a second, against 11 side by side.)
"""

import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from copy import deepcopy
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = npt.NDArray[np.float32]

# Every one of these libraries would otherwise look at the network, or tell it something, when it loads a model.
_OFFLINE = {
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
_NATIVE_BFLOAT16 = ("avx512_bf16", "amx_bf16")


class Precision(StrEnum):
    """How matrix products are computed. Vectors of the two differ by about 3e-5 in cosine; do not mix them."""

    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"


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
        self._lock = threading.Lock()
        self._models: list[SentenceTransformer] = []
        self._tokenizer: Any = None

    def load(self) -> None:
        """Read the model into memory; does nothing the second time."""
        with self._lock:
            if not self._models:
                self._load()

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
        return int(self._loaded()[0].get_embedding_dimension() or 0)

    @property
    def max_tokens(self) -> int:
        """The longest text that is read whole, as `count_tokens` counts; the rest of a longer one is ignored."""
        return int(self._loaded()[0].max_seq_length or 0)

    def count_tokens(self, text: str) -> int:
        """How many tokens a text takes, with the two that frame it."""
        self._loaded()
        return len(self._tokenizer.encode(text).ids)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector of length 1 per text, as rows."""
        models = self._loaded()
        count = len(models)
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        with self._lock, ThreadPoolExecutor(count) as pool:
            shares = [pool.submit(self._rows, model, texts[start::count]) for start, model in enumerate(models)]
            for start, share in enumerate(shares):
                vectors[start::count] = share.result()
        return vectors

    def _rows(self, model: "SentenceTransformer", texts: Sequence[str]) -> Vectors:
        with self._mode():
            rows = model.encode(
                list(texts), batch_size=1, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
            )
        return np.asarray(rows, dtype=np.float32).reshape(len(texts), self.dimensions)

    def embed_query(self, text: str) -> Vectors:
        """The vector of one question, of length 1."""
        vector: Vectors = self.embed([text])[0]
        return vector

    def _loaded(self) -> "list[SentenceTransformer]":
        if not self._models:
            message = "Embedder.load() comes before its use."
            raise RuntimeError(message)
        return self._models

    def _load(self) -> None:
        os.environ.update(_OFFLINE)
        # Importing takes seconds, and commands that embed nothing should not wait for it.
        import torch  # noqa: PLC0415
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415
        from tokenizers import Tokenizer  # noqa: PLC0415
        from transformers.utils import logging as transformers_logging  # noqa: PLC0415

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
        torch.set_num_threads(1)
        # A tokenizer of its own for counting: the model's is switched between cutting and not, which threads see.
        tokenizer = Tokenizer.from_file(str(self._path / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        model = SentenceTransformer(
            str(self._path),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
        # A model each: encoding changes the state of the model's tokenizer, so threads cannot share one.
        self._tokenizer, self._models = tokenizer, [model.eval(), *(deepcopy(model) for _ in range(self._threads - 1))]

    def _mode(self) -> AbstractContextManager[Any]:
        import torch  # noqa: PLC0415 - as above.

        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.precision is Precision.BFLOAT16)


def _fastest_precision() -> Precision:
    import torch  # noqa: PLC0415 - as above.

    native = torch.cpu.get_capabilities()
    return Precision.BFLOAT16 if any(native.get(name) for name in _NATIVE_BFLOAT16) else Precision.FLOAT32
