"""The loaded model: batches in, scores out. All that touches llama.cpp's memory is here.

One thread at a time; only `interrupt` may come from another.
"""

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True, slots=True)
class Slice:
    """Tokens to compute at the end of one sequence, from its position `start` on.

    The scores after the last of them are wanted, or nothing is.
    """

    sequence: int
    tokens: npt.NDArray[np.int32]
    start: int
    wanted: bool


class Model:
    """A model with one context whose cells all sequences share.

    Args:
        path: The GGUF file.
        cells: How many tokens all sequences can hold together.
        sequences: How many sequences there can be.
        threads: How many threads compute.
        gpu_layers: How many layers a graphics card computes.

    Raises:
        NativeError: The file cannot be loaded, or there is not enough memory.
    """

    def __init__(self, path: Path, *, cells: int, sequences: int, threads: int, gpu_layers: int) -> None:
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
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
        # Each row belongs to one sequence, named in the row's own place of one array.
        self._sequences = np.zeros(MAX_ROWS, dtype=np.int32)
        for row in range(MAX_ROWS):
            self._batch.n_seq_id[row] = 1
            place = self._sequences.ctypes.data + row * self._sequences.itemsize
            self._batch.seq_id[row] = ctypes.cast(place, ctypes.POINTER(llama_cpp.llama_seq_id))

    def decode(self, slices: Sequence[Slice]) -> list[Logits]:
        """Compute slices of different sequences together, at most `MAX_ROWS` tokens in all.

        Returns the scores after each slice that wants them, in order; they are valid until the next call.

        Raises:
            NoRoomError: No cells are free.
            InterruptedDecodeError: `interrupt` was called.
            NativeError: llama.cpp failed.
            After any of these, the sequences are as they were before.
        """
        ends = np.cumsum([len(each.tokens) for each in slices])
        self._batch.n_tokens = rows = int(ends[-1])
        self._wanted[:rows] = 0
        for each, end in zip(slices, ends, strict=True):
            begin = end - len(each.tokens)
            self._tokens[begin:end] = each.tokens
            self._positions[begin:end] = np.arange(each.start, each.start + len(each.tokens))
            self._sequences[begin:end] = each.sequence
            self._wanted[end - 1] = each.wanted
        self._interrupted = False
        outcome = llama_cpp.llama_decode(self._context, self._batch)
        if outcome:
            for each in slices:
                self.cut(each.sequence, each.start)
            raise _trouble(outcome)
        return [self._scores(int(end) - 1) for each, end in zip(slices, ends, strict=True) if each.wanted]

    def _scores(self, row: int) -> Logits:
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._context, row), (self.vocabulary.size,))

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
