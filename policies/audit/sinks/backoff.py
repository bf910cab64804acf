"""How long to wait before a place that failed is tried again."""

_FIRST_SECONDS, _MOST_SECONDS = 1.0, 60.0


class Backoff:
    """Waits that double from one failure to the next, up to a minute."""

    def __init__(self, first_seconds: float = _FIRST_SECONDS, most_seconds: float = _MOST_SECONDS) -> None:
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._next_seconds = first_seconds

    def next_seconds(self, asked_seconds: float = 0.0) -> float:
        """The wait after one more failure; at least what the place asked for."""
        wait = max(self._next_seconds, asked_seconds)
        self._next_seconds = min(self._next_seconds * 2, self._most_seconds)
        return wait

    def reset(self) -> None:
        """It worked: the next failure is the first again."""
        self._next_seconds = self._first_seconds
