"""The loaded model: batches in, scores out. All that touches llama.cpp's memory is here.

One thread at a time; only `interrupt` may come from another.
"""

import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path

import llama_cpp
import numpy as np

from models.llama.sampling import Logits
from models.llama.vocabulary import Vocabulary

MAX_ROWS = 512
"""The most tokens one step may compute."""

_NO_SLOT = 1
_ABORTED = 2


class NoRoomError(Exception):
    """No cells are free for these tokens: forget a sequence and try again."""


class InterruptedDecodeError(Exception):
    """The step was interrupted; nothing of it counts."""


class NativeError(Exception):
    """llama.cpp failed; its text says how."""


def quiet(minimum: int) -> None:
    """Let only llama.cpp messages of at least this level (ggml's numbers) reach standard error."""
    llama_cpp.llama_log_set(_log, ctypes.c_void_p(0))
    _Log.minimum = minimum


class _Log:
    """The level from which messages pass, and whether the current one did."""

    minimum = 4
    passing = False


_CONTINUED = 5


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    if level != _CONTINUED:
        _Log.passing = level >= _Log.minimum
    if _Log.passing:
        sys.stderr.write(text.decode("utf-8", "replace"))
        sys.stderr.flush()


class Model:
    """A model with one context whose cells all sequences share.

    Args:
        path: The GGUF file.
        cells: How many tokens all sequences can hold together.
        sequences: How many sequences there can be.
        threads: How many threads compute.

    Raises:
        NativeError: The file cannot be loaded, or there is not enough memory.
    """

    def __init__(self, path: Path, *, cells: int, sequences: int, threads: int) -> None:
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        if not self._model:
            message = "llama.cpp cannot load the file"
            raise NativeError(message)
        self._context = llama_cpp.llama_init_from_model(self._model, _context_params(cells, sequences, threads))
        if not self._context:
            message = f"there is not enough memory for a context of {cells} tokens"
            raise NativeError(message)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._interrupted = False
        # llama.cpp keeps a raw pointer to this; the attribute keeps the callback alive.
        self._abort = llama_cpp.ggml_abort_callback(lambda _data: self._interrupted)
        llama_cpp.llama_set_abort_callback(self._context, self._abort, ctypes.c_void_p(0))
        self.vocabulary = Vocabulary(self._model)
        self._batch = llama_cpp.llama_batch_init(MAX_ROWS, 0, 1)
        self._tokens = np.ctypeslib.as_array(self._batch.token, (MAX_ROWS,))
        self._positions = np.ctypeslib.as_array(self._batch.pos, (MAX_ROWS,))
        self._wanted = np.ctypeslib.as_array(self._batch.logits, (MAX_ROWS,))
        for row in range(MAX_ROWS):
            self._batch.n_seq_id[row] = 1

    def decode(self, sequence: int, tokens: Sequence[int], start: int) -> Logits:
        """Compute tokens at the end of a sequence; the scores after the last, valid until the next call.

        Raises:
            NoRoomError: No cells are free.
            InterruptedDecodeError: `interrupt` was called; the sequence is as it was before.
            NativeError: llama.cpp failed.
        """
        rows = len(tokens)
        self._batch.n_tokens = rows
        self._tokens[:rows] = tokens
        self._positions[:rows] = np.arange(start, start + rows)
        for row in range(rows):
            self._batch.seq_id[row][0] = sequence
        self._wanted[:rows] = 0
        self._wanted[rows - 1] = 1
        self._interrupted = False
        outcome = llama_cpp.llama_decode(self._context, self._batch)
        if outcome:
            self.cut(sequence, start)
            raise _trouble(outcome)
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._context, -1), (self.vocabulary.size,))

    def interrupt(self) -> None:
        """End the step that is being computed, if any, within milliseconds."""
        self._interrupted = True

    def cut(self, sequence: int, length: int) -> None:
        """Forget a sequence's tokens from a position on."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def copy(self, source: int, target: int, length: int) -> None:
        """Let an empty sequence begin with another's first tokens; the cells are shared, not copied."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)


def _context_params(cells: int, sequences: int, threads: int) -> llama_cpp.llama_context_params:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = cells
    params.n_batch = params.n_ubatch = MAX_ROWS
    params.n_seq_max = sequences
    params.n_threads = params.n_threads_batch = threads
    params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.kv_unified = True  # Sequences can share cells only within one stream.
    params.no_perf = True
    return params


def _trouble(outcome: int) -> Exception:
    if outcome == _NO_SLOT:
        return NoRoomError()
    if outcome == _ABORTED:
        return InterruptedDecodeError()
    return NativeError(f"llama_decode gave {outcome}")
