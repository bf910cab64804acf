"""Places for what runs at the same time: a few for each person, some for all; who finds none is refused at once.

A queue without end would only make everyone wait for nothing.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import TooManyRequestsError


class Places:
    """Counts who has a place. Used from one event loop.

    `what` is what takes the places, in the plural, as people are told it.
    """

    def __init__(self, what: str, most: int, most_each: int) -> None:
        self._what = what
        self._most = most
        self._most_each = most_each
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, principal_id: str) -> Iterator[None]:
        """Hold a place of this person's.

        Raises:
            TooManyRequestsError: All places, or all of this person's, are taken.
        """
        if self._taken[principal_id] >= self._most_each:
            message = f"You have {self._most_each} {self._what} in progress already. Wait for one of them to end."
            raise TooManyRequestsError(message)
        if self._taken.total() >= self._most:
            message = f"The service is busy with as many {self._what} as it can take. Try again in a moment."
            raise TooManyRequestsError(message)
        self._taken[principal_id] += 1
        try:
            yield
        finally:
            self._taken[principal_id] -= 1
            self._taken += Counter()  # Drops who has none, so that the table does not grow with every name.
