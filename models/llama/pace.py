"""How many tokens of prompts one step computes: few while answers are being written, so that these go on evenly."""

from models.llama.native import MAX_ROWS

STEP_SECONDS = 0.25
"""How long a step may take while answers are written: four words a second at the least, as fast as people read."""
_ALONE_ROWS = 256
"""While few wait for a word: as fast as more, and what others can share is there sooner."""
_LEAST_ROWS = 64
"""Attention over fewer rows is computed one by one, which costs more than it saves (llama.cpp, `ggml-cpu`)."""
_MULTIPLE = 4
"""Weights are multiplied with four rows at a time; what is left over is computed singly."""
_LATEST = 0.2


class Pace:
    """Learns how long a row takes on this machine, and says how many rows of prompts a step may have."""

    def __init__(self) -> None:
        self._row_seconds = 0.0

    def observe(self, rows: int, seconds: float) -> None:
        """Take a step into account; one of few rows tells nothing about many."""
        if rows >= _LEAST_ROWS:
            latest = seconds / rows
            self._row_seconds += (latest - self._row_seconds) * (_LATEST if self._row_seconds else 1.0)

    def prompt_rows(self, answers: int, prompts: int) -> int:
        """How many rows of so many prompts go beside the next word of so many answers.

        While more wait to be read than are answered, reading them is what serves most.
        """
        if answers < prompts:
            return _ALONE_ROWS
        rows = int(STEP_SECONDS / self._row_seconds) if self._row_seconds else _LEAST_ROWS
        total = max(_LEAST_ROWS, min(rows, _ALONE_ROWS)) + answers
        return min(total - total % _MULTIPLE, MAX_ROWS) - answers
